//! `bench compare`: other engines beside ours on one pinned core, in turns.
//!
//! Invariant: all answer the same queries on the same core, one at a time, and one scorer judges them; whoever is not
//! timed waits for its next command. First every setting of every index is swept once; then those that could decide
//! about speed at a recall are measured in rounds, each round in another order, so that a disturbance of the machine meets
//! all. A peer that fails is told about and never ends the comparison.
#![expect(clippy::disallowed_methods, reason = "writes the vectors that peers read, into a temporary directory")]

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use datasets::{Matrix, vecs};

use crate::affinity::{Pin, allowed};
use crate::bandwidth::Bandwidth;
use crate::comparison::Comparison;
use crate::field::{Course, Field};
use crate::machine::Machine;
use crate::memory::{growth, resident_bytes};
use crate::ours::{Place, search};
use crate::peer::{self, Peer, PeerName};
use crate::runner::{RunError, known_neighbors};
use crate::stage::Stage;

/// How many settings the peers may try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    /// One or two good builds a peer, for a quick look.
    Small,
    /// Wide enough to find the best of each.
    Full,
}

impl Grid {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Full => "full",
        }
    }
}

/// There is no such grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the grids are small and full")]
pub struct UnknownGrid;

impl FromStr for Grid {
    type Err = UnknownGrid;

    fn from_str(name: &str) -> Result<Self, UnknownGrid> {
        [Self::Small, Self::Full].into_iter().find(|grid| grid.as_str() == name).ok_or(UnknownGrid)
    }
}

/// What to compare.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// A file with train, test and neighbors.
    pub dataset: PathBuf,
    /// The other engines.
    pub peers: Vec<PeerName>,
    /// The Python interpreter that has them installed.
    pub python: PathBuf,
    /// Neighbours to ask for and score, at least 1.
    pub k: usize,
    /// Entities to spread our rows over; a third of the rows if absent.
    pub entities: Option<u32>,
    /// Widths of our graph search.
    pub ef: Vec<usize>,
    /// The core on which all search; the last one allowed if absent.
    pub core: Option<usize>,
    /// How often each deciding point is measured, at least 1.
    pub rounds: usize,
    /// Settings of the peers.
    pub grid: Grid,
    /// Threads that build, at least 1.
    pub build_threads: usize,
    /// How long a peer may take for one command.
    pub timeout: Duration,
    /// Where our store lies; a temporary directory if absent.
    pub data: Option<PathBuf>,
}

/// Runs the comparison that `options` describe. `progress` hears what is done: stage, steps done, steps in all.
pub fn compare(options: &CompareOptions, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<Comparison, RunError> {
    let set = datasets::open(&options.dataset)?;
    let counts = [options.rounds, options.build_threads, options.ef.iter().copied().min().unwrap_or(0)];
    let neighbors = known_neighbors(&set, options.k, &counts)?;
    let cores = allowed();
    let core = options.core.or(cores.last().copied()).filter(|core| cores.contains(core));
    let core = core.ok_or(RunError::Core { allowed: cores.clone() })?;
    let scratch = tempfile::Builder::new().prefix("lethedb-compare-").tempdir()?;
    peer::unpack(scratch.path())?;
    write_npy(&scratch.path().join("train.npy"), &set.train)?;
    write_npy(&scratch.path().join("test.npy"), &set.test)?;
    let start = |name: &PeerName| Peer::start(&options.python, name, scratch.path(), core, options.timeout);
    // Whether there is such a program is better known before an hour of building.
    let missing = |source| RunError::Python { program: options.python.clone(), source };
    options.peers.first().map(start).transpose().map_err(missing)?;
    let machine = {
        let _pin = Pin::to(core);
        Machine::measure(cores.len(), &Bandwidth::new())
    };

    let entities = options.entities.unwrap_or(u32::try_from(set.train.len() / 3).unwrap_or(u32::MAX));
    let place = Place {
        data: options.data.clone().unwrap_or_else(|| scratch.path().join("data")),
        is_kept: options.data.is_some(),
        entities,
        threads: options.build_threads,
    };
    let build = place.build(&set, progress)?;
    let course = Course { set: &set, neighbors, k: options.k, core, build_threads: options.build_threads };
    let mut field = Field::default();
    let before = resident_bytes();
    let store = place.open(&set)?;
    let collection = place.collection(&store, &set)?;
    search(&collection, set.test.row(0), options.k, options.k)?;
    let mut ours = course.sweep_ours(&collection, &options.ef)?;
    ours.index.seconds = build.seconds;
    // What was freed before and is used again does not grow the process; what the engine counts is there for certain.
    ours.index.memory_bytes = growth(before).max(collection.info().resident_bytes as i64);
    ours.index.disk_bytes = store.environment.disk_bytes()?;
    field.enter(ours);
    for (number, name) in options.peers.iter().enumerate() {
        progress(Stage::Peers, number as u64, options.peers.len() as u64);
        field.enter_peer(&course, name, options.grid.as_str(), &start);
    }
    field.race(&course, &collection, options.rounds, progress)?;

    let mut comparison = Comparison {
        dataset: set.name.clone(),
        n: set.train.len(),
        dim: set.train.dimension(),
        metric: set.metric.to_string(),
        queries: set.test.len(),
        k: options.k,
        entities,
        rounds: options.rounds,
        grid: options.grid.as_str(),
        build_threads: options.build_threads,
        core,
        machine,
        engines: field.engines(),
    };
    comparison.relate();
    store.database.close()?;
    Ok(comparison)
}

fn write_npy(path: &Path, matrix: &Matrix) -> io::Result<()> {
    vecs::write_npy(&mut BufWriter::new(File::create(path)?), matrix)
}

#[cfg(test)]
mod tests;
