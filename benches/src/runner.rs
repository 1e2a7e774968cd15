//! `bench run`: import, close, reopen from disk, search, score.
//!
//! Invariant: each thread asks one query at a time, and another engine is asked in turns with ours.
#![expect(clippy::disallowed_methods, reason = "a measurement reads time")]

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use datasets::{Dataset, OpenError};
use engine::Collection;

use crate::baseline::{Baseline, Index};
use crate::measure::Pass;
use crate::memory::{growth, resident_bytes};
use crate::ours::{Place, search};
use crate::report::{Memory, Point, Points, Report};
use crate::stage::Stage;

/// Each width is measured this often and the fastest pass counts, because only disturbances make a pass slower.
const ROUNDS: usize = 3;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// A file with train, test and neighbors.
    pub dataset: PathBuf,
    /// Neighbours to ask for and score, at least 1.
    pub k: usize,
    /// Widths of the graph search.
    pub ef: Vec<usize>,
    /// Threads that search, at least 1.
    pub threads: usize,
    /// Entities to spread the rows over; 0 for none.
    pub entities: u32,
    /// Where the store lies; a temporary directory if absent.
    pub data: Option<PathBuf>,
    /// Another engine to measure in turns.
    pub baseline: Option<Baseline>,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The data set cannot be read.
    #[error("the data set cannot be read")]
    Data(#[from] OpenError),
    /// There is nothing to ask or nothing to score with.
    #[error("the data set has no test queries or no neighbors")]
    NoQueries,
    /// A number cannot be used.
    #[error(
        "k, ef, threads, rounds and queries must be at least 1, and k no more than the {0} neighbors that the data set knows"
    )]
    Options(usize),
    /// That is no share.
    #[error("the share of the records that changes must be from 0 to 1")]
    Share,
    /// There is nothing to store.
    #[error("there must be at least one record")]
    NoRecords,
    /// The other engine cannot order by dot product.
    #[error("hnsw_rs cannot search by dot product, so there is no baseline for this data set")]
    NoBaseline,
    /// That cannot be erased or flushed.
    #[error(
        "all counts must be at least 1, the dimension at most {most}, and the new entities no more than the records they own"
    )]
    Erasures {
        /// The largest dimension.
        most: usize,
    },
    /// That cannot be asked privately.
    #[error("such private questions cannot be measured: {0}")]
    Private(String),
    /// The process may not run on that core.
    #[error("this process may not run on that core, only on {allowed:?}")]
    Core {
        /// Where it may run.
        allowed: Vec<usize>,
    },
    /// There is no such Python.
    #[error("cannot start `{program}`; --python names the interpreter that has the peers installed")]
    Python {
        /// What the user named.
        program: PathBuf,
        /// Why it does not start.
        source: io::Error,
    },
    /// A case of a growth cannot be measured.
    #[error(
        "{what} cannot be {value}: it must be from {least} to {most}, and as many rows must be left as k and segments"
    )]
    Case {
        /// What grows, or stays where it is.
        what: &'static str,
        /// Its value.
        value: usize,
        /// The least it can be.
        least: usize,
        /// The most.
        most: usize,
    },
    /// What was checked is not what was written.
    #[error("the audit log that was told is not what its check found")]
    Faulty,
    /// The store failed.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The temporary directory cannot be used.
    #[error("the temporary directory cannot be used")]
    Scratch(#[from] io::Error),
}

/// Runs the measurement that `options` describe. `progress` hears what is done: stage, steps done, steps in all.
pub fn run(options: &Options, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<Report, RunError> {
    let set = datasets::open(&options.dataset)?;
    let counts = [options.threads, options.ef.iter().copied().min().unwrap_or(0)];
    let neighbors = known_neighbors(&set, options.k, &counts)?;
    let scratch = tempfile::Builder::new().prefix("lethedb-bench-").tempdir()?;
    let place = Place {
        data: options.data.clone().unwrap_or_else(|| scratch.path().join("data")),
        is_kept: options.data.is_some(),
        entities: options.entities,
        threads: 0,
    };
    let start_bytes = resident_bytes();
    let build = place.build(&set, progress)?;
    let before_baseline = resident_bytes();
    let baseline = match options.baseline {
        Some(Baseline::HnswRs) => {
            progress(Stage::Baseline, 0, 1);
            Some(Index::build(&set).ok_or(RunError::NoBaseline)?)
        }
        None => None,
    };

    let baseline_bytes = growth(before_baseline);
    let start = Instant::now();
    let store = place.open(&set)?;
    let collection = place.collection(&store, &set)?;
    search(&collection, set.test.row(0), options.k, options.k)?;
    let open_seconds = start.elapsed().as_secs_f64();
    let (points, others) = measure(options, &set, neighbors, &collection, baseline.as_ref(), progress)?;
    let rss_delta_bytes = growth(start_bytes) - baseline_bytes;
    let report = Report {
        engine: "lethedb",
        version: env!("CARGO_PKG_VERSION"),
        dataset: set.name.clone(),
        n: set.train.len(),
        dim: set.train.dimension(),
        metric: set.metric.to_string(),
        k: options.k,
        threads: options.threads,
        encrypted: !cfg!(lethedb_plaintext),
        entities: options.entities,
        build,
        open_seconds,
        memory: Memory { resident_index_bytes: collection.info().resident_bytes, rss_delta_bytes },
        disk_bytes: store.environment.disk_bytes()?,
        points,
        baseline: baseline.map(|_| Points { engine: "hnsw_rs", points: others }),
    };
    store.database.close()?;
    Ok(report)
}

/// The right answers of `set`, if it has queries and they are `k` or more each. `counts` are numbers that must not be 0.
pub fn known_neighbors<'a>(set: &'a Dataset, k: usize, counts: &[usize]) -> Result<&'a [Vec<u32>], RunError> {
    let neighbors = set.neighbors.as_deref().filter(|_| !set.test.is_empty()).ok_or(RunError::NoQueries)?;
    let known = neighbors.iter().map(Vec::len).min().unwrap_or(0);
    if k == 0 || k > known || counts.contains(&0) { Err(RunError::Options(known)) } else { Ok(neighbors) }
}

/// Measures all widths, ours and the other engine's in turns, so that a disturbance of the machine meets both.
fn measure(
    options: &Options,
    set: &Dataset,
    neighbors: &[Vec<u32>],
    collection: &Collection,
    baseline: Option<&Index>,
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> Result<(Vec<Point>, Vec<Point>), RunError> {
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    let steps = (options.ef.len() * ROUNDS) as u64;
    for (number, &ef) in options.ef.iter().enumerate() {
        let (mut our_best, mut other_best) = (None, None);
        for round in 0..ROUNDS {
            progress(Stage::Search, (number * ROUNDS + round) as u64, steps);
            let pass = Pass::run(&set.test, options.threads, |query| search(collection, query, options.k, ef))?;
            keep_faster(&mut our_best, pass);
            if let Some(index) = baseline {
                let search = |query: &[f32]| Ok::<_, RunError>(index.search(query, options.k, ef));
                keep_faster(&mut other_best, Pass::run(&set.test, options.threads, search)?);
            }
        }
        let point = |pass: Pass| pass.point(set, neighbors, options.k, ef);
        ours.extend(our_best.map(point));
        others.extend(other_best.map(point));
    }
    Ok((ours, others))
}

fn keep_faster(best: &mut Option<Pass>, pass: Pass) {
    if best.as_ref().is_none_or(|best| pass.is_faster_than(best)) {
        *best = Some(pass);
    }
}
