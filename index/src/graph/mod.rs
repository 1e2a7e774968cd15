//! The graph of a segment: built once over all its codes, frozen, searched, written and read back.
//!
//! From building to searching: `params` → `hnsw` (layers and first lists) → `prune` (both
//! directions, diverse, bounded) → `repair` (everything reachable) → `frozen`. Distances between
//! rows come from `geometry`.

mod build;
mod codec;
mod frozen;
mod geometry;
mod hnsw;
mod params;
mod prune;
mod repair;
#[cfg(test)]
mod tests;

pub use build::build;
pub use frozen::FrozenGraph;
pub use params::{BuildParams, Builder};
