//! The choices of a build.
//!
//! Invariant: any values are usable; those out of range are brought into it by the accessors.

use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Degrees a graph can have.
pub(crate) const DEGREES: RangeInclusive<usize> = 4..=128;

/// Who makes the first lists of neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Builder {
    /// Ours: the same graph on any number of threads and any processor.
    #[default]
    Canonical,
    /// The crate `hnsw_rs`: incremental insertion (Malkov and Yashunin, "Efficient and robust
    /// approximate nearest neighbor search using Hierarchical Navigable Small World graphs", 2016).
    /// Deterministic on one thread only.
    HnswRs,
}

/// Asked again and again while a graph is built; once it says yes, the build ends without one. It is asked by every
/// thread of the pool and must not wait for whoever waits for the build.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// How a graph is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildParams {
    /// Most neighbours of a row. 4..=128.
    pub degree: usize,
    /// Width of the walk on which a new row meets its neighbours, at least the degree; only of the builder that inserts
    /// row by row, [`Builder::HnswRs`].
    pub ef_construction: usize,
    /// Who makes the first lists.
    pub builder: Builder,
    /// Fewer rows than this get no graph: scanning them all is as fast.
    pub flat_below: usize,
}

impl Default for BuildParams {
    fn default() -> Self {
        Self { degree: 48, ef_construction: 80, builder: Builder::Canonical, flat_below: 1024 }
    }
}

impl BuildParams {
    pub(crate) fn degree(&self) -> usize {
        // Even, because `hnsw_rs` thinks in halves of it.
        self.degree.clamp(*DEGREES.start(), *DEGREES.end()) & !1
    }

    pub(crate) fn ef_construction(&self) -> usize {
        self.ef_construction.max(self.degree())
    }
}
