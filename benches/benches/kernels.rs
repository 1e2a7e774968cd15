//! The arithmetic of a search: one comparison of two vectors, exact and by codes on every instruction set that this
//! processor has, and the coding of a vector and of a query.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datasets::synthetic::Mixture;
use index::{Allow, Ann, Codes, Metric, Reach, Scratch, Space};

const DIMENSIONS: [usize; 4] = [128, 384, 768, 1536];
/// Few enough to stay in the cache: the arithmetic is measured, not the memory.
const ROWS: u32 = 64;
const NEAREST: Reach = Reach { limit: 1, ef: 1 };

fn exact(criterion: &mut Criterion) {
    for metric in [Metric::L2, Metric::Cosine, Metric::Dot] {
        let mut group = criterion.benchmark_group(format!("exact/{metric}"));
        group.throughput(Throughput::Elements(u64::from(ROWS)));
        for dimension in DIMENSIONS {
            let rows = Mixture::new(dimension, 8, 0.5, 1).sample(ROWS as usize, 2);
            let query = rows.row(0);
            group.bench_function(BenchmarkId::from_parameter(dimension), |bencher| {
                bencher.iter(|| rows.rows().map(|row| metric.distance(black_box(query), row)).sum::<f32>());
            });
        }
    }
}

/// A scan for the nearest row, which is little more than the kernel: internals need not show for it.
fn codes(criterion: &mut Criterion) {
    for metric in [Metric::L2, Metric::Cosine] {
        for instruction_set in Space::instruction_sets() {
            let mut group = criterion.benchmark_group(format!("codes/{metric}/{instruction_set}"));
            group.throughput(Throughput::Elements(u64::from(ROWS)));
            for dimension in DIMENSIONS {
                let rows = Mixture::new(dimension, 8, 0.5, 1).sample(ROWS as usize, 2);
                let Some(space) = Space::new(metric, dimension, &[7; 32]).on(instruction_set) else { continue };
                let mut codes = Codes::with_capacity(&space, ROWS as usize);
                rows.rows().for_each(|row| codes.push(&space, row));
                let (flat, query) = (Ann::Flat(codes), space.query(rows.row(0)));
                let (mut scratch, mut found) = (Scratch::new(), Vec::new());
                flat.search_into(&query, NEAREST, Allow::All, &mut scratch, &mut found);
                assert_eq!(found.len(), 1, "what is measured is finding");
                group.bench_function(BenchmarkId::from_parameter(dimension), |bencher| {
                    bencher.iter(|| flat.search_into(black_box(&query), NEAREST, Allow::All, &mut scratch, &mut found));
                });
            }
        }
    }
}

fn coding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("coding");
    for dimension in DIMENSIONS {
        let rows = Mixture::new(dimension, 8, 0.5, 1).sample(1, 2);
        let space = Space::new(Metric::Cosine, dimension, &[7; 32]);
        let mut code = vec![0; space.stride()];
        group.bench_function(BenchmarkId::new("vector", dimension), |bencher| {
            bencher.iter(|| space.encode(black_box(rows.row(0)), &mut code));
        });
        group.bench_function(BenchmarkId::new("query", dimension), |bencher| {
            bencher.iter(|| space.query(black_box(rows.row(0))));
        });
    }
}

criterion_group!(benches, exact, codes, coding);
criterion_main!(benches);
