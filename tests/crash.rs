//! The process dies at every change it makes to the disk, during each kind of work, and dies again while
//! recovering: what was acknowledged is there, a batch is whole or absent, and an erasure is either not
//! begun or, once the store is open again, complete.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Collection, Database, Environment, Filter, Record, RecordId};
use lethedb_tests::dying::Dying;
use lethedb_tests::world::in_memory;
use storage::backend::Memory;

const PERSON: &str = "owner-3";

fn record(id: u64, version: u64) -> Record {
    let vector = vec![id as f32 + 1.0, version as f32, 2.0];
    Record::new(id, vector).entity(format!("owner-{}", id % 5)).payload(serde_json::json!(version))
}

/// Record id → version.
type State = BTreeMap<u64, u64>;

/// A store with segments, dead rows and a log, and what is in it.
fn furnished() -> (Memory, State) {
    let memory = Memory::new();
    let db = in_memory(&memory, 1).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(3).open_or_create().unwrap();
    let mut state = State::new();
    for (version, ids) in [(1, 0..30), (2, 20..40), (3, 35..45)] {
        docs.upsert(ids.clone().map(|id| record(id, version))).unwrap();
        state.extend(ids.map(|id| (id, version)));
        if version < 3 {
            env.flush().unwrap();
        }
    }
    db.close().unwrap();
    (memory, state)
}

fn open(db: &Database) -> (Environment, Collection) {
    let env = db.environment("acme").unwrap();
    let docs = env.open_collection("docs").unwrap();
    (env, docs)
}

fn contents(docs: &Collection) -> State {
    let records = docs.scroll().limit(1000).run().unwrap().records;
    let pair = |record: &Record| {
        let RecordId::Num(id) = record.id() else { panic!("ids are numbers here") };
        (id, record.payload_json().unwrap().as_u64().unwrap())
    };
    records.iter().map(pair).collect()
}

/// Dies at every change of `work`, recovers (dying once more on every third), and holds the outcome
/// against the allowed ones. Returns how many crashes there were.
fn crash_everywhere(work: impl Fn(&Environment, &Collection) -> bool, before: impl Fn(&State) -> State) -> u64 {
    let mut crashes = 0;
    for changes in 0.. {
        let (memory, state) = furnished();
        let dying = Dying::after(&memory, changes);
        let watch = dying.watch();
        let mut acknowledged = false;
        if let Ok(db) = in_memory(&memory, 2).backend(Arc::new(dying)).open()
            && let Ok(env) = db.environment("acme")
            && let Ok(docs) = env.open_collection("docs")
        {
            acknowledged = work(&env, &docs);
        }
        if !watch.is_dead() {
            assert!(acknowledged);
            return crashes;
        }
        crashes += 1;
        if changes % 3 == 0 {
            let again = in_memory(&memory, 3).backend(Arc::new(Dying::after(&memory, changes % 17))).open();
            drop(again.and_then(|db| db.environment("acme")));
        }
        let db = in_memory(&memory, 4).open().unwrap();
        let (env, docs) = open(&db);
        let (found, after) = (contents(&docs), before(&state));
        assert!(found == after || (!acknowledged && found == state), "died at change {changes}");
        assert_eq!(docs.count().run().unwrap().count, found.len() as u64);
        assert_eq!(env.verify().unwrap().problems, vec![], "died at change {changes}");
        let of_person = found.keys().filter(|id| **id % 5 == 3).count() as u64;
        assert_eq!(docs.count().filter(Filter::entity(PERSON)).run().unwrap().count, of_person);
    }
    crashes
}

#[test]
fn erasure_dies_everywhere() {
    let erased = |state: &State| state.iter().filter(|(id, _)| *id % 5 != 3).map(|(id, v)| (*id, *v)).collect();
    let crashes = crash_everywhere(|env, _| env.erase(PERSON).run().is_ok(), erased);
    println!("{crashes} crashes");
    assert!(crashes > 30, "{crashes}");
}

#[test]
fn a_batch_dies_everywhere() {
    let written = |state: &State| {
        let mut state = state.clone();
        state.extend((25..50).map(|id| (id, 9)));
        state
    };
    let crashes = crash_everywhere(|_, docs| docs.upsert((25..50).map(|id| record(id, 9))).is_ok(), written);
    println!("{crashes} crashes");
    assert!(crashes > 5, "{crashes}");
}

#[test]
fn flush_and_compaction_die_everywhere() {
    let crashes = crash_everywhere(|env, _| env.compact().is_ok(), State::clone);
    println!("{crashes} crashes");
    assert!(crashes > 20, "{crashes}");
}
