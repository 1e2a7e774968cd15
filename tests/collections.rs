//! Random histories of collections, aliases, schemas, limits and writes under any of their names against a naive model:
//! every answer and every refusal must be the model's, before and after reopening.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    Collection, Database, Environment, ErrorKind, FieldType, Health, IndexKind, Limits, Metric, Record, RecordId,
    Schema, Upkeep,
};
use lethedb_tests::world::in_memory;
use proptest::prelude::*;
use serde_json::{Value, json};
use storage::backend::Memory;

/// Names of collections and aliases alike.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const IDS: u64 = 6;
/// Which of the payloads fit which of the schemas.
const FITS: [[bool; 4]; 4] =
    [[true; 4], [true, false, false, false], [true, false, true, true], [false, true, true, true]];

fn schema(number: usize) -> Schema {
    let n = Schema::new();
    match number {
        0 => n,
        1 => n.field("n", FieldType::Integer).require(["n"]),
        2 => n.field("n", FieldType::Float).strict(),
        _ => n.list("l", FieldType::Integer).field("n", FieldType::Keyword),
    }
}

fn payload(number: usize) -> Value {
    match number {
        0 => json!({"n": 1}),
        1 => json!({"n": "x", "other": null}),
        2 => json!({}),
        _ => Value::Null,
    }
}

#[derive(Clone, Debug)]
enum Op {
    Create(usize, usize, Option<u64>),
    Drop(usize),
    Alias(usize, usize),
    RemoveAlias(usize),
    Schema(usize, usize),
    Limit(usize, Option<u64>),
    /// Whether all or nothing, and which payload under which id.
    Upsert(usize, bool, Vec<(u64, usize)>),
    Overwrite(usize, u64, usize),
    Delete(usize, u64),
    Flush,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let name = || 0..NAMES.len();
    let limit = || prop::option::of(0..=IDS);
    prop_oneof![
        4 => (name(), 0usize..4, limit()).prop_map(|(name, schema, limit)| Op::Create(name, schema, limit)),
        1 => name().prop_map(Op::Drop),
        4 => (name(), name()).prop_map(|(alias, collection)| Op::Alias(alias, collection)),
        1 => name().prop_map(Op::RemoveAlias),
        1 => (name(), 0usize..4).prop_map(|(name, schema)| Op::Schema(name, schema)),
        1 => (name(), limit()).prop_map(|(name, limit)| Op::Limit(name, limit)),
        8 => (name(), any::<bool>(), prop::collection::vec((0..IDS, 0usize..4), 1..6))
            .prop_map(|(name, all, records)| Op::Upsert(name, all, records)),
        2 => (name(), 0..IDS, 0usize..3).prop_map(|(name, id, payload)| Op::Overwrite(name, id, payload)),
        1 => (name(), 0..IDS).prop_map(|(name, id)| Op::Delete(name, id)),
        1 => Just(Op::Flush),
        2 => Just(Op::Reopen),
    ]
}

/// A collection of the model.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    schema: usize,
    limit: Option<u64>,
    records: BTreeMap<u64, usize>,
}

#[derive(Default)]
struct Model {
    collections: BTreeMap<&'static str, Held>,
    aliases: BTreeMap<&'static str, &'static str>,
}

/// What an operation answers: how much it did, or why it did nothing.
type Outcome = Result<u64, ErrorKind>;

impl Model {
    fn find(&mut self, name: &'static str) -> Result<&mut Held, ErrorKind> {
        let name = self.aliases.get(name).copied().unwrap_or(name);
        self.collections.get_mut(name).ok_or(ErrorKind::NotFound)
    }

    fn run(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Create(name, schema, limit) => {
                if self.find(NAMES[*name]).is_ok() {
                    return Err(ErrorKind::Conflict);
                }
                let held = Held { schema: *schema, limit: *limit, records: BTreeMap::new() };
                self.collections.insert(NAMES[*name], held);
            }
            Op::Drop(name) => {
                if self.aliases.contains_key(NAMES[*name]) {
                    return Err(ErrorKind::Conflict);
                }
                self.aliases.retain(|_, collection| *collection != NAMES[*name]);
                return Ok(self.collections.remove(NAMES[*name]).is_some().into());
            }
            Op::Alias(alias, collection) => {
                if self.collections.contains_key(NAMES[*alias]) {
                    return Err(ErrorKind::Conflict);
                }
                self.find(NAMES[*collection])?;
                let to = self.aliases.get(NAMES[*collection]).copied().unwrap_or(NAMES[*collection]);
                self.aliases.insert(NAMES[*alias], to);
            }
            Op::RemoveAlias(alias) => return Ok(self.aliases.remove(NAMES[*alias]).is_some().into()),
            Op::Schema(name, schema) => self.find(NAMES[*name])?.schema = *schema,
            Op::Limit(name, limit) => self.find(NAMES[*name])?.limit = *limit,
            Op::Upsert(name, all, records) => return self.find(NAMES[*name])?.upsert(*all, records),
            Op::Overwrite(name, id, payload) => {
                let held = self.find(NAMES[*name])?;
                let Some(record) = held.records.get_mut(id) else { return Ok(0) };
                if !FITS[held.schema][*payload] {
                    return Err(ErrorKind::Invalid);
                }
                *record = *payload;
                return Ok(1);
            }
            Op::Delete(name, id) => return Ok(self.find(NAMES[*name])?.records.remove(id).is_some().into()),
            Op::Flush | Op::Reopen => {}
        }
        Ok(0)
    }
}

impl Held {
    /// Stores the records that can be; how many these are.
    fn upsert(&mut self, all: bool, records: &[(u64, usize)]) -> Outcome {
        let fit: Vec<_> = records.iter().filter(|(_, payload)| FITS[self.schema][*payload]).collect();
        if all && fit.len() < records.len() {
            return Err(ErrorKind::Invalid);
        }
        let is_last = |at: usize| fit[at + 1..].iter().all(|later| later.0 != fit[at].0);
        let (mut after, mut count) = (self.records.clone(), 0);
        for (id, payload) in (0..fit.len()).filter(|at| is_last(*at)).map(|at| fit[at]) {
            let is_new = !after.contains_key(id);
            if is_new && self.limit.is_some_and(|limit| after.len() as u64 >= limit) {
                if all {
                    return Err(ErrorKind::LimitReached);
                }
                continue;
            }
            after.insert(*id, *payload);
            count += 1;
        }
        self.records = after;
        Ok(count)
    }
}

struct World {
    memory: Memory,
    seed: u64,
    db: Option<Database>,
}

impl World {
    fn environment(&mut self) -> Environment {
        let (memory, seed) = (&self.memory, self.seed);
        let db = self.db.get_or_insert_with(|| in_memory(memory, seed).open().unwrap());
        db.environment("acme").unwrap()
    }

    fn run(&mut self, op: &Op) -> Outcome {
        let env = self.environment();
        let done = || -> Result<u64, engine::Error> {
            Ok(match op {
                Op::Create(name, number, limit) => {
                    let collection = env.collection(NAMES[*name]).dimension(1).metric(Metric::L2);
                    collection.schema(schema(*number)).limits(limits(*limit)).create()?;
                    0
                }
                Op::Drop(name) => env.drop_collection(NAMES[*name])?.into(),
                Op::Alias(alias, collection) => env.set_alias(NAMES[*alias], NAMES[*collection]).map(|_| 0)?,
                Op::RemoveAlias(alias) => env.remove_alias(NAMES[*alias])?.is_some().into(),
                Op::Schema(name, number) => {
                    env.open_collection(NAMES[*name])?.set_schema(&schema(*number)).map(|()| 0)?
                }
                Op::Limit(name, limit) => env.open_collection(NAMES[*name])?.set_limits(limits(*limit)).map(|()| 0)?,
                Op::Upsert(name, all, records) => upsert(&env.open_collection(NAMES[*name])?, *all, records)?,
                Op::Overwrite(name, id, number) => {
                    env.open_collection(NAMES[*name])?.update([*id]).overwrite(payload(*number)).run()?.count
                }
                Op::Delete(name, id) => env.open_collection(NAMES[*name])?.delete([*id])?.count,
                Op::Flush => env.flush().map(|()| 0)?,
                Op::Reopen => 0,
            })
        };
        let outcome = done().map_err(|error| error.kind());
        if let Op::Reopen = op {
            drop(env);
            self.db.take().unwrap().close().unwrap();
            self.seed += 1;
        }
        outcome
    }
}

fn limits(records_max: Option<u64>) -> Limits {
    Limits { records_max, ..Limits::default() }
}

fn upsert(collection: &Collection, all: bool, records: &[(u64, usize)]) -> Result<u64, engine::Error> {
    let record = |(id, number): &(u64, usize)| Record::new(*id, vec![*id as f32]).payload(payload(*number));
    let ids: BTreeSet<u64> = records.iter().map(|(id, _)| *id).collect();
    if all {
        return collection.upsert(records.iter().map(record)).map(|_| ids.len() as u64);
    }
    let stored = collection.upsert_each(records.iter().map(record))?;
    for (at, error) in &stored.errors {
        assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::LimitReached), "records[{at}]: {error}");
    }
    Ok(stored.written)
}

fn check(env: &Environment, model: &mut Model) {
    let aliases: Vec<_> = env.aliases().into_iter().map(|found| (found.alias, found.collection)).collect();
    let expected: Vec<_> = model.aliases.iter().map(|(alias, name)| ((*alias).into(), (*name).into())).collect();
    assert_eq!(aliases, expected);
    let names: Vec<_> = env.collections().into_iter().map(|info| info.name).collect();
    assert_eq!(names, model.collections.keys().copied().collect::<Vec<_>>());
    for name in NAMES {
        let found = env.open_collection(name);
        let Ok(held) = model.find(name).cloned() else {
            assert_eq!(found.err().map(|error| error.kind()), Some(ErrorKind::NotFound), "{name}");
            continue;
        };
        let collection = found.unwrap();
        assert_eq!((collection.schema(), collection.limits()), (schema(held.schema), limits(held.limit)));
        let info = collection.info();
        assert_eq!((info.name.as_str(), info.records), (collection.name(), held.records.len() as u64));
        let its: Vec<_> = expected.iter().filter(|(_, to)| *to == info.name).map(|(alias, _)| alias.clone()).collect();
        assert_eq!(info.aliases, its);
        let page = collection.scroll().limit(100).run().unwrap();
        let record = |record: &Record| (record.id(), record.payload_json().cloned());
        let expected = held.records.iter().map(|(id, number)| (RecordId::Num(*id), Some(payload(*number))));
        assert_eq!(page.records.iter().map(record).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn names_and_rules_equal_the_model(ops in prop::collection::vec(op(), 1..50), seed in any::<u32>()) {
        let mut world = World { memory: Memory::new(), seed: u64::from(seed), db: None };
        let mut model = Model::default();
        for op in ops {
            let expected = model.run(&op);
            prop_assert_eq!(world.run(&op), expected, "{:?}", op);
            check(&world.environment(), &mut model);
        }
    }
}

/// The test above must be able to fail: a model that forgets an alias disagrees.
#[test]
#[should_panic(expected = "left: [(\"b\", \"a\")]")]
fn a_wrong_model_is_noticed() {
    let mut world = World { memory: Memory::new(), seed: 1, db: None };
    let mut model = Model::default();
    for op in [Op::Create(0, 0, None), Op::Alias(1, 0)] {
        world.run(&op).unwrap();
    }
    model.run(&Op::Create(0, 0, None)).unwrap();
    check(&world.environment(), &mut model);
}

#[test]
fn a_handle_stays_with_its_collection_where_the_alias_goes_on() {
    let env = in_memory(&Memory::new(), 1).open().unwrap().environment("acme").unwrap();
    let make = |name: &str| env.collection(name).dimension(1).metric(Metric::L2).create().unwrap();
    let (old, new) = (make("old"), make("new"));
    assert_eq!(env.set_alias("current", "old").unwrap(), None);
    let held = env.open_collection("current").unwrap();
    assert_eq!(env.set_alias("current", "new").unwrap().as_deref(), Some("old"));
    held.upsert([Record::new(1, vec![1.0])]).unwrap();
    env.open_collection("current").unwrap().upsert([Record::new(2, vec![2.0])]).unwrap();
    let ids = |collection: &Collection| collection.scroll().run().unwrap().records.first().map(Record::id);
    assert_eq!((ids(&old), ids(&new)), (Some(1.into()), Some(2.into())));
    // A second collection of an alias's name would take its place, and one that differs cannot pass for it.
    let current = || env.collection("current").dimension(1);
    assert_eq!(current().metric(Metric::L2).create().err().unwrap().kind(), ErrorKind::Conflict);
    assert_eq!(current().metric(Metric::L2).open_or_create().unwrap().name(), "new");
    assert_eq!(current().metric(Metric::Dot).open_or_create().err().unwrap().kind(), ErrorKind::Conflict);
    for (alias, collection) in [("-", "new"), ("current", "-")] {
        assert_eq!(env.set_alias(alias, collection).unwrap_err().kind(), ErrorKind::Invalid);
    }
    (1..64).for_each(|n| drop(env.set_alias(&format!("alias-{n}"), "new").unwrap()));
    assert_eq!(env.set_alias("one-too-many", "new").unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(env.set_alias("alias-1", "old").unwrap().as_deref(), Some("new"));
    env.set_alias("not-too-many", "new").unwrap();
    assert!(env.drop_collection("new").unwrap());
    assert_eq!(env.aliases().len(), 1);
}

#[test]
fn what_a_collection_is_cannot_be_changed_and_says_so() {
    let env = in_memory(&Memory::new(), 1).open().unwrap().environment("acme").unwrap();
    let docs = || env.collection("docs");
    docs().dimension(3).metric(Metric::L2).schema(schema(1)).create().unwrap();
    for (other, expected) in [
        (docs().dimension(4).metric(Metric::L2), "exists with dimension 3 and metric l2; neither can be changed"),
        (docs().dimension(3).metric(Metric::Dot), "exists with dimension 3 and metric l2; neither can be changed"),
        (docs().metric(Metric::L2).schema(schema(2)), "exists with another schema or other limits"),
        (docs().metric(Metric::L2).limits(limits(Some(1))), "exists with another schema or other limits"),
    ] {
        let error = other.open_or_create().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(expected), "{error}");
    }
    docs().metric(Metric::L2).schema(schema(1)).limits(Limits::default()).open_or_create().unwrap();
    let unusable = Schema::new().field("a[", FieldType::Text);
    assert_eq!(env.collection("x").dimension(1).schema(unusable).create().err().unwrap().kind(), ErrorKind::Invalid);
}

#[test]
fn a_schema_and_limits_are_told_by_place_and_field_and_not_by_value() {
    let env = in_memory(&Memory::new(), 1).open().unwrap().environment("acme").unwrap();
    let docs = env.collection("docs").dimension(1).metric(Metric::L2).schema(schema(1)).create().unwrap();
    let record = |id: u64, payload| Record::new(id, vec![1.0]).payload(payload);
    let error = docs.upsert([record(1, json!({"n": 1})), record(2, json!({"n": "s3cr3t"}))]).unwrap_err();
    let expected =
        "records[1]: the payload does not fit the collection's schema: `n` must be a whole number and is a string";
    assert_eq!(error.to_string(), expected);
    docs.upsert([record(1, json!({"n": 1}))]).unwrap();
    for update in
        [docs.update([1]).clear(), docs.update([1]).delete_keys(["n"]), docs.update([1]).set(json!({"n": []}))]
    {
        let error = update.run().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("as it would be after the change cannot be stored"), "{error}");
    }
    // A stricter schema leaves alone what is there, until it is written.
    docs.set_schema(&schema(3)).unwrap();
    assert_eq!(docs.get(1).unwrap().unwrap().payload_json(), Some(&json!({"n": 1})));
    assert_eq!(docs.update([1]).vector(vec![2.0]).run().unwrap_err().kind(), ErrorKind::Invalid);
    docs.update([1]).vector(vec![2.0]).set(json!({"n": "x"})).run().unwrap();

    docs.set_limits(Limits { records_max: Some(2), payload_bytes_max: Some(16) }).unwrap();
    let error = docs.upsert([record(1, json!({"l": [1]})), record(2, json!({})), record(3, json!({}))]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    let expected = "records[2]: the collection may hold at most 2 records; delete some or raise its limit";
    assert_eq!(error.to_string(), expected);
    let error = docs.upsert([record(1, json!({"n": "0123456789"}))]).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Invalid, "records[0]: the payload is over 16 bytes")
    );
    assert_eq!(env.health(), Health::Ready, "a limit is no full disk");
}

#[test]
fn information_tells_what_upkeep_is_to_do() {
    let env = in_memory(&Memory::new(), 1).open().unwrap().environment("acme").unwrap();
    let docs = env.collection("docs").dimension(1).metric(Metric::L2).create().unwrap();
    assert!(docs.segments().is_empty());
    let put = |ids: std::ops::Range<u64>| {
        let record = |id: u64| Record::new(id, vec![id as f32]).payload(json!({"n": id}));
        docs.upsert(ids.map(record)).unwrap();
    };
    put(0..10);
    assert_eq!((docs.info().memtable_records, docs.info().segments), (10, 0));
    env.flush().unwrap();
    put(10..40);
    env.flush().unwrap();
    let segments = docs.segments();
    let kinds: Vec<_> = segments.iter().map(|segment| (segment.records, segment.index, segment.due)).collect();
    assert_eq!(kinds, [(10, IndexKind::Flat, None), (30, IndexKind::Graph, None)]);
    assert_eq!(segments.iter().map(|segment| segment.disk_bytes).sum::<u64>(), docs.info().disk_bytes);
    assert!(segments.iter().all(|segment| segment.resident_bytes > 0));

    docs.create_payload_index("n", FieldType::Integer).unwrap();
    let index = docs.payload_indexes().remove(0);
    assert_eq!((index.ready_segments, index.pending_segments), (0, 2));
    assert!(docs.segments().iter().all(|segment| segment.due == Some(Upkeep::Mend)));
    env.step().unwrap();
    let index = docs.payload_indexes().remove(0);
    assert_eq!((index.ready_segments, index.pending_segments), (1, 1));
    env.step().unwrap();
    assert!(docs.segments().iter().all(|segment| segment.due.is_none()));
    docs.delete(10..25u64).unwrap();
    let due: Vec<_> = docs.segments().iter().map(|segment| (segment.records, segment.dead_rows, segment.due)).collect();
    assert!(due.contains(&(15, 15, Some(Upkeep::Compact))), "{due:?}");
}
