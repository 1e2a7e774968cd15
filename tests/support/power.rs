//! Real power cuts: the server on an ext4 image whose file system is shut down under load, so that what was not synced
//! is lost, journal included. Then it is mounted again, which replays the journal, and must hold what `kill` demands.
//! Proves on the real kernel what the simulated disks assume. Needs root; never part of the tests of CI.
//!
//! An answer that comes once the cut has begun does not count. The kernel may let a sync that is under way then report
//! success (a bare loop of append and fdatasync loses its last line in one cut of eight), which the answer repeats; a
//! machine without power gives none.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;

use crate::case::{Counts, Outcome, Violation, add, replay_seed};
use crate::ledger::Ledger;
use crate::load::{Plan, check, drive, furnish, lock};
use crate::mount::{Breaker, Image, scratch, where_permitted};
use crate::server::{Fault, Installation, Server, program, signal};

const SUITE: &str = "power";
/// Cuts of one case.
const CUTS: u64 = 5;
const IMAGE_BYTES: u64 = 64 << 20;
/// How the file system is mounted: what it promises beyond what is synced differs.
const OPTIONS: [(&str, &str); 3] = [
    ("data=ordered", "cuts, data=ordered"),
    ("noauto_da_alloc", "cuts, noauto_da_alloc"),
    ("data=writeback", "cuts, data=writeback"),
];

/// Cuts the power a few times over.
///
/// # Errors
/// A promise that did not hold.
pub fn case(seed: u64) -> Outcome {
    let probe =
        |scratch: &Path| Image::make(scratch.join("image"), IMAGE_BYTES)?.mount(scratch.join("disk"), OPTIONS[0].0);
    let work = || cuts(&program()?, seed);
    where_permitted(SUITE, probe, work).map_err(|fault| Violation::of_seed(SUITE, seed, &fault))
}

/// Runs the case that `power/<seed>` names.
///
/// # Errors
/// As [`case`].
pub fn replay(words: &str) -> Outcome {
    replay_seed(SUITE, words, case)
}

fn cuts(program: &Path, seed: u64) -> Result<Counts, Fault> {
    let scratch = scratch()?;
    let image = Image::make(scratch.path().join("image"), IMAGE_BYTES)?;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut counts = Counts::new();
    let ledger = Mutex::new(Ledger::default());
    for cut in 0..=CUTS {
        let (options, kind) = OPTIONS[rng.random_range(0..OPTIONS.len())];
        let disk = image.mount(scratch.path().join("disk"), options)?;
        let installation = Installation::new(program, disk.point().join("data"), scratch.path().join("log"))?;
        let done = || -> Result<Counts, Fault> {
            let server = Server::start(&mut installation.command()?)?;
            furnish(&server)?;
            check(&server, &ledger, seed)?;
            if cut == CUTS {
                drop(server);
                installation.verify()?;
                return Ok(Counts::new());
            }
            let breaker = Breaker::new(&disk)?;
            let plan = Plan {
                seed: rng.random(),
                erasing: rng.random_ratio(1, 3),
                answers: rng.random_range(1..60),
                delay: Duration::from_micros(rng.random_range(0..20_000)),
            };
            let strike = || {
                lock(&ledger).freeze();
                breaker.cut()?;
                signal(&server.child, Signal::KILL)
            };
            let mut counts = drive(&server, &ledger, &plan, strike)?;
            counts.insert("cuts", 1);
            counts.insert(kind, 1);
            Ok(counts)
        }();
        add(&mut counts, &done.map_err(|fault| installation.explain(fault))?);
        disk.unmount()?;
    }
    Ok(counts)
}
