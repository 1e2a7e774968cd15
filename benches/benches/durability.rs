//! What durability costs: writes a second with group commit against a bare loop of append and fdatasync of the same
//! bytes on the same disk, in turns; and how long opening takes after a process that never flushed, with a hundred
//! segments, and with a thousand environments. Syncs are counted beside the time, since they are what a disk charges for.
//!
//! `TMPDIR` says on which disk. Prints tables, then all of it as one line of JSON.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "measures a disk and prints what it found")]

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::{Collection, Database, Record, RootKey, Settings};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use storage::backend::{Disk, LockError, LogFile, Region, StorageBackend};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const DIMENSION: usize = 384;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const LOGGED: u64 = 100_000;
const SEGMENTS: u64 = 100;
const SEGMENT_ROWS: u64 = 200;
const ENVIRONMENTS: u64 = 1_000;
const OPENINGS: usize = 3;

/// What was asked of a disk.
#[derive(Default)]
struct Asked {
    syncs: AtomicU64,
    bytes: AtomicU64,
}

impl Asked {
    fn sync(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self) -> (u64, u64) {
        (self.syncs.swap(0, Ordering::Relaxed), self.bytes.swap(0, Ordering::Relaxed))
    }
}

/// The real disk, with what is asked of it counted.
struct Counting {
    disk: Disk,
    asked: Arc<Asked>,
}

struct CountingLog {
    file: Box<dyn LogFile>,
    asked: Arc<Asked>,
}

impl LogFile for CountingLog {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.asked.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.asked.sync();
        self.file.sync()
    }

    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl StorageBackend for Counting {
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(CountingLog { file: self.disk.create(path)?, asked: Arc::clone(&self.asked) }))
    }

    fn set_aside(&self, path: &str, bytes: u64) -> io::Result<()> {
        self.disk.set_aside(path, bytes)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.disk.read(path)
    }

    fn map(&self, path: &str) -> io::Result<Region> {
        self.disk.map(path)
    }

    fn len(&self, path: &str) -> io::Result<u64> {
        self.disk.len(path)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.asked.sync();
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &str) -> std::result::Result<Box<dyn Send + Sync>, LockError> {
        self.disk.lock(path)
    }

    fn wipe(&self, path: &str) -> io::Result<()> {
        self.asked.sync();
        self.disk.wipe(path)
    }
}

/// Opens the database in `dir`, which flushes only when told to.
fn open(dir: &Path) -> Result<(Database, Arc<Asked>)> {
    let asked = Arc::new(Asked::default());
    let backend = Counting { disk: Disk::open(dir)?, asked: Arc::clone(&asked) };
    let settings = Settings {
        memtable_rows_max: usize::MAX / 8,
        memtable_bytes_max: usize::MAX / 8,
        background: false,
        ..Settings::default()
    };
    let builder = Database::builder(dir).backend(Arc::new(backend)).settings(settings);
    Ok((builder.root_key(RootKey::bytes([7; 32])).open()?, asked))
}

fn docs(db: &Database) -> Result<Collection> {
    Ok(db.environment("acme")?.collection("docs").dimension(DIMENSION).open_or_create()?)
}

fn records(seed: u64, count: u64) -> Vec<Record> {
    let mut rng = StdRng::seed_from_u64(seed);
    let record = |id: u64| {
        let vector = (0..DIMENSION).map(|_| rng.random_range(-1.0..1.0)).collect();
        Record::new(seed * 1_000_000 + id, vector).entity(format!("user-{}", id % 1000)).payload(json!({ "n": id }))
    };
    (0..count).map(record).collect()
}

/// Writes a second, syncs and bytes for each write.
struct Rate {
    writes: f64,
    syncs: f64,
    bytes: f64,
}

fn group_commit(writers: u64) -> Result<Rate> {
    let dir = tempfile::tempdir()?;
    let (db, asked) = open(dir.path())?;
    let docs = docs(&db)?;
    let pools: Vec<_> = (0..writers).map(|writer| records(writer, 1024 / writers)).collect();
    docs.upsert(records(writers, 1))?;
    asked.take();
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    let write = |pool: Vec<Record>| -> engine::Result<u64> {
        let mut written = 0;
        while !stop.load(Ordering::Relaxed) {
            docs.upsert([pool[written as usize % pool.len()].clone()])?;
            written += 1;
        }
        Ok(written)
    };
    let written = std::thread::scope(|scope| {
        let threads: Vec<_> = pools.into_iter().map(|pool| scope.spawn(|| write(pool))).collect();
        std::thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(0))).sum::<engine::Result<u64>>()
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let (syncs, bytes) = asked.take();
    let (written, syncs, bytes) = (written as f64, syncs as f64, bytes as f64);
    Ok(Rate { writes: written / seconds, syncs: syncs / written, bytes: bytes / written })
}

/// Appends of `bytes`, each followed by fdatasync, a second; a file of the disk adds nothing to these two calls.
fn bare(bytes: usize) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let mut file = Disk::open(dir.path())?.create("log")?;
    let line = vec![5; bytes];
    let (began, mut written) = (Instant::now(), 0.0);
    while began.elapsed() < ROUND {
        file.append(&line)?;
        file.sync()?;
        written += 1.0;
    }
    Ok(written / began.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn writing() -> Result<Value> {
    println!("| writers | writes/s | append + fdatasync/s | ratio | syncs/write | bytes/write |");
    println!("|--:|--:|--:|--:|--:|--:|");
    let mut found = Vec::new();
    for writers in [1, 8, 64] {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let rate = group_commit(writers)?;
            let bare = bare(rate.bytes as usize)?;
            rounds.push((rate, bare));
        }
        let of = |value: fn(&(Rate, f64)) -> f64| median(rounds.iter().map(value).collect());
        let (writes, bare, ratio) =
            (of(|(rate, _)| rate.writes), of(|(_, bare)| *bare), of(|(r, bare)| r.writes / bare));
        let (syncs, bytes) = (of(|(rate, _)| rate.syncs), of(|(rate, _)| rate.bytes));
        println!("| {writers} | {writes:.0} | {bare:.0} | {ratio:.2} | {syncs:.3} | {bytes:.0} |");
        found.push(json!({
            "writers": writers, "writes_per_second": writes, "append_fdatasync_per_second": bare,
            "ratio": ratio, "syncs_per_write": syncs, "bytes_per_write": bytes,
        }));
    }
    Ok(found.into())
}

/// Opens the database in `dir` a few times, each time for `work`; tells the median.
fn opening(what: &str, dir: &Path, work: impl Fn(&Database) -> Result<()>) -> Result<Value> {
    let mut seconds = Vec::new();
    let mut asked = (0, 0);
    for _ in 0..OPENINGS {
        let began = Instant::now();
        let (db, counts) = open(dir)?;
        work(&db)?;
        seconds.push(began.elapsed().as_secs_f64());
        asked = counts.take();
    }
    let (seconds, (syncs, bytes)) = (median(seconds), asked);
    println!("| {what} | {:.1} | {syncs} | {:.1} |", seconds * 1e3, bytes as f64 / 1e6);
    Ok(json!({ "what": what, "seconds": seconds, "syncs": syncs, "bytes_written": bytes }))
}

fn opened_one(db: &Database) -> Result<()> {
    docs(db).map(drop)
}

fn opened_all(db: &Database) -> Result<()> {
    db.environments()?.iter().try_for_each(|name| Ok(db.environment(name).map(drop)?))
}

fn openings() -> Result<Value> {
    println!("\n| opening | ms | syncs | MB written |");
    println!("|:--|--:|--:|--:|");
    let dir = tempfile::tempdir()?;
    let logged = docs(&open(dir.path())?.0)?;
    for batch in 0..LOGGED / 1000 {
        logged.upsert(records(batch, 1000))?;
    }
    drop(logged);
    let mut found = vec![opening(&format!("a log of {LOGGED} records"), dir.path(), opened_one)?];
    let dir = tempfile::tempdir()?;
    let db = open(dir.path())?.0;
    for segment in 0..SEGMENTS {
        docs(&db)?.upsert(records(segment, SEGMENT_ROWS))?;
        db.environment("acme")?.flush()?;
    }
    drop(db);
    found.push(opening(&format!("{SEGMENTS} segments"), dir.path(), opened_one)?);
    let dir = tempfile::tempdir()?;
    let db = open(dir.path())?.0;
    for number in 0..ENVIRONMENTS {
        let env = db.environment(&format!("tenant-{number}"))?;
        env.collection("docs").dimension(DIMENSION).open_or_create()?.upsert(records(number, 1))?;
        env.flush()?;
    }
    drop(db);
    found.push(opening(&format!("one of {ENVIRONMENTS} environments"), dir.path(), |db| {
        Ok(db.open_environment("tenant-7").map(drop)?)
    })?);
    found.push(opening(&format!("all of {ENVIRONMENTS} environments"), dir.path(), opened_all)?);
    Ok(found.into())
}

fn main() -> Result<()> {
    let found = json!({ "dimension": DIMENSION, "writing": writing()?, "opening": openings()? });
    println!("\n{found}");
    Ok(())
}
