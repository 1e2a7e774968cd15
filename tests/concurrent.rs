//! Writers, readers, the background thread and erasures at once: a reader sees a batch whole or not at all,
//! and graph search finds what exact search finds however many segments upkeep has made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "threads are the point")]

use std::sync::atomic::{AtomicBool, Ordering};

use engine::{Metric, Record, RecordId, Settings};
use lethedb_tests::world::{in_memory, small_settings};
use storage::backend::Memory;

const BATCH: u64 = 10;
const WRITERS: u64 = 3;
const ROUNDS: u64 = 60;

fn batch(writer: u64, round: u64) -> impl Iterator<Item = Record> {
    (0..BATCH).map(move |i| {
        let vector = vec![writer as f32 + 1.0, i as f32, round as f32];
        Record::new(writer * BATCH + i, vector).entity(format!("writer-{writer}")).payload(round.into())
    })
}

#[test]
fn readers_see_batches_whole() {
    let settings = Settings { background: true, ..small_settings() };
    let db = in_memory(&Memory::new(), 5).settings(settings).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(3).metric(Metric::L2).open_or_create().unwrap();
    let done = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut reads = 0u64;
                    loop {
                        let last = done.load(Ordering::Relaxed);
                        let page = docs.scroll().limit(1000).run().unwrap();
                        for writer in 0..WRITERS {
                            let of_writer = format!("writer-{writer}");
                            let versions: Vec<u64> = page
                                .records
                                .iter()
                                .filter(|record| record.entity_id() == Some(of_writer.as_str()))
                                .map(|record| record.payload_json().unwrap().as_u64().unwrap())
                                .collect();
                            assert!(versions.is_empty() || versions.len() as u64 == BATCH, "part of a batch");
                            assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "two versions of a batch");
                        }
                        reads += 1;
                        if last {
                            return reads;
                        }
                    }
                })
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (docs, env) = (&docs, &env);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        docs.upsert(batch(writer, round)).unwrap();
                        if round % 20 == 13 {
                            assert_eq!(env.erase(format!("writer-{writer}")).run().unwrap().records_deleted, BATCH);
                        }
                    }
                })
            })
            .collect();
        let failed = writers.into_iter().any(|writer| writer.join().is_err());
        done.store(true, Ordering::Relaxed);
        assert!(!failed, "a writer failed");
        readers.into_iter().map(|reader| reader.join().unwrap()).sum::<u64>()
    });
    assert!(reads > 0);
    assert_eq!(docs.count().run().unwrap().count, WRITERS * BATCH);
    assert_eq!(env.verify().unwrap().problems, vec![]);
    db.close().unwrap();
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
