//! What a person is given of their own: all of it, of one moment, and nothing that was erased.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts threads that race")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use engine::{Environment, ErrorKind, Record, RecordId};
use lethedb_tests::world::in_memory;
use proptest::prelude::*;
use serde_json::json;
use storage::backend::Memory;

const COLLECTIONS: [&str; 3] = ["docs", "faces", "notes"];

#[derive(Clone, Debug)]
enum Step {
    Put { collection: usize, id: u64, owner: u8, version: u64 },
    Delete { collection: usize, id: u64 },
    Erase(u8),
    Flush,
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    let put = (0usize..3, 0u64..12, 0u8..3, any::<u16>());
    prop_oneof![
        8 => put.prop_map(|(collection, id, owner, version)| Step::Put { collection, id, owner, version: version.into() }),
        2 => (0usize..3, 0u64..12).prop_map(|(collection, id)| Step::Delete { collection, id }),
        1 => (0u8..3).prop_map(Step::Erase),
        1 => Just(Step::Flush),
        1 => Just(Step::Compact),
    ]
}

fn name(owner: u8) -> String {
    format!("person-{owner}")
}

fn record(id: u64, owner: u8, version: u64) -> Record {
    let record = Record::new(id, vec![id as f32, version as f32]).payload(json!({ "version": version }));
    if owner == 0 { record } else { record.entity(name(owner)) }
}

type Found = Vec<(String, RecordId, Vec<f32>, serde_json::Value)>;

fn exported(env: &Environment, owner: u8) -> Found {
    let export = env.export_entity(name(owner)).unwrap();
    let length = export.len();
    let found: Found = export
        .map(|found| {
            let (collection, record) = found.unwrap();
            assert_eq!(record.entity_id(), Some(name(owner).as_str()));
            (collection.to_string(), record.id(), record.vector().to_vec(), record.payload_json().unwrap().clone())
        })
        .collect();
    assert_eq!(found.len(), length);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a map of every collection.
    #[test]
    fn everything_of_one_person_and_nothing_else(steps in prop::collection::vec(step(), 0..40)) {
        let memory = Memory::new();
        let db = in_memory(&memory, 1).open().unwrap();
        let env = db.environment("acme").unwrap();
        let open = |at: usize| env.collection(COLLECTIONS[at]).dimension(2).open_or_create().unwrap();
        (0..3).for_each(|at| drop(open(at)));
        let mut model: BTreeMap<(usize, u64), (u8, u64)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put { collection, id, owner, version } => {
                    open(collection).upsert([record(id, owner, version)]).unwrap();
                    model.insert((collection, id), (owner, version));
                }
                Step::Delete { collection, id } => {
                    open(collection).delete([id]).unwrap();
                    model.remove(&(collection, id));
                }
                Step::Erase(owner) => {
                    env.erase(name(owner)).run().unwrap();
                    model.retain(|_, (of, _)| owner == 0 || *of != owner);
                }
                Step::Flush => env.flush().unwrap(),
                Step::Compact => env.compact().unwrap(),
            }
        }
        for owner in 1..4 {
            let expected: Found = model.iter().filter(|(_, (of, _))| *of == owner).map(|((at, id), (_, version))| {
                let vector = vec![*id as f32, *version as f32];
                (COLLECTIONS[*at].to_owned(), RecordId::Num(*id), vector, json!({ "version": version }))
            }).collect();
            prop_assert_eq!(exported(&env, owner), expected);
        }
    }
}

/// Two collections that a writer changes in turn, the first one always ahead by at most one: an export of another moment
/// for each of them would show more.
#[test]
fn an_export_shows_one_moment_of_all_collections() {
    let memory = Memory::new();
    let db = in_memory(&memory, 1).open().unwrap();
    let env = db.environment("acme").unwrap();
    let [docs, notes] = ["docs", "notes"].map(|name| env.collection(name).dimension(2).open_or_create().unwrap());
    let done = AtomicBool::new(false);
    let exports = thread::scope(|scope| {
        scope.spawn(|| {
            for version in 1..400 {
                docs.upsert([record(1, 1, version)]).unwrap();
                notes.upsert([record(1, 1, version)]).unwrap();
                if version % 50 == 0 {
                    env.flush().unwrap();
                }
            }
            done.store(true, Ordering::SeqCst);
        });
        let mut exports = 0;
        while !done.load(Ordering::SeqCst) {
            let found = exported(&env, 1);
            let versions: Vec<f32> = found.iter().map(|(_, _, vector, _)| vector[1]).collect();
            if let [docs, notes] = versions[..] {
                assert!(docs == notes || docs == notes + 1.0, "{docs} and {notes} are of two moments");
                exports += 1;
            }
        }
        exports
    });
    assert!(exports > 0);
}

/// Whatever was read before it, an erasure ends the export: nobody is given what is erased.
#[test]
fn an_erasure_ends_an_export() {
    for in_memtable in [true, false] {
        let memory = Memory::new();
        let db = in_memory(&memory, 1).open().unwrap();
        let env = db.environment("acme").unwrap();
        let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
        docs.upsert((0..10).map(|id| record(id, 1, 7))).unwrap();
        if !in_memtable {
            env.flush().unwrap();
        }
        let mut export = env.export_entity(name(1)).unwrap();
        assert!(export.next().unwrap().is_ok());
        env.erase(name(1)).run().unwrap();
        assert_eq!(export.next().unwrap().unwrap_err().kind(), ErrorKind::Busy);
        assert!(export.next().is_none(), "an export that failed goes no further");
        assert!(exported(&env, 1).is_empty());
    }
}
