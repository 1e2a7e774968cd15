//! Rows of codes in one block of memory, as the kernels see them.
//!
//! Invariant: a row beyond the end is empty, never out of bounds.

use super::prefetch;
use std::ops::Range;

/// The same part of rows of equal length that lie one after the other.
#[derive(Clone, Copy)]
pub struct Rows<'a, T> {
    items: &'a [T],
    stride: usize,
    start: usize,
    end: usize,
}

impl<'a, T> Rows<'a, T> {
    /// Rows of `stride` items each, of which `part` counts.
    pub fn new(items: &'a [T], stride: usize, part: Range<usize>) -> Self {
        Self { items, stride, start: part.start, end: part.end }
    }

    /// The row at `position`; empty beyond the end.
    #[inline(always)]
    pub fn row(&self, position: u32) -> &'a [T] {
        let start = position as usize * self.stride;
        self.items.get(start + self.start..start + self.end).unwrap_or_default()
    }

    /// Starts loading the rows at `positions`.
    #[inline(always)]
    pub fn prefetch(&self, positions: &[u32]) {
        for &position in positions {
            prefetch(self.row(position));
        }
    }
}
