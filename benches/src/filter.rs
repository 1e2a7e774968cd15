//! `bench filter`: what a filter costs by how many rows match and where they lie, beside the same search without it and
//! beside comparing every match.
//!
//! Invariant: all three ask the same queries of the same rows, encrypted and opened from disk, on the same core, in
//! turns. A match is compared as the engine compares it: the store that does so has the same codes and no graph. The
//! truth is exact.
#![expect(clippy::disallowed_methods, reason = "a measurement reads time")]

mod filtering;
mod label;

use std::path::{Path, PathBuf};
use std::time::Instant;

use datasets::{Dataset, Matrix, truth};
use engine::{Collection, Counters, FieldType, Filter, RecordId, RootKey, Settings};
use serde_json::json;

use crate::affinity::{Pin, allowed};
use crate::bandwidth::Bandwidth;
use crate::machine::Machine;
use crate::runner::{RunError, known_neighbors};
use crate::stage::Stage;
use crate::store::{self, Store};
use label::{Label, Labels, SHARES};

pub use filtering::{Filtered, Filtering};
pub use label::Placement;

/// The collection that is measured.
const COLLECTION: &str = "filter";
/// The field that says which labels a row has.
const FIELD: &str = "labels";

/// What to measure.
#[derive(Clone, Debug)]
pub struct FilterOptions {
    /// A file with train, test and neighbors.
    pub dataset: PathBuf,
    /// Neighbours to ask for and score, at least 1.
    pub k: usize,
    /// Widths of the graph search.
    pub ef: Vec<usize>,
    /// How many of the queries to ask.
    pub queries: usize,
    /// How often each is measured, at least 1.
    pub rounds: usize,
    /// The core on which all search; the last one allowed if absent.
    pub core: Option<usize>,
    /// Where the stores get a directory of their own; the system's temporary directory if absent.
    pub folder: Option<PathBuf>,
}

/// Runs the measurement that `options` describe. `progress` hears what is done: stage, steps done, steps in all.
pub fn filter(options: &FilterOptions, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<Filtering, RunError> {
    let mut set = datasets::open(&options.dataset)?;
    let counts = [options.rounds, options.queries, options.ef.iter().copied().min().unwrap_or(0)];
    known_neighbors(&set, options.k, &counts)?;
    let cores = allowed();
    let core = options.core.or(cores.last().copied()).filter(|core| cores.contains(core));
    let core = core.ok_or(RunError::Core { allowed: cores.clone() })?;
    keep_queries(&mut set, options.queries);

    let labels = Labels::new(&set);
    let folder = store::folder(options.folder.as_deref(), "lethedb-filter-")?;
    let graph = Stand::build(&folder.path().join("graph"), &set, &labels, store::settings(&set, 0), progress)?;
    let no_graph = Settings { flat_below: usize::MAX, ..store::settings(&set, 0) };
    let flat = Stand::build(&folder.path().join("flat"), &set, &labels, no_graph, progress)?;
    let _pin = Pin::to(core);
    let machine = Machine::measure(cores.len(), &Bandwidth::new());
    let course = Course { options, set: &set, labels: &labels, graph: &graph, flat: &flat };
    let mut filters = Vec::new();
    let steps = (options.ef.len() * Placement::ALL.len() * SHARES.len()) as u64;
    for kind in Placement::ALL {
        for share in SHARES {
            let case = course.case(kind, share);
            for &ef in &options.ef {
                progress(Stage::Search, filters.len() as u64, steps);
                filters.push(course.measure(&case, ef)?);
            }
        }
    }
    filters.sort_by_key(|filtered| options.ef.iter().position(|ef| *ef == filtered.ef));
    graph.store.database.close()?;
    flat.store.database.close()?;
    folder.close()?;
    Ok(Filtering {
        engine: "lethedb",
        version: env!("CARGO_PKG_VERSION"),
        dataset: set.name.clone(),
        n: set.train.len(),
        dim: set.train.dimension(),
        metric: set.metric.to_string(),
        k: options.k,
        queries: set.test.len(),
        rounds: options.rounds,
        core,
        machine,
        filters,
    })
}

/// Leaves the first `queries` queries.
fn keep_queries(set: &mut Dataset, queries: usize) {
    let numbers = set.test.as_slice().iter().take(queries.saturating_mul(set.test.dimension())).copied();
    if let Some(test) = Matrix::new(set.test.dimension(), numbers.collect()) {
        set.test = test;
    }
    if let Some(neighbors) = &mut set.neighbors {
        neighbors.truncate(set.test.len());
    }
}

/// An open store with the rows and their labels.
struct Stand {
    store: Store,
    collection: Collection,
}

impl Stand {
    /// Makes the store, and opens it again from disk.
    fn build(
        data: &Path,
        set: &Dataset,
        labels: &Labels,
        settings: Settings,
        progress: &mut dyn FnMut(Stage, u64, u64),
    ) -> engine::Result<Self> {
        // What is deleted at the end needs no secret.
        let open = || store::open_with(data, RootKey::bytes([0; 32]), settings.clone());
        let store = open()?;
        store::create(&store, COLLECTION, set)?.create_payload_index(FIELD, FieldType::Keyword)?;
        let record = |row: usize| {
            let labels: Vec<String> = labels.of_row(row).iter().map(Label::to_string).collect();
            store::record(set, row).payload(json!({ FIELD: labels }))
        };
        store::import(&store, COLLECTION, 0..set.train.len(), record, progress)?;
        store::settle(&store, COLLECTION, progress)?;
        store.database.close()?;
        let store = open()?;
        let collection = store.environment.open_collection(COLLECTION)?;
        collection.count().filter(Filter::is_null(FIELD)).run()?;
        Ok(Self { store, collection })
    }
}

/// A filter for each query, and what it should find.
struct Case {
    kind: Placement,
    share: f64,
    filters: Vec<Filter>,
    /// Rows that match, and the nearest of them.
    truth: Vec<(u64, Vec<u32>)>,
}

/// What a pass over all queries found, did and took.
struct Pass {
    found: Vec<Vec<u32>>,
    counters: Vec<Counters>,
    us: f64,
}

/// What is measured, on what.
struct Course<'a> {
    options: &'a FilterOptions,
    set: &'a Dataset,
    labels: &'a Labels,
    graph: &'a Stand,
    flat: &'a Stand,
}

impl Course<'_> {
    fn case(&self, kind: Placement, share: f64) -> Case {
        let of_queries: Vec<Label> =
            (0..self.set.test.len()).map(|query| self.labels.of_query(query, kind, share)).collect();
        let mut truth = vec![(0, Vec::new()); of_queries.len()];
        let mut done: Vec<Label> = Vec::new();
        for label in &of_queries {
            if !done.contains(label) {
                done.push(*label);
                self.answer(*label, &of_queries, &mut truth);
            }
        }
        let filters = of_queries.iter().map(|label| Filter::eq(FIELD, label.to_string())).collect();
        Case { kind, share, filters, truth }
    }

    /// Answers exactly those queries that have this label.
    fn answer(&self, label: Label, of_queries: &[Label], truth: &mut [(u64, Vec<u32>)]) {
        let (set, dimension) = (self.set, self.set.train.dimension());
        let rows: Vec<usize> = (0..set.train.len()).filter(|row| self.labels.has(*row, label)).collect();
        let asked: Vec<usize> = (0..of_queries.len()).filter(|query| of_queries[*query] == label).collect();
        let some = |all: &Matrix, rows: &[usize]| {
            Matrix::new(dimension, rows.iter().flat_map(|row| all.row(*row)).copied().collect())
        };
        let Some((train, test)) = some(&set.train, &rows).zip(some(&set.test, &asked)) else { return };
        let nearest = truth::neighbors(set.metric, &train, &test, self.options.k);
        for (query, nearest) in asked.into_iter().zip(nearest) {
            let position = |neighbor: &truth::Neighbor| rows[neighbor.position as usize] as u32;
            truth[query] = (rows.len() as u64, nearest.iter().map(position).collect());
        }
    }

    /// Measures one width in rounds: without the filter, with it, over all matches, and finding the matches alone.
    fn measure(&self, case: &Case, ef: usize) -> Result<Filtered, RunError> {
        let mut best: [Option<Pass>; 4] = Default::default();
        for _ in 0..self.options.rounds {
            let passes = [
                self.pass(|query| self.search(self.graph, query, None, ef))?,
                self.pass(|query| self.search(self.graph, query, Some(&case.filters[query]), ef))?,
                self.pass(|query| self.search(self.flat, query, Some(&case.filters[query]), ef))?,
                self.pass(|query| {
                    self.graph.collection.count().filter(case.filters[query].clone()).run()?;
                    Ok((Vec::new(), Counters::default()))
                })?,
            ];
            for (best, pass) in best.iter_mut().zip(passes) {
                if best.as_ref().is_none_or(|best| pass.us < best.us) {
                    *best = Some(pass);
                }
            }
        }
        // There is at least one round.
        let [Some(all), Some(filtered), Some(flat), Some(matching)] = best else { return Err(RunError::NoQueries) };
        Ok(self.figures(case, ef, [&all, &filtered, &flat, &matching]))
    }

    fn figures(&self, case: &Case, ef: usize, [all, filtered, flat, matching]: [&Pass; 4]) -> Filtered {
        let neighbors: Vec<Vec<u32>> = case.truth.iter().map(|(_, nearest)| nearest.clone()).collect();
        let unfiltered = self.set.neighbors.clone().unwrap_or_default();
        let recall = |truth: &[Vec<u32>], pass: &Pass| {
            truth::recall(self.set.metric, &self.set.train, &self.set.test, truth, &pass.found, self.options.k, 0.0)
        };
        let mean =
            |figure: &dyn Fn(usize) -> f64| (0..case.truth.len()).map(figure).sum::<f64>() / case.truth.len() as f64;
        let did = |query: usize| (filtered.counters[query], case.truth[query].0);
        let walks = |query: usize| did(query).0.hops > 0;
        let scans = |query: usize| did(query).0.compared >= did(query).1;
        Filtered {
            ef,
            kind: case.kind,
            share: case.share,
            matches: mean(&|query| case.truth[query].0 as f64),
            recall: recall(&neighbors, filtered),
            us: filtered.us,
            matching_us: matching.us,
            flat_us: flat.us,
            flat_recall: recall(&neighbors, flat),
            unfiltered_us: all.us,
            unfiltered_recall: recall(&unfiltered, all),
            of_flat: filtered.us / flat.us,
            of_unfiltered: filtered.us / all.us,
            compared: mean(&|query| did(query).0.compared as f64),
            hops: mean(&|query| did(query).0.hops as f64),
            walked: mean(&|query| f64::from(u8::from(walks(query) && !scans(query)))),
            gave_up: mean(&|query| f64::from(u8::from(walks(query) && scans(query)))),
        }
    }

    fn search(
        &self,
        stand: &Stand,
        query: usize,
        filter: Option<&Filter>,
        ef: usize,
    ) -> engine::Result<(Vec<u32>, Counters)> {
        let search = stand.collection.search(self.set.test.row(query)).limit(self.options.k).ef(ef).with_payload(false);
        let found = match filter {
            Some(filter) => search.filter(filter.clone()).run()?,
            None => search.run()?,
        };
        let position = |id| match id {
            RecordId::Num(position) => u32::try_from(position).ok(),
            RecordId::Uuid(_) => None,
        };
        Ok((found.iter().filter_map(|hit| position(hit.id)).collect(), found.counters))
    }

    /// Asks every query once, one after the other.
    fn pass(&self, ask: impl Fn(usize) -> engine::Result<(Vec<u32>, Counters)>) -> engine::Result<Pass> {
        let queries = self.set.test.len();
        let (mut found, mut counters) = (Vec::with_capacity(queries), Vec::with_capacity(queries));
        let start = Instant::now();
        for query in 0..queries {
            let (answer, cost) = ask(query)?;
            found.push(answer);
            counters.push(cost);
        }
        let us = start.elapsed().as_secs_f64() * 1e6 / queries.max(1) as f64;
        Ok(Pass { found, counters, us })
    }
}

#[cfg(test)]
mod tests;
