//! Writes that depend on what is there: random histories of conditional upserts, updates, deletes, erasures, flushes, compactions
//! and reopens against a naive map of records and versions. What a write must not touch keeps its version.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "writers that meet need threads of their own")]

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use engine::{Collection, ErrorKind, Filter, Metric, Record};
use lethedb_tests::tended::{DRAWN, Tended, Upkeep, read_all};
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
    /// Whatever is there: the record has a number too many.
    Unusable,
}

#[derive(Clone, Debug)]
struct Entry {
    vector: Vec<f32>,
    owner: Option<String>,
    payload: Option<Value>,
}

impl Entry {
    fn record(&self, id: u64) -> Record {
        let mut record = Record::new(id, self.vector.clone());
        if let Some(owner) = &self.owner {
            record = record.entity(owner);
        }
        if let Some(payload) = &self.payload {
            record = record.payload(payload.clone());
        }
        record
    }
}

#[derive(Clone, Debug)]
struct Stored {
    entry: Entry,
    version: u64,
}

type Model = BTreeMap<u64, Stored>;

#[derive(Clone, Debug)]
enum Which {
    Ids(Vec<u64>),
    /// Those whose payload has this number at `a`.
    Number(i64),
}

#[derive(Clone, Debug)]
enum Change {
    Set(Value),
    /// At a path of members alone.
    SetAt(&'static [&'static str], Value),
    Overwrite(Value),
    /// A member, perhaps inside of another.
    Delete(Vec<&'static [&'static str]>),
    Clear,
    Vector(Vec<f32>),
}

#[derive(Clone, Debug)]
enum Op {
    Upsert(Vec<(u64, Entry, Expect)>),
    UpsertEach(Vec<(u64, Entry, Expect)>),
    Update(Which, Vec<Change>),
    Delete(Vec<u64>),
    Erase(u64),
    Upkeep(Upkeep),
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
        1 => Just(Expect::Unusable),
    ];
    // Few ids, so that batches have some twice.
    let ids = prop_oneof![3 => 0..IDS, 1 => 0..3_u64];
    prop::collection::vec((ids, entry(), expect), 0..6)
}

fn members() -> impl Strategy<Value = Value> {
    let value = prop_oneof![(0..4_i64).prop_map(Value::from), Just(json!({ "b": 9 })), Just(Value::Null)];
    prop::collection::btree_map(prop::sample::select(&["a", "b", "d"][..]), value, 0..3).prop_map(|all| json!(all))
}

const PATHS: [&[&str]; 5] = [&["a"], &["b"], &["a", "b"], &["c", "a", "b"], &["d"]];

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let path = || prop::sample::select(&PATHS[..]);
    let change = prop_oneof![
        4 => members().prop_map(Change::Set),
        3 => (path(), members()).prop_map(|(path, members)| Change::SetAt(path, members)),
        1 => payloads().prop_map(Change::Overwrite),
        3 => prop::collection::vec(path(), 1..3).prop_map(Change::Delete),
        1 => Just(Change::Clear),
        2 => prop::collection::vec((-6..7_i32).prop_map(|x| x as f32), DIMENSION).prop_map(Change::Vector),
    ];
    prop::collection::vec(change, 1..4)
}

fn update() -> impl Strategy<Value = Op> {
    let which = prop_oneof![
        2 => prop::collection::vec(0..IDS, 0..6).prop_map(Which::Ids),
        1 => (0..4_i64).prop_map(Which::Number),
    ];
    (which, changes()).prop_map(|(which, changes)| Op::Update(which, changes))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => batch().prop_map(Op::Upsert),
        4 => batch().prop_map(Op::UpsertEach),
        6 => update(),
        1 => prop::collection::vec(0..IDS, 1..6).prop_map(Op::Delete),
        1 => (0..OWNERS).prop_map(Op::Erase),
        5 => prop::sample::select(&DRAWN[..]).prop_map(Op::Upkeep),
    ]
}

impl Change {
    /// What the change makes of an entry, said another way than the engine says it.
    fn make(&self, entry: &mut Entry) {
        let object = |value: &mut Value| {
            if !value.is_object() {
                *value = json!({});
            }
        };
        match self {
            Self::Set(members) => Self::SetAt(&[], members.clone()).make(entry),
            Self::SetAt(path, members) => {
                let mut value = entry.payload.get_or_insert(Value::Null);
                for key in *path {
                    object(value);
                    value = &mut value[*key];
                }
                object(value);
                members.as_object().unwrap().iter().for_each(|(key, member)| value[key] = member.clone());
            }
            Self::Overwrite(payload) => entry.payload = Some(payload.clone()),
            Self::Delete(paths) => {
                for path in paths {
                    let (last, before) = path.split_last().unwrap();
                    let pointer: String = before.iter().map(|key| format!("/{key}")).collect();
                    let parent = entry.payload.as_mut().and_then(|payload| payload.pointer_mut(&pointer));
                    drop(parent.and_then(Value::as_object_mut).and_then(|members| members.remove(*last)));
                }
            }
            Self::Clear => entry.payload = None,
            Self::Vector(vector) => entry.vector.clone_from(vector),
        }
    }
}

struct World {
    tended: Tended,
    model: Model,
}

impl World {
    fn new(seed: u64) -> Self {
        Self { tended: Tended::new(seed), model: Model::new() }
    }

    fn docs(&mut self) -> Collection {
        let env = self.tended.environment();
        env.collection("docs").dimension(DIMENSION).metric(Metric::L2).open_or_create().unwrap()
    }

    /// The record to store, and whether what it expects is there.
    fn candidate(&self, (id, entry, expect): &(u64, Entry, Expect)) -> (Record, bool) {
        let record = entry.record(*id);
        let version = self.model.get(id).map(|stored| stored.version);
        match expect {
            Expect::Anything => (record, true),
            Expect::Absent => (record.if_absent(), version.is_none()),
            Expect::Current => (record.if_version(version.unwrap_or(1)), version.is_some()),
            Expect::Older => (record.if_version(version.unwrap_or(2) - 1), false),
            Expect::Unusable => (Record::new(*id, vec![1.0; DIMENSION + 1]), false),
        }
    }

    /// Of the usable records of an id the last counts, if it finds what it expects; the unusable count for nothing.
    fn upsert(&mut self, docs: &Collection, batch: &[(u64, Entry, Expect)], is_each: bool) {
        let is_usable = |(_, _, expect): &(u64, Entry, Expect)| !matches!(expect, Expect::Unusable);
        let counts = |at: usize| {
            let comes_again = |later: &(u64, Entry, Expect)| is_usable(later) && later.0 == batch[at].0;
            is_usable(&batch[at]) && !batch.iter().skip(at + 1).any(comes_again)
        };
        let (records, holds): (Vec<Record>, Vec<bool>) = batch.iter().map(|one| self.candidate(one)).unzip();
        let kind = |at: usize| if is_usable(&batch[at]) { ErrorKind::Conflict } else { ErrorKind::Invalid };
        let wrong = |at: &usize| !is_usable(&batch[*at]) || (counts(*at) && !holds[*at]);
        let wrong: Vec<(usize, ErrorKind)> = (0..batch.len()).filter(wrong).map(|at| (at, kind(at))).collect();
        let version = if is_each {
            let done = docs.upsert_each(records).unwrap();
            let refused: Vec<_> = done.errors.iter().map(|(at, error)| (*at, error.kind())).collect();
            assert_eq!(refused, wrong);
            let written = (0..batch.len()).filter(|at| counts(*at) && holds[*at]).count();
            assert_eq!(done.written, written as u64);
            done.as_of.sequence
        } else {
            // What is unusable is told before it is looked what is there.
            let first = wrong.iter().find(|(_, kind)| *kind == ErrorKind::Invalid).or(wrong.first());
            match (docs.upsert(records), first) {
                (Ok(as_of), None) => as_of.sequence,
                (Err(error), Some((first, kind))) => {
                    assert_eq!(error.kind(), *kind);
                    assert!(error.to_string().starts_with(&format!("records[{first}]: ")), "{error}");
                    return;
                }
                (done, first) => panic!("{done:?} where {first:?} is wrong"),
            }
        };
        for at in (0..batch.len()).filter(|at| counts(*at) && holds[*at]) {
            let (id, entry, _) = &batch[at];
            let before = self.model.insert(*id, Stored { entry: entry.clone(), version });
            assert!(before.is_none_or(|before| before.version < version), "versions grow");
        }
    }

    fn update(&mut self, docs: &Collection, which: &Which, changes: &[Change]) {
        let (update, ids): (_, BTreeSet<u64>) = match which {
            Which::Ids(ids) => (docs.update(ids.iter().copied()), ids.iter().copied().collect()),
            Which::Number(number) => {
                let has = |stored: &Stored| {
                    let value = stored.entry.payload.as_ref().map(|payload| &payload["a"]);
                    value == Some(&json!(number))
                };
                let ids = self.model.iter().filter(|(_, stored)| has(stored)).map(|(id, _)| *id).collect();
                (docs.update_matching(Filter::eq("a", *number)), ids)
            }
        };
        let path = |path: &[&str]| path.join(".");
        let update = changes.iter().fold(update, |update, change| match change {
            Change::Set(members) => update.set(members.clone()),
            Change::SetAt(at, members) => update.set_at(&path(at), members.clone()),
            Change::Overwrite(payload) => update.overwrite(payload.clone()),
            Change::Delete(paths) => update.delete_keys(paths.iter().map(|at| path(at))),
            Change::Clear => update.clear(),
            Change::Vector(vector) => update.vector(vector.clone()),
        });
        let updated = update.run().unwrap();
        let there: Vec<u64> = ids.into_iter().filter(|id| self.model.contains_key(id)).collect();
        assert_eq!(updated.count, there.len() as u64);
        for id in there {
            let stored = self.model.get_mut(&id).unwrap();
            changes.iter().for_each(|change| change.make(&mut stored.entry));
            stored.version = updated.as_of.sequence;
        }
    }

    fn run(&mut self, op: Op) {
        let docs = self.docs();
        match op {
            Op::Upsert(batch) => self.upsert(&docs, &batch, false),
            Op::UpsertEach(batch) => self.upsert(&docs, &batch, true),
            Op::Update(which, changes) => self.update(&docs, &which, &changes),
            Op::Delete(ids) => {
                let distinct: BTreeSet<u64> = ids.iter().copied().collect();
                let expected = distinct.iter().filter(|id| self.model.remove(id).is_some()).count();
                assert_eq!(docs.delete(ids).unwrap().count, expected as u64);
            }
            Op::Erase(number) => {
                self.tended.environment().erase(owner(number)).run().unwrap();
                self.model.retain(|_, stored| stored.entry.owner != Some(owner(number)));
            }
            Op::Upkeep(upkeep) => {
                drop(docs);
                self.tended.tend(upkeep);
            }
        }
    }
}

fn check(docs: &Collection, model: &Model) {
    for (id, found) in read_all(docs, 0..IDS, |id| Some(model.get(&id)?.entry.record(id))) {
        assert_eq!(found.sequence(), model[&id].version, "record {id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn histories_equal_the_model(ops in prop::collection::vec(op(), 1..40), seed in any::<u32>()) {
        let mut world = World::new(u64::from(seed));
        for op in ops {
            world.run(op);
            check(&world.docs(), &world.model);
        }
        prop_assert_eq!(world.tended.environment().verify_deep().unwrap().problems, vec![]);
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
    check(&world.docs(), &world.model);
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

/// Writers of different members meet in the same records: each finds all that it wrote. Whoever was erased stays away.
#[test]
fn updates_that_meet_undo_nothing() {
    const RECORDS: u64 = 6;
    let db = in_memory(&Memory::new(), 5).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(1).metric(Metric::L2).open_or_create().unwrap();
    docs.upsert((0..RECORDS).map(|id| Record::new(id, vec![0.0]).entity(owner(id % 2)))).unwrap();
    let write = |writer: u64| {
        for round in 0..ROUNDS {
            docs.update(0..RECORDS).set(json!({ format!("w{writer}"): round })).run().unwrap();
            docs.update_matching(Filter::eq("nothing", 1)).clear().run().unwrap();
        }
    };
    thread::scope(|scope| {
        (0..WRITERS).for_each(|writer| drop(scope.spawn(move || write(writer))));
        scope.spawn(|| env.flush().unwrap());
        scope.spawn(|| env.erase(owner(1)).run().unwrap());
    });
    let expected: BTreeMap<String, u64> = (0..WRITERS).map(|writer| (format!("w{writer}"), ROUNDS - 1)).collect();
    for id in 0..RECORDS {
        let found = docs.get(id).unwrap();
        let payload = found.as_ref().and_then(Record::payload_json);
        assert_eq!(payload, (id % 2 == 0).then(|| json!(expected)).as_ref(), "record {id}");
    }
}

#[test]
fn an_update_that_is_not_usable_changes_nothing() {
    let db = in_memory(&Memory::new(), 5).open().unwrap();
    let docs = db.environment("acme").unwrap().collection("docs").dimension(1).open_or_create().unwrap();
    docs.upsert((0..3).map(|id| Record::new(id, vec![1.0]).payload(json!({ "a": 1 })))).unwrap();
    let all = || docs.update([0_u64, 1, 2]);
    for update in [
        all(),
        all().set(json!(["s3cret"])),
        all().set_at("s3cret[", json!({})),
        all().delete_keys(["a", ""]),
        all().vector(vec![1.0, 2.0]),
        all().clear().vector(vec![0.0]),
        all().set(json!({ "s3cret": "x".repeat(70_000) })),
        docs.update_matching(Filter::eq("s3cret[", 1)).clear(),
    ] {
        let error = update.run().unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && !error.to_string().contains("s3cret"), "{error}");
    }
    let found = docs.scroll().run().unwrap().records;
    assert!(found.iter().all(|record| record.payload_json() == Some(&json!({ "a": 1 })) && record.sequence() == 1));
}
