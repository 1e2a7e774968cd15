//! Makes every row reachable from row 0, whatever builder or removal left behind.
//!
//! Invariant: after [`connect`] a walk along the lists from row 0 reaches every row, and no list
//! grew beyond the degree. The edges by which rows were first reached form a tree; only edges
//! outside it are ever replaced, so linking one row never cuts off another.

use super::frozen::FrozenGraph;
use super::geometry::{Geometry, Near};
use super::params::Stop;
use super::prune::rank;
use std::collections::VecDeque;

/// The walk from row 0: who was reached, and through whom.
struct Tree {
    parent: Vec<Option<u32>>,
    queue: VecDeque<u32>,
}

impl Tree {
    fn reached(&self, row: u32) -> bool {
        self.parent.get(row as usize).is_some_and(Option::is_some)
    }

    /// Reaches `row` from `parent`, and everything reachable from there.
    fn grow(&mut self, row: u32, parent: u32, graph: &FrozenGraph) {
        self.parent[row as usize] = Some(parent);
        self.queue.push_back(row);
        while let Some(from) = self.queue.pop_front() {
            for &to in graph.list(from) {
                if !self.reached(to) {
                    self.parent[to as usize] = Some(from);
                    self.queue.push_back(to);
                }
            }
        }
    }

    /// Which edge of `from` can give way to a new one: none of a list with room, otherwise the
    /// farthest outside the tree. `None` if `from` is not reached itself or all its edges carry the
    /// tree.
    fn spare(&self, from: u32, graph: &FrozenGraph) -> Option<usize> {
        let list = self.reached(from).then(|| graph.list(from))?;
        if list.len() < graph.degree() {
            return Some(list.len());
        }
        list.iter().rposition(|&to| self.parent[to as usize] != Some(from))
    }
}

/// Links every row that a walk from row 0 misses to the nearest reached row with an edge to spare; `None` once told to
/// `stop`.
pub(crate) fn connect(geometry: &Geometry, graph: &mut FrozenGraph, stop: Stop<'_>) -> Option<()> {
    if graph.is_empty() {
        return Some(());
    }
    let mut tree = Tree { parent: vec![None; graph.len()], queue: VecDeque::new() };
    tree.grow(0, 0, graph);
    for row in 0..graph.len() as u32 {
        if tree.reached(row) {
            continue;
        }
        if stop() {
            return None;
        }
        // Its own neighbours and theirs are the likeliest to be near and reached; failing them, every row is
        // looked at. One always has an edge to spare: the tree has fewer edges than rows.
        let spare = |&from: &u32| Some((from, tree.spare(from, graph)?));
        let own = graph.list(row);
        let own = own.iter().chain(own.iter().flat_map(|&near| graph.list(near))).find_map(spare);
        let Some((from, slot)) = own.or_else(|| {
            let all = (0..graph.len() as u32).filter_map(|from| spare(&from));
            all.min_by_key(|spare| rank(&(geometry.distance(row, spare.0), spare.0)))
        }) else {
            continue;
        };
        let mut list = graph.list(from).to_vec();
        list.splice(slot..(slot + 1).min(list.len()), [row]);
        let mut near: Vec<Near> = Vec::with_capacity(list.len());
        geometry.distances(from, &list, &mut near);
        near.sort_unstable_by_key(rank);
        graph.set(from, near.into_iter().map(|near| near.1));
        tree.grow(row, from, graph);
    }
    Some(())
}
