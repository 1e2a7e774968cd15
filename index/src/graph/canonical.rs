//! The canonical builder: rows enter in the order of their positions, in batches that double, each
//! batch against the graph as its predecessors left it (prefix doubling: Manohar et al., "ParlayANN",
//! 2024).
//!
//! Invariant: the outcome is a pure function of codes and parameters, whatever the number of threads
//! and the instruction set. A row's neighbours are found in a graph that nobody changes meanwhile,
//! back edges are sorted before they are added, and ties go to the lower position.

use super::frozen::FrozenGraph;
use super::geometry::{Geometry, Near};
use super::params::{BuildParams, Stop};
use super::prune::{choose, order};
use crate::search::{Allow, Extent, Links, Reach, Scratch, first, walk};
use rayon::prelude::*;

/// A batch is at most this part of the rows: rows of one batch do not see each other.
const BATCH_PART: usize = 50;

/// Builds a graph over all rows whose lists are up to half too long and not sorted; `None` once told to `stop`.
pub(crate) fn build(geometry: &Geometry, params: &BuildParams, stop: Stop<'_>) -> Option<FrozenGraph> {
    let (rows, degree) = (geometry.len(), params.degree());
    // Lists may grow by half before they are chosen anew (a slack as in Subramanya et al., "DiskANN", 2019).
    let mut graph = FrozenGraph::unconnected(rows, degree + degree / 2);
    let mut done = 1;
    while done < rows {
        let end = rows.min(done + done.min(rows.div_ceil(BATCH_PART)));
        let batch = done as u32..end as u32;
        let grown = Grown { graph: &graph, rows: done };
        let found = batch.clone().into_par_iter().map_init(Scratch::new, |scratch, row| {
            // A late batch of a large graph takes long.
            if stop() {
                return None;
            }
            let goal = geometry.around(row);
            let width = params.ef_construction();
            walk(&grown, &goal, &Extent::of(Reach { limit: width, ef: width }, width), Allow::All, scratch);
            let near = scratch.found().iter().map(|(to, key)| (f32::from_bits(key as u32), to)).collect();
            Some(choose(geometry, row, near, degree))
        });
        let lists: Vec<Vec<Near>> = found.collect::<Option<_>>()?;
        insert(geometry, &mut graph, degree, batch.zip(&lists));
        done = end;
    }
    Some(graph)
}

/// A growing graph as a walk sees it: the rows that are in it.
struct Grown<'a> {
    graph: &'a FrozenGraph,
    rows: usize,
}

impl Links for Grown<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn starts<'a>(&'a self, room: &'a mut Vec<u32>) -> &'a [u32] {
        first(0..self.rows as u32, room)
    }

    #[inline]
    fn neighbours<'a>(&'a self, row: u32, _: &'a mut Vec<u32>) -> &'a [u32] {
        self.graph.neighbours(row)
    }

    #[inline]
    fn prefetch(&self, row: u32) {
        self.graph.prefetch(row);
    }
}

/// Gives the rows of a batch their lists, and the rows on these lists the edges back.
fn insert<'a>(
    geometry: &Geometry,
    graph: &mut FrozenGraph,
    degree: usize,
    batch: impl Iterator<Item = (u32, &'a Vec<Near>)>,
) {
    let mut back: Vec<(u32, Near)> = Vec::new();
    for (row, near) in batch {
        graph.set(row, near.iter().map(|near| near.1));
        back.extend(near.iter().map(|&(distance, to)| (to, (distance, row))));
    }
    back.par_sort_unstable_by(|a, b| a.0.cmp(&b.0).then(order(&a.1, &b.1)));
    let by_target: Vec<&[(u32, Near)]> = back.chunk_by(|a, b| a.0 == b.0).collect();
    let extended = by_target.into_par_iter().filter_map(|group| {
        let target = group.first()?.0;
        let (old, new) = (graph.list(target), group.iter().map(|edge| edge.1));
        if old.len() + group.len() <= graph.degree() {
            return Some((target, old.iter().copied().chain(new.map(|near| near.1)).collect()));
        }
        let mut near: Vec<Near> = new.collect();
        geometry.distances(target, old, &mut near);
        Some((target, choose(geometry, target, near, degree).into_iter().map(|near| near.1).collect()))
    });
    let extended: Vec<(u32, Vec<u32>)> = extended.collect();
    for (target, list) in extended {
        graph.set(target, list);
    }
}
