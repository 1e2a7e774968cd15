//! The nearest records seen so far in a search, wherever they lie.
//!
//! Invariant: at most `limit`, and none that was left out is before one that is in.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use storage::id::RecordId;
use storage::record::Record as StoredRecord;

use crate::segment::Segment;

/// A record with its distance; ordered by distance, then id.
#[derive(Clone)]
pub(crate) struct Ranked {
    pub distance: f32,
    /// How far off the distance can be; 0 if it is exact.
    pub error: f32,
    pub id: RecordId,
    pub place: Place,
}

/// Where a record lies.
#[derive(Clone)]
pub(crate) enum Place {
    Memtable(Arc<StoredRecord>),
    Segment(Arc<Segment>, u32),
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

/// The nearest `limit` seen so far.
#[derive(Clone)]
pub(crate) struct Nearest {
    pub limit: usize,
    pub heap: BinaryHeap<Ranked>,
}

impl Nearest {
    pub fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::with_capacity(limit + 1) }
    }

    /// Whether nothing at `distance` or further can still get in.
    pub fn closed_at(&self, distance: f32) -> bool {
        self.heap.len() == self.limit && self.heap.peek().is_some_and(|worst| distance > worst.distance)
    }

    pub fn push(&mut self, ranked: Ranked) {
        if self.heap.len() < self.limit {
            self.heap.push(ranked);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && ranked < *worst
        {
            *worst = ranked;
        }
    }

    pub fn merge(mut self, other: Self) -> Self {
        other.heap.into_iter().for_each(|ranked| self.push(ranked));
        self
    }
}
