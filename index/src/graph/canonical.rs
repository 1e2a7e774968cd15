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
use crate::search::{Allow, Extent, Links, Reach, STARTS, Scratch, first, walk};
use rayon::prelude::*;

/// A batch is at most this part of the rows: rows of one batch do not see each other.
const BATCH_PART: usize = 50;

/// Of the rows that a walk of width `ef_construction` meets, so many times as many are considered as neighbours. To
/// look at more of them again is cheaper than to meet more.
const CONSIDERED: usize = 2;

/// Rows whose lists one task extends.
const BLOCK: usize = 256;

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
            let ef = params.ef_construction();
            let extent = Extent::of(Reach { limit: ef / 2, ef }, CONSIDERED * ef);
            walk(&grown, &geometry.around(row), &extent, Allow::All, scratch);
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
        first(STARTS, 0..self.rows as u32, room)
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
    let slots = graph.degree();
    graph.adjacency.par_chunks_mut(BLOCK * slots).enumerate().for_each(|(block, lists)| {
        let first = (block * BLOCK) as u32;
        let to_here = |target: u32| back.partition_point(|edge| edge.0 < target);
        let edges = back.get(to_here(first)..to_here(first + BLOCK as u32)).unwrap_or_default();
        for edges in edges.chunk_by(|a, b| a.0 == b.0) {
            let target = edges.first().map_or(first, |edge| edge.0);
            let start = (target - first) as usize * slots;
            if let Some(list) = lists.get_mut(start..start + slots) {
                extend(geometry, target, list, edges.iter().map(|edge| edge.1), degree);
            }
        }
    });
}

/// Adds neighbours to a list that is padded with its own row, and chooses `degree` of all if there is no room.
fn extend(geometry: &Geometry, row: u32, list: &mut [u32], new: impl ExactSizeIterator<Item = Near>, degree: usize) {
    let held = list.iter().position(|&to| to == row).unwrap_or(list.len());
    if held + new.len() <= list.len() {
        list.iter_mut().skip(held).zip(new).for_each(|(slot, near)| *slot = near.1);
        return;
    }
    let mut near = Vec::with_capacity(held + new.len());
    geometry.distances(row, list.get(..held).unwrap_or_default(), &mut near);
    near.extend(new);
    list.fill(row);
    list.iter_mut().zip(choose(geometry, row, near, degree)).for_each(|(slot, near)| *slot = near.1);
}
