//! Ways to ask for neighbours: page by page, down to a score, like and unlike examples, several at once, by groups. For
//! memtable and segments each must find what a naive model finds by sorting every record.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::{BTreeMap, BTreeSet};

use engine::{Collection, Database, ErrorKind, Example, Filter, Hit, Metric, Record, RecordId};
use lethedb_tests::model::distance;
use lethedb_tests::world::in_memory;
use proptest::prelude::*;
use serde_json::{Value, json};
use storage::backend::Memory;

const DIMENSION: usize = 3;
const IDS: u64 = 60;

#[derive(Clone, Debug)]
struct Entry {
    vector: Vec<f32>,
    owner: u64,
    payload: Value,
}

type Model = BTreeMap<u64, Entry>;

/// Integers have exact distances, so that ties are known.
fn vectors() -> impl Strategy<Value = Vec<f32>> {
    let vector = prop::collection::vec((-6..7_i32).prop_map(|x| x as f32), DIMENSION);
    vector.prop_filter("the cosine of nothing is nothing", |vector| vector.iter().any(|x| *x != 0.0))
}

fn entry() -> impl Strategy<Value = Entry> {
    let scalar =
        || prop::sample::select(vec![json!("red"), json!("blue"), json!(1), json!(1.0), json!(2.5), json!(true)]);
    let lang = prop_oneof![
        5 => scalar(),
        2 => prop::collection::vec(scalar(), 0..4).prop_map(Value::from),
        1 => Just(json!(null)),
        1 => Just(json!({ "x": 1 })),
    ];
    (vectors(), 0..3_u64, lang).prop_map(|(vector, owner, lang)| Entry {
        vector,
        owner,
        payload: json!({ "a": { "lang": lang } }),
    })
}

fn model() -> impl Strategy<Value = (Model, u64)> {
    (prop::collection::btree_map(0..IDS, entry(), 1..50), 0..IDS)
}

fn metric() -> impl Strategy<Value = Metric> {
    prop_oneof![Just(Metric::Cosine), Just(Metric::Dot), Just(Metric::L2)]
}

/// The records, those below `flushed` in segments.
fn world(model: &Model, flushed: u64, metric: Metric) -> (Database, Collection) {
    let db = in_memory(&Memory::new(), 3).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(DIMENSION).metric(metric).open_or_create().unwrap();
    let record = |(id, entry): (&u64, &Entry)| {
        let record = Record::new(*id, entry.vector.clone()).payload(entry.payload.clone());
        record.entity(format!("owner-{}", entry.owner))
    };
    for ids in [0..flushed / 2, flushed / 2..flushed] {
        docs.upsert(model.range(ids).map(record)).unwrap();
        env.flush().unwrap();
    }
    docs.upsert(model.range(flushed..).map(record)).unwrap();
    (db, docs)
}

fn score(metric: Metric, distance: f64) -> f64 {
    match metric {
        Metric::Cosine => 1.0 - distance,
        Metric::Dot => -distance,
        _ => distance.sqrt(),
    }
}

/// Ids and scores, best first.
fn ranking(model: &Model, metric: Metric, query: &[f32]) -> Vec<(u64, f64)> {
    let mut all: Vec<(u64, f64)> =
        model.iter().map(|(id, entry)| (*id, distance(metric, query, &entry.vector))).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    all.into_iter().map(|(id, distance)| (id, score(metric, distance))).collect()
}

/// The hits have the expected scores in order, and each record the score that it says. Which of equals comes first is
/// not looked at, because rounding decides that.
fn agree(hits: &[Hit], expected: &[(u64, f64)], all: &[(u64, f64)]) {
    let own: BTreeMap<u64, f64> = all.iter().copied().collect();
    assert_eq!(hits.len(), expected.len());
    let mut seen = BTreeSet::new();
    for (hit, (_, score)) in hits.iter().zip(expected) {
        let RecordId::Num(id) = hit.id else { panic!("ids are numbers here") };
        assert!(seen.insert(id), "record {id} twice");
        assert!((f64::from(hit.score) - score).abs() < 1e-3, "{} against {score}", hit.score);
        assert!((f64::from(hit.score) - own[&id]).abs() < 1e-3, "record {id}: {} against {}", hit.score, own[&id]);
    }
}

/// The vector to search near, in double precision from the first to the last step.
fn aimed(metric: Metric, like: &[Vec<f32>], unlike: &[Vec<f32>]) -> Vec<f32> {
    let mean = |vectors: &[Vec<f32>], axis: usize| {
        let at = |vector: &Vec<f32>| {
            let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            f64::from(vector[axis]) / if metric == Metric::Cosine { length } else { 1.0 }
        };
        vectors.iter().map(at).sum::<f64>() / vectors.len() as f64
    };
    let at = |axis: usize| {
        let near = mean(like, axis);
        if unlike.is_empty() { near } else { near + near - mean(unlike, axis) }
    };
    (0..DIMENSION).map(|axis| at(axis) as f32).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn pages_and_thresholds(
        (model, flushed) in model(), metric in metric(), query in vectors(),
        limit in 1..12_usize, offset in 0..20_usize, bound in prop::option::of(-40..60_i32),
    ) {
        let (_db, docs) = world(&model, flushed, metric);
        // Between the scores that integers have; under the cosine metric no two records are that near to it.
        let threshold = bound.map(|bound| match metric {
            Metric::Cosine => f64::from(bound) / 60.0 + 0.000_123,
            Metric::Dot => f64::from(bound) + 0.5,
            _ => (f64::from(bound.abs()) + 0.5).sqrt(),
        });
        let is_hit = |score: f64| threshold.is_none_or(|t| if metric == Metric::L2 { score <= t } else { score >= t });
        let all = ranking(&model, metric, &query);
        let expected: Vec<_> = all.iter().copied().take(offset + limit).filter(|(_, score)| is_hit(*score)).skip(offset).collect();
        let search = |exact| {
            let search = docs.search(&query).limit(limit).offset(offset).exact(exact);
            let search = threshold.into_iter().fold(search, |search, threshold| search.score_threshold(threshold as f32));
            search.run().unwrap()
        };
        agree(&search(true), &expected, &all);
        // Whatever else codes leave open, they decide nothing about the threshold.
        let own: BTreeMap<RecordId, f64> = all.iter().map(|(id, score)| (RecordId::Num(*id), *score)).collect();
        prop_assert!(search(false).iter().all(|hit| is_hit(own[&hit.id])));
        let batch = docs.search_batch([
            docs.search(&query).limit(limit).offset(offset).exact(true),
            docs.search(&query).filter(Filter::entity("owner-1")).exact(true),
        ]).unwrap();
        let first: Vec<_> = all.iter().copied().skip(offset).take(limit).collect();
        agree(&batch[0], &first, &all);
        let owned: Vec<_> = all.iter().copied().filter(|(id, _)| model[id].owner == 1).take(10).collect();
        agree(&batch[1], &owned, &all);
        prop_assert_eq!(batch[0].as_of.sequence, batch[1].as_of.sequence);
    }

    #[test]
    fn examples(
        (model, flushed) in model(), metric in metric(), picks in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        not in prop::collection::vec(any::<prop::sample::Index>(), 0..3), vector in prop::option::of(vectors()),
    ) {
        let (_db, docs) = world(&model, flushed, metric);
        let ids: Vec<u64> = model.keys().copied().collect();
        let (like, unlike): (Vec<u64>, Vec<u64>) =
            (picks.iter().map(|at| *at.get(&ids)).collect(), not.iter().map(|at| *at.get(&ids)).collect());
        let own = |ids: &[u64]| ids.iter().map(|id| model[id].vector.clone()).collect::<Vec<_>>();
        let examples = like.iter().map(|id| Example::from(*id)).chain(vector.clone().map(Example::from));
        let query = aimed(metric, &[own(&like), vector.into_iter().collect()].concat(), &own(&unlike));
        let search = docs.recommend(examples).unlike(unlike.iter().copied()).exact(true).limit(8);
        if metric == Metric::Cosine && query.iter().all(|x| x.abs() < 1e-3) {
            return Ok(());
        }
        let all = ranking(&model, metric, &query);
        let is_example = |id: &u64| like.contains(id) || unlike.contains(id);
        let expected: Vec<_> = all.iter().copied().filter(|(id, _)| !is_example(id)).take(8).collect();
        let hits = search.run().unwrap();
        agree(&hits, &expected, &all);
        prop_assert!(hits.iter().all(|hit| !like.iter().chain(&unlike).any(|id| hit.id == RecordId::Num(*id))));
        let same = docs.search_like(like[0]).exact(true).run().unwrap();
        prop_assert!(same.iter().all(|hit| hit.id != RecordId::Num(like[0])));
        prop_assert_eq!(same.len(), 10.min(model.len() - 1));
    }

    #[test]
    fn groups((model, flushed) in model(), query in vectors(), limit in 1..6_usize, size in 1..5_usize) {
        let (_db, docs) = world(&model, flushed, Metric::L2);
        let found = docs.search(&query).limit(limit).exact(true).group_by("a.lang").group_size(size).run().unwrap();
        let mut expected: Vec<(Value, Vec<u64>)> = Vec::new();
        for (id, _) in ranking(&model, Metric::L2, &query) {
            let value = &model[&id].payload["a"]["lang"];
            let mut values: Vec<Value> = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            values.retain(|value| value.is_string() || value.is_number() || value.is_boolean());
            // Numbers are equal by value.
            values.iter_mut().filter(|value| **value == json!(1.0)).for_each(|value| *value = json!(1));
            values.sort_by_key(Value::to_string);
            values.dedup();
            for value in values {
                match expected.iter_mut().find(|(key, _)| *key == value) {
                    Some((_, ids)) => ids.push(id),
                    None => expected.push((value, vec![id])),
                }
            }
        }
        // Of groups that begin with the same record the order is not said.
        prop_assert!(found.is_complete);
        prop_assert_eq!(found.groups.len(), limit.min(expected.len()));
        let best = |ids: &[u64]| ids[0];
        for (at, group) in found.groups.iter().enumerate() {
            let (_, ids) = expected.iter().find(|(key, _)| *key == group.key || group.key == json!(1.0) && *key == json!(1)).unwrap();
            let hits: Vec<RecordId> = group.hits.iter().map(|hit| hit.id).collect();
            prop_assert_eq!(hits, ids.iter().take(size).map(|id| RecordId::Num(*id)).collect::<Vec<_>>());
            prop_assert_eq!(best(ids), best(&expected[at].1));
        }
    }
}

/// Scores as dense as codes are rough: who is on which side of a threshold is decided by opening.
#[test]
fn a_threshold_among_many_equals_the_exact_one() {
    let (count, dimension) = (2000_u64, 32_u64);
    let numbers = |seed: u64| -> Vec<f32> {
        let number =
            |at: u64| (((seed * dimension + at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32).mul_add(1e-7, -0.8);
        (0..dimension).map(number).collect()
    };
    let db = in_memory(&Memory::new(), 3).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(dimension as usize).metric(Metric::L2).open_or_create().unwrap();
    docs.upsert((0..count).map(|id| Record::new(id, numbers(id)))).unwrap();
    env.flush().unwrap();
    let query = numbers(count);
    let exact = docs.search(&query).limit(count as usize).exact(true).run().unwrap();
    for place in (5..1000).step_by(5) {
        // Between two neighbours, whose codes are farther off than they are from each other.
        let threshold = (exact[place].score + exact[place + 1].score) / 2.0;
        let hits =
            docs.search(&query).limit(count as usize).ef(count as usize).score_threshold(threshold).run().unwrap();
        let is_near = |hit: &&Hit| hit.score <= threshold;
        let expected: BTreeSet<RecordId> = exact.iter().filter(is_near).map(|hit| hit.id).collect();
        assert_eq!(hits.iter().map(|hit| hit.id).collect::<BTreeSet<_>>(), expected, "{place}");
    }
}

/// The check above must be able to fail.
#[test]
#[should_panic(expected = "against")]
fn a_wrong_score_is_noticed() {
    let entry = Entry { vector: vec![1.0; DIMENSION], owner: 0, payload: json!({}) };
    let model = Model::from([(1, entry)]);
    let (_db, docs) = world(&model, 0, Metric::L2);
    let hits = docs.search(&[1.0; DIMENSION]).run().unwrap();
    agree(&hits, &[(1, 0.5)], &[(1, 0.5)]);
}

#[test]
fn what_is_not_usable_is_refused() {
    let entry = Entry { vector: vec![1.0; DIMENSION], owner: 0, payload: json!({}) };
    let (db, docs) = world(&Model::from([(1, entry)]), 0, Metric::L2);
    let other = db.environment("acme").unwrap().collection("other").dimension(DIMENSION).open_or_create().unwrap();
    let near = || docs.search(&[1.0; DIMENSION]);
    let kind = |error: engine::Error| error.kind();
    for search in [
        near().limit(0),
        near().limit(9_000).offset(9_000),
        near().offset(usize::MAX),
        near().score_threshold(f32::NAN),
        near().unlike([vec![1.0]]),
        docs.recommend(Vec::<u64>::new()),
        docs.recommend([vec![f32::NAN; DIMENSION]]),
    ] {
        assert_eq!(search.run().map_err(kind).err(), Some(ErrorKind::Invalid));
    }
    assert_eq!(docs.search_like(7).run().map_err(kind).err(), Some(ErrorKind::NotFound));
    assert_eq!(near().unlike([7_u64]).run().map_err(kind).err(), Some(ErrorKind::NotFound));
    for group in [
        near().group_by("a["),
        near().group_by("a").group_size(0),
        near().limit(5_000).group_by("a"),
        near().offset(1).group_by("a"),
    ] {
        assert_eq!(group.run().map_err(kind).err(), Some(ErrorKind::Invalid));
    }
    let error = docs.search_batch([near(), near().limit(0)]).unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().starts_with("searches[1]: "), "{error}");
    assert!(docs.search_batch([other.search(&[1.0; DIMENSION])]).is_err());
    assert!(docs.search_batch((0..300).map(|_| near())).is_err());
    assert!(docs.search_batch([]).unwrap().is_empty());
}
