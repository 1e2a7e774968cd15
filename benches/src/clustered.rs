//! The rows that measurements make up for themselves.
//!
//! Invariant: they lie as those of `bench synth` do: in clusters that touch and seem to have as many dimensions as real
//! embeddings, so that graphs are as hard to build and to walk.

use datasets::synthetic::Mixture;

/// Clusters, however many rows are drawn.
const CLUSTERS: usize = 100;
const SPREAD: f32 = 1.0;
const RANK: usize = 64;
const DECAY: f32 = 0.25;
/// The seed of the clusters, and of the rows drawn first.
pub const SEED: u64 = 1;

/// What the rows are drawn from.
pub fn mixture(dimension: usize) -> Mixture {
    Mixture::new(dimension, CLUSTERS, SPREAD, SEED).flattened(RANK, DECAY, SEED)
}
