//! Builds a graph: canonical order, a builder's first lists, then choice and repair.
//!
//! Invariant: rows enter in the order of their keyed hashes, not of their positions or arrival, so
//! that who arrived when leaves no mark on the graph.

use super::frozen::FrozenGraph;
use super::geometry::Geometry;
use super::params::{BuildParams, Builder};
use super::{hnsw, prune, repair};
use crate::codes::Codes;
use crate::quantize::Space;

/// Builds the graph over `codes` in the current `rayon` pool. `order` gives each position's keyed
/// hash.
pub fn build(space: &Space, codes: &Codes, order: &[u64], params: &BuildParams) -> FrozenGraph {
    let geometry = Geometry::new(space, codes);
    let mut rows: Vec<u32> = (0..codes.len() as u32).collect();
    rows.sort_by_key(|&row| order.get(row as usize));
    let draft = match params.builder {
        Builder::HnswRs => hnsw::build(&geometry, &rows, params),
    };
    let degree = params.degree();
    let mut lists = prune::both_ways(&geometry, &draft.lists, degree);
    repair::connect(&geometry, &mut lists, draft.entry, degree);
    FrozenGraph::new(&lists, draft.layers, draft.entry, degree)
}
