//! What a measurement of changes found: as one JSON object and as a table.
//!
//! Invariant: the member names are only ever added to.

use std::fmt;

use serde::Serialize;

use crate::machine::Machine;

/// What changes leave behind.
#[derive(Clone, Debug, Serialize)]
pub struct Churn {
    /// `lethedb`.
    pub engine: &'static str,
    /// Of the engine.
    pub version: &'static str,
    /// Name of the data set.
    pub dataset: String,
    /// Numbers in a vector.
    pub dim: usize,
    /// `cosine`, `dot` or `l2`.
    pub metric: String,
    /// Neighbours asked for and scored; only the nearest themselves, and rows exactly as near as the last, count.
    pub k: usize,
    /// Queries asked in each pass.
    pub queries: usize,
    /// The one core on which all was searched, one query at a time.
    pub core: usize,
    /// On what it was measured.
    pub machine: Machine,
    /// Records before the changes.
    pub records: usize,
    /// Records that were deleted.
    pub deleted: usize,
    /// Records that got another vector.
    pub updated: usize,
    /// Records after the changes.
    pub left: usize,
    /// Import, index and changes together.
    pub change_seconds: f64,
    /// Compaction.
    pub compact_seconds: f64,
    /// Import and index of the records that are left.
    pub fresh_seconds: f64,
    /// The store after the changes, the same after compaction, and the fresh one.
    pub stores: Vec<Churned>,
}

/// The figures of one store.
#[derive(Clone, Debug, Serialize)]
pub struct Churned {
    /// `changed`, `compacted` or `fresh`.
    pub store: &'static str,
    /// Segments on disk.
    pub segments: u64,
    /// All files of the environment.
    pub disk_bytes: u64,
    /// The loaded index, as the engine counts it.
    pub resident_bytes: u64,
    /// One for each width.
    pub found: Vec<Found>,
}

/// What a search of some width finds and costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Found {
    /// Width of the graph search.
    pub ef: usize,
    /// Share of the true neighbours found.
    pub recall: f64,
    /// Codes compared, on average.
    pub compared: f64,
    /// Microseconds from question to answer, on average.
    pub us: f64,
}

impl fmt::Display for Churn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: f64 = (1 << 20) as f64;
        let Self { engine, dataset, dim, metric, k, records, deleted, updated, left, .. } = self;
        writeln!(
            f,
            "{dataset}: {records} records of {dim} under {metric}, {deleted} deleted and {updated} updated: {left}"
        )?;
        writeln!(f, "{engine} (encrypted) on core {} of {}, k = {k}", self.core, self.machine.processor)?;
        write!(f, "changed in {:.1} s, compacted in {:.1} s, ", self.change_seconds, self.compact_seconds)?;
        writeln!(f, "made afresh in {:.1} s", self.fresh_seconds)?;
        write!(f, "{:>10} {:>8} {:>9} {:>7}", "store", "segments", "disk MiB", "ratio")?;
        write!(f, " {:>10} {:>7} {:>5} {:>7} {:>8}", "memory MiB", "ratio", "ef", "recall", "-fresh")?;
        write!(f, " {:>8} {:>8}", "compared", "µs")?;
        let Some(fresh) = self.stores.last() else { return Ok(()) };
        for store in &self.stores {
            for (found, other) in store.found.iter().zip(&fresh.found) {
                let of = |bytes: u64, fresh: u64| bytes as f64 / fresh.max(1) as f64;
                write!(f, "\n{:>10} {:>8} {:>9.1}", store.store, store.segments, store.disk_bytes as f64 / MIB)?;
                write!(
                    f,
                    " {:>7.3} {:>10.1}",
                    of(store.disk_bytes, fresh.disk_bytes),
                    store.resident_bytes as f64 / MIB
                )?;
                write!(f, " {:>7.3} {:>5}", of(store.resident_bytes, fresh.resident_bytes), found.ef)?;
                write!(f, " {:>7.4} {:>+8.4}", found.recall, found.recall - other.recall)?;
                write!(f, " {:>8.0} {:>8.1}", found.compared, found.us)?;
            }
        }
        Ok(())
    }
}
