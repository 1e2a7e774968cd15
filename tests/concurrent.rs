//! Writers, readers, the background thread and erasures at once: every answer is the state of one single commit, and
//! graph search finds what exact search finds however many segments upkeep has made.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use engine::{Metric, Record, RecordId, Settings};
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
