//! Readers on real threads against everything that changes what they read: writers, deletes, flush, compaction, the
//! background thread and erasures. Every answer has to be the state of one single commit between the question and the
//! answer; [`crate::history`] decides.

#![allow(clippy::disallowed_methods, reason = "threads are the point")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use engine::{Environment, Settings};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::backend::Memory;

use crate::case::{Outcome, Violation, replay_seed};
use crate::groups::{Groups, open};
use crate::world::{in_memory, small_settings};

const READERS: u64 = 8;
const WRITERS: u64 = 3;
const GROUPS: u64 = 6;
const ROUNDS: u64 = 40;

/// One run whose work `seed` decides; how the threads meet is the machine's.
///
/// # Errors
/// An answer that is no state, or an operation that failed.
pub fn case(seed: u64) -> Outcome {
    run(seed).map_err(|what| Violation { suite: "readers", what, replay: format!("readers/{seed}") })
}

/// Runs again what `readers/…` names; how the threads meet may differ.
///
/// # Errors
/// As [`case`], or that the words name nothing.
pub fn replay(words: &str) -> Outcome {
    replay_seed("readers", words, case)
}

fn run(seed: u64) -> Result<crate::case::Counts, String> {
    let memory = Memory::new();
    let told = |error: engine::Error| error.to_string();
    // Without a graph even the search by codes finds every record.
    let settings = Settings { background: true, flat_below: usize::MAX, ..small_settings() };
    let db = in_memory(&memory, seed).settings(settings).open().map_err(told)?;
    let (env, docs) = open(&db, "docs").map_err(told)?;
    let docs = Groups::new(docs, GROUPS);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (docs, env, done) = (&docs, &env, &done);
        let mut watching: Vec<_> =
            (0..READERS).map(|reader| scope.spawn(move || until(done, |turn| docs.read(reader + turn)))).collect();
        watching.push(scope.spawn(move || until(done, |turn| upkeep(env, turn).map_err(told))));
        let mut working: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(docs, writer, seed))).collect();
        working.push(scope.spawn(move || (0..ROUNDS / 2).try_for_each(|turn| docs.erase(env, turn))));
        let worked: Vec<_> = working.into_iter().map(|thread| thread.join()).collect();
        done.store(true, Ordering::Relaxed);
        for watched in watching {
            watched.join().map_err(|_| "a reader panicked")??;
        }
        for ended in worked {
            ended.map_err(|_| "a writer panicked")?.map_err(told)?;
        }
        Ok::<_, String>(())
    })?;
    (0..5).try_for_each(|way| docs.read(way))?;
    let problems = env.verify().map_err(told)?.problems;
    if !problems.is_empty() {
        return Err(format!("verify found {problems:?}"));
    }
    db.close().map_err(told)?;
    let db = in_memory(&memory, seed + 1).open().map_err(told)?;
    docs.read_after_restart(&open(&db, "docs").map_err(told)?.1)?;
    docs.history.check()
}

/// Does `act` until there is nothing more to watch; others go first, because writers are what there is to watch.
fn until(done: &AtomicBool, act: impl Fn(u64) -> Result<(), String>) -> Result<(), String> {
    let turns = (0..).take_while(|_| !done.load(Ordering::Relaxed)).inspect(|_| thread::yield_now());
    turns.into_iter().try_for_each(act)
}

fn upkeep(env: &Environment, turn: u64) -> engine::Result<()> {
    match turn % 3 {
        0 => env.flush(),
        1 => env.step().map(|_| ()),
        _ => env.compact(),
    }
}

fn write(docs: &Groups, writer: u64, seed: u64) -> engine::Result<()> {
    let mut rng = StdRng::seed_from_u64(seed ^ writer);
    (0..ROUNDS).try_for_each(|round| {
        let (group, version) = (rng.random_range(0..GROUPS), writer * ROUNDS + round);
        if rng.random_ratio(1, 5) { docs.delete(group) } else { docs.write(group, version).map(|_| ()) }
    })
}
