//! `bench audit`: how long it takes to check the account of what was done, by how many events it has.
//!
//! Invariant: the log is told as a user's is, one event a search, in an encrypted store on disk, which is closed and opened
//! again before anything is checked; the file is checked with the public key alone. No background thread works.
#![expect(clippy::disallowed_methods, reason = "measures time, writes an export and reads it")]

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

use engine::{AuditCheck, AuditReads, Metric, RootKey, Settings};
use serde::Serialize;

use crate::bandwidth::Bandwidth;
use crate::machine::Machine;
use crate::runner::RunError;
use crate::stage::Stage;
use crate::store;

/// The collection that is searched: without records, since they are not what is measured.
const COLLECTION: &str = "audit";
/// Searches at once, whose events share a sync.
const BATCH: u64 = 256;

/// What to measure.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// Events to tell, at least 1.
    pub events: u64,
    /// Where the store gets a directory of its own; the system's temporary directory if absent.
    pub folder: Option<PathBuf>,
}

/// What it took, in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Audited {
    /// `lethedb`.
    pub engine: &'static str,
    /// Its version.
    pub version: &'static str,
    /// On what it was measured.
    pub machine: Machine,
    /// How many events the log had when it was checked.
    pub events: u64,
    /// Bytes of its files on disk.
    pub disk_bytes: u64,
    /// Telling them, so many with one sync.
    pub tell_seconds: f64,
    /// How many share a sync.
    pub batch: u64,
    /// Opening the store, which reads the newest block.
    pub open_seconds: f64,
    /// Reading every event from the disk, opening and hashing it, and holding it against every signed checkpoint.
    pub verify_seconds: f64,
    /// The same in slices, as the background thread does it, without its rests.
    pub patrol_seconds: f64,
    /// Writing all of it as lines of JSON.
    pub export_seconds: f64,
    /// Bytes of that file.
    pub export_bytes: u64,
    /// Checking that file with the public key alone.
    pub offline_seconds: f64,
}

/// Runs the measurement that `options` describe. `progress` hears what is done: stage, steps done, steps in all.
pub fn audit(options: &AuditOptions, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<Audited, RunError> {
    let folder = store::folder(options.folder.as_deref(), "lethedb-audit-")?;
    let settings = Settings { background: false, audit_reads: AuditReads::Each, ..Settings::default() };
    // What is deleted at the end needs no secret.
    let open = || store::open_with(&folder.path().join("data"), RootKey::bytes([0; 32]), settings.clone());
    let tell_seconds = told(&open()?, options.events, progress)?;
    let (opened, open_seconds) = timed(|| open().map_err(RunError::from))?;
    let env = &opened.environment;
    let (report, verify_seconds) = timed(|| Ok(env.verify_audit(true)?))?;
    let ((), patrol_seconds) = timed(|| {
        while !env.patrol_audit()? {
            progress(Stage::Verify, env.audit_watch()?.0.through, report.through);
        }
        match env.audit_watch()?.0.fault {
            Some(_) => Err(RunError::Faulty),
            None => Ok(()),
        }
    })?;
    let path = folder.path().join("export.jsonl");
    let ((), export_seconds) = timed(|| {
        let mut file = BufWriter::new(File::create_new(&path)?);
        for lines in env.export_audit()? {
            file.write_all(lines?.as_bytes())?;
        }
        Ok(file.flush()?)
    })?;
    let key = env.receipt_key();
    let ((), offline_seconds) = timed(|| {
        let mut check = AuditCheck::new(Some(key));
        for line in BufReader::new(File::open(&path)?).lines() {
            check.line(&line?)?;
        }
        check.finish()?;
        Ok(())
    })?;
    let export_bytes = path.metadata()?.len();
    opened.database.close()?;
    let mut disk_bytes = 0;
    for entry in store::path(&folder.path().join("data"), "audit").read_dir()? {
        disk_bytes += entry?.metadata()?.len();
    }
    folder.close()?;
    Ok(Audited {
        engine: "lethedb",
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::measure(1, &Bandwidth::new()),
        events: report.through,
        disk_bytes,
        tell_seconds,
        batch: BATCH,
        open_seconds,
        verify_seconds,
        patrol_seconds,
        export_seconds,
        export_bytes,
        offline_seconds,
    })
}

/// Tells events and closes the store; gives the seconds that the telling took.
fn told(store: &store::Store, events: u64, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<f64, RunError> {
    let docs = store.environment.collection(COLLECTION).dimension(1).metric(Metric::L2).open_or_create()?;
    let ((), seconds) = timed(|| {
        let mut told = 0;
        while told < events {
            progress(Stage::Tell, told, events);
            let count = BATCH.min(events - told);
            docs.search_batch((0..count).map(|_| docs.search(&[0.0])))?;
            told += count;
        }
        Ok(())
    })?;
    store.database.clone().close()?;
    Ok(seconds)
}

fn timed<T>(work: impl FnOnce() -> Result<T, RunError>) -> Result<(T, f64), RunError> {
    let begun = Instant::now();
    Ok((work()?, begun.elapsed().as_secs_f64()))
}

impl fmt::Display for Audited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |seconds: f64| seconds * 1e6 / self.events.max(1) as f64;
        let mut row =
            |what: &str, seconds: f64| writeln!(f, "{what:<24} {seconds:>9.3} s  {:>7.3} µs an event", of(seconds));
        row("told", self.tell_seconds)?;
        row("opened", self.open_seconds)?;
        row("verified", self.verify_seconds)?;
        row("verified in slices", self.patrol_seconds)?;
        row("exported", self.export_seconds)?;
        row("checked offline", self.offline_seconds)?;
        let Self { events, disk_bytes, export_bytes, batch, .. } = self;
        write!(f, "{events} events: {disk_bytes} bytes on disk, {export_bytes} exported; {batch} told with one sync")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_and_checks_as_many_as_it_was_asked_for() {
        let found = audit(&AuditOptions { events: 1500, folder: None }, &mut |_, _, _| {}).unwrap();
        // That it was opened, twice, that the collection was made, the searches, and that it was verified.
        assert_eq!(found.events, 1504);
        assert!(found.export_bytes > found.disk_bytes / 2 && found.to_string().contains("1504 events"));
    }
}
