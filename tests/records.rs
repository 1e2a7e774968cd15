//! Writes that depend on what is there: random histories of conditional upserts, deletes, erasures, flushes, compactions
//! and reopens against a naive map of records and versions. What a write must not touch keeps its version.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "writers that meet need threads of their own")]

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use engine::{Collection, Database, Environment, ErrorKind, Metric, Record};
use lethedb_tests::world::in_memory;
use proptest::prelude::*;
use serde_json::{Value, json};
use storage::backend::Memory;

const DIMENSION: usize = 3;
const IDS: u64 = 24;
const OWNERS: u64 = 3;

/// What a write expects of the record that it replaces.
#[derive(Clone, Copy, Debug)]
enum Expect {
    Anything,
    Absent,
    /// The version that is there, or one that never was.
    Current,
    /// One that was there before, perhaps.
    Older,
}

#[derive(Clone, Debug)]
struct Entry {
    vector: Vec<f32>,
    owner: Option<String>,
    payload: Option<Value>,
}

#[derive(Clone, Debug)]
struct Stored {
    entry: Entry,
    version: u64,
}

type Model = BTreeMap<u64, Stored>;

#[derive(Clone, Debug)]
enum Op {
    Upsert(Vec<(u64, Entry, Expect)>),
    UpsertEach(Vec<(u64, Entry, Expect)>),
    Delete(Vec<u64>),
    Erase(u64),
    Flush,
    Compact,
    Step,
    Reopen,
}

fn owner(number: u64) -> String {
    format!("owner-{number}")
}

fn payloads() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![(0..4_i64).prop_map(Value::from), Just(json!("x")), Just(Value::Null)];
    let inner = prop::collection::btree_map(prop::sample::select(&["a", "b"][..]), scalar.clone(), 0..3);
    let value = prop_oneof![
        3 => scalar,
        2 => inner.clone().prop_map(|all| json!(all)),
        1 => prop::collection::vec(inner.prop_map(|all| json!(all)), 0..3).prop_map(Value::from),
    ];
    let object = prop::collection::btree_map(prop::sample::select(&["a", "b", "c"][..]), value, 0..4);
    prop_oneof![9 => object.prop_map(|all| json!(all)), 1 => Just(json!([1]))]
}

fn entry() -> impl Strategy<Value = Entry> {
    let vector = prop::collection::vec((-6..7_i32).prop_map(|x| x as f32), DIMENSION);
    let owner = prop::option::weighted(0.6, (0..OWNERS).prop_map(owner));
    let payload = prop::option::weighted(0.8, payloads());
    (vector, owner, payload).prop_map(|(vector, owner, payload)| Entry { vector, owner, payload })
}

fn batch() -> impl Strategy<Value = Vec<(u64, Entry, Expect)>> {
    let expect = prop_oneof![
        4 => Just(Expect::Anything),
        2 => Just(Expect::Absent),
        4 => Just(Expect::Current),
        1 => Just(Expect::Older),
    ];
    prop::collection::vec((0..IDS, entry(), expect), 0..6)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => batch().prop_map(Op::Upsert),
        4 => batch().prop_map(Op::UpsertEach),
        1 => prop::collection::vec(0..IDS, 1..6).prop_map(Op::Delete),
        1 => (0..OWNERS).prop_map(Op::Erase),
        2 => Just(Op::Flush),
        1 => Just(Op::Compact),
        1 => Just(Op::Step),
        1 => Just(Op::Reopen),
    ]
}

struct World {
    memory: Memory,
    seed: u64,
    db: Option<Database>,
    model: Model,
}

impl World {
    fn new(seed: u64) -> Self {
        Self { memory: Memory::new(), seed, db: None, model: Model::new() }
    }

    fn open(&mut self) -> (Environment, Collection) {
        let (memory, seed) = (&self.memory, self.seed);
        let db = self.db.get_or_insert_with(|| in_memory(memory, seed).open().unwrap());
        let env = db.environment("acme").unwrap();
        let docs = env.collection("docs").dimension(DIMENSION).metric(Metric::L2).open_or_create().unwrap();
        (env, docs)
    }

    /// The record to store, and whether what it expects is there.
    fn candidate(&self, (id, entry, expect): &(u64, Entry, Expect)) -> (Record, bool) {
        let mut record = Record::new(*id, entry.vector.clone());
        if let Some(owner) = &entry.owner {
            record = record.entity(owner);
        }
        if let Some(payload) = &entry.payload {
            record = record.payload(payload.clone());
        }
        let version = self.model.get(id).map(|stored| stored.version);
        match expect {
            Expect::Anything => (record, true),
            Expect::Absent => (record.if_absent(), version.is_none()),
            Expect::Current => (record.if_version(version.unwrap_or(1)), version.is_some()),
            Expect::Older => (record.if_version(version.unwrap_or(2) - 1), false),
        }
    }

    fn upsert(&mut self, docs: &Collection, batch: &[(u64, Entry, Expect)], is_each: bool) {
        let counts = |at: usize| batch.iter().skip(at + 1).all(|(id, ..)| *id != batch[at].0);
        let (records, holds): (Vec<Record>, Vec<bool>) = batch.iter().map(|one| self.candidate(one)).unzip();
        let unmet: Vec<usize> = (0..batch.len()).filter(|at| counts(*at) && !holds[*at]).collect();
        let version = if is_each {
            let done = docs.upsert_each(records).unwrap();
            let refused: Vec<usize> = done.errors.iter().map(|(at, _)| *at).collect();
            assert_eq!(refused, unmet);
            assert!(done.errors.iter().all(|(_, error)| error.kind() == ErrorKind::Conflict));
            let written = (0..batch.len()).filter(|at| counts(*at) && holds[*at]).count();
            assert_eq!(done.written, written as u64);
            done.as_of.sequence
        } else {
            match (docs.upsert(records), unmet.first()) {
                (Ok(as_of), None) => as_of.sequence,
                (Err(error), Some(first)) => {
                    assert_eq!(error.kind(), ErrorKind::Conflict);
                    assert!(error.to_string().starts_with(&format!("records[{first}]: ")), "{error}");
                    return;
                }
                (done, unmet) => panic!("{done:?} where {unmet:?} is not as expected"),
            }
        };
        for at in (0..batch.len()).filter(|at| counts(*at) && holds[*at]) {
            let (id, entry, _) = &batch[at];
            let before = self.model.insert(*id, Stored { entry: entry.clone(), version });
            assert!(before.is_none_or(|before| before.version < version), "versions grow");
        }
    }

    fn run(&mut self, op: Op) {
        let (env, docs) = self.open();
        match op {
            Op::Upsert(batch) => self.upsert(&docs, &batch, false),
            Op::UpsertEach(batch) => self.upsert(&docs, &batch, true),
            Op::Delete(ids) => {
                let distinct: BTreeSet<u64> = ids.iter().copied().collect();
                let expected = distinct.iter().filter(|id| self.model.remove(id).is_some()).count();
                assert_eq!(docs.delete(ids).unwrap().count, expected as u64);
            }
            Op::Erase(number) => {
                env.erase(owner(number)).run().unwrap();
                self.model.retain(|_, stored| stored.entry.owner != Some(owner(number)));
            }
            Op::Flush => env.flush().unwrap(),
            Op::Compact => env.compact().unwrap(),
            Op::Step => drop(env.step().unwrap()),
            Op::Reopen => {
                drop((docs, env));
                self.db.take().unwrap().close().unwrap();
                self.seed += 1;
            }
        }
    }
}

fn check(docs: &Collection, model: &Model) {
    for id in 0..IDS {
        let found = docs.get(id).unwrap();
        assert_eq!(found.is_some(), model.contains_key(&id), "record {id}");
        let (Some(found), Some(Stored { entry, version })) = (found, model.get(&id)) else { continue };
        assert_eq!(found.vector(), entry.vector, "record {id}");
        assert_eq!(found.entity_id(), entry.owner.as_deref(), "record {id}");
        assert_eq!(found.payload_json(), entry.payload.as_ref(), "record {id}");
        assert_eq!(found.sequence(), *version, "record {id}");
    }
    assert_eq!(docs.count().run().unwrap().count, model.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn histories_equal_the_model(ops in prop::collection::vec(op(), 1..40), seed in any::<u32>()) {
        let mut world = World::new(u64::from(seed));
        for op in ops {
            world.run(op);
            check(&world.open().1, &world.model);
        }
        let (env, _) = world.open();
        prop_assert_eq!(env.verify_deep().unwrap().problems, vec![]);
    }
}

/// The check above must be able to fail: a model of another version disagrees.
#[test]
#[should_panic(expected = "record 3")]
fn a_wrong_version_is_noticed() {
    let mut world = World::new(1);
    let entry = Entry { vector: vec![1.0; DIMENSION], owner: None, payload: None };
    world.run(Op::Upsert(vec![(3, entry, Expect::Absent)]));
    world.model.get_mut(&3).unwrap().version += 1;
    check(&world.open().1, &world.model);
}

const WRITERS: u64 = 4;
const ROUNDS: u64 = 25;

/// Many count in one record, each from what it read. None is lost, however they meet.
#[test]
fn no_write_under_a_version_is_lost() {
    let db = in_memory(&Memory::new(), 5).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(1).metric(Metric::L2).open_or_create().unwrap();
    let made: Vec<bool> = thread::scope(|scope| {
        let make = || docs.upsert([Record::new(1, vec![0.0]).payload(json!(0)).if_absent()]).is_ok();
        let makers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(make)).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert_eq!(made.into_iter().filter(|made| *made).count(), 1, "one of them makes it");
    let count = || {
        let found = docs.get(1).unwrap().unwrap();
        let next = found.payload_json().unwrap().as_u64().unwrap() + 1;
        let record = Record::new(1, vec![0.0]).payload(json!(next)).if_version(found.sequence());
        match docs.upsert([record]) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::Conflict => false,
            Err(error) => panic!("{error}"),
        }
    };
    let count_all = || {
        let mut left = ROUNDS;
        while left > 0 {
            left -= u64::from(count());
            if left == ROUNDS / 2 {
                env.flush().unwrap();
            }
        }
    };
    thread::scope(|scope| (0..WRITERS).for_each(|_| drop(scope.spawn(count_all))));
    assert_eq!(docs.get(1).unwrap().unwrap().payload_json(), Some(&json!(WRITERS * ROUNDS)));
}
