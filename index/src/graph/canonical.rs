//! The canonical builder: lists from leaves of rows that lie together, level upon level.
//!
//! Of all rows, and of samples of them each a sixteenth as large, every row gets its nearest, in both directions, thinned
//! to those that lie in different directions. Edges of the samples lead from one cluster of rows to the next, as the
//! layers of a hierarchy would; here they are parts of the same lists, so that one walk follows both. Nobody searches a
//! graph while it is built, which is where builders that insert row by row spend their time (Rubel et al., "PiPNN",
//! 2026; `benches/LOG.md` has what this gained).
//!
//! Invariant: the outcome is a pure function of codes and parameters, whatever the number of threads and the
//! instruction set: lists depend on sets of rows, not on the order in which these were found.

use super::carve::carve;
use super::frozen::FrozenGraph;
use super::geometry::{Geometry, Near};
use super::nearest::nearest;
use super::params::{BuildParams, Stop};
use super::prune::{Choice, Fill, rank};
use rayon::prelude::*;

/// A sample is so many times smaller than what it is taken from.
const SMALLER: usize = 16;

/// No sample is smaller: in one of this size every row considers every other, so that its edges connect it.
const LEAST: usize = NEAREST;

/// Rows whose lists are chosen before they are written to the graph.
const BATCH: usize = 1 << 16;

/// The rows nearest to each that are considered as its neighbours, and it as theirs. With fewer, graphs of real vectors are
/// as good; but groups of rows that are all nearer to each other than to others then name nobody outside.
const NEAREST: usize = 64;

/// The lists of one level are chosen among so many times as many candidates, at most, those that are near both ways
/// counted twice: some rows are near to very many.
const CROWD: usize = 4;

/// Builds a graph over all rows; `None` once told to `stop`.
pub(crate) fn build(geometry: &Geometry, params: &BuildParams, stop: Stop<'_>) -> Option<FrozenGraph> {
    let (rows, degree) = (geometry.len(), params.degree());
    let smaller = |rows: &usize| (*rows > 2 * LEAST).then(|| (rows / SMALLER).max(LEAST));
    let mut samples: Vec<usize> = std::iter::successors(smaller(&rows), smaller).collect();
    let mut graph = FrozenGraph::unconnected(rows, degree);
    while let Some(sample) = samples.pop() {
        // What a row may have of a sample that it is in. Few rows are in several, and lead from one to the next.
        Level { rows: sample, most: degree - degree / 3, fill: Fill::Open }.add(geometry, &mut graph, stop)?;
    }
    Level { rows, most: degree, fill: Fill::Nearest }.add(geometry, &mut graph, stop)?;
    Some(graph)
}

/// One level: the first rows of a segment, which are a random sample, since positions follow a keyed order.
struct Level {
    rows: usize,
    /// Edges that a row gets, if those of higher levels leave room.
    most: usize,
    /// What becomes of room that is left.
    fill: Fill,
}

impl Level {
    /// Adds the edges of this level; `None` once told to `stop`.
    fn add(&self, geometry: &Geometry, graph: &mut FrozenGraph, stop: Stop<'_>) -> Option<()> {
        let leaves = carve(geometry, self.rows, stop)?;
        let near = nearest(geometry, self.rows, &leaves, NEAREST, stop)?;
        if stop() {
            return None;
        }
        let back = Back::of(&near);
        for rows in together(&leaves, self.rows).chunks(BATCH) {
            let lists = rows.par_iter().map_init(Choice::new, |choice, &row| {
                if stop() {
                    return None;
                }
                let mut candidates = near.get(row as usize).cloned().unwrap_or_default();
                geometry.distances(row, back.to(row), &mut candidates);
                Some((row, self.list(geometry, graph, choice, row, candidates)))
            });
            let lists: Vec<(u32, Vec<u32>)> = lists.collect::<Option<_>>()?;
            for (row, list) in lists {
                graph.set(row, list);
            }
        }
        Some(())
    }

    /// The list of `row`: what higher levels gave it, and what is chosen among `candidates`.
    fn list(
        &self,
        geometry: &Geometry,
        graph: &FrozenGraph,
        choice: &mut Choice,
        row: u32,
        mut candidates: Vec<Near>,
    ) -> Vec<u32> {
        let most = CROWD * NEAREST;
        if candidates.len() > most {
            candidates.select_nth_unstable_by_key(most, rank);
            candidates.truncate(most);
        }
        let above = graph.list(row);
        candidates.retain(|near| !above.contains(&near.1));
        let mut list: Vec<Near> = Vec::with_capacity(graph.degree());
        geometry.distances(row, above, &mut list);
        let room = self.most.min(graph.degree().saturating_sub(list.len()));
        list.append(&mut choice.choose(geometry, row, candidates, room, self.fill));
        list.sort_by_key(rank);
        list.into_iter().map(|near| near.1).collect()
    }
}

/// Who names a row as near, for all rows: their positions one after the other.
struct Back {
    ends: Vec<usize>,
    from: Vec<u32>,
}

impl Back {
    fn of(near: &[Vec<Near>]) -> Self {
        let mut ends = vec![0; near.len()];
        for to in near.iter().flatten() {
            if let Some(count) = ends.get_mut(to.1 as usize) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for end in &mut ends {
            // Where the first of a row's goes, until all have come.
            sum += std::mem::replace(end, sum);
        }
        let mut from = vec![0; sum];
        for (row, near) in (0..).zip(near) {
            for to in near {
                if let Some(end) = ends.get_mut(to.1 as usize)
                    && let Some(place) = from.get_mut(*end)
                {
                    *place = row;
                    *end += 1;
                }
            }
        }
        Self { ends, from }
    }

    fn to(&self, row: u32) -> &[u32] {
        let end = |at: usize| self.ends.get(at).copied().unwrap_or_default();
        let start = (row as usize).checked_sub(1).map_or(0, end);
        self.from.get(start..end(row as usize)).unwrap_or_default()
    }
}

/// Every row once, those of a leaf together: their candidates are in the cache.
fn together(leaves: &[Vec<u32>], rows: usize) -> Vec<u32> {
    let mut is_new = vec![true; rows];
    let mut new = |row: &u32| is_new.get_mut(*row as usize).is_some_and(std::mem::take);
    leaves.iter().flatten().copied().filter(|row| new(row)).collect()
}
