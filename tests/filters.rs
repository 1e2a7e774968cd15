//! Filters against a second reading of their language: random records, filters, writes, flushes, deletes, erasures and
//! indexes of payloads. Whatever is indexed, every count, scroll, search and delete must agree with a naive model, for
//! the memtable, one segment and many.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;

use engine::{
    Collection, Database, Environment, ErrorKind, FieldType, Filter, Metric, Record, RecordId, Rerank, Settings,
};
use lethedb_tests::filters::{Ask, MOMENTS, Misreading, Step, Subject, Tree};
use lethedb_tests::forge::{Forge, Target};
use lethedb_tests::furnished::{Furnished, load, reopen};
use lethedb_tests::world::{in_memory, small_settings};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use storage::backend::Memory;
use storage::segment::FieldMap;

const DIMENSION: usize = 4;
const IDS: u64 = 48;
const OWNERS: u64 = 4;
/// Bytes in which the values of all fields fit.
const ROOM: u64 = 1 << 30;

#[derive(Clone, Debug)]
struct Entry {
    vector: Vec<f32>,
    owner: Option<String>,
    payload: Value,
}

#[derive(Clone, Debug)]
enum Op {
    Upsert(Vec<(u64, Entry)>),
    Delete(Vec<u64>),
    DeleteMatching(Tree),
    Erase(u64),
    Flush,
    Compact,
    Upkeep,
    Reopen,
    Index(&'static str, FieldType),
    Unindex(&'static str),
}

fn owner(number: u64) -> String {
    format!("owner-{number}")
}

fn scalars() -> impl Strategy<Value = Value> {
    let moment = prop::sample::select(&MOMENTS[..]).prop_map(|(text, _)| json!(text));
    let text = prop::sample::select(&["red", "Red apple", "green apple, red", "re", "", "apple"][..]);
    prop_oneof![
        2 => Just(json!(null)),
        2 => any::<bool>().prop_map(Value::from),
        3 => (-2..3_i64).prop_map(Value::from),
        2 => (-3..4_i32).prop_map(|n| json!(f64::from(n) / 2.0)),
        4 => text.prop_map(Value::from),
        3 => moment,
        1 => Just(json!(format!("red {}", "long ".repeat(20)))),
        1 => prop::sample::select(&[1_u64 << 53, (1 << 53) + 1, u64::MAX][..]).prop_map(Value::from),
    ]
}

/// Whatever can be compared with.
fn operands() -> impl Strategy<Value = Value> {
    scalars().prop_filter("null is no operand", |value| !value.is_null())
}

fn payloads() -> impl Strategy<Value = Value> {
    let object = || prop::collection::btree_map(Just("b".to_owned()), scalars(), 0..2).prop_map(|all| json!(all));
    let list = prop::collection::vec(prop_oneof![1 => scalars(), 1 => object()], 0..4).prop_map(Value::from);
    let words = Just(json!(["red", "apple"]));
    let value = prop_oneof![6 => scalars(), 5 => list, 2 => object(), 1 => words];
    let members = prop::collection::btree_map(prop::sample::select(&["a", "b", "c"][..]), value, 0..4);
    let payload = members.prop_map(|all| json!(all));
    prop_oneof![9 => payload, 1 => Just(Value::Null)]
}

fn paths() -> impl Strategy<Value = Vec<Step>> {
    use Step::{At, Each, Key};
    let paths: [&[Step]; 9] = [
        &[Key("a")],
        &[Key("b")],
        &[Key("c")],
        &[Key("a"), Key("b")],
        &[Key("a"), Each, Key("b")],
        &[Key("a"), Each],
        &[Key("a"), At(0)],
        &[Key("a"), At(1), Key("b")],
        &[Key("missing")],
    ];
    prop::sample::select(paths.map(<[Step]>::to_vec).to_vec())
}

fn asks() -> impl Strategy<Value = Ask> {
    let number = || {
        prop_oneof![
            (-2..3_i64).prop_map(Value::from),
            (-3..4_i32).prop_map(|n| json!(f64::from(n) / 2.0)),
            prop::sample::select(&[1_u64 << 53, (1 << 53) + 1][..]).prop_map(Value::from),
        ]
    };
    let end = move || prop::option::of((number(), any::<bool>()));
    let ends = (end(), end()).prop_filter("a range has an end", |(low, high)| low.is_some() || high.is_some());
    let prefix = prop::sample::select(&["r", "red", "Red a", "", "2026", "red long long"][..]);
    prop_oneof![
        4 => prop::collection::vec(operands(), 1..4).prop_map(Ask::In),
        2 => prop::collection::vec(operands(), 0..3).prop_map(Ask::NotIn),
        3 => prop::sample::select(&["red", "APPLE red", "re", ",", "green"][..]).prop_map(Ask::Words),
        2 => prefix.prop_map(|text| Ask::Starts(text.to_owned())),
        4 => ends.prop_map(|(low, high)| Ask::Numbers(low, high)),
        3 => (0..MOMENTS.len(), 0..MOMENTS.len()).prop_map(|(low, high)| Ask::Moments(low, high)),
        2 => (0..3_usize, 0..4_usize).prop_map(|(low, high)| Ask::Count(low, high)),
        2 => Just(Ask::Empty),
        2 => Just(Ask::Null),
    ]
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        8 => (paths(), asks()).prop_map(|(path, ask)| Tree::Field(path, ask)),
        1 => prop::collection::vec(0..IDS, 0..20).prop_map(Tree::Ids),
        1 => prop::collection::vec((0..OWNERS).prop_map(owner), 1..3).prop_map(Tree::Owners),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let some = |range| prop::collection::vec(inner.clone(), range);
        prop_oneof![
            1 => some(0..4).prop_map(Tree::All),
            1 => some(1..4).prop_map(Tree::Any),
            1 => some(0..3).prop_map(Tree::None),
            1 => (0..3_u64, some(0..4)).prop_map(|(least, trees)| Tree::AtLeast(least, trees)),
            2 => inner.clone().prop_map(|tree| Tree::Nested(vec![Step::Key("a")], Box::new(tree))),
        ]
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    // Small integers have exact distances, so that the nearest are known to the last tie.
    let vector = prop::collection::vec((-6..7_i32).prop_map(|x| x as f32), DIMENSION);
    let owner = prop::option::weighted(0.8, (0..OWNERS).prop_map(owner));
    (vector, owner, payloads()).prop_map(|(vector, owner, payload)| Entry { vector, owner, payload })
}

fn op() -> impl Strategy<Value = Op> {
    use FieldType::{Bool, Float, Integer, Keyword, Text, Time};
    let field = || prop::sample::select(&["a", "b", "c", "a[].b", "a[]", "a[0]", "a.b"][..]);
    let kind = prop::sample::select(&[Keyword, Integer, Float, Bool, Time, Text, Text, Time][..]);
    prop_oneof![
        8 => prop::collection::vec((0..IDS, entry()), 1..20).prop_map(Op::Upsert),
        1 => prop::collection::vec(0..IDS, 1..8).prop_map(Op::Delete),
        2 => trees().prop_map(Op::DeleteMatching),
        1 => (0..OWNERS).prop_map(Op::Erase),
        3 => Just(Op::Flush),
        1 => Just(Op::Compact),
        2 => Just(Op::Upkeep),
        1 => Just(Op::Reopen),
        2 => (field(), kind).prop_map(|(field, kind)| Op::Index(field, kind)),
        1 => field().prop_map(Op::Unindex),
    ]
}

type Model = BTreeMap<u64, Entry>;

fn subject(id: u64, entry: &Entry) -> Subject<'_> {
    Subject { id, owner: entry.owner.as_deref(), value: &entry.payload }
}

fn matching<'m>(model: &'m Model, tree: &Tree, as_if: Misreading) -> Vec<(u64, &'m Entry)> {
    let all = model.iter().map(|(id, entry)| (*id, entry));
    all.filter(|(id, entry)| tree.holds(subject(*id, entry), as_if)).collect()
}

fn filter(tree: &Tree) -> Filter {
    serde_json::from_value(tree.to_json()).unwrap()
}

struct World {
    memory: Memory,
    settings: Settings,
    seed: u64,
    db: Option<Database>,
    model: Model,
}

impl World {
    fn new(seed: u64, automatic_fields: usize, payload_index_bytes_max: u64) -> Self {
        let settings = Settings { automatic_fields, payload_index_bytes_max, ..small_settings() };
        Self { memory: Memory::new(), settings, seed, db: None, model: Model::new() }
    }

    fn open(&mut self) -> (Environment, Collection) {
        let open = || in_memory(&self.memory, self.seed).settings(self.settings.clone()).open().unwrap();
        let env = self.db.get_or_insert_with(open).environment("acme").unwrap();
        let docs = env.collection("docs").dimension(DIMENSION).metric(Metric::L2).open_or_create().unwrap();
        (env, docs)
    }

    fn put(&mut self, batch: Vec<(u64, Entry)>) {
        let record = |(id, entry): &(u64, Entry)| {
            let record = Record::new(*id, entry.vector.clone());
            let record = entry.owner.iter().fold(record, |record, owner| record.entity(owner));
            if entry.payload.is_null() { record } else { record.payload(entry.payload.clone()) }
        };
        self.open().1.upsert(batch.iter().map(record)).unwrap();
        self.model.extend(batch);
    }

    fn run(&mut self, op: Op) {
        let (env, docs) = self.open();
        match op {
            Op::Upsert(batch) => self.put(batch),
            Op::Delete(ids) => {
                docs.delete(ids.iter().copied()).unwrap();
                ids.iter().for_each(|id| drop(self.model.remove(id)));
            }
            Op::DeleteMatching(tree) => {
                let gone: Vec<u64> =
                    matching(&self.model, &tree, Misreading::Nothing).iter().map(|(id, _)| *id).collect();
                assert_eq!(docs.delete_matching(&filter(&tree)).unwrap().count, gone.len() as u64);
                gone.iter().for_each(|id| drop(self.model.remove(id)));
            }
            Op::Erase(number) => {
                env.erase(owner(number)).run().unwrap();
                self.model.retain(|_, entry| entry.owner != Some(owner(number)));
            }
            Op::Flush => env.flush().unwrap(),
            Op::Compact => env.compact().unwrap(),
            Op::Upkeep => while env.step().unwrap() != engine::Step::Idle {},
            Op::Reopen => {
                drop((env, docs));
                self.db.take().unwrap().close().unwrap();
                self.seed += 1;
            }
            Op::Index(field, kind) => docs.create_payload_index(field, kind).unwrap(),
            Op::Unindex(field) => {
                let was_there = docs.payload_indexes().iter().any(|index| index.field == field);
                assert_eq!(docs.drop_payload_index(field).unwrap(), was_there);
            }
        }
    }

    fn check(&mut self, tree: &Tree) {
        let (_, docs) = self.open();
        let expected = matching(&self.model, tree, Misreading::Nothing);
        assert_eq!(docs.count().filter(filter(tree)).run().unwrap().count, expected.len() as u64, "count");
        let ids: Vec<RecordId> = expected.iter().map(|(id, _)| RecordId::Num(*id)).collect();
        assert_eq!(scrolled(&docs, tree), ids, "scroll");
        let query = [1.0, -2.0, 0.0, 3.0];
        let distance = |entry: &Entry| entry.vector.iter().zip(query).map(|(x, y)| (x - y).powi(2)).sum::<f32>();
        let mut nearest: Vec<(f32, u64)> = expected.iter().map(|(id, entry)| (distance(entry), *id)).collect();
        nearest.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        nearest.truncate(7);
        let search = || docs.search(&query).filter(filter(tree)).limit(7).ef(200).rerank(Rerank::All);
        let nearest_ids: Vec<RecordId> = nearest.iter().map(|(_, id)| RecordId::Num(*id)).collect();
        let hits = search().exact(true).run().unwrap();
        assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), nearest_ids, "exact search");
        // Codes may take another of several that are as far away as the last.
        let hits = search().run().unwrap();
        assert!(hits.iter().all(|hit| ids.contains(&hit.id)), "search");
        let distances = |hits: &[engine::Hit]| hits.iter().map(|hit| hit.score.to_bits()).collect::<Vec<_>>();
        let expected: Vec<u32> = nearest.iter().map(|(distance, _)| distance.sqrt().to_bits()).collect();
        assert_eq!(distances(&hits), expected, "search");
    }
}

fn scrolled(docs: &Collection, tree: &Tree) -> Vec<RecordId> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let scroll = docs.scroll().limit(5).filter(filter(tree));
        let page = after.into_iter().fold(scroll, |scroll, after: RecordId| scroll.after(after)).run().unwrap();
        seen.extend(page.records.iter().map(Record::id));
        match page.next {
            Some(next) => after = Some(next),
            None => return seen,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 600, ..ProptestConfig::default() })]

    #[test]
    fn filters_equal_the_model(
        steps in prop::collection::vec((op(), prop::collection::vec(trees(), 1..4)), 1..20),
        automatic in prop::sample::select(&[0_usize, 1, 3, 64][..]),
        // Room for all values, for those of some fields, and for none.
        room in prop::sample::select(&[ROOM, ROOM, 2000, 600, 0][..]),
        seed in any::<u32>(),
    ) {
        let mut world = World::new(u64::from(seed), automatic, room);
        for (op, trees) in steps {
            world.run(op);
            trees.iter().for_each(|tree| world.check(tree));
        }
        let (env, _) = world.open();
        prop_assert_eq!(env.verify_deep().unwrap().problems, vec![]);
    }
}

/// Values of a strategy, the same in every run.
fn some<T: std::fmt::Debug>(strategy: &impl Strategy<Value = T>, runner: &mut TestRunner) -> T {
    strategy.new_tree(runner).unwrap().current()
}

/// The suite tells every wrong reading of the language from the right one, in the memtable and in segments however they
/// are indexed.
#[test]
fn misreadings_are_noticed() {
    use FieldType::{Keyword, Text, Time};
    let runner = &mut TestRunner::deterministic();
    for (flushed, indexed, room) in [
        (false, None, ROOM),
        (true, None, ROOM),
        (true, Some(Text), ROOM),
        (true, Some(Time), ROOM),
        (true, Some(Keyword), ROOM),
        (true, Some(Text), 0),
    ] {
        let mut world = World::new(1, 64, room);
        let batch = (0..5 * IDS).map(|id| (id, some(&entry(), runner))).collect();
        world.put(batch);
        let (env, docs) = world.open();
        for field in indexed.iter().flat_map(|_| ["a", "b", "c", "a[].b"]) {
            docs.create_payload_index(field, indexed.unwrap()).unwrap();
        }
        if flushed {
            env.flush().unwrap();
        }
        let trees: Vec<Tree> = (0..1500).map(|_| some(&trees(), runner)).collect();
        let counts: Vec<u64> =
            trees.iter().map(|tree| docs.count().filter(filter(tree)).run().unwrap().count).collect();
        let disagrees = |as_if| {
            let count = |tree: &Tree| matching(&world.model, tree, as_if).len() as u64;
            trees.iter().zip(&counts).filter(|(tree, counted)| count(tree) != **counted).count()
        };
        assert_eq!(disagrees(Misreading::Nothing), 0);
        for wrong in [
            Misreading::ListsAreWhole,
            Misreading::ExceptNeedsNoValue,
            Misreading::NestedIsAnywhere,
            Misreading::EndsAreOutside,
            Misreading::IntegersAreFloats,
            Misreading::WordsAreParts,
            Misreading::PathsEnterLists,
            Misreading::OnlyMissingIsEmpty,
            Misreading::MomentsAreTexts,
        ] {
            assert!(disagrees(wrong) > 0, "{wrong:?} goes unnoticed, flushed: {flushed}, indexed: {indexed:?}, {room}");
        }
    }
}

/// What has only members is no field of its own, but it is there.
#[test]
fn what_is_on_the_way_to_a_value_is_there() {
    let mut world = World::new(1, 64, ROOM);
    let entry = |id: u64| {
        let payload = if id < 3 { json!({ "o": { "b": [{ "c": 1 }] } }) } else { json!({ "x": { "y": {} } }) };
        Entry { vector: vec![id as f32; DIMENSION], owner: None, payload }
    };
    world.put((0..5).map(|id| (id, entry(id))).collect());
    world.run(Op::Flush);
    use Step::{Each, Key};
    for path in [vec![Key("o")], vec![Key("o"), Key("b")], vec![Key("o"), Key("b"), Each], vec![Key("x"), Key("y")]] {
        let asks = [Ask::Empty, Ask::Null, Ask::Count(0, 0), Ask::Count(1, 1), Ask::NotIn(Vec::new())];
        asks.into_iter().for_each(|ask| world.check(&Tree::Field(path.clone(), ask)));
    }
}

/// An index that lies is believed, which shows that it is asked; and a deep verification says so.
#[test]
fn sabotage_an_index_that_says_nothing_is_there() {
    let forge = Forge::of(Furnished::new(1, false).files);
    let lie = FieldMap::new(forge.row_count(Target::Fields), true, Vec::new()).unwrap().encode();
    let count = |tree: &_| {
        let (db, env) = reopen(&load(tree)).unwrap();
        let docs = env.open_collection("docs").unwrap();
        let count = docs.count().filter(Filter::gte("tag", 0)).run().unwrap().count;
        let problems = env.verify_deep().unwrap().problems.len();
        db.close().unwrap();
        (count, problems)
    };
    let (mut tree, truth) = (forge.files.clone(), count(&forge.files));
    tree.extend(forge.forge(Target::Fields, &lie));
    let (believed, problems) = count(&tree);
    assert!(truth.0 > believed && truth.1 == 0 && problems == 1, "{truth:?} {believed} {problems}");
}

#[test]
fn a_filter_that_no_index_answers_opens_so_many_rows_and_no_more() {
    let mut world = World::new(1, 0, ROOM);
    world.settings.unindexed_filter_limit = 20;
    let entry =
        |id: u64| Entry { vector: vec![id as f32; DIMENSION], owner: None, payload: json!({ "n": id, "of": id % 2 }) };
    world.put((0..30).map(|id| (id, entry(id))).collect());
    let (env, docs) = world.open();
    let high = || Filter::gte("n", 15);
    assert_eq!(docs.count().filter(high()).run().unwrap().count, 15, "the memtable is in the clear");
    env.flush().unwrap();
    let refused = |error: engine::Error| {
        error.kind() == ErrorKind::Invalid && error.to_string().contains("unindexed_filter_limit")
    };
    assert!(refused(docs.count().filter(high()).run().unwrap_err()));
    assert!(refused(docs.search(&[0.0; DIMENSION]).filter(high()).run().unwrap_err()));
    assert!(refused(docs.delete_matching(&high()).unwrap_err()));
    assert!(refused(docs.scroll().filter(high()).limit(6).run().unwrap_err()), "21 rows for the first six");
    assert_eq!(docs.scroll().filter(Filter::lt("n", 15)).limit(6).run().unwrap().records.len(), 6, "seven will do");

    // What an index narrows down is opened alone.
    let narrow = Filter::all([high(), Filter::has_id((10_u64..20).collect::<Vec<_>>())]);
    let found = docs.search(&[0.0; DIMENSION]).filter(narrow).run().unwrap();
    let cost = found.counters.filter;
    assert_eq!((cost.conditions, cost.unindexed, cost.estimated, cost.opened, cost.matched), (2, 1, 10, 10, 5));
    docs.create_payload_index("n", FieldType::Integer).unwrap();
    assert_eq!(env.step().unwrap(), engine::Step::Mended);
    assert_eq!(env.step().unwrap(), engine::Step::Idle);
    let cost = docs.search(&[0.0; DIMENSION]).filter(high()).run().unwrap().counters.filter;
    assert_eq!((cost.conditions, cost.unindexed, cost.estimated, cost.opened, cost.matched), (1, 0, 15, 0, 15));
    assert_eq!(docs.delete_matching(&high()).unwrap().count, 15);
    assert_eq!(docs.count().run().unwrap().count, 15);
}

#[test]
fn declared_fields_are_kept_and_can_be_taken_back() {
    let mut world = World::new(1, 0, ROOM);
    let (_, docs) = world.open();
    docs.create_payload_index("a.b", FieldType::Text).unwrap();
    docs.create_payload_index("\"a\".\"b\"", FieldType::Time).unwrap();
    assert_eq!(docs.create_payload_index("a..b", FieldType::Time).unwrap_err().kind(), ErrorKind::Invalid);
    drop(docs);
    world.run(Op::Reopen);
    let (_, docs) = world.open();
    let indexes: Vec<_> = docs.info().payload_indexes.into_iter().map(|index| (index.field, index.kind)).collect();
    assert_eq!(indexes, [("a.b".to_owned(), FieldType::Time)]);
    assert!(docs.drop_payload_index("a.b").unwrap() && !docs.drop_payload_index("a.b").unwrap());
    assert!(docs.payload_indexes().is_empty());
}
