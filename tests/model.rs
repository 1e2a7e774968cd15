//! Random histories of upserts, deletes, erasures, flushes, compactions and reopens against the naive
//! model: get, scroll, count and exact search must agree after every step.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;

use engine::{Collection, Filter, Metric, RecordId};
use lethedb_tests::model::{Entry, Model, record};
use lethedb_tests::tended::{DRAWN, Tended, Upkeep, read_all};
use proptest::prelude::*;

const DIMENSION: usize = 6;
const ENTITIES: u64 = 5;
const IDS: u64 = 60;

#[derive(Clone, Debug)]
enum Op {
    Upsert(Vec<(u64, Entry)>),
    Delete(Vec<u64>),
    Erase(u64),
    Upkeep(Upkeep),
}

fn entity(number: u64) -> String {
    format!("owner-{number}")
}

fn entry() -> impl Strategy<Value = Entry> {
    let number = prop_oneof![8 => -8.0f32..8.0, 1 => Just(0.0f32)];
    (prop::collection::vec(number, DIMENSION), prop::option::weighted(0.8, 0..ENTITIES), 0u64..1000).prop_map(
        |(mut vector, owner, tag)| {
            if vector.iter().all(|x| x.abs() < 0.1) {
                vector[0] = 1.0;
            }
            Entry { vector, entity: owner.map(entity), tag }
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => prop::collection::vec((0..IDS, entry()), 1..20).prop_map(Op::Upsert),
        3 => prop::collection::vec(0..IDS, 1..8).prop_map(Op::Delete),
        2 => (0..ENTITIES).prop_map(Op::Erase),
        7 => prop::sample::select(&DRAWN[..]).prop_map(Op::Upkeep),
    ]
}

fn metric() -> impl Strategy<Value = Metric> {
    prop_oneof![Just(Metric::Cosine), Just(Metric::Dot), Just(Metric::L2)]
}

struct World {
    tended: Tended,
    metric: Metric,
}

impl World {
    fn new(seed: u64, metric: Metric) -> Self {
        Self { tended: Tended::new(seed), metric }
    }

    fn docs(&mut self) -> Collection {
        let env = self.tended.environment();
        env.collection("docs").dimension(DIMENSION).metric(self.metric).open_or_create().unwrap()
    }

    fn run(&mut self, model: &mut Model, op: Op) {
        match op {
            Op::Upsert(batch) => {
                self.docs().upsert(batch.iter().map(|(id, entry)| record(*id, entry))).unwrap();
                batch.into_iter().for_each(|(id, entry)| model.upsert(id, entry));
            }
            Op::Delete(ids) => {
                let distinct: std::collections::BTreeSet<u64> = ids.iter().copied().collect();
                let expected = distinct.into_iter().filter(|id| model.delete(*id)).count() as u64;
                assert_eq!(self.docs().delete(ids).unwrap().count, expected);
            }
            Op::Erase(number) => {
                let erasure = self.tended.environment().erase(entity(number)).run().unwrap();
                assert_eq!(erasure.records_deleted, model.erase(&entity(number)) as u64);
            }
            Op::Upkeep(upkeep) => self.tended.tend(upkeep),
        }
    }
}

fn check(docs: &Collection, metric: Metric, model: &Model) {
    read_all(docs, 0..IDS, |id| Some(record(id, model.records.get(&id)?)));
    let mut by_owner: BTreeMap<String, u64> = (0..ENTITIES).map(|number| (entity(number), 0)).collect();
    for entry in model.records.values() {
        entry.entity.iter().for_each(|owner| *by_owner.get_mut(owner).unwrap() += 1);
    }
    for (owner, count) in &by_owner {
        assert_eq!(docs.count().filter(Filter::entity(owner)).run().unwrap().count, *count);
    }
    scrolls(docs, model, None);
    scrolls(docs, model, Some(&entity(1)));
    let query: Vec<f32> = (0..DIMENSION).map(|i| i as f32 - 2.5).collect();
    for owner in [None, Some(entity(2))] {
        let mut search = docs.search(&query).exact(true).limit(7);
        if let Some(owner) = &owner {
            search = search.filter(Filter::entity(owner));
        }
        let hits = search.run().unwrap();
        let expected = model.nearest(metric, &query, 7, owner.as_deref());
        assert_eq!(hits.len(), expected.len());
        for (hit, (_, distance)) in hits.iter().zip(&expected) {
            let score = match metric {
                Metric::Cosine => 1.0 - distance,
                Metric::Dot => -distance,
                _ => distance.sqrt(),
            };
            assert!((f64::from(hit.score) - score).abs() < 1e-3, "{} against {score}", hit.score);
            let RecordId::Num(id) = hit.id else { panic!("ids are numbers here") };
            assert!(owner.is_none() || model.records[&id].entity == owner);
        }
    }
}

fn scrolls(docs: &Collection, model: &Model, owner: Option<&str>) {
    let mut seen = Vec::new();
    let mut after: Option<RecordId> = None;
    loop {
        let mut scroll = docs.scroll().limit(7);
        if let Some(after) = after {
            scroll = scroll.after(after);
        }
        if let Some(owner) = owner {
            scroll = scroll.filter(Filter::entity(owner));
        }
        let page = scroll.run().unwrap();
        seen.extend(page.records.iter().map(|record| record.id()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let matches = |entry: &Entry| owner.is_none() || entry.entity.as_deref() == owner;
    let expected: Vec<RecordId> =
        model.records.iter().filter(|(_, entry)| matches(entry)).map(|(id, _)| RecordId::Num(*id)).collect();
    assert_eq!(seen, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn histories_equal_the_model(metric in metric(), ops in prop::collection::vec(op(), 1..40), seed in any::<u32>()) {
        let mut world = World::new(u64::from(seed), metric);
        let mut model = Model::default();
        for op in ops {
            world.run(&mut model, op);
            check(&world.docs(), metric, &model);
        }
        prop_assert_eq!(world.tended.environment().verify().unwrap().problems, vec![]);
    }
}

/// The check above must be able to fail: a model that misses one delete disagrees.
#[test]
#[should_panic(expected = "record 3")]
fn a_wrong_model_is_noticed() {
    let mut world = World::new(1, Metric::L2);
    let mut model = Model::default();
    let entry = Entry { vector: vec![1.0; DIMENSION], entity: None, tag: 1 };
    world.run(&mut model, Op::Upsert(vec![(3, entry)]));
    world.docs().delete([3u64]).unwrap();
    check(&world.docs(), Metric::L2, &model);
}
