//! The first builder: `hnsw_rs` 0.3.5, whose layers and lists are taken out once all rows are in.
//!
//! It is used for insertion alone. Its points are positions; distances come from [`Geometry`],
//! which is never negative and never NaN (both would make it panic). What it is known to leave
//! wrong is put right here or afterwards: lists for layers above a point's own level are dropped,
//! overfull lists that lost their diverse edges are chosen again (`prune`), and unreachable rows
//! are linked (`repair`). Its dump, reload and filtered search are never used.
//!
//! Invariant: with one thread the outcome is a pure function of rows, order and parameters.

use super::geometry::Geometry;
use super::params::BuildParams;
use hnsw_rs::prelude::{Distance, Hnsw};
use rayon::prelude::*;

/// Layers above this hold no row in practice: each has a sixteenth of the rows of the one below.
const MAX_LAYERS: usize = 16;

/// Rows inserted by one thread before others join, so that they find a graph to connect to.
const ALONE: usize = 1000;

/// What a builder hands over.
pub(crate) struct Draft {
    /// Neighbours by position in the bottom layer.
    pub lists: Vec<Vec<u32>>,
    /// The layers above, lowest first: rows and their neighbours.
    pub layers: Vec<Vec<(u32, Vec<u32>)>>,
    /// A row of the highest layer.
    pub entry: u32,
}

/// The distance as `hnsw_rs` wants it: of points that are slices holding one position.
struct Positions<'a>(&'a Geometry<'a>);

impl Distance<u32> for Positions<'_> {
    fn eval(&self, a: &[u32], b: &[u32]) -> f32 {
        match (a, b) {
            ([a], [b]) => self.0.distance(*a, *b),
            _ => f32::MAX,
        }
    }
}

/// Inserts all rows in the given order.
pub(crate) fn build(geometry: &Geometry<'_>, order: &[u32], params: &BuildParams) -> Draft {
    let half = params.degree() / 2;
    let hnsw = Hnsw::new(half, geometry.len(), MAX_LAYERS, params.ef_construction(), Positions(geometry));
    let insert = |&position: &u32| hnsw.insert_slice((&[position], position as usize));
    let alone = if rayon::current_num_threads() > 1 { order.len().min(ALONE) } else { order.len() };
    let (first, others) = order.split_at(alone);
    first.iter().for_each(insert);
    others.par_iter().for_each(insert);
    take_out(&hnsw, geometry.len())
}

/// Copies layers and lists out of the builder.
fn take_out(hnsw: &Hnsw<'_, u32, Positions<'_>>, rows: usize) -> Draft {
    let points = hnsw.get_point_indexation();
    let highest = usize::from(hnsw.get_max_level_observed());
    let mut draft = Draft { lists: vec![Vec::new(); rows], layers: vec![Vec::new(); highest], entry: 0 };
    for level in 0..=highest {
        for (rank, point) in points.get_layer_iterator(level).enumerate() {
            let row = point.get_origin_id() as u32;
            // The first point to reach the highest level is the one later insertions start from.
            if level == highest && rank == 0 {
                draft.entry = row;
            }
            for (layer, list) in point.get_neighborhood_id().into_iter().enumerate().take(level + 1) {
                let in_layer = list.iter().filter(|to| usize::from(to.p_id.0) >= layer);
                let list: Vec<u32> = in_layer.map(|to| to.d_id as u32).collect();
                match layer.checked_sub(1) {
                    None => draft.lists[row as usize] = list,
                    Some(above) => draft.layers[above].push((row, list)),
                }
            }
        }
    }
    draft
}
