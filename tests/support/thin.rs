//! A disk that promises space it does not have: an ext4 image on a tmpfs that fills up. Writes succeed, a sync fails,
//! and the next sync would succeed although bytes are gone. The server must answer that its log is poisoned, and
//! acknowledge nothing ever after, also once there is space again. What it acknowledged before the disk ran out is there
//! when the image is mounted again. Needs root; never part of the tests of CI.
//!
//! An answer that comes once the disk is running out does not count, and an image that cannot be mounted any more is no
//! finding: where several files are being synced while ext4 aborts its journal, the kernel itself lets some of these
//! syncs report success and lose their bytes, and now and then the whole file system, as a bare loop of append and
//! fdatasync on four files shows.

#![allow(clippy::disallowed_methods, reason = "fills a file system beside the real server")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use serde_json::json;

use crate::case::{Counts, Outcome, Violation, replay_seed};
use crate::ledger::Ledger;
use crate::load::{Plan, check, drive, furnish, lock};
use crate::mount::{Image, Mount, scratch, where_permitted};
use crate::server::{Fault, Installation, Server, program, signal};

const SUITE: &str = "thin";
/// What the image may take, and what there is for it.
const IMAGE_BYTES: u64 = 64 << 20;
const BACKING: &str = "size=24m";
/// Writes until the disk must have run out.
const WRITES_MAX: u32 = 20_000;
/// Writes tried after that.
const WRITES_AFTER: u32 = 20;
const PROBE: &str = "/v1/collections/probe";

/// Lets the disk run out under load, once.
///
/// # Errors
/// A promise that did not hold.
pub fn case(seed: u64) -> Outcome {
    let probe = |scratch: &Path| Image::make(scratch.join("image"), IMAGE_BYTES)?.mount(scratch.join("disk"), "rw");
    let work = || run_out(&program()?, seed);
    where_permitted(SUITE, probe, work).map_err(|fault| Violation::of_seed(SUITE, seed, &fault))
}

/// Runs the case that `thin/<seed>` names.
///
/// # Errors
/// As [`case`].
pub fn replay(words: &str) -> Outcome {
    replay_seed(SUITE, words, case)
}

fn run_out(program: &Path, seed: u64) -> Result<Counts, Fault> {
    let scratch = scratch()?;
    let backing = Mount::tmpfs(BACKING, scratch.path().join("backing"))?;
    let image = Image::make(backing.point().join("image"), IMAGE_BYTES)?;
    let log = scratch.path().join("log");
    let ledger = Mutex::new(Ledger::default());
    let disk = image.mount(scratch.path().join("disk"), "rw")?;
    let installation = Installation::new(program, disk.point().join("data"), log)?;
    let ballast = backing.point().join("ballast");
    let mut counts = under_load(&installation, &ledger, &ballast, seed).map_err(|fault| installation.explain(fault))?;
    disk.unmount()?;
    let Ok(disk) = image.mount(scratch.path().join("disk"), "rw") else {
        counts.insert("file systems lost by the kernel", 1);
        return Ok(counts);
    };
    let back = || {
        let server = Server::start(&mut installation.command()?)?;
        check(&server, &ledger, seed)?;
        drop(server);
        installation.verify()
    };
    back().map_err(|fault| installation.explain(fault))?;
    disk.unmount()?;
    backing.unmount()?;
    Ok(counts)
}

fn under_load(installation: &Installation, ledger: &Mutex<Ledger>, ballast: &Path, seed: u64) -> Result<Counts, Fault> {
    let mut rng = StdRng::seed_from_u64(seed);
    let server = Server::start(&mut installation.command()?)?;
    furnish(&server)?;
    server.ok("PUT", PROBE, &json!({ "dimension": 2, "metric": "l2" }))?;
    let plan = Plan {
        seed: rng.random(),
        erasing: false,
        answers: rng.random_range(1..60),
        delay: Duration::from_micros(rng.random_range(0..20_000)),
    };
    let left = rng.random_range(0..256 << 10);
    let mut outcome = Ok(0);
    let strike = || {
        lock(ledger).freeze();
        fill(ballast, left)?;
        outcome = poisoned_for_good(&server, ballast);
        signal(&server.child, Signal::KILL)
    };
    let mut counts = drive(&server, ledger, &plan, strike)?;
    counts.insert("failed syncs", 1);
    counts.insert("writes taken on an empty promise", outcome?);
    Ok(counts)
}

/// Fills the file system that `ballast` is on, but for `left` bytes.
fn fill(ballast: &Path, left: u64) -> std::io::Result<()> {
    let mut file = File::create(ballast)?;
    let chunk = vec![1; 64 << 10];
    while file.write(&chunk).is_ok() {}
    file.set_len(file.metadata()?.len().saturating_sub(left))
}

/// Writes until a sync fails; then makes room and writes more, all of which must be refused. Returns how many were
/// acknowledged before.
fn poisoned_for_good(server: &Server, ballast: &Path) -> Result<u64, Fault> {
    let path = format!("{PROBE}/records");
    let payload = "x".repeat(1000);
    let write = |id: u32| {
        let record = json!({ "id": id, "vector": [1, id], "payload": payload });
        server.json("PUT", &path, &json!({ "records": [record] })).ok_or("the server gives no answer")
    };
    let taken = |id| -> Result<bool, Fault> {
        Ok(!matches!(write(id)?, (503, answer) if answer["code"] == "storage_poisoned"))
    };
    let mut acknowledged = 0;
    while taken(acknowledged)? {
        acknowledged += 1;
        if acknowledged == WRITES_MAX {
            return Err("the disk ran out and no write was refused".into());
        }
    }
    fs::remove_file(ballast)?;
    for id in 0..WRITES_AFTER {
        let (status, answer) = write(id)?;
        if status == 200 {
            return Err("a write was acknowledged after a sync had failed".into());
        }
        if answer["code"] != "storage_poisoned" {
            return Err(format!("after a failed sync: {status} {answer}").into());
        }
    }
    Ok(acknowledged.into())
}
