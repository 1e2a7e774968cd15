//! The other builder: `hnsw_rs` 0.3.5, whose lists are taken out of its lowest layer once all rows
//! are in.
//!
//! It is used for insertion alone. Its points are positions; distances come from [`Geometry`],
//! which is never negative and never NaN (both would make it panic). It files an edge back only
//! under the new point's own level and drops the farthest of an overfull list, so rows exchange
//! edges here once more, and choice and repair follow as for any draft. Its dump, reload and
//! filtered search are never used.
//!
//! Invariant: with one thread the outcome is a pure function of codes and parameters.

use super::frozen::FrozenGraph;
use super::geometry::Geometry;
use super::params::{BuildParams, Stop};
use hnsw_rs::prelude::{Distance, Hnsw};
use rayon::prelude::*;

/// Layers above this hold no row in practice: each has a sixteenth of the rows of the one below.
const MAX_LAYERS: usize = 16;

/// Rows inserted by one thread before others join, so that they find a graph to connect to.
const ALONE: usize = 1000;

/// The distance as `hnsw_rs` wants it: of points that are slices holding one position.
struct Positions<'a>(&'a Geometry);

impl Distance<u32> for Positions<'_> {
    fn eval(&self, a: &[u32], b: &[u32]) -> f32 {
        match (a, b) {
            ([a], [b]) => self.0.distance(*a, *b),
            _ => f32::MAX,
        }
    }
}

/// Inserts all rows in the order of their positions; `None` once told to `stop`.
pub(crate) fn build(geometry: &Geometry, params: &BuildParams, stop: Stop<'_>) -> Option<FrozenGraph> {
    let rows = geometry.len();
    let half = params.degree() / 2;
    let hnsw = Hnsw::new(half, rows, MAX_LAYERS, params.ef_construction(), Positions(geometry));
    let insert = |position: u32| (!stop()).then(|| hnsw.insert_slice((&[position], position as usize)));
    let alone = if rayon::current_num_threads() > 1 { rows.min(ALONE) } else { rows };
    (0..alone as u32).try_for_each(insert)?;
    (alone as u32..rows as u32).into_par_iter().try_for_each(insert)?;
    let mut lists: Vec<Vec<u32>> = vec![Vec::new(); rows];
    for point in hnsw.get_point_indexation() {
        let row = point.get_origin_id() as u32;
        for to in point.get_neighborhood_id().first().into_iter().flatten() {
            lists[row as usize].push(to.d_id as u32);
            lists[to.d_id].push(row);
        }
    }
    let longest = lists.iter().map(Vec::len).max().unwrap_or_default();
    let mut graph = FrozenGraph::unconnected(rows, longest.max(1));
    for (row, list) in (0..).zip(lists) {
        graph.set(row, list.into_iter().filter(|&to| to != row));
    }
    Some(graph)
}
