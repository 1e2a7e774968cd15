//! The graph of a segment: built once over all its codes, frozen, searched, written and read back.
//!
//! From building to searching: `params` → `canonical` or `hnsw` (a draft) → `prune` (diverse,
//! bounded) → `repair` (everything reachable) → `frozen`. Distances between rows come from
//! `geometry`.

mod build;
mod canonical;
mod codec;
mod frozen;
mod geometry;
mod hnsw;
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
