//! `bench grow`: what a query costs at equal recall as the store or the question grows.
//!
//! Invariant: stores are made of rows drawn from one mixture, are encrypted, closed and reopened from disk like those of a
//! user, and are gone afterwards; the truth is exact; widths are tried from the narrowest until the recall is
//! reached, so that only the two around it are timed. One store is there at a time.
#![expect(clippy::disallowed_methods, reason = "a measurement reads time")]

mod case;
mod cost;
mod growth;

use std::path::PathBuf;
use std::time::Instant;

use datasets::{Dataset, Distance, Matrix, truth};
use engine::{Collection, Counters, RootKey};
use tempfile::TempDir;

use crate::bandwidth::Bandwidth;
use crate::clustered::{self, SEED};
use crate::machine::Machine;
use crate::measure::Pass;
use crate::ours::{search, search_counted};
use crate::runner::RunError;
use crate::stage::Stage;
use crate::store::{self, Store};

pub use case::{Case, Growing, UnknownGrowing};
pub use cost::Cost;
pub use growth::{Along, Grown, Growth};

const DISTANCE: Distance = Distance::Cosine;
/// The widest search to try.
const EF_MOST: usize = 4096;
/// Each width is timed this often and the fastest pass counts, because only disturbances make a pass slower.
const ROUNDS: usize = 5;
/// Queries of each thread in a pass, at least.
const ASKED: usize = 2_000;
/// Records that one delete names.
const BATCH_ROWS: usize = 5_000;
/// The collection that is measured.
const COLLECTION: &str = "grow";

/// What to measure.
#[derive(Clone, Debug)]
pub struct GrowOptions {
    /// What each axis grows from.
    pub base: Case,
    /// What grows, and its values.
    pub axes: Vec<(Growing, Vec<usize>)>,
    /// Queries for each store, at least 1.
    pub queries: usize,
    /// The recall at which figures are read.
    pub recall: f64,
    /// Where each store gets a directory of its own while it is measured; the system's temporary directory if absent.
    pub folder: Option<PathBuf>,
}

/// Runs the measurement that `options` describe. `progress` hears what is done: stage, steps done, steps in all.
pub fn grow(options: &GrowOptions, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<Growth, RunError> {
    let plan: Vec<(Growing, Vec<Case>)> = options.axes.iter().map(|axis| cases(options, axis)).collect();
    for case in plan.iter().flat_map(|(_, cases)| cases) {
        if let Some(growing) = case.excess() {
            let (value, range) = (case.value(growing), growing.range());
            return Err(RunError::Case { what: growing.as_str(), value, least: *range.start(), most: *range.end() });
        }
    }
    let bandwidth = Bandwidth::new();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let machine = Machine::measure(cores, &bandwidth);
    let mut axes = Vec::new();
    for (axis, cases) in plan {
        let most = cases.iter().map(|case| case.k).max().unwrap_or(1);
        let mut stand: Option<Stand> = None;
        let mut points = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            let mut build_seconds = None;
            if !stand.as_ref().is_some_and(|stand| stand.serves(case)) {
                // The one before makes room first.
                stand.take().map_or(Ok(()), Stand::end)?;
                let start = Instant::now();
                let (made, idle) = Stand::build(options, case, most, progress)?;
                build_seconds = Some(start.elapsed().as_secs_f64() - idle);
                stand = Some(made);
            }
            let Some(stand) = &mut stand else { continue };
            stand.delete(case, most)?;
            progress(Stage::Search, number as u64, cases.len() as u64);
            let cost = stand.cost_at(case, options.recall)?;
            points.push(grown(*case, build_seconds, cost, &machine, &bandwidth));
        }
        stand.map_or(Ok(()), Stand::end)?;
        axes.push(Along { axis, points });
    }
    Ok(Growth {
        engine: "lethedb",
        version: env!("CARGO_PKG_VERSION"),
        machine,
        metric: DISTANCE.to_string(),
        queries: options.queries,
        recall: options.recall,
        base: options.base,
        axes,
    })
}

/// What to measure along one axis, by rising values.
fn cases(options: &GrowOptions, (growing, values): &(Growing, Vec<usize>)) -> (Growing, Vec<Case>) {
    let mut values = values.clone();
    values.sort_unstable();
    values.dedup();
    (*growing, values.into_iter().map(|value| options.base.with(*growing, value)).collect())
}

fn grown(
    case: Case,
    build_seconds: Option<f64>,
    cost: Option<Cost>,
    machine: &Machine,
    bandwidth: &Bandwidth,
) -> Grown {
    let row_bytes = |cost: Cost| (cost.bytes / cost.compared.max(1.0)).ceil() as u64;
    let rows_gb_per_second = cost.map(|cost| bandwidth.of_rows(row_bytes(cost)));
    Grown {
        case,
        build_seconds,
        cost,
        qps: cost.map(|cost| case.threads as f64 * 1e6 / cost.us),
        rows_gb_per_second,
        roof: cost.map(|cost| cost.roof(machine.read_gb_per_second)),
        roof_of_rows: cost.zip(rows_gb_per_second).map(|(cost, speed)| cost.roof(speed)),
    }
}

/// A store under measurement, with what it was made of.
struct Stand {
    case: Case,
    set: Dataset,
    neighbors: Vec<Vec<u32>>,
    store: Store,
    collection: Collection,
    folder: TempDir,
}

impl Stand {
    /// Draws the rows and stores them, with the `most` neighbours of each query; and how many seconds of that were not
    /// spent on the store.
    fn build(
        options: &GrowOptions,
        case: &Case,
        most: usize,
        progress: &mut dyn FnMut(Stage, u64, u64),
    ) -> Result<(Self, f64), RunError> {
        let start = Instant::now();
        progress(Stage::Synth, 0, 1);
        let mixture = clustered::mixture(case.dimension);
        let (train, test) = (mixture.sample(case.n, SEED), mixture.sample(options.queries.max(1), SEED + 1));
        let set = Dataset { name: COLLECTION.to_owned(), metric: DISTANCE, train, test, neighbors: None };
        let neighbors = neighbors(&set, 0, most);
        let idle = start.elapsed().as_secs_f64();

        let folder = store::folder(options.folder.as_deref(), "lethedb-grow-")?;
        // What is deleted at the end needs no secret.
        let open = || store::open(&folder.path().join("data"), RootKey::bytes([0; 32]), &set, 0);
        let store = open()?;
        for segment in 0..case.segments {
            let rows = segment * case.n / case.segments..(segment + 1) * case.n / case.segments;
            store::fill(&store, COLLECTION, &set, rows, 0, progress)?;
            progress(Stage::Build, segment as u64, case.segments as u64);
            store.environment.flush()?;
        }
        store.database.close()?;
        let store = open()?;
        let collection = store.environment.open_collection(COLLECTION)?;
        search(&collection, set.test.row(0), case.k, case.k)?;
        let case = Case { deleted: 0, ..*case };
        Ok((Self { case, set, neighbors, store, collection, folder }, idle))
    }

    /// Whether `case` can be measured here: a search of another kind, or one after more deletes.
    fn serves(&self, case: &Case) -> bool {
        let Case { n, dimension, segments, deleted, .. } = self.case;
        (n, dimension, segments) == (case.n, case.dimension, case.segments) && deleted <= case.deleted
    }

    /// Deletes rows until as many are gone as `case` wants.
    fn delete(&mut self, case: &Case, most: usize) -> Result<(), RunError> {
        let (start, end) = (self.case.deleted_rows(), case.deleted_rows());
        for from in (start..end).step_by(BATCH_ROWS) {
            self.collection.delete((from..end.min(from + BATCH_ROWS)).map(|row| row as u64))?;
        }
        if start < end {
            self.store.environment.flush()?;
            self.neighbors = neighbors(&self.set, end, most);
        }
        self.case.deleted = case.deleted;
        Ok(())
    }

    /// What a query costs at `recall`; `None` if no width gets there.
    fn cost_at(&self, case: &Case, recall: f64) -> Result<Option<Cost>, RunError> {
        let mut missed: Option<(usize, Cost)> = None;
        for ef in widths(case.k) {
            let cost = self.count(case.k, ef)?;
            if cost.recall < recall {
                missed = Some((ef, cost));
                continue;
            }
            let reached = Cost { us: self.time(case, ef)?, ..cost };
            let Some((ef, cost)) = missed else { return Ok(Some(reached)) };
            let missed = Cost { us: self.time(case, ef)?, ..cost };
            return Ok(Some(missed.up_to(&reached, recall)));
        }
        Ok(None)
    }

    /// What a search of this width does, without its time.
    fn count(&self, k: usize, ef: usize) -> Result<Cost, RunError> {
        let set = &self.set;
        let (mut all, mut total) = (Vec::with_capacity(set.test.len()), Counters::default());
        for query in set.test.rows() {
            let (found, counters) = search_counted(&self.collection, query, k, ef)?;
            all.push(found);
            total.compared += counters.compared;
            total.hops += counters.hops;
            total.reranked += counters.reranked;
            total.bytes += counters.bytes;
        }
        let recall = truth::recall(set.metric, &set.train, &set.test, &self.neighbors, &all, k, truth::TOLERANCE);
        Ok(Cost::mean(ef, recall, &total, set.test.len(), 0.0))
    }

    /// Microseconds that a thread has for a query on average, waiting for a core included, in the fastest of some passes.
    fn time(&self, case: &Case, ef: usize) -> Result<f64, RunError> {
        let asked = self.asked(case.threads);
        let mut fastest = f64::INFINITY;
        for _ in 0..ROUNDS {
            let pass = Pass::run(&asked, case.threads, |query| search(&self.collection, query, case.k, ef))?;
            fastest = fastest.min(case.threads as f64 * 1e6 / pass.qps());
        }
        Ok(fastest)
    }

    /// The queries so often that starting the threads takes no part of the time that can be seen.
    fn asked(&self, threads: usize) -> Matrix {
        let queries = &self.set.test;
        let times = (ASKED * threads).div_ceil(queries.len().max(1));
        Matrix::new(queries.dimension(), queries.as_slice().repeat(times)).unwrap_or_else(|| queries.clone())
    }

    /// Closes the store and removes its files.
    fn end(self) -> Result<(), RunError> {
        self.store.database.close()?;
        Ok(self.folder.close()?)
    }
}

/// The `most` nearest of the rows from `first` on, for each query.
fn neighbors(set: &Dataset, first: usize, most: usize) -> Vec<Vec<u32>> {
    let dimension = set.train.dimension();
    let left = Matrix::new(dimension, set.train.as_slice()[first * dimension..].to_vec());
    let nearest = left.map(|left| truth::neighbors(set.metric, &left, &set.test, most)).unwrap_or_default();
    nearest.into_iter().map(|row| row.iter().map(|neighbor| neighbor.position + first as u32).collect()).collect()
}

/// Widths to try, each a half more than the one before.
fn widths(k: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(k.max(1)), |ef| Some(ef + ef.div_ceil(2))).take_while(move |ef| *ef <= EF_MOST.max(k))
}

#[cfg(test)]
mod tests;
