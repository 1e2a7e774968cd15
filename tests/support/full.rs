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
    let probe = |scratch: &Path| Mount::tmpfs("size=64k", scratch.join("disk"));
    let work = || fill(&program()?, seed);
    where_permitted(SUITE, probe, work).map_err(|fault| Violation::of_seed(SUITE, seed, &fault))
}

/// Runs the case that `full/<seed>` names.
///
/// # Errors
/// As [`case`].
pub fn replay(words: &str) -> Outcome {
    replay_seed(SUITE, words, case)
}

/// Fills a disk on which `program` serves.
///
/// # Errors
/// What did not hold, with the last words of the server.
pub fn fill(program: &Path, seed: u64) -> Result<Counts, Fault> {
    let mut rng = StdRng::seed_from_u64(seed);
    let scratch = scratch()?;
    // Every eighth disk has bytes in plenty and few inodes.
    let few_inodes = seed % 8 == 7;
    let options = if few_inodes {
        format!("size=64m,nr_inodes={}", rng.random_range(20..80))
    } else {
        format!("size={}k", rng.random_range(16..1024) * 4)
    };
    let disk = Mount::tmpfs(&options, scratch.path().join("disk"))?;
    let ballast = Ballast { dir: disk.point().join("ballast"), few_inodes };
    let log = scratch.path().join("log");
    let installation = Installation::new(program, disk.point().join("data"), log)?;
    let counts = filled(&installation, &ballast, seed).map_err(|fault| installation.explain(fault))?;
    disk.unmount()?;
    Ok(counts)
}

/// What is in the way until it is removed.
struct Ballast {
    dir: PathBuf,
    few_inodes: bool,
}

impl Ballast {
    /// Takes the rest of the disk.
    fn load(&self) -> std::io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        if self.few_inodes {
            let mut number = 0;
            while File::create(self.dir.join(number.to_string())).is_ok() {
                number += 1;
            }
            return Ok(());
        }
        let mut file = File::create(self.dir.join("0"))?;
        let chunk = vec![1; 4 << 10];
        while file.write(&chunk).is_ok() {}
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
    ballast.load()?;
    acknowledged += until_full(&server, &ledger, &mut rng)?;
    check(&server, &ledger, seed)?;
    let erased = erase(&server, &ledger, &mut rng)?;
    counts.insert(if let Sent::Acknowledged(_) = erased { "erasures on a full disk" } else { "erasures refused" }, 1);
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
