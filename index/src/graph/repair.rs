//! Makes every row reachable from the entry, whatever the builder left behind.
//!
//! Invariant: after [`connect`] a walk along the lists from the entry reaches every row, and no
//! list grew beyond the degree. The edges by which rows were first reached form a tree; only edges
//! outside it are ever replaced, so linking one row never cuts off another.

use super::geometry::Geometry;
use super::prune::{Near, order};
use std::collections::VecDeque;

/// The walk from the entry: who was reached, and through whom.
struct Tree {
    parent: Vec<Option<u32>>,
    queue: VecDeque<u32>,
}

impl Tree {
    fn reached(&self, row: u32) -> bool {
        self.parent.get(row as usize).is_some_and(Option::is_some)
    }

    /// Reaches `row` from `parent`, and everything reachable from there.
    fn grow(&mut self, row: u32, parent: u32, lists: &[Vec<Near>]) {
        self.parent[row as usize] = Some(parent);
        self.queue.push_back(row);
        while let Some(from) = self.queue.pop_front() {
            for &(_, to) in &lists[from as usize] {
                if !self.reached(to) {
                    self.parent[to as usize] = Some(from);
                    self.queue.push_back(to);
                }
            }
        }
    }
}

/// Links every row that a walk from `entry` misses to the nearest reached row with an edge to
/// spare.
pub(crate) fn connect(geometry: &Geometry<'_>, lists: &mut [Vec<Near>], entry: u32, degree: usize) {
    if entry as usize >= lists.len() {
        return;
    }
    let mut tree = Tree { parent: vec![None; lists.len()], queue: VecDeque::new() };
    tree.grow(entry, entry, lists);
    for row in 0..lists.len() as u32 {
        if tree.reached(row) {
            continue;
        }
        // Its own neighbours are the likeliest to be near and reached; failing them, every row is
        // looked at.
        let own =
            lists[row as usize].iter().map(|&(_, to)| to).find(|&to| adopt_slot(to, lists, &tree, degree).is_some());
        let from = own.or_else(|| nearest_with_slot(geometry, row, lists, &tree, degree));
        let Some((from, slot)) = from.and_then(|from| Some((from, adopt_slot(from, lists, &tree, degree)?))) else {
            continue;
        };
        let list = &mut lists[from as usize];
        list.truncate(degree);
        if slot < list.len() {
            list.remove(slot);
        }
        list.push((geometry.distance(from, row), row));
        list.sort_unstable_by(order);
        tree.grow(row, from, lists);
    }
}

/// Where `from` can take one more neighbour: behind its last, or in place of its farthest edge
/// outside the tree. None if it is not reached itself or all its edges carry the tree.
fn adopt_slot(from: u32, lists: &[Vec<Near>], tree: &Tree, degree: usize) -> Option<usize> {
    let list = lists.get(from as usize).filter(|_| tree.reached(from))?;
    if list.len() < degree {
        return Some(list.len());
    }
    list.iter().rposition(|&(_, to)| tree.parent[to as usize] != Some(from))
}

/// The nearest reached row that can take one more neighbour. There always is one: the tree has
/// fewer edges than rows.
fn nearest_with_slot(
    geometry: &Geometry<'_>,
    row: u32,
    lists: &[Vec<Near>],
    tree: &Tree,
    degree: usize,
) -> Option<u32> {
    (0..lists.len() as u32)
        .filter(|&from| adopt_slot(from, lists, tree, degree).is_some())
        .map(|from| (geometry.distance(row, from), from))
        .min_by(order)
        .map(|(_, from)| from)
}
