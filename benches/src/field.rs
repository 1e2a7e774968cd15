//! The field of a comparison: every index that was built, ours first, and what each of its settings achieved.
//!
//! Invariant: only indexes that can still decide about speed at a recall stay in memory; each row of the report has a
//! process of its own, so that one that crashes takes no other with it. One noun with [`Course`], on which all run.

use std::io;

use datasets::{Dataset, truth};
use engine::Collection;
use serde_json::{Value, json};

use crate::affinity::Pin;
use crate::comparison::{Engine, Index, Latency, OURS, TARGETS, Tried};
use crate::front::contenders;
use crate::measure::Pass;
use crate::ours::search;
use crate::peer::{Description, Peer, PeerError, PeerName, Plan};
use crate::stage::Stage;

/// Passes of a measurement that counts: the first warms the caches, the last is timed.
const PASSES: usize = 2;

/// What all are measured on.
pub struct Course<'a> {
    /// The vectors.
    pub set: &'a Dataset,
    /// The right answers.
    pub neighbors: &'a [Vec<u32>],
    /// Neighbours to ask for and score.
    pub k: usize,
    /// The one core.
    pub core: usize,
    /// Threads that build.
    pub build_threads: usize,
}

/// One setting of a search.
struct Trial {
    label: String,
    setting: Value,
    recall: f64,
    /// Of the first sweep.
    sweep: Timed,
    /// Of the rounds.
    rounds: Vec<Timed>,
}

#[derive(Clone, Copy)]
struct Timed {
    qps: f64,
    latency: Option<Latency>,
}

/// An index and its settings.
pub struct Entry {
    engine: String,
    version: String,
    batched: bool,
    /// Which process holds it under which number; `None` for ours.
    peer: Option<(usize, u64)>,
    is_open: bool,
    /// What the report says about it.
    pub index: Index,
    trials: Vec<Trial>,
}

impl Course<'_> {
    fn recall(&self, found: &[Vec<u32>]) -> f64 {
        truth::recall(self.set.metric, &self.set.train, &self.set.test, self.neighbors, found, self.k, 0.0)
    }

    /// Asks our own `collection` every query with the width `ef`, on the one core.
    fn ask_ours(&self, collection: &Collection, ef: usize) -> engine::Result<(Timed, Pass)> {
        let _pin = Pin::to(self.core);
        let pass = Pass::run(&self.set.test, 1, |query| search(collection, query, self.k, ef))?;
        let [p50_us, p95_us, p99_us] = [50, 95, 99].map(|percent| pass.percentile_us(percent));
        Ok((Timed { qps: pass.qps(), latency: Some(Latency { p50_us, p95_us, p99_us }) }, pass))
    }

    fn ask(
        &self,
        peer: &mut Peer,
        index: u64,
        setting: &Value,
        passes: usize,
    ) -> Result<(Timed, Vec<Vec<u32>>, i64), PeerError> {
        let (searched, found) = peer.search(index, self.k, setting, passes)?;
        let qps = self.set.test.len() as f64 / searched.seconds;
        Ok((Timed { qps, latency: None }, found, searched.rss))
    }

    /// Sweeps our own `collection` over these widths.
    pub fn sweep_ours(&self, collection: &Collection, ef: &[usize]) -> engine::Result<Entry> {
        let trial = |ef: &usize| {
            let (sweep, pass) = self.ask_ours(collection, *ef)?;
            let recall = self.recall(pass.found());
            Ok(Trial { label: format!("ef={ef}"), setting: json!(ef), recall, sweep, rounds: Vec::new() })
        };
        Ok(Entry {
            engine: OURS.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            batched: false,
            peer: None,
            is_open: true,
            index: Index { setting: "default".into(), seconds: None, memory_bytes: 0, disk_bytes: 0 },
            trials: ef.iter().map(trial).collect::<engine::Result<_>>()?,
        })
    }
}

/// Why a row, or a part of it, is missing.
struct Failure {
    engine: String,
    reason: String,
}

/// Everything that was built.
#[derive(Default)]
pub struct Field {
    peers: Vec<Peer>,
    entries: Vec<Entry>,
    failures: Vec<Failure>,
}

impl Field {
    /// Takes in a swept index.
    pub fn enter(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Lets the peer `name` build and sweep all of its grid. `start` starts a process for it.
    pub fn enter_peer(
        &mut self,
        course: &Course<'_>,
        name: &PeerName,
        grid: &str,
        start: &dyn Fn(&PeerName) -> io::Result<Peer>,
    ) {
        let train = &course.set.train;
        let begin = || {
            let mut peer = start(name)?;
            let description = peer.describe(grid, train.len(), train.dimension(), &course.set.metric.to_string())?;
            Ok::<_, PeerError>((peer, description))
        };
        let described = match begin() {
            Ok((_, description)) => description,
            Err(error) => return self.fail(name.as_str(), &error),
        };
        let mut rows: Vec<&str> = described.builds.iter().map(|plan| plan.engine.as_str()).collect();
        rows.dedup();
        for row in rows {
            match begin() {
                Ok((peer, description)) => self.enter_row(course, row, peer, &description),
                Err(error) => self.fail(row, &error),
            }
        }
    }

    /// Lets `peer` build and sweep all of its indexes for one row.
    fn enter_row(&mut self, course: &Course<'_>, row: &str, peer: Peer, description: &Description) {
        let process = self.peers.len();
        self.peers.push(peer);
        for plan in description.builds.iter().filter(|plan| plan.engine == row) {
            match self.sweep(course, process, description, plan) {
                Ok(entry) => self.entries.push(entry),
                Err(PeerError::Refused(reason)) => {
                    self.failures.push(Failure { engine: row.into(), reason: format!("{}: {reason}", plan.label) });
                }
                Err(error) => return self.lose(process, row, &error),
            }
            if let Err(error) = self.release(row) {
                return self.lose(process, row, &error);
            }
        }
    }

    fn sweep(
        &mut self,
        course: &Course<'_>,
        process: usize,
        description: &Description,
        plan: &Plan,
    ) -> Result<Entry, PeerError> {
        let peer = &mut self.peers[process];
        let built = peer.build(&plan.setting, course.build_threads)?;
        let mut memory_bytes = 0;
        let mut trials = Vec::with_capacity(plan.searches.len());
        for effort in &plan.searches {
            let (sweep, found, rss) = course.ask(peer, built.index, &effort.setting, 1)?;
            memory_bytes = rss - built.rss_before;
            let (label, setting) = (effort.label.clone(), effort.setting.clone());
            trials.push(Trial { label, setting, recall: course.recall(&found), sweep, rounds: Vec::new() });
        }
        Ok(Entry {
            engine: plan.engine.clone(),
            version: description.version.clone(),
            batched: description.batched,
            peer: Some((process, built.index)),
            is_open: true,
            index: Index {
                setting: plan.label.clone(),
                seconds: Some(built.seconds),
                memory_bytes,
                disk_bytes: built.disk_bytes,
            },
            trials,
        })
    }

    fn fail(&mut self, engine: &str, error: &PeerError) {
        self.failures.push(Failure { engine: engine.into(), reason: error.to_string() });
    }

    /// Gives up a process, and with it the indexes that it held.
    fn lose(&mut self, process: usize, engine: &str, error: &PeerError) {
        self.fail(engine, error);
        let held = self.entries.iter_mut().filter(|entry| entry.peer.is_some_and(|(holder, _)| holder == process));
        held.for_each(|entry| entry.is_open = false);
    }

    /// The settings of a row that could decide about its speed: entry and trial.
    fn deciding(&self, row: &str) -> Vec<(usize, usize)> {
        let entries = self.entries.iter().enumerate().filter(|(_, entry)| entry.engine == row);
        let all: Vec<(usize, usize)> =
            entries.flat_map(|(number, entry)| (0..entry.trials.len()).map(move |trial| (number, trial))).collect();
        let spot = |(entry, trial): &(usize, usize)| {
            let trial = &self.entries[*entry].trials[*trial];
            (trial.recall, trial.sweep.qps)
        };
        let spots: Vec<_> = all.iter().map(spot).collect();
        let mut chosen: Vec<_> = TARGETS.iter().flat_map(|target| contenders(&spots, *target)).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen.into_iter().map(|at| all[at]).filter(|(entry, _)| self.entries[*entry].is_open).collect()
    }

    /// Drops the indexes of a row that can decide nothing.
    fn release(&mut self, row: &str) -> Result<(), PeerError> {
        let deciding = self.deciding(row);
        for (number, entry) in self.entries.iter_mut().enumerate() {
            if entry.engine == row && entry.is_open && deciding.iter().all(|(decider, _)| *decider != number) {
                entry.is_open = false;
                if let Some((process, index)) = entry.peer {
                    self.peers[process].forget(index)?;
                }
            }
        }
        Ok(())
    }

    /// The rows in the order in which they came.
    fn rows(&self) -> Vec<String> {
        let mut rows: Vec<String> = Vec::new();
        let named = self.entries.iter().map(|entry| &entry.engine);
        for row in named.chain(self.failures.iter().map(|failure| &failure.engine)) {
            if !rows.contains(row) {
                rows.push(row.clone());
            }
        }
        rows
    }

    /// Measures all that could decide, in turns: each round starts elsewhere, and settings of like recall follow each
    /// other, so that what is compared meets the same moment.
    ///
    /// # Errors
    /// Those of our own engine. A peer that fails drops out.
    pub fn race(
        &mut self,
        course: &Course<'_>,
        collection: &Collection,
        rounds: usize,
        progress: &mut dyn FnMut(Stage, u64, u64),
    ) -> engine::Result<()> {
        let mut order: Vec<_> = self.rows().iter().flat_map(|row| self.deciding(row)).collect();
        let recall = |at: &(usize, usize)| self.entries[at.0].trials[at.1].recall;
        order.sort_by(|a, b| recall(a).total_cmp(&recall(b)));
        for round in 0..rounds {
            progress(Stage::Search, round as u64, rounds as u64);
            for at in 0..order.len() {
                let (number, trial) = order[(at + round * order.len() / rounds) % order.len()];
                self.measure(course, collection, number, trial)?;
            }
        }
        Ok(())
    }

    fn measure(
        &mut self,
        course: &Course<'_>,
        collection: &Collection,
        number: usize,
        trial: usize,
    ) -> engine::Result<()> {
        let entry = &mut self.entries[number];
        if !entry.is_open {
            return Ok(());
        }
        let Trial { setting, rounds, .. } = &mut entry.trials[trial];
        let Some((process, index)) = entry.peer else {
            let ef = setting.as_u64().map_or(1, |ef| ef as usize);
            course.ask_ours(collection, ef)?;
            rounds.push(course.ask_ours(collection, ef)?.0);
            return Ok(());
        };
        match course.ask(&mut self.peers[process], index, setting, PASSES) {
            Ok((timed, ..)) => rounds.push(timed),
            Err(error) => {
                let row = entry.engine.clone();
                self.lose(process, &row, &error);
            }
        }
        Ok(())
    }

    /// The rows of the report, judged.
    pub fn engines(&self) -> Vec<Engine> {
        self.rows().iter().map(|row| self.engine(row)).collect()
    }

    fn engine(&self, row: &str) -> Engine {
        let entries: Vec<&Entry> = self.entries.iter().filter(|entry| entry.engine == row).collect();
        let tried = |(build, entry): (usize, &&Entry)| {
            let tried = entry.trials.iter().map(move |trial| {
                let Timed { qps, latency } = median(&trial.rounds).unwrap_or(trial.sweep);
                let (setting, recall) = (trial.label.clone(), trial.recall);
                Tried { build, setting, recall, qps, rounds: trial.rounds.len(), latency }
            });
            tried.collect::<Vec<_>>()
        };
        let failures = self.failures.iter().filter(|failure| failure.engine == row);
        let mut engine = Engine {
            engine: row.into(),
            version: entries.first().map(|entry| entry.version.clone()).unwrap_or_default(),
            batched: entries.first().is_some_and(|entry| entry.batched),
            did_not_run: failures.map(|failure| failure.reason.clone()).collect(),
            builds: entries.iter().map(|entry| entry.index.clone()).collect(),
            points: entries.iter().enumerate().flat_map(tried).collect(),
            at: Vec::new(),
        };
        engine.judge();
        engine
    }
}

/// The pass in the middle by speed; of two the faster.
fn median(passes: &[Timed]) -> Option<Timed> {
    let mut passes = passes.to_vec();
    passes.sort_by(|a, b| a.qps.total_cmp(&b.qps));
    passes.get(passes.len() / 2).copied()
}
