//! A disk that is full: the server on a tmpfs of a given size, filled until it refuses writes. What it acknowledged is
//! there and can be read, a person can be erased all the same, writes resume by themselves once there is room, and
//! nothing is lost when it opens again. Also where inodes run out and not bytes. Needs root.

#![allow(clippy::disallowed_methods, reason = "fills a file system beside the real server")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::case::{Counts, Outcome, Violation, replay_seed};
use crate::ledger::Ledger;
use crate::load::{Sent, check, erase, furnish, write};
use crate::mount::{Mount, scratch, where_permitted};
use crate::server::{Fault, Installation, Server, program};

const SUITE: &str = "full";
/// Writes until any of the disks here must be full.
const WRITES_MAX: u64 = 20_000;
/// Writes that must succeed once there is room.
const WRITES_AFTER: u64 = 50;

/// Fills a disk of a size that the seed decides.
///
/// # Errors
/// A promise that did not hold.
pub fn case(seed: u64) -> Outcome {
    let outcome = program().and_then(|program| fill(&program, seed));
    outcome.map_err(|fault| Violation::of_seed(SUITE, seed, &fault))
}

/// Runs the case that `full/<seed>` names.
///
/// # Errors
/// As [`case`].
pub fn replay(words: &str) -> Outcome {
    replay_seed(SUITE, words, case)
}

/// Fills a disk on which `program` serves, where mounting one is permitted.
///
/// # Errors
/// What did not hold, with the last words of the server.
pub fn fill(program: &Path, seed: u64) -> Result<Counts, Fault> {
    let probe = |scratch: &Path| Mount::tmpfs("size=64k", scratch.join("disk"));
    where_permitted(SUITE, probe, || disk(program, seed))
}

fn disk(program: &Path, seed: u64) -> Result<Counts, Fault> {
    let mut rng = StdRng::seed_from_u64(seed);
    let scratch = scratch()?;
    // Every eighth disk has bytes in plenty and few inodes.
    let few_inodes = seed % 8 == 7;
    let (options, half) = if few_inodes {
        let inodes = rng.random_range(40..160);
        (format!("size=64m,nr_inodes={inodes}"), inodes / 2)
    } else {
        let pages = rng.random_range(768..2048);
        (format!("size={}k", pages * 4), pages / 2)
    };
    let disk = Mount::tmpfs(&options, scratch.path().join("disk"))?;
    let ballast = Ballast { dir: disk.point().join("ballast"), few_inodes };
    ballast.load(half)?;
    let log = scratch.path().join("log");
    let installation = Installation::new(program, disk.point().join("data"), log)?;
    let counts = filled(&installation, &ballast, seed).map_err(|fault| installation.explain(fault))?;
    disk.unmount()?;
    Ok(counts)
}

/// The smallest piece of a tmpfs.
const PAGE: [u8; 4096] = [1; 4096];

/// What is in the way until it is removed.
struct Ballast {
    dir: PathBuf,
    few_inodes: bool,
}

impl Ballast {
    /// Takes so many inodes, or pages, or as many as there are.
    fn load(&self, most: u64) -> std::io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let mut taken = 0;
        if self.few_inodes {
            while taken < most && File::create_new(self.dir.join(format!("{most} {taken}"))).is_ok() {
                taken += 1;
            }
            return Ok(());
        }
        let mut file = File::create_new(self.dir.join(most.to_string()))?;
        while taken < most && file.write(&PAGE).is_ok() {
            taken += 1;
        }
        Ok(())
    }

    fn remove(&self) -> std::io::Result<()> {
        fs::remove_dir_all(&self.dir)
    }
}

fn filled(installation: &Installation, ballast: &Ballast, seed: u64) -> Result<Counts, Fault> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut counts: Counts =
        [(if ballast.few_inodes { "disks out of inodes" } else { "disks out of bytes" }, 1)].into();
    let ledger = Mutex::new(Ledger::default());
    let Some(server) = begin(installation)? else {
        counts.insert("disks too small to begin", 1);
        return Ok(counts);
    };
    let mut acknowledged = 0;
    for _ in 0..rng.random_range(0..300) {
        if let Sent::Refused { .. } = write(&server, &ledger, &mut rng)? {
            break;
        }
        acknowledged += 1;
    }
    ballast.load(u64::MAX)?;
    acknowledged += until_full(&server, &ledger, &mut rng)?;
    check(&server, &ledger, seed)?;
    match erase(&server, &ledger, &mut rng)? {
        Sent::Acknowledged(_) => _ = counts.insert("erasures on a full disk", 1),
        // The room set aside holds bytes; it is one inode.
        Sent::Refused { .. } if ballast.few_inodes => _ = counts.insert("erasures refused for want of inodes", 1),
        Sent::Refused { code } => return Err(format!("an erasure on a full disk is refused: {code}").into()),
    }
    check(&server, &ledger, seed)?;
    ballast.remove()?;
    for _ in 0..WRITES_AFTER {
        match write(&server, &ledger, &mut rng)? {
            Sent::Acknowledged(_) => acknowledged += 1,
            Sent::Refused { code } if code == "busy" => {}
            Sent::Refused { code } => return Err(format!("there is room, and a write is refused: {code}").into()),
        }
    }
    check(&server, &ledger, seed)?;
    drop(server);
    let server = Server::start(&mut installation.command()?)?;
    check(&server, &ledger, seed)?;
    drop(server);
    installation.verify()?;
    counts.insert("acknowledged batches", acknowledged);
    Ok(counts)
}

/// The server with its collection; none if the disk has no room even for that and it says so.
fn begin(installation: &Installation) -> Result<Option<Server>, Fault> {
    let server = match Server::start(&mut installation.command()?) {
        Ok(server) => server,
        Err(fault) if fault.to_string().contains("exit status: 1") => return Ok(None),
        Err(fault) => return Err(fault),
    };
    match furnish(&server) {
        Ok(()) => Ok(Some(server)),
        Err(fault) if fault.to_string().contains("507") => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Writes until a write is refused because the disk is full, or upkeep that needs room makes no progress.
fn until_full(server: &Server, ledger: &Mutex<Ledger>, rng: &mut StdRng) -> Result<u64, Fault> {
    for acknowledged in 0..WRITES_MAX {
        if let Sent::Refused { .. } = write(server, ledger, rng)? {
            return Ok(acknowledged);
        }
    }
    Err("the disk is full and no write is refused".into())
}
