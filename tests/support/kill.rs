//! SIGKILL of the real server under load: during writes, flushes, compactions, erasures, shutdown, and the recovery
//! from the kill before. Every acknowledged write is there, bit for bit; an unanswered batch is whole or absent; an
//! erased person is gone from every read; in the end `lethedb verify` finds nothing.

#![allow(clippy::disallowed_methods, reason = "starts and kills the real server")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;

use crate::case::{Counts, Outcome, Violation, add, replay_seed};
use crate::ledger::Ledger;
use crate::load::{Plan, check, drive, furnish};
use crate::server::{Fault, Installation, Server, program, signal, spawn};

const SUITE: &str = "kill";
/// Kills of one case.
const KILLS: u64 = 5;

/// Kills the server that stands beside the running program a few times over.
///
/// # Errors
/// A promise that did not hold.
pub fn case(seed: u64) -> Outcome {
    let outcome = program().and_then(|program| kill(&program, seed));
    outcome.map_err(|fault| Violation::of_seed(SUITE, seed, &fault))
}

/// Runs the case that `kill/<seed>` names.
///
/// # Errors
/// As [`case`].
pub fn replay(words: &str) -> Outcome {
    replay_seed(SUITE, words, case)
}

/// Kills `program` a few times over on a data directory of its own.
///
/// # Errors
/// What did not hold, with the last words of the server.
pub fn kill(program: &Path, seed: u64) -> Result<Counts, Fault> {
    let scratch = tempfile::tempdir()?;
    let installation = Installation::new(program, scratch.path().join("data"), scratch.path().join("log"))?;
    cycles(&installation, seed).map_err(|fault| installation.explain(fault))
}

fn cycles(installation: &Installation, seed: u64) -> Result<Counts, Fault> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut counts = Counts::new();
    let ledger = Mutex::new(Ledger::default());
    let mut kills = 0;
    while kills < KILLS {
        let server = Server::start(&mut installation.command()?)?;
        furnish(&server)?;
        let plan = Plan {
            seed: rng.random(),
            erasing: rng.random_ratio(1, 2),
            answers: rng.random_range(1..120),
            delay: Duration::from_micros(rng.random_range(0..20_000)),
        };
        let gently = rng.random_ratio(1, 8);
        let strike = || {
            if plan.erasing {
                wait_for_a_job(&installation.data)?;
                std::thread::sleep(plan.delay / 2);
            }
            if gently {
                signal(&server.child, Signal::TERM)?;
                std::thread::sleep(plan.delay / 4);
            }
            signal(&server.child, Signal::KILL)
        };
        add(&mut counts, &drive(&server, &ledger, &plan, strike)?);
        drop(server);
        kills += 1;
        let left = Remains::of(&installation.data)?;
        while rng.random_ratio(1, 3) {
            kill_while_recovering(installation, Duration::from_micros(rng.random_range(0..60_000)))?;
            *counts.entry("kills amid recovery").or_default() += 1;
            kills += 1;
        }
        let server = Server::start(&mut installation.command()?)?;
        check(&server, &ledger, seed)?;
        *counts.entry(left.tell(&Remains::of(&installation.data)?)).or_default() += 1;
    }
    installation.verify()?;
    counts.insert("kills", kills);
    Ok(counts)
}

/// Looks a while for the job that an erasure leaves until it is done, so that more kills meet one.
fn wait_for_a_job(data: &Path) -> std::io::Result<()> {
    for _ in 0..200 {
        if fs::read_dir(data.join("env/default/jobs"))?.next().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}

/// Kills a server that has just been started, wherever it is by then.
fn kill_while_recovering(installation: &Installation, after: Duration) -> Result<(), Fault> {
    let mut child = spawn(&mut installation.command()?)?;
    std::thread::sleep(after);
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Files that tell what a server was doing when it died.
struct Remains {
    jobs: usize,
    logs: usize,
    rows: BTreeSet<OsString>,
}

impl Remains {
    fn of(data: &Path) -> Result<Self, Fault> {
        let list = |room: &str| -> std::io::Result<BTreeSet<OsString>> {
            fs::read_dir(data.join("env/default").join(room))?.map(|entry| Ok(entry?.file_name())).collect()
        };
        let mut rows = list("seg")?;
        rows.retain(|name| Path::new(name).extension().is_some_and(|kind| kind == "rec"));
        let mut jobs = list("jobs")?;
        jobs.retain(|name| Path::new(name).extension().is_some_and(|kind| kind == "job"));
        Ok(Self { jobs: jobs.len(), logs: list("wal")?.len(), rows })
    }

    /// What a kill came amid, seen from what recovery left of its remains.
    fn tell(&self, recovered: &Self) -> &'static str {
        if self.jobs > 0 {
            "kills amid an erasure"
        } else if !self.rows.is_subset(&recovered.rows) {
            "kills amid a rewrite"
        } else if self.logs > 1 {
            "kills amid a flush"
        } else {
            "kills amid writes"
        }
    }
}
