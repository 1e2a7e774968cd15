//! Bad input to the library: each kind is refused with `Invalid`, `NotFound` or `Conflict`, without the
//! user's data in the message, and nothing is lost or written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use engine::{Collection, Environment, Error, ErrorKind, Filter, Metric, Record, Settings};
use lethedb_tests::world::{in_memory, small_settings};
use storage::backend::Memory;

const SECRETS: [&str; 2] = ["s3cret", "123.456"];

fn world(memory: &Memory) -> (Environment, Collection) {
    let db = in_memory(memory, 1).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(3).open_or_create().unwrap();
    docs.upsert([Record::new(1, vec![1.0, 2.0, 3.0])]).unwrap();
    (env, docs)
}

fn refused<T>(result: Result<T, Error>, kind: ErrorKind) {
    let Err(error) = result else { panic!("bad input was taken") };
    assert_eq!(error.kind(), kind, "{error}");
    for secret in SECRETS {
        assert!(!error.to_string().contains(secret) && !format!("{error:?}").contains(secret), "{error}");
    }
}

#[test]
fn records_are_checked_before_anything_is_logged() {
    let memory = Memory::new();
    let (_env, docs) = world(&memory);
    let before = docs.info();
    let vectors: [&[f32]; 7] = [
        &[123.456, 1.0],
        &[],
        &[0.0; 3],
        &[123.456, f32::NAN, 0.0],
        &[f32::INFINITY, 1.0, 1.0],
        &[f32::MAX, f32::MAX, f32::MAX],
        &[1.0; 4],
    ];
    for vector in vectors {
        let batch = [Record::new(2, vec![1.0; 3]), Record::new(3, vector.to_vec()).entity("s3cret")];
        refused(docs.upsert(batch), ErrorKind::Invalid);
        refused(docs.search(vector).run(), ErrorKind::Invalid);
    }
    for entity in ["", "s3cret\0", &"s3cret".repeat(50)] {
        refused(docs.upsert([Record::new(2, vec![1.0; 3]).entity(entity)]), ErrorKind::Invalid);
        refused(docs.search(&[1.0; 3]).filter(Filter::entity(entity)).run(), ErrorKind::Invalid);
        refused(docs.count().filter(Filter::entity(entity)).run(), ErrorKind::Invalid);
    }
    let huge = serde_json::json!("s3cret".repeat(20_000));
    refused(docs.upsert([Record::new(2, vec![1.0; 3]).payload(huge)]), ErrorKind::Invalid);
    refused(docs.upsert((0..20_000u64).map(|id| Record::new(id, vec![1.0; 3]))), ErrorKind::Invalid);
    assert_eq!(docs.info(), before);
}

#[test]
fn queries_are_bounded() {
    let memory = Memory::new();
    let (_env, docs) = world(&memory);
    for limit in [0, 10_001, usize::MAX] {
        refused(docs.search(&[1.0; 3]).limit(limit).run(), ErrorKind::Invalid);
        refused(docs.scroll().limit(limit).run(), ErrorKind::Invalid);
    }
    for ef in [0, 10_001, usize::MAX] {
        refused(docs.search(&[1.0; 3]).ef(ef).run(), ErrorKind::Invalid);
    }
    assert!(docs.search(&[1.0; 3]).limit(10_000).ef(10_000).run().is_ok());
}

#[test]
fn the_usual_width_is_one_that_a_caller_may_name() {
    let settings = Settings { ef_max: 12, ..small_settings() };
    let db = in_memory(&Memory::new(), 1).settings(settings).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(3).metric(Metric::L2).open_or_create().unwrap();
    docs.upsert((0..2000).map(|id| Record::new(id, vec![(id % 50) as f32, (id / 50) as f32, 1.0]))).unwrap();
    env.flush().unwrap();
    let search = || docs.search(&[20.0, 30.0, 1.0]);
    let (usual, widest) = (search().run().unwrap().counters, search().ef(12).run().unwrap().counters);
    assert!(usual == widest && usual.hops > 0, "{usual:?} {widest:?}");
}

#[test]
fn names_never_reach_a_path() {
    let memory = Memory::new();
    let (env, _docs) = world(&memory);
    let db = in_memory(&Memory::new(), 2).open().unwrap();
    for name in ["", "../s3cret", "s3cret/x", "s3cret\0", "-s3cret", ".", "..", "s3crét", &"s3cret".repeat(11)] {
        refused(env.open_collection(name), ErrorKind::Invalid);
        refused(env.collection(name).dimension(3).open_or_create(), ErrorKind::Invalid);
        refused(env.collection(name).dimension(3).create(), ErrorKind::Invalid);
        refused(env.drop_collection(name), ErrorKind::Invalid);
        refused(db.environment(name), ErrorKind::Invalid);
        refused(db.open_environment(name), ErrorKind::Invalid);
    }
    assert!(db.environments().unwrap().is_empty());
    refused(env.open_collection("unknown"), ErrorKind::NotFound);
    refused(db.open_environment("unknown"), ErrorKind::NotFound);
    refused(env.collection("docs").dimension(4).open_or_create(), ErrorKind::Conflict);
    refused(env.collection("docs").dimension(3).metric(Metric::L2).open_or_create(), ErrorKind::Conflict);
    refused(env.collection("docs").dimension(3).create(), ErrorKind::Conflict);
    for dimension in [0, 4097, usize::MAX] {
        refused(env.collection("new").dimension(dimension).open_or_create(), ErrorKind::Invalid);
    }
    refused(env.collection("new").open_or_create(), ErrorKind::Invalid);
}

/// L2 and dot take what cosine cannot: a zero vector has a place, though no direction.
#[test]
fn a_zero_vector_is_refused_for_cosine_alone() {
    let memory = Memory::new();
    let (env, _docs) = world(&memory);
    for metric in [Metric::L2, Metric::Dot] {
        let docs = env.collection(metric.to_string()).dimension(3).metric(metric).open_or_create().unwrap();
        docs.upsert([Record::new(1, vec![0.0; 3]), Record::new(2, vec![1.0; 3])]).unwrap();
        env.flush().unwrap();
        assert_eq!(docs.search(&[0.0; 3]).run().unwrap().len(), 2);
    }
}
