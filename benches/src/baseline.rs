//! The engine to compare with: `hnsw_rs` as its users run it, on plain vectors in memory.
//!
//! Invariant: it gets the same rows, queries, widths and threads as ours, and SIMD distances; nothing slows it down.

use std::str::FromStr;

use datasets::{Dataset, Distance};
use hnsw_rs::prelude::{Distance as Eval, Hnsw};
use simsimd::SpatialSimilarity;

/// Links a node, both here and in hnsw_rs' own examples.
const DEGREE: usize = 16;
/// Width of the search that builds.
const EF_CONSTRUCTION: usize = 200;
/// As many layers as it allows.
const LAYERS: usize = 16;

/// An engine to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// The `hnsw_rs` crate.
    HnswRs,
}

/// No other engine can be measured here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the only baseline is hnsw_rs")]
pub struct UnknownBaseline;

impl FromStr for Baseline {
    type Err = UnknownBaseline;

    fn from_str(name: &str) -> Result<Self, UnknownBaseline> {
        if name == "hnsw_rs" { Ok(Self::HnswRs) } else { Err(UnknownBaseline) }
    }
}

/// Squared Euclidean distance: the same order as the Euclidean, without the root.
#[derive(Clone, Copy, Default)]
struct SquaredL2;

impl Eval<f32> for SquaredL2 {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        f32::l2sq(a, b).map_or(f32::INFINITY, |distance| distance as f32)
    }
}

/// A built index; every distance it takes is [`SquaredL2`], which orders unit vectors as the angle does.
pub struct Index {
    graph: Hnsw<'static, f32, SquaredL2>,
    is_normalized: bool,
}

impl Index {
    /// Builds on all cores; `None` for the dot product, which `hnsw_rs` cannot order because it forbids negative
    /// distances.
    pub fn build(set: &Dataset) -> Option<Self> {
        let is_normalized = match set.metric {
            Distance::Cosine => true,
            Distance::L2 => false,
            Distance::Dot => return None,
        };
        let graph = Hnsw::new(DEGREE, set.train.len(), LAYERS, EF_CONSTRUCTION, SquaredL2);
        let index = Self { graph, is_normalized };
        let rows: Vec<Vec<f32>> = set.train.rows().map(|row| index.prepare(row)).collect();
        let numbered: Vec<_> = rows.iter().map(Vec::as_slice).zip(0..).collect();
        index.graph.parallel_insert_slice(&numbered);
        Some(index)
    }

    /// Positions of the `k` rows that a search of width `ef` finds nearest to `query`.
    pub fn search(&self, query: &[f32], k: usize, ef: usize) -> Vec<u32> {
        let found = self.graph.search(&self.prepare(query), k, ef);
        found.into_iter().map(|neighbor| neighbor.d_id as u32).collect()
    }

    fn prepare(&self, vector: &[f32]) -> Vec<f32> {
        let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        let scale = if self.is_normalized && norm > 0.0 { norm.recip() } else { 1.0 };
        vector.iter().map(|value| value * scale).collect()
    }
}

#[cfg(test)]
mod tests {
    use datasets::synthetic::Mixture;

    use super::*;
    use crate::measure::Pass;

    #[test]
    fn it_finds_what_is_near() {
        for metric in [Distance::L2, Distance::Cosine] {
            let set = Mixture::new(16, 10, 0.5, 1).dataset(metric, 1000, 50, 10, 2);
            let index = Index::build(&set).unwrap();
            let pass = Pass::run(&set.test, 1, |query| Ok::<_, ()>(index.search(query, 10, 100))).unwrap();
            let recall = pass.point(&set, &set.neighbors.clone().unwrap(), 10, 100).recall;
            assert!(recall > 0.95, "{metric}: {recall}");
        }
        assert!(Index::build(&Mixture::new(2, 1, 0.5, 1).dataset(Distance::Dot, 10, 1, 1, 2)).is_none());
    }
}
