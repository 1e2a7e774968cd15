//! What a measurement of filters found: as one JSON object and as a table.
//!
//! Invariant: the member names are only ever added to; times that are compared were measured in turns.

use std::fmt;

use serde::Serialize;

use super::label::Placement;
use crate::machine::Machine;

/// What filters cost.
#[derive(Clone, Debug, Serialize)]
pub struct Filtering {
    /// `lethedb`.
    pub engine: &'static str,
    /// Of the engine.
    pub version: &'static str,
    /// Name of the data set.
    pub dataset: String,
    /// Rows stored.
    pub n: usize,
    /// Numbers in a vector.
    pub dim: usize,
    /// `cosine`, `dot` or `l2`.
    pub metric: String,
    /// Neighbours asked for and scored; only the nearest themselves, and rows exactly as near as the last, count.
    pub k: usize,
    /// Queries asked in each pass.
    pub queries: usize,
    /// Passes in turns, of which the fastest counts.
    pub rounds: usize,
    /// The one core on which all was searched, one query at a time.
    pub core: usize,
    /// On what it was measured.
    pub machine: Machine,
    /// The figures.
    pub filters: Vec<Filtered>,
}

/// What one kind of filter costs at one width.
#[derive(Clone, Debug, Serialize)]
pub struct Filtered {
    /// Width of the graph search.
    pub ef: usize,
    /// How the matches lie.
    pub kind: Placement,
    /// The share of rows that match.
    pub share: f64,
    /// Rows that match, on average over the queries.
    pub matches: f64,
    /// Share of the true neighbours among the matches that were found.
    pub recall: f64,
    /// Microseconds of a query with its filter, from question to answer.
    pub us: f64,
    /// Of these, microseconds of finding out which rows match, as counting them takes.
    pub matching_us: f64,
    /// Microseconds of the same with every match compared, in a store without a graph.
    pub flat_us: f64,
    /// Its recall.
    pub flat_recall: f64,
    /// Microseconds of the same query at the same width without a filter.
    pub unfiltered_us: f64,
    /// Its recall.
    pub unfiltered_recall: f64,
    /// `us` over `flat_us`.
    pub of_flat: f64,
    /// `us` over `unfiltered_us`.
    pub of_unfiltered: f64,
    /// Codes compared, on average.
    pub compared: f64,
    /// Lists of neighbours that a walk expanded, on average.
    pub hops: f64,
    /// The share of queries that were answered by walking the graph.
    pub walked: f64,
    /// The share of queries that walked and had to compare every match after all.
    pub gave_up: f64,
}

impl fmt::Display for Filtering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, dataset, n, dim, metric, k, queries, core, machine, .. } = self;
        writeln!(f, "{dataset}: {n} rows of {dim} under {metric}, k = {k}, {queries} queries")?;
        writeln!(f, "{engine} (encrypted) on core {core} of {}", machine.processor)?;
        write!(f, "{:>5} {:>9} {:>6} {:>8} {:>7} {:>8}", "ef", "kind", "share", "matches", "recall", "µs")?;
        write!(f, " {:>8} {:>8} {:>6} {:>8} {:>6}", "of it", "flat µs", "ratio", "all µs", "ratio")?;
        write!(f, " {:>9} {:>7}  way", "compared", "hops")?;
        self.filters.iter().try_for_each(|filtered| write!(f, "\n{filtered}"))
    }
}

impl fmt::Display for Filtered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ef, kind, share, matches, recall, us, matching_us, .. } = self;
        write!(f, "{ef:>5} {:>9} {share:>6} {matches:>8.0} {recall:>7.4} {us:>8.1}", kind.as_str())?;
        write!(f, " {matching_us:>8.1} {:>8.1} {:>6.2}", self.flat_us, self.of_flat)?;
        write!(f, " {:>8.1} {:>6.2}", self.unfiltered_us, self.of_unfiltered)?;
        write!(f, " {:>9.0} {:>7.0}  {}", self.compared, self.hops, self.way())
    }
}

impl Filtered {
    /// How most queries were answered.
    fn way(&self) -> String {
        let percent = |share: f64| (100.0 * share).round();
        match (percent(self.walked), percent(self.gave_up)) {
            (0.0, 0.0) => "scan".to_owned(),
            (100.0, _) => "walk".to_owned(),
            (walked, 0.0) => format!("walk {walked} %"),
            (walked, gave_up) => format!("walk {walked} %, then scan {gave_up} %"),
        }
    }
}
