//! The graph as it is searched: one fixed-size list per row in one block of memory.
//!
//! Invariant: every id is a position of the segment; every list is sorted by (distance, position)
//! and padded with the row's own id. A fixed size makes finding a list one multiplication, and
//! sixteen neighbours fill a cache line.

use crate::arena::Arena;
use crate::kernel;
use crate::search::{Cells, Goal, Links, sampled, starts};
use roaring::RoaringBitmap;
use std::sync::OnceLock;

/// A graph of rows, each with at most `degree` neighbours. Searches start near row 0.
pub struct FrozenGraph {
    pub(super) degree: usize,
    pub(super) adjacency: Arena<u32>,
    /// Made when a search first asks for them, of a graph that changes no more.
    pub(super) cells: OnceLock<Cells>,
}

impl FrozenGraph {
    /// A graph of `rows` rows without any edge.
    pub(super) fn unconnected(rows: usize, degree: usize) -> Self {
        let mut adjacency = Arena::zeroed(rows * degree);
        for (row, slots) in (0..).zip(adjacency.chunks_exact_mut(degree)) {
            slots.fill(row);
        }
        Self { degree, adjacency, cells: OnceLock::new() }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.adjacency.len() / self.degree
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.adjacency.is_empty()
    }

    /// Slots per row.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// The neighbours of a row, nearest first, padded with the row itself; empty beyond the end.
    #[inline]
    pub fn neighbours(&self, row: u32) -> &[u32] {
        let start = row as usize * self.degree;
        self.adjacency.get(start..start + self.degree).unwrap_or_default()
    }

    /// The neighbours of a row without the padding.
    pub(super) fn list(&self, row: u32) -> &[u32] {
        let slots = self.neighbours(row);
        // A row is nobody's neighbour but as padding, which comes last.
        slots.split(|&to| to == row).next().unwrap_or_default()
    }

    /// Replaces the neighbours of a row, of which `degree` count.
    pub(super) fn set(&mut self, row: u32, list: impl IntoIterator<Item = u32>) {
        let start = row as usize * self.degree;
        if let Some(slots) = self.adjacency.get_mut(start..start + self.degree) {
            slots.fill(row);
            slots.iter_mut().zip(list).for_each(|(slot, to)| *slot = to);
        }
    }

    /// How many rows the lists lead to from row 0.
    pub fn reached(&self) -> usize {
        let mut seen = RoaringBitmap::new();
        let mut open = Vec::from_iter((!self.is_empty()).then_some(0));
        seen.extend(open.iter());
        while let Some(row) = open.pop() {
            open.extend(self.list(row).iter().filter(|&&to| seen.insert(to)));
        }
        seen.len() as usize
    }

    /// The cells of its rows; `keys`, asked for once, gives what [`Cells::new`] compares rows by.
    pub(crate) fn cells<K: FnMut(u32, &[u32], &mut [i32])>(&self, keys: impl FnOnce() -> K) -> &Cells {
        self.cells.get_or_init(|| Cells::new(self, keys()))
    }

    /// Bytes of one list of neighbours.
    pub(crate) fn list_bytes(&self) -> u64 {
        (self.degree * size_of::<u32>()) as u64
    }

    /// Bytes of memory held.
    pub fn resident_bytes(&self) -> usize {
        self.adjacency.resident_bytes() + self.cells.get().map_or(0, Cells::resident_bytes)
    }

    /// Whether the system agreed to keep the lists out of swap.
    pub fn is_locked(&self) -> bool {
        self.adjacency.is_locked() && self.cells.get().is_none_or(Cells::is_locked)
    }
}

impl Links for FrozenGraph {
    fn rows(&self) -> usize {
        self.len()
    }

    fn starts<'a>(&'a self, goal: &impl Goal, room: (&'a mut Vec<u32>, &mut Vec<i32>)) -> &'a [u32] {
        starts(self.len(), goal, room)
    }

    fn sampled(&self) -> u64 {
        sampled(self.len())
    }

    #[inline]
    fn neighbours<'a>(&'a self, row: u32, _: &'a mut Vec<u32>) -> &'a [u32] {
        self.neighbours(row)
    }

    #[inline]
    fn prefetch(&self, row: u32) {
        kernel::prefetch(self.neighbours(row));
    }
}
