//! Builds a graph: a builder's lists, made whole.
//!
//! Invariant: of a finished graph every list is bounded and sorted, and row 0 reaches every row. Positions follow the
//! keyed order of record ids, so that who arrived when leaves no mark.

use super::frozen::FrozenGraph;
use super::geometry::{Geometry, Near};
use super::params::{BuildParams, Builder, Stop};
use super::prune::{Choice, Fill};
use super::{canonical, hnsw, repair};
use crate::codes::Codes;
use crate::quantize::Space;
use rayon::prelude::*;

/// Builds the graph over `codes` in the current `rayon` pool; `None` once told to `stop`.
pub fn build(space: &Space, codes: &Codes, params: &BuildParams, stop: Stop<'_>) -> Option<FrozenGraph> {
    let geometry = Geometry::new(space, codes);
    match params.builder {
        Builder::Canonical => {
            let mut graph = canonical::build(&geometry, params, stop)?;
            repair::connect(&geometry, &mut graph);
            Some(graph)
        }
        Builder::HnswRs => {
            let draft = hnsw::build(&geometry, params, stop)?;
            finish(&geometry, params.degree(), |row| draft.list(row).to_vec(), stop)
        }
    }
}

/// The finished graph whose lists are chosen among the candidates of each row; `None` once told to `stop`.
pub(super) fn finish(
    geometry: &Geometry,
    degree: usize,
    candidates: impl Fn(u32) -> Vec<u32> + Sync,
    stop: Stop<'_>,
) -> Option<FrozenGraph> {
    let chosen = (0..geometry.len() as u32).into_par_iter().map_init(Choice::new, |choice, row| {
        if stop() {
            return None;
        }
        let mut near: Vec<Near> = Vec::new();
        geometry.distances(row, &candidates(row), &mut near);
        let list = choice.choose(geometry, row, near, degree, Fill::Nearest);
        Some(list.into_iter().map(|near| near.1).collect())
    });
    let lists: Vec<Vec<u32>> = chosen.collect::<Option<_>>()?;
    let mut graph = FrozenGraph::unconnected(geometry.len(), degree);
    for (row, list) in (0..).zip(lists) {
        graph.set(row, list);
    }
    repair::connect(geometry, &mut graph);
    Some(graph)
}
