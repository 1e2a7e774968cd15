//! The ledger against a naive model of sums, over restarts; and what a ledger or a row that was changed is told.

use proptest::prelude::*;

use super::*;
use crate::secret::SectionKey;

const ONE: u64 = 1 << 20;

fn key(seed: u8) -> LedgerKey {
    LedgerKey::of(&SectionKey::from_bytes([seed; 32]))
}

fn debit(collection: u8, who: u8, what: u8, charge: Charge) -> Debit {
    let query = QueryHash::of(&key(1), &[collection, what]);
    Debit { collection: [collection; 16], principal: Principal([who; 16]), query, charge }
}

#[derive(Debug, Clone)]
enum Step {
    Ask { collection: u8, who: u8, what: u8, charge: Charge },
    Cap { account: Account, cap: Option<Cap> },
    Forfeit,
    Reopen,
}

fn charge() -> impl Strategy<Value = Charge> {
    prop_oneof![
        4 => (1..4 * ONE).prop_map(Charge::Pure),
        1 => (1..ONE * ONE).prop_map(Charge::Concentrated),
    ]
}

fn cap() -> impl Strategy<Value = Option<Cap>> {
    prop_oneof![
        Just(None),
        (0..20 * ONE).prop_map(|epsilon| Some(Cap::Pure { epsilon })),
        (ONE..20 * ONE).prop_map(|epsilon| Cap::approximate(epsilon, 1e-6).ok()),
    ]
}

fn account() -> impl Strategy<Value = Account> {
    prop_oneof![
        Just(Account::Environment),
        (0u8..3).prop_map(|id| Account::Collection([id; 16])),
        (0u8..2).prop_map(|id| Account::Principal(Principal([id; 16]))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0u8..3, 0u8..2, 0u8..4, charge())
            .prop_map(|(collection, who, what, charge)| Step::Ask { collection, who, what, charge }),
        3 => (account(), cap()).prop_map(|(account, cap)| Step::Cap { account, cap }),
        1 => Just(Step::Forfeit),
        2 => Just(Step::Reopen),
    ]
}

proptest! {
    /// Whatever is asked and in whatever order: sums are those of a naive model, none falls, no cap is passed, and what is
    /// written down is the same ledger.
    #[test]
    fn nothing_is_overspent_or_forgotten(steps in prop::collection::vec(step(), 0..60)) {
        let (key, mut ledger) = (key(1), Ledger::default());
        // What was written down: a whole ledger and the rows after it.
        let (mut whole, mut rows) = (ledger.encode(&key), Vec::new());
        let mut charges: Vec<(Debit, u64)> = Vec::new();
        for step in steps {
            let before: Vec<(Account, Balance)> = ledger.accounts().map(|(account, balance)| (*account, *balance)).collect();
            let sequence = ledger.sequence();
            match step {
                Step::Ask { collection, who, what, charge } => {
                    let debit = debit(collection, who, what, charge);
                    let untouched = ledger.clone();
                    match ledger.charge(&key, debit) {
                        Ok(added) => {
                            prop_assert_eq!(added.sequence, sequence + 1);
                            prop_assert_eq!(ledger.paid(&debit.query), Some(added.sequence));
                            for account in debit.accounts() {
                                let Balance { cap, spent } = ledger.balance(&account);
                                prop_assert!(cap.is_none_or(|cap| cap.can_take(&charge) && cap.allows(&spent)));
                            }
                            charges.push((debit, added.sequence));
                            rows.push(added.bytes);
                        }
                        Err(_) => prop_assert_eq!(&ledger, &untouched),
                    }
                }
                Step::Cap { account, cap } => {
                    if let Ok(added) = ledger.set_cap(&key, account, cap) {
                        prop_assert_eq!(ledger.balance(&account).cap, cap);
                        rows.push(added.bytes);
                    }
                }
                Step::Forfeit => {
                    rows.push(ledger.forfeit(&key, sequence + 3).bytes);
                    prop_assert!(ledger.sequence() > sequence + 3);
                    for id in 0..3 {
                        prop_assert_eq!(ledger.balance(&Account::Collection([id; 16])).left().unwrap_or_default(), 0);
                    }
                }
                Step::Reopen => {
                    (whole, rows) = (ledger.encode(&key), Vec::new());
                }
            }
            let mut again = Ledger::decode(&key, &whole).unwrap();
            rows.iter().for_each(|row| again.replay(&key, row).unwrap());
            prop_assert_eq!(&again, &ledger);
            for (account, Balance { spent, .. }) in before {
                let now = ledger.balance(&account).spent;
                prop_assert!(now.rho >= spent.rho && now.epsilon.is_none_or(|now| spent.epsilon.is_some_and(|before| now >= before)));
            }
        }
        for id in 0..3 {
            let account = Account::Collection([id; 16]);
            let of = || charges.iter().filter(|(debit, _)| debit.collection == [id; 16]).map(|(debit, _)| debit.charge);
            let spent = ledger.balance(&account).spent;
            let rho: u64 = of().map(Charge::rho).sum();
            let is_counted = if ledger.is_forfeit() { spent.rho >= rho } else { spent.rho == rho };
            prop_assert!(is_counted);
        }
    }

    #[test]
    fn changed_bytes_are_refused(at: prop::sample::Index, to: u8) {
        let (key, mut ledger) = (key(1), Ledger::default());
        let first = ledger.charge(&key, debit(1, 1, 1, Charge::Pure(ONE))).unwrap().bytes;
        let whole = ledger.encode(&key);
        for bytes in [&first, &whole] {
            let mut changed = bytes.clone();
            let at = at.index(changed.len());
            changed[at] = to;
            prop_assume!(changed != *bytes);
            prop_assert_eq!(Ledger::decode(&key, &changed), Err(LedgerError));
            prop_assert_eq!(Ledger::default().replay(&key, &changed), Err(LedgerError));
            prop_assert_eq!(Ledger::decode(&key, &bytes[..at]), Err(LedgerError));
        }
    }
}

#[test]
fn a_row_is_taken_in_its_place_and_under_its_key_alone() {
    let (ours, mut ledger) = (key(1), Ledger::default());
    let rows: Vec<Vec<u8>> =
        (0..3).map(|what| ledger.charge(&ours, debit(1, 1, what, Charge::Pure(ONE))).unwrap().bytes).collect();
    let mut again = Ledger::default();
    assert_eq!(again.replay(&key(2), &rows[0]), Err(LedgerError));
    assert_eq!(again.replay(&ours, &rows[1]), Err(LedgerError), "one was left out");
    again.replay(&ours, &rows[0]).unwrap();
    assert_eq!(again.replay(&ours, &rows[0]), Err(LedgerError), "one came twice");
    again.replay(&ours, &rows[1]).unwrap();
    assert_eq!(Ledger::decode(&key(2), &ledger.encode(&ours)), Err(LedgerError));
    // Another first row, as of a history that was rewritten.
    let mut other = Ledger::default();
    let _ = other.charge(&ours, debit(1, 1, 1, Charge::Pure(1))).unwrap();
    assert_eq!(other.replay(&ours, &rows[1]), Err(LedgerError));
}

#[test]
fn a_budget_of_pure_epsilon_pays_no_other_mechanism() {
    let (key, mut ledger) = (key(1), Ledger::default());
    let account = Account::Collection([1; 16]);
    let gauss = debit(1, 1, 1, Charge::Concentrated(ONE * ONE / 100));
    assert_eq!(ledger.charge(&key, gauss).unwrap_err(), Refusal::NeedsDelta { account });
    let cap = Cap::approximate(10 * ONE, 1e-6).unwrap();
    let _ = ledger.set_cap(&key, account, Some(cap)).unwrap();
    let _ = ledger.charge(&key, gauss).unwrap();
    assert_eq!(ledger.set_cap(&key, account, Some(Cap::Pure { epsilon: 20 * ONE })).unwrap_err(), NotPure);
    let total = ledger.balance(&account).spent.epsilon_at(1e-6);
    assert!(total > 0.1 && total < 2.0, "{total}");
}

#[test]
fn nothing_shows_what_was_asked() {
    let (key, mut ledger) = (key(1), Ledger::default());
    let row = ledger.charge(&key, debit(1, 1, 0x41, Charge::Pure(1))).unwrap();
    assert!(!format!("{ledger:?}").contains("QueryHash([") && !row.bytes.windows(2).any(|two| two == [1, 0x41]));
    assert_ne!(QueryHash::of(&key, b"a"), QueryHash::of(&self::key(2), b"a"));
}
