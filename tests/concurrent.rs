//! Writers, readers, the background thread and erasures at once: every answer is the state of one single commit, and
//! graph search finds what exact search finds however many segments upkeep has made.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts threads that race")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use engine::{Environment, Erasure, ErrorKind, Filter, Metric, Record, RecordId, Settings};
use lethedb_tests::case::{Counts, add};
use lethedb_tests::readers;
use lethedb_tests::world::{in_memory, small_settings};
use storage::backend::Memory;

#[test]
fn every_answer_is_the_state_of_one_commit() {
    let mut total = Counts::new();
    for seed in 1..=4 {
        add(&mut total, &readers::case(seed).unwrap_or_else(|violation| panic!("{violation}")));
    }
    println!("{total:?}");
    assert!(total["answers"] > 0);
}

#[test]
fn graph_search_agrees_with_exact_search_over_many_segments() {
    const ROWS: u64 = 4000;
    let settings = Settings { memtable_rows_max: 900, flat_below: 64, degree: 16, ..small_settings() };
    for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
        let db = in_memory(&Memory::new(), 6).settings(settings.clone()).open().unwrap();
        let env = db.environment("acme").unwrap();
        let docs = env.collection("docs").dimension(16).metric(metric).open_or_create().unwrap();
        let vector = |id: u64| -> Vec<f32> {
            let noise =
                |i: u64| (id.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(i as u32 * 4) % 1000) as f32 / 500.0;
            (0..16).map(|i| noise(i) - 1.0 + ((id % 7) as f32) * 0.3).collect()
        };
        for start in (0..ROWS).step_by(500) {
            docs.upsert((start..start + 500).map(|id| Record::new(id, vector(id)))).unwrap();
            env.step().unwrap();
        }
        assert!(docs.info().segments > 1);
        let (mut found, mut asked) = (0, 0);
        for query in (ROWS..ROWS + 40).map(vector) {
            let ids = |exact| -> Vec<RecordId> {
                docs.search(&query).ef(96).exact(exact).run().unwrap().iter().map(|hit| hit.id).collect()
            };
            let (exact, graph) = (ids(true), ids(false));
            asked += exact.len();
            found += exact.iter().filter(|id| graph.contains(id)).count();
        }
        assert!(found * 100 >= asked * 97, "{metric}: {found} of {asked}");
    }
}

/// An exact search works in the pool, where indexes are loaded too: the load must not wait for the search.
#[test]
fn an_exact_search_may_be_the_first_after_opening() {
    let memory = Memory::new();
    let open = || in_memory(&memory, 6).settings(small_settings()).open().unwrap();
    let db = open();
    let docs = db.environment("acme").unwrap().collection("docs").dimension(2).open_or_create().unwrap();
    docs.upsert((0..9000).map(|id| Record::new(id, vec![id as f32, 1.0]))).unwrap();
    db.environment("acme").unwrap().flush().unwrap();
    db.close().unwrap();
    let db = open();
    let docs = db.environment("acme").unwrap().open_collection("docs").unwrap();
    let [first, later] = [(); 2].map(|()| {
        let hits = docs.search(&[1.0, 1.0]).exact(true).limit(5).run().unwrap();
        hits.iter().map(|hit| hit.id).collect::<Vec<_>>()
    });
    assert_eq!((first.len(), first), (5, later));
}

/// Records of one write.
const BATCH: u64 = 4;
const PERSON: &str = "person-who-comes-and-goes";

/// Batches of one person, written by two threads while that person is erased and upkeep goes on; gives the erasures and
/// the sequence of each batch.
fn written_while_erased(env: &Environment) -> (Vec<Erasure>, Vec<(u64, u64)>) {
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let acknowledged = Mutex::new(Vec::new());
    let write = || {
        while !stop.load(Ordering::Relaxed) {
            let batch = next.fetch_add(1, Ordering::Relaxed);
            let ids = batch * BATCH..(batch + 1) * BATCH;
            match docs.upsert(ids.map(|id| Record::new(id, vec![id as f32, 1.0]).entity(PERSON))) {
                Ok(at) => acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push((batch, at.sequence)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Busy),
            }
        }
    };
    let erasures = std::thread::scope(|scope| {
        let _writers = [scope.spawn(write), scope.spawn(write)];
        let mut erasures = Vec::new();
        for nth in 0..6 {
            while next.load(Ordering::Relaxed) < (nth + 1) * 25 {
                env.step().unwrap();
            }
            erasures.push(env.erase(PERSON).run().unwrap());
        }
        while next.load(Ordering::Relaxed) < 200 {
            env.step().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        erasures
    });
    (erasures, acknowledged.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A write of a person during their erasure is wholly before it, and then gone, or wholly after it, and then there under
/// another key: the erasure says up to which write it reached, and that is exact. Nothing is erased twice or lost.
#[test]
fn writes_of_a_person_during_their_erasure_are_before_it_or_after() {
    let mut during = 0;
    for seed in 0..6 {
        let memory = Memory::new();
        let open = |seed| in_memory(&memory, seed).settings(small_settings()).open().unwrap();
        let db = open(seed);
        let env = db.environment("acme").unwrap();
        let (erasures, batches) = written_while_erased(&env);
        let last = erasures.last().unwrap();
        let through = last.receipt.as_ref().unwrap().statement().begun.sequence;
        let left = batches.iter().filter(|(_, sequence)| *sequence > through);
        let expected: BTreeSet<u64> = left.flat_map(|(batch, _)| batch * BATCH..(batch + 1) * BATCH).collect();
        let erased: u64 = erasures.iter().map(|erasure| erasure.records_deleted).sum();
        assert_eq!(erased + expected.len() as u64, batches.len() as u64 * BATCH, "seed {seed}: some were lost");
        // What they were sealed with is not what any of the erasures destroyed, so it opens: now, in segments, and again.
        let held = |env: &Environment| -> BTreeSet<u64> {
            let docs = env.open_collection("docs").unwrap();
            let page = docs.scroll().filter(Filter::entity(PERSON)).limit(10_000).with_vector(true).run().unwrap();
            let id = |record: &Record| match record.id() {
                RecordId::Num(id) => id,
                RecordId::Uuid(_) => panic!("ids are numbers here"),
            };
            assert!(page.records.iter().all(|record| record.vector()[0] == id(record) as f32));
            page.records.iter().map(id).collect()
        };
        assert_eq!(held(&env), expected, "seed {seed}");
        env.flush().unwrap();
        assert_eq!((held(&env), env.verify().unwrap().problems), (expected.clone(), vec![]), "seed {seed}");
        drop(env);
        db.close().unwrap();
        let env = open(seed + 100).open_environment("acme").unwrap();
        assert_eq!((held(&env), env.verify().unwrap().problems), (expected, vec![]), "seed {seed}");
        during += u64::from(erasures.iter().any(|erasure| erasure.records_deleted > 0));
    }
    assert_eq!(during, 6);
}
