//! The graph as it is searched: one fixed-size list per row in one block of memory, and thin layers
//! above it.
//!
//! Invariant: every id is a position of the segment; every list is sorted by (distance, position)
//! and padded with the row's own id; the rows of a layer are also rows of the layer below. A fixed
//! size makes finding a list one multiplication, and thirty-two neighbours fill two cache lines.

use super::prune::Near;
use crate::arena::Arena;
use crate::kernel;
use zeroize::Zeroizing;

/// A finished graph.
pub struct FrozenGraph {
    pub(super) degree: usize,
    pub(super) entry: u32,
    pub(super) adjacency: Arena<u32>,
    /// From the lowest (the one above the bottom) to the highest.
    pub(super) layers: Vec<Layer>,
}

/// One layer above the bottom: a graph over few rows, which are known in it by their rank.
pub struct Layer {
    pub(super) degree: usize,
    /// The rows of the layer by rank, rising.
    pub(super) rows: Zeroizing<Vec<u32>>,
    /// Ranks of the same rows in the layer below (their positions, in the lowest layer).
    pub(super) below: Zeroizing<Vec<u32>>,
    /// `degree` ranks per row, padded with its own.
    pub(super) links: Zeroizing<Vec<u32>>,
}

impl FrozenGraph {
    /// Freezes lists by position and layers of (position, neighbours' positions), the layers and
    /// their rows in any order of rows but from the lowest layer up.
    pub(super) fn new(lists: &[Vec<Near>], layers: Vec<Vec<(u32, Vec<u32>)>>, entry: u32, degree: usize) -> Self {
        let mut adjacency = Arena::zeroed(lists.len() * degree);
        for ((row, list), slots) in (0..).zip(lists).zip(adjacency.chunks_exact_mut(degree)) {
            slots.fill(row);
            for (slot, &(_, to)) in slots.iter_mut().zip(list) {
                *slot = to;
            }
        }
        let mut frozen: Vec<Layer> = Vec::new();
        for mut layer in layers {
            layer.sort_unstable_by_key(|&(row, _)| row);
            let rows: Vec<u32> = layer.iter().map(|&(row, _)| row).collect();
            let width = degree / 2;
            let mut links = Vec::with_capacity(rows.len() * width);
            for (rank, (_, list)) in (0..).zip(&layer) {
                let ranks = list.iter().filter_map(|to| rows.binary_search(to).ok()).map(|rank| rank as u32);
                links.extend(ranks.filter(|&to| to != rank).chain(std::iter::repeat(rank)).take(width));
            }
            let Some(layer) = Layer::new(rows, links, width, frozen.last()) else {
                break;
            };
            frozen.push(layer);
        }
        Self { degree, entry, adjacency, layers: frozen }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.adjacency.len() / self.degree
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.adjacency.is_empty()
    }

    /// Slots per row in the bottom layer.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// Where a walk of the bottom layer reaches every row from.
    pub fn entry(&self) -> u32 {
        self.entry
    }

    /// The layers above the bottom, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The neighbours of a row in the bottom layer, nearest first, padded with the row itself;
    /// empty beyond the end.
    #[inline]
    pub fn neighbours(&self, row: u32) -> &[u32] {
        let start = row as usize * self.degree;
        self.adjacency.get(start..start + self.degree).unwrap_or_default()
    }

    /// Starts loading the neighbours of a row.
    #[inline]
    pub(crate) fn prefetch(&self, row: u32) {
        kernel::prefetch(self.neighbours(row));
    }

    /// Bytes of memory held.
    pub fn resident_bytes(&self) -> usize {
        let upper: usize = self.layers.iter().map(|layer| 4 * (2 * layer.rows.len() + layer.links.len())).sum();
        self.adjacency.resident_bytes() + upper
    }
}

impl Layer {
    /// A layer over `rows` (rising), if each of them is also in the layer below and every link is a
    /// rank.
    pub(super) fn new(rows: Vec<u32>, links: Vec<u32>, degree: usize, lower: Option<&Self>) -> Option<Self> {
        let rank_below = |row: &u32| match lower {
            None => Some(*row),
            Some(lower) => lower.rows.binary_search(row).ok().map(|rank| rank as u32),
        };
        let below: Option<Vec<u32>> = rows.iter().map(rank_below).collect();
        let valid = rows.is_sorted_by(|a, b| a < b)
            && links.len() == rows.len().checked_mul(degree)?
            && links.iter().all(|&rank| (rank as usize) < rows.len());
        let (rows, below, links) = (Zeroizing::new(rows), Zeroizing::new(below?), Zeroizing::new(links));
        valid.then_some(Self { degree, rows, below, links })
    }

    /// The rank of a row in this layer.
    pub fn rank(&self, row: u32) -> Option<u32> {
        self.rows.binary_search(&row).ok().map(|rank| rank as u32)
    }

    /// The row of a rank.
    #[inline]
    pub fn row(&self, rank: u32) -> Option<u32> {
        self.rows.get(rank as usize).copied()
    }

    /// The same row's rank in the layer below, or its position in the lowest layer.
    #[inline]
    pub fn below(&self, rank: u32) -> Option<u32> {
        self.below.get(rank as usize).copied()
    }

    /// Ranks of the neighbours of a rank, padded with the rank itself.
    #[inline]
    pub fn neighbours(&self, rank: u32) -> &[u32] {
        let start = rank as usize * self.degree;
        self.links.get(start..start + self.degree).unwrap_or_default()
    }
}
