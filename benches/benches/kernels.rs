//! One comparison of two vectors: exact, and estimated from 8-bit codes. The search does little else.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datasets::synthetic::Mixture;
use index::{Codes, Metric, Space};

const DIMENSIONS: [usize; 4] = [128, 384, 768, 1536];
/// Few enough to stay in the cache: the arithmetic is measured, not the memory.
const ROWS: u32 = 64;

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

fn codes(criterion: &mut Criterion) {
    for metric in [Metric::L2, Metric::Cosine] {
        let mut group = criterion.benchmark_group(format!("codes/{metric}"));
        group.throughput(Throughput::Elements(u64::from(ROWS)));
        for dimension in DIMENSIONS {
            let rows = Mixture::new(dimension, 8, 0.5, 1).sample(ROWS as usize, 2);
            let space = Space::new(metric, dimension, &[7; 32]);
            let mut codes = Codes::with_capacity(&space, ROWS as usize);
            rows.rows().for_each(|row| codes.push(&space, row));
            let query = space.query(rows.row(0));
            group.bench_function(BenchmarkId::from_parameter(dimension), |bencher| {
                let distance = |position| codes.distance(black_box(&query), position).0;
                bencher.iter(|| (0..ROWS).map(distance).sum::<f32>());
            });
        }
    }
}

fn query(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("query");
    for dimension in DIMENSIONS {
        let rows = Mixture::new(dimension, 8, 0.5, 1).sample(1, 2);
        let space = Space::new(Metric::Cosine, dimension, &[7; 32]);
        group.bench_function(BenchmarkId::from_parameter(dimension), |bencher| {
            bencher.iter(|| space.query(black_box(rows.row(0))));
        });
    }
}

criterion_group!(benches, exact, codes, query);
criterion_main!(benches);
