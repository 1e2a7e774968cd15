//! What a private answer rests on, broken by a switch of this test build: the debit comes after the noise, or an error
//! gives it back. Each is seen by the test of its name, or that test proves nothing.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::cell::Cell;
use std::sync::Arc;

use serde_json::json;
use storage::backend::Faulty;
use storage::backend::faulty::{Crash, Fault, FaultKind, Operation, OperationKind};

use super::*;
use crate::builder::Builder;
use crate::collection::Collection;
use crate::database::Database;
use crate::error::ErrorKind;
use crate::record::Record;
use crate::root_key::RootKey;
use crate::settings::Settings;

/// What a release does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mutant {
    /// Pays once the data is read and the noise is drawn.
    DebitAfterSampling,
    /// Takes a debit back where the answer cannot be given.
    RefundOnError,
}

thread_local! {
    static MUTANT: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// What this thread's releases do wrong, if anything.
pub(super) fn mutant() -> Option<Mutant> {
    MUTANT.get()
}

/// Runs `test` with a mutant.
fn with<T>(mutant: Option<Mutant>, test: impl FnOnce() -> T) -> T {
    MUTANT.set(mutant);
    let outcome = test();
    MUTANT.set(None);
    outcome
}

fn builder(disk: &Faulty) -> Builder {
    let settings = Settings { background: false, threads: 1, reserve_bytes: 4096, ..Settings::default() };
    Database::builder("memory").backend(Arc::new(disk.clone())).root_key(RootKey::bytes([7; 32])).settings(settings)
}

/// A disk with thirty people in a segment, closed.
fn furnished() -> Faulty {
    let disk = Faulty::new();
    let db = builder(&disk).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    let person =
        |id: u64| Record::new(id, vec![1.0, id as f32]).entity(format!("person-{id}")).payload(json!({"age": id}));
    docs.upsert((0..30).map(person)).unwrap();
    env.flush().unwrap();
    drop((docs, env));
    db.close().unwrap();
    Faulty::on(disk.medium().crashed(Crash::Process)).recording()
}

fn opened(disk: &Faulty) -> (Database, Collection) {
    let db = builder(disk).open().unwrap();
    let docs = db.environment("acme").unwrap().open_collection("docs").unwrap();
    (db, docs)
}

/// What the collection's budget was charged; none if nobody can say, as where rows contradict each other.
fn spent(docs: &Collection) -> Option<u64> {
    let looked = docs.env.budgets.look(|ledger| ledger.balance(&Account::Collection(docs.state.id.0)).spent.epsilon);
    looked.ok().flatten()
}

/// Whether nothing of a segment is read before the debit is synced in the ledger, the manifest, the keyring and the audit
/// log, seen from what the disk is asked for.
fn reads_after_paying(mutant: Option<Mutant>) -> bool {
    let disk = furnished();
    let (_db, docs) = opened(&disk);
    let before = disk.trace().len();
    with(mutant, || docs.centroid().epsilon(0.5).release()).unwrap();
    let trace = disk.trace().split_off(before);
    let first = |is: &dyn Fn(&Operation) -> bool| trace.iter().position(is);
    let last = |is: &dyn Fn(&Operation) -> bool| trace.iter().rposition(is).unwrap();
    let is_synced =
        |part: &'static str| move |done: &Operation| done.kind == OperationKind::Sync && done.path.contains(part);
    let read = first(&|done| done.kind == OperationKind::Read && done.path.contains("/seg/")).unwrap();
    let rows = ["/budget-", "/MANIFEST-", "/keyring/", "/audit/"];
    rows.into_iter().all(|part| last(&is_synced(part)) < read)
}

#[test]
fn nothing_is_read_before_the_debit_is_durable() {
    assert!(reads_after_paying(None));
}

#[test]
fn a_debit_after_the_noise_is_seen() {
    assert!(!reads_after_paying(Some(Mutant::DebitAfterSampling)));
}

/// Whether an answer that could not be stored stays paid for, in this process and the next.
fn keeps_what_was_paid(mutant: Option<Mutant>) -> bool {
    let disk = furnished();
    let (db, docs) = opened(&disk);
    // What the same release does on another such disk says which of its operations to fail.
    let dry = furnished();
    let (_dry_db, dry_docs) = opened(&dry);
    let before = dry.operations();
    dry_docs.centroid().epsilon(0.5).release().unwrap();
    let is_answer = |done: &Operation| done.kind == OperationKind::Create && done.path.contains("/answers/");
    let at = dry.trace().iter().skip(before as usize).position(is_answer).unwrap() as u64;
    disk.fail(Some(Fault { at: disk.operations() + at, kind: FaultKind::Full, sticky: false }));
    let answer = with(mutant, || docs.centroid().epsilon(0.5).release());
    assert_eq!((answer.map(drop).unwrap_err().kind(), disk.struck()), (ErrorKind::Full, 1));
    let here = spent(&docs);
    // What was not answered is asked again, and paid for again.
    with(mutant, || docs.centroid().epsilon(0.5).release()).unwrap();
    let later = spent(&docs);
    drop(docs);
    db.close().unwrap();
    let (_db, docs) = opened(&disk);
    (here, later, spent(&docs)) == (Some(1 << 19), Some(1 << 20), Some(1 << 20))
}

#[test]
fn an_error_after_the_debit_gives_nothing_back() {
    assert!(keeps_what_was_paid(None));
}

#[test]
fn a_refund_is_seen() {
    assert!(!keeps_what_was_paid(Some(Mutant::RefundOnError)));
}

/// A release that does it wrong.
pub(super) fn release_wrongly(
    mutant: Mutant,
    (env, state, permit): (&EnvironmentState, &CollectionState, &Permit),
    inquiry: &Inquiry,
    debit: Debit,
) -> Result<Released> {
    let (key, before) = (env.keys.read().ledger_key(), env.budgets.look(Clone::clone)?);
    let pay = || {
        let row = debit::add(env, |ledger| ledger.charge(&key, debit).map_err(refused))?;
        tell(env, permit, state, (row, inquiry.plan.cost().epsilon_units)).map(|()| row)
    };
    match mutant {
        Mutant::DebitAfterSampling => {
            let answer = answer(env, state, inquiry, before.sequence() + 1)?;
            store(env, state, pay()?, answer)
        }
        Mutant::RefundOnError => {
            let row = pay()?;
            let answered = answer(env, state, inquiry, row).and_then(|answer| store(env, state, row, answer));
            answered.inspect_err(|_| env.budgets.replace(before))
        }
    }
}
