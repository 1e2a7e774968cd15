//! Builds a graph: a builder's lists, made whole.
//!
//! Invariant: of a finished graph every list is bounded and sorted, and row 0 reaches every row. Positions follow the
//! keyed order of record ids, so that who arrived when leaves no mark.

use super::frozen::FrozenGraph;
use super::geometry::{Geometry, Near};
use super::params::{BuildParams, Builder, Stop};
use super::prune::{Choice, Fill, rank};
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
            repair::connect(&geometry, &mut graph, stop)?;
            Some(graph)
        }
        Builder::HnswRs => {
            let draft = hnsw::build(&geometry, params, stop)?;
            let draft = |row| Draft { kept: Vec::new(), candidates: draft.list(row).to_vec() };
            finish(&geometry, params.degree(), draft, stop)
        }
    }
}

/// What the list of a row is made of.
pub(super) struct Draft {
    /// Edges that stay, no more than there is room for: some lead far on purpose, and would not be chosen again.
    pub kept: Vec<u32>,
    /// Rows among which the rest is chosen.
    pub candidates: Vec<u32>,
}

/// The finished graph of such lists; `None` once told to `stop`.
pub(super) fn finish(
    geometry: &Geometry,
    degree: usize,
    draft: impl Fn(u32) -> Draft + Sync,
    stop: Stop<'_>,
) -> Option<FrozenGraph> {
    let chosen = (0..geometry.len() as u32).into_par_iter().map_init(Choice::new, |choice, row| {
        if stop() {
            return None;
        }
        let Draft { kept, mut candidates } = draft(row);
        candidates.retain(|to| !kept.contains(to));
        let (mut list, mut near): (Vec<Near>, Vec<Near>) = (Vec::with_capacity(degree), Vec::new());
        geometry.distances(row, &kept, &mut list);
        geometry.distances(row, &candidates, &mut near);
        list.append(&mut choice.choose(geometry, row, near, degree.saturating_sub(kept.len()), Fill::Nearest));
        list.sort_unstable_by_key(rank);
        Some(list.into_iter().map(|near| near.1).collect())
    });
    let lists: Vec<Vec<u32>> = chosen.collect::<Option<_>>()?;
    let mut graph = FrozenGraph::unconnected(geometry.len(), degree);
    for (row, list) in (0..).zip(lists) {
        graph.set(row, list);
    }
    repair::connect(geometry, &mut graph, stop)?;
    Some(graph)
}
