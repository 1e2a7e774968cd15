//! The ledger: what was spent of the privacy budgets of an environment, and whether a query can still be paid for.
//!
//! Invariant: what was spent never falls, in this file or by its types: a debit is added and nothing takes one back, not an
//! error after it, not an erasure, not a restore. A debit is added to every account that it concerns or to none, and to
//! none where one of them cannot pay. Since each row says how much it costs before anything is read, the sum may grow by
//! charges that depend on earlier answers and still not exceed the cap (a privacy filter: Rogers, Roth, Ullman and
//! Vadhan, "Privacy odometers and filters", 2016, for pure ε; Feldman and Zrnic, "Individual privacy accounting via a
//! Rényi filter", 2021, for zCDP).
//!
//! A row is chained to the one before it by HMAC, and so is the state with which a log begins. Neither holds a query, but
//! its keyed hash, so that nobody without the key can try which questions were asked.

mod cap;
mod row;
mod state;

use std::collections::BTreeMap;

use thiserror::Error;

pub use cap::{Cap, CapError, Charge, Spent};
pub use row::{Account, Debit, LedgerError, Principal, QueryHash};

use crate::secret::LedgerKey;
use row::{Chain, Entry, Row};

/// The lifetime budget of a collection that nobody gave another: ε = 10.
const COLLECTION_CAP: Cap = Cap::Pure { epsilon: 10 << 20 };
/// So many answers are found again for nothing; of more, the oldest are asked anew and paid for.
const ANSWERS_MAX: usize = 1 << 16;

/// What an account may spend, and has spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// The most that it may ever spend; none if nothing but other accounts stops it.
    pub cap: Option<Cap>,
    /// What it has spent.
    pub spent: Spent,
}

impl Balance {
    /// The largest ε of one more query of pure ε, in units of 2⁻²⁰; none if nothing stops it.
    pub fn left(&self) -> Option<u64> {
        self.cap.map(|cap| cap.left(&self.spent))
    }
}

/// The accounts of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// How many rows were ever added.
    sequence: u64,
    chain: Chain,
    /// Those that were given a cap or spent something.
    accounts: BTreeMap<Account, Balance>,
    /// The row that paid last for each query.
    paid: BTreeMap<QueryHash, u64>,
    /// Rows were lost, so that all that could have been spent counts as spent.
    is_forfeit: bool,
}

/// Why a query is not paid for; nothing was charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The account has not enough left.
    #[error("the privacy budget is exhausted")]
    Exhausted {
        /// Which.
        account: Account,
        /// What it has.
        balance: Balance,
    },
    /// The account's budget has no δ, and the query's mechanism needs one.
    #[error("the privacy budget is one of pure ε, and the mechanism asked for needs a δ")]
    NeedsDelta {
        /// Which.
        account: Account,
    },
}

/// Why an account is not given a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("something was spent that has no pure ε: a cap needs a δ")]
pub struct NotPure;

/// A row that was added: the bytes to make durable before anything else happens.
#[derive(Debug)]
#[must_use = "a row counts once it is durable"]
pub struct Added {
    /// Its number, from 1.
    pub sequence: u64,
    /// Its bytes, to be sealed.
    pub bytes: Vec<u8>,
}

impl Ledger {
    /// How many rows were ever added, which is the number of the last.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether rows were lost, so that what accounts have spent is the most that they can have.
    pub fn is_forfeit(&self) -> bool {
        self.is_forfeit
    }

    /// What an account may spend, and has spent.
    pub fn balance(&self, account: &Account) -> Balance {
        self.accounts.get(account).copied().unwrap_or_else(|| {
            let cap = matches!(account, Account::Collection(_)).then_some(COLLECTION_CAP);
            let all = |cap: Cap| Spent::default().at_least(&cap);
            Balance { cap, spent: cap.filter(|_| self.is_forfeit).map(all).unwrap_or_default() }
        })
    }

    /// Every account that was given a cap or spent something.
    pub fn accounts(&self) -> impl Iterator<Item = (&Account, &Balance)> {
        self.accounts.iter()
    }

    /// The row that paid last for this very query, if one did.
    pub fn paid(&self, query: &QueryHash) -> Option<u64> {
        self.paid.get(query).copied()
    }

    /// The rows whose answers are still found.
    pub fn payments(&self) -> impl Iterator<Item = u64> {
        self.paid.values().copied()
    }

    /// Charges a query. The caller makes the row durable before it reads anything for it, and takes it for spent whatever
    /// happens from then on.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was charged.
    pub fn charge(&mut self, key: &LedgerKey, debit: Debit) -> Result<Added, Refusal> {
        for account in debit.accounts() {
            let balance = self.balance(&account);
            let Some(cap) = balance.cap else { continue };
            if !cap.can_take(&debit.charge) {
                return Err(Refusal::NeedsDelta { account });
            }
            if !cap.allows(&balance.spent.and(debit.charge)) {
                return Err(Refusal::Exhausted { account, balance });
            }
        }
        Ok(self.add(key, Entry::Debit(debit)))
    }

    /// Gives an account another cap, or none.
    ///
    /// # Errors
    /// [`NotPure`] for a cap of pure ε where something else was spent.
    pub fn set_cap(&mut self, key: &LedgerKey, account: Account, cap: Option<Cap>) -> Result<Added, NotPure> {
        if matches!(cap, Some(Cap::Pure { .. })) && !self.balance(&account).spent.is_pure() {
            return Err(NotPure);
        }
        Ok(self.add(key, Entry::Cap { account, cap }))
    }

    /// Counts all that any account could have spent as spent, because rows were lost: the ledger has `sequence` of them at
    /// least. What more is to be spent needs higher caps.
    pub fn forfeit(&mut self, key: &LedgerKey, sequence: u64) -> Added {
        self.sequence = self.sequence.max(sequence);
        self.add(key, Entry::Forfeit)
    }

    fn add(&mut self, key: &LedgerKey, entry: Entry) -> Added {
        let row = Row::after(key, &self.chain, self.sequence.saturating_add(1), entry);
        self.apply(&row);
        Added { sequence: row.sequence, bytes: row.encode() }
    }

    fn apply(&mut self, row: &Row) {
        (self.sequence, self.chain) = (row.sequence, row.chain);
        match &row.entry {
            Entry::Debit(debit) => {
                for account in debit.accounts() {
                    let mut balance = self.balance(&account);
                    balance.spent = balance.spent.and(debit.charge);
                    self.accounts.insert(account, balance);
                }
                self.paid.insert(debit.query, row.sequence);
                if self.paid.len() > ANSWERS_MAX {
                    let oldest = self.paid.iter().min_by_key(|(_, paid)| **paid).map(|(query, _)| *query);
                    if let Some(query) = oldest {
                        self.paid.remove(&query);
                    }
                }
            }
            Entry::Cap { account, cap } => {
                let spent = self.balance(account).spent;
                self.accounts.insert(*account, Balance { cap: *cap, spent });
            }
            Entry::Forfeit => {
                self.is_forfeit = true;
                for balance in self.accounts.values_mut() {
                    balance.spent = balance.cap.map_or(balance.spent, |cap| balance.spent.at_least(&cap));
                }
            }
        }
    }

    /// Takes in the row that follows, as bytes.
    ///
    /// # Errors
    /// [`LedgerError`] if it is none, or another one.
    pub fn replay(&mut self, key: &LedgerKey, bytes: &[u8]) -> Result<(), LedgerError> {
        let row = Row::decode(bytes)?;
        let is_next = match row.entry {
            // Whoever begins anew counts on from what is known to have been.
            Entry::Forfeit => row.sequence > self.sequence,
            _ => Some(row.sequence) == self.sequence.checked_add(1),
        };
        if !is_next || row.chain != Chain::after(key, &self.chain, row.sequence, &row.entry) {
            return Err(LedgerError);
        }
        self.apply(&row);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
