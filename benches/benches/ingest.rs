//! How fast records come in, and what a search costs meanwhile: records a second into the memtable on one core; the
//! same with sealing and compaction behind it, on one core and on all; and the search of a memtable by its size, beside
//! that of the segment it becomes.
//!
//! `TMPDIR` says on which disk. Prints tables, then all of it as one line of JSON.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "measures a disk and prints what it found")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use datasets::Matrix;
use datasets::synthetic::Mixture;
use engine::{Collection, Database, ErrorKind, Record, RootKey, Settings, Step};
use lethedb_benches::{Pin, cores};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const DIMENSION: usize = 384;
const ROUNDS: u64 = 5;
/// Records of one round, whatever the batch.
const RECORDS: u64 = 16_000;
const BATCHES: [u64; 3] = [10, 100, 1000];
/// Enough that the first segments are merged.
const STEADY: u64 = 131_072;
const STEADY_BATCH: u64 = 1000;
const SIZES: [u64; 4] = [1024, 4096, 16_384, 65_536];
const QUERIES: u64 = 200;

/// Opens the database in `dir`; one that is not `sealing` keeps everything in the memtable.
fn open(dir: &Path, sealing: bool) -> Result<(Database, Collection)> {
    let whole = usize::MAX / 8;
    let kept =
        Settings { memtable_rows_max: whole, memtable_bytes_max: whole, background: false, ..Settings::default() };
    let settings = if sealing { Settings::default() } else { kept };
    let db = Database::builder(dir).root_key(RootKey::bytes([7; 32])).settings(settings).open()?;
    let docs = db.environment("acme")?.collection("docs").dimension(DIMENSION).open_or_create()?;
    Ok((db, docs))
}

/// Vectors as hard to search as those of `lethedb bench synth`.
fn vectors(count: u64, seed: u64) -> Matrix {
    Mixture::new(DIMENSION, 64, 1.0, 1).flattened(64, 0.25, 2).sample(count as usize, seed)
}

fn records(from: u64, count: u64) -> Vec<Record> {
    let record = |(id, vector): (u64, &[f32])| {
        Record::new(id, vector.to_vec()).entity(format!("user-{}", id % 1000)).payload(json!({ "n": id }))
    };
    (from..).zip(vectors(count, from).rows()).map(record).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// What writing took, the making of records not counted.
#[derive(Default)]
struct Written {
    total: Duration,
    longest: Duration,
    /// Times that a batch was told to come again, because upkeep was behind.
    refused: u64,
}

fn write(docs: &Collection, from: u64, count: u64, batch: u64) -> Result<Written> {
    let mut written = Written::default();
    for batch in records(from, count).chunks(batch as usize) {
        let began = Instant::now();
        while let Err(error) = docs.upsert(batch.to_vec()) {
            if error.kind() != ErrorKind::Busy {
                return Err(error.into());
            }
            written.refused += 1;
        }
        let took = began.elapsed();
        (written.total, written.longest) = (written.total + took, written.longest.max(took));
    }
    Ok(written)
}

fn memtable() -> Result<Value> {
    println!("| batch | records/s into the memtable, one core |");
    println!("|--:|--:|");
    let mut found = Vec::new();
    for batch in BATCHES {
        let dir = tempfile::tempdir()?;
        let (_db, docs) = open(dir.path(), false)?;
        let rate = |round| Ok(RECORDS as f64 / write(&docs, round * RECORDS, RECORDS, batch)?.total.as_secs_f64());
        let rate = median((0..ROUNDS).map(rate).collect::<Result<_>>()?);
        println!("| {batch} | {rate:.0} |");
        found.push(json!({ "batch": batch, "records_per_second": rate }));
    }
    Ok(found.into())
}

fn searching() -> Result<Value> {
    println!("\n| records | search of the memtable, µs | exact, µs | search of the segment, µs | sealed in, s |");
    println!("|--:|--:|--:|--:|--:|");
    let queries = vectors(QUERIES, u64::MAX);
    let mut found = Vec::new();
    for size in SIZES {
        let dir = tempfile::tempdir()?;
        let (db, docs) = open(dir.path(), false)?;
        write(&docs, 0, size, 256)?;
        let micros = |exact| -> Result<f64> {
            let one = |query| {
                let began = Instant::now();
                docs.search(query).exact(exact).with_payload(false).run()?;
                Ok(began.elapsed().as_secs_f64() * 1e6)
            };
            Ok(median(queries.rows().map(one).collect::<Result<_>>()?))
        };
        let (codes, exact) = (micros(false)?, micros(true)?);
        let began = Instant::now();
        db.environment("acme")?.flush()?;
        let (seconds, sealed) = (began.elapsed().as_secs_f64(), micros(false)?);
        println!("| {size} | {codes:.0} | {exact:.0} | {sealed:.0} | {seconds:.1} |");
        found.push(json!({
            "records": size, "memtable_us": codes, "exact_us": exact, "segment_us": sealed, "sealing_seconds": seconds,
        }));
    }
    Ok(found.into())
}

fn steady(what: &str) -> Result<Value> {
    let dir = tempfile::tempdir()?;
    let (db, docs) = open(dir.path(), true)?;
    let began = Instant::now();
    let Written { total, longest, refused } = write(&docs, 0, STEADY, STEADY_BATCH)?;
    let (rate, longest) = (STEADY as f64 / total.as_secs_f64(), longest.as_secs_f64());
    let left = docs.info().memtable_records;
    let env = db.environment("acme")?;
    env.flush()?;
    while env.step()? != Step::Idle {}
    let (whole, segments) = (began.elapsed().as_secs_f64(), docs.info().segments);
    println!("| {what} | {rate:.0} | {longest:.2} | {refused} | {left} | {whole:.1} | {segments} |");
    Ok(json!({
        "where": what, "records_per_second": rate, "longest_write_seconds": longest, "refused": refused,
        "left_in_memtable": left, "seconds_until_all_is_sealed_and_merged": whole, "segments": segments,
    }))
}

fn main() -> Result<()> {
    // Threads that a database starts may run where their maker may.
    let pin = cores().last().and_then(|core| Pin::to(*core));
    let (memtable, searching) = (memtable()?, searching()?);
    println!(
        "\n| with upkeep | records/s | longest write, s | refused | left in memtable | all done after, s | segments |"
    );
    println!("|:--|--:|--:|--:|--:|--:|--:|");
    let one = steady("all on one core")?;
    drop(pin);
    let steady = [one, steady("on all cores")?];
    let found = json!({ "dimension": DIMENSION, "memtable": memtable, "searching": searching, "steady": steady });
    println!("\n{found}");
    Ok(())
}
