//! Searches of an index that stays in the cache: along its graph, where the time of one hop shows, and by a scan of
//! all its codes. No row is opened.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "nobody stops a build")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datasets::synthetic::Mixture;
use index::{Allow, Ann, BuildParams, Codes, Metric, Reach, Scratch, Space};

const DIMENSIONS: [usize; 4] = [128, 384, 768, 1536];
const ROWS: usize = 4096;
const QUERIES: usize = 64;
const REACH: Reach = Reach { limit: 10, ef: 64 };

/// Measures searches of an index that `build` makes, with one `unit` as the element of the throughput.
fn searches(
    criterion: &mut Criterion,
    name: &str,
    build: impl Fn(&Space, Codes) -> Ann,
    unit: impl Fn(&Scratch) -> u64,
) {
    let mut group = criterion.benchmark_group(name);
    for dimension in DIMENSIONS {
        let mixture = Mixture::new(dimension, 64, 0.5, 1);
        let (rows, queries) = (mixture.sample(ROWS, 2), mixture.sample(QUERIES, 3));
        let space = Space::new(Metric::Cosine, dimension, &[7; 32]);
        let mut codes = Codes::with_capacity(&space, ROWS);
        rows.rows().for_each(|row| codes.push(&space, row));
        let index = build(&space, codes);
        let queries: Vec<_> = queries.rows().map(|query| space.query(query)).collect();
        let (mut scratch, mut found) = (Scratch::new(), Vec::new());
        let mut search_all = || {
            let search = |query| {
                index.search_into(black_box(query), REACH, Allow::All, &mut scratch, &mut found);
                unit(&scratch)
            };
            queries.iter().map(search).sum::<u64>()
        };
        group.throughput(Throughput::Elements(search_all()));
        group.bench_function(BenchmarkId::from_parameter(dimension), |bencher| bencher.iter(&mut search_all));
    }
}

/// The time of an iteration is that of all queries; an element is a hop.
fn walks(criterion: &mut Criterion) {
    let params = BuildParams::default();
    let build = |space: &Space, codes| Ann::build(space, codes, &params, &|| false).unwrap();
    searches(criterion, "walk/hops", build, |scratch| scratch.counters().hops);
}

/// The same by looking at every code; an element is a row.
fn scans(criterion: &mut Criterion) {
    searches(criterion, "scan/rows", |_, codes| Ann::Flat(codes), |scratch| scratch.counters().compared);
}

criterion_group!(benches, walks, scans);
criterion_main!(benches);
