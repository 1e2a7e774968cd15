//! How long a store takes to open beside copying its index, warm, into memory with as many threads: less is not possible.
//!
//! `cargo bench -p lethedb-benches --bench opening [-- ROWS DIMENSION]`. Opening and copying take turns, so that a
//! disturbance meets both; the median of the rounds counts, and on a machine that others use too the least. What opens
//! is a segment whose files the system has cached: its index is decrypted, checked and made ready for the first search,
//! which is part of the time, as is the table of rows that it reads.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement fails loudly and prints what it found")]
#![allow(clippy::disallowed_methods, reason = "a measurement reads time and starts its threads")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

use datasets::synthetic::Mixture;
use datasets::{Dataset, Distance};
use engine::{Database, Metric, Record, RootKey, Settings};
#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::MmapMut;

const ROUNDS: usize = 31;
const PAGE: usize = 4096;
const BATCH_ROWS: usize = 5_000;
/// Rows of one owner, as in `bench compare`.
const OWNED: usize = 3;

fn main() {
    let mut sizes = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let (rows, dimension) = (sizes.next().unwrap_or(100_000), sizes.next().unwrap_or(384));
    let data = tempfile::tempdir().unwrap();
    let set = Mixture::new(dimension, 200, 0.5, 1).dataset(Distance::Cosine, rows, 1, 10, 1);
    fill(data.path(), &set);
    let index = index_file(data.path());

    let threads = available_parallelism().map_or(1, usize::from);
    let (mut environments, mut indexes, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (environment, index_time) = open(data.path(), &set);
        environments.push(environment);
        indexes.push(index_time);
        copies.push(copy(&index, threads));
    }
    let [environment, opening, copying] = [environments, indexes, copies].map(median_and_least_ms);
    let mib = index.metadata().unwrap().len() as f64 / f64::from(1 << 20);
    println!(
        "{rows} rows of {dimension}, index of {mib:.1} MiB, {threads} threads, median and least of {ROUNDS} rounds"
    );
    let print = |what, [median, least]: [f64; 2], unit| println!("{what:<48}{median:>8.2} {least:>8.2} {unit}");
    print("database and environment, which read no index", environment, "ms");
    print("collection, from its files to the first answer", opening, "ms");
    print("copying the warm index file", copying, "ms");
    print("opening over copying", [0, 1].map(|at| opening[at] / copying[at]), "");
}

fn database(data: &Path, rows: usize) -> Database {
    let settings =
        Settings { memtable_rows_max: rows, memtable_bytes_max: usize::MAX, background: false, ..Settings::default() };
    Database::builder(data).root_key(RootKey::bytes([0; 32])).settings(settings).open().unwrap()
}

/// Stores all rows of `set` in one segment.
fn fill(data: &Path, set: &Dataset) {
    let database = database(data, set.train.len());
    let environment = database.environment("bench").unwrap();
    let builder = environment.collection("rows").dimension(set.train.dimension()).metric(Metric::Cosine);
    let collection = builder.open_or_create().unwrap();
    let record = |row: usize| {
        Record::new(row as u64, set.train.row(row).to_vec()).entity(lethedb_benches::entity_name((row / OWNED) as u32))
    };
    for start in (0..set.train.len()).step_by(BATCH_ROWS) {
        collection.upsert((start..set.train.len().min(start + BATCH_ROWS)).map(record)).unwrap();
    }
    environment.flush().unwrap();
    assert_eq!(collection.info().segments, 1);
    database.close().unwrap();
}

/// Times until the environment is open, and from there to the first answer.
fn open(data: &Path, set: &Dataset) -> (Duration, Duration) {
    let start = Instant::now();
    let database = database(data, set.train.len());
    let environment = database.environment("bench").unwrap();
    let opened = start.elapsed();
    let collection = environment.open_collection("rows").unwrap();
    let found = collection.search(set.test.row(0)).limit(10).with_payload(false).run().unwrap();
    let answered = start.elapsed();
    assert_eq!(found.iter().count(), 10);
    database.close().unwrap();
    (opened, answered - opened)
}

/// Time to read the whole file into memory that the system has just given, huge pages of it as where an index lies: an
/// allocator would give again what a store before had, which costs no pages.
fn copy(file: &File, threads: usize) -> Duration {
    let start = Instant::now();
    let length = file.metadata().unwrap().len() as usize;
    let mut bytes = MmapMut::map_anon(length).unwrap();
    #[cfg(target_os = "linux")]
    bytes.advise(Advice::HugePage).unwrap();
    let part = length.div_ceil(threads).next_multiple_of(PAGE);
    scope(|scope| {
        for (number, part_bytes) in bytes.chunks_mut(part).enumerate() {
            scope.spawn(move || file.read_exact_at(part_bytes, (number * part) as u64).unwrap());
        }
    });
    let copied = start.elapsed();
    black_box(bytes);
    copied
}

fn index_file(data: &Path) -> File {
    let of_segments: PathBuf = data.join("env/bench/seg");
    let mut names = of_segments.read_dir().unwrap().map(|entry| entry.unwrap().path());
    File::open(names.find(|path| path.extension().is_some_and(|ending| ending == "idx")).unwrap()).unwrap()
}

fn median_and_least_ms(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort_unstable();
    [times.len() / 2, 0].map(|at| times[at].as_secs_f64() * 1e3)
}
