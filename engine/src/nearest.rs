//! The nearest records that a search has seen, and where they are.
//!
//! Invariant: never more than `limit`; none that was left out is nearer than one that is in. Ties go to the lower id.

use std::collections::BinaryHeap;
use std::collections::binary_heap::IntoIter;
use std::sync::Arc;

use storage::id::RecordId;
use storage::record::Record as StoredRecord;

use crate::segment::Segment;

/// A record with its distance; ordered by distance, then id.
pub(crate) struct Ranked<'a> {
    pub distance: f32,
    /// How far off the distance can be; 0 if it is exact.
    pub error: f32,
    pub id: RecordId,
    pub place: Place<'a>,
}

/// Where a record is, in the view that is searched.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Memtable(&'a Arc<StoredRecord>),
    Segment(&'a Segment, u32),
}

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.distance.total_cmp(&other.distance).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked<'_> {}

/// The nearest `limit` seen so far.
pub(crate) struct Nearest<'a> {
    limit: usize,
    heap: BinaryHeap<Ranked<'a>>,
}

impl<'a> Nearest<'a> {
    pub fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new() }
    }

    /// Whether nothing further than `distance` can still get in.
    pub fn is_closed_at(&self, distance: f32) -> bool {
        self.heap.len() >= self.limit && self.heap.peek().is_none_or(|worst| distance > worst.distance)
    }

    pub fn push(&mut self, ranked: Ranked<'a>) {
        if self.heap.len() < self.limit {
            self.heap.push(ranked);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && ranked < *worst
        {
            *worst = ranked;
        }
    }

    pub fn merge(mut self, other: Self) -> Self {
        other.into_iter().for_each(|ranked| self.push(ranked));
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = &Ranked<'a>> + Clone {
        self.heap.iter()
    }

    /// Nearest first.
    pub fn into_sorted(self) -> Vec<Ranked<'a>> {
        self.heap.into_sorted_vec()
    }
}

impl<'a> IntoIterator for Nearest<'a> {
    type Item = Ranked<'a>;
    type IntoIter = IntoIter<Ranked<'a>>;
    fn into_iter(self) -> Self::IntoIter {
        self.heap.into_iter()
    }
}
