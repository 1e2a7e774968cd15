//! The graph of a segment: built once over all its codes, frozen, searched, written and read back.
//!
//! From building to searching: `params` → `canonical` (rows that lie together, by `carve` and `nearest`) or `hnsw`, with
//! lists thinned by `prune` → `repair` (everything reachable) → `frozen`. Distances between rows come from `geometry`,
//! many at once from `packed`.

mod build;
mod canonical;
mod carve;
mod codec;
mod frozen;
mod geometry;
mod hnsw;
mod nearest;
mod packed;
mod params;
mod prune;
mod removal;
mod repair;
#[cfg(test)]
mod tests;

pub use build::build;
pub use frozen::FrozenGraph;
pub use params::{BuildParams, Builder, Stop};
pub(crate) use removal::without;
