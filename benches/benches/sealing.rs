//! Sealing and opening: rows, as writing and re-ranking do it, and sections, as loading an index does it.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use privacy::{
    Dek, RowContext, RowField, Scope, SectionContext, SectionKey, SectionKind, open_row_into, open_section_into,
    seal_row, seal_section,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A small body, and vectors of 128, 384 and 1536 numbers.
const ROW_BYTES: [usize; 4] = [64, 512, 1536, 6144];
const SECTION_BYTES: [usize; 3] = [16 << 10, 1 << 20, 16 << 20];

fn rows(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(1);
    let dek = Dek::generate(&mut rng);
    let scope = Scope::new([1; 16], "bench");
    let context = RowContext { scope, collection: [2; 16], row: [3; 16], field: RowField::Vector };
    for bytes in ROW_BYTES {
        let plain = vec![5; bytes];
        let mut group = criterion.benchmark_group("row");
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("seal", bytes), |bencher| {
            bencher.iter(|| seal_row(&dek, &context, black_box(&plain), &mut rng));
        });
        let blob = seal_row(&dek, &context, &plain, &mut rng);
        let mut out = Vec::with_capacity(bytes);
        group.bench_function(BenchmarkId::new("open", bytes), |bencher| {
            bencher.iter(|| open_row_into(&dek, &context, black_box(&blob), &mut out));
        });
        assert_eq!(out, plain, "what was measured is opening");
    }
}

fn sections(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(1);
    let key = SectionKey::generate(&mut rng);
    let scope = Scope::new([1; 16], "bench");
    let context = SectionContext { scope, kind: SectionKind::Index, file: 4, place: 0 };
    for bytes in SECTION_BYTES {
        let plain = vec![5; bytes];
        let mut group = criterion.benchmark_group("section");
        group.throughput(Throughput::Bytes(bytes as u64)).sample_size(20);
        group.bench_function(BenchmarkId::new("seal", bytes), |bencher| {
            bencher.iter(|| seal_section(&key, &context, black_box(&plain), &mut rng));
        });
        let blob = seal_section(&key, &context, &plain, &mut rng);
        let mut out = vec![0; bytes];
        group.bench_function(BenchmarkId::new("open", bytes), |bencher| {
            bencher.iter(|| open_section_into(&key, &context, black_box(&blob), &mut out));
        });
        assert_eq!(out, plain, "what was measured is opening");
    }
}

criterion_group!(benches, rows, sections);
criterion_main!(benches);
