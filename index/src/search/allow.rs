//! Which positions may be results.
//!
//! Invariant: positions at or beyond the segment's length are never allowed, whatever a bitmap
//! says.

use roaring::RoaringBitmap;

/// The positions that may be results; a walk still passes through the others.
#[derive(Clone, Copy)]
pub enum Allow<'a> {
    /// All of them.
    All,
    /// All but these: tombstones.
    Except(&'a RoaringBitmap),
    /// Only these: a filter's matches.
    Only(&'a RoaringBitmap),
}

impl Allow<'_> {
    /// Whether `position`, one of the segment's, is allowed.
    #[inline]
    pub(crate) fn contains(&self, position: u32) -> bool {
        match self {
            Self::All => true,
            Self::Except(bitmap) => !bitmap.contains(position),
            Self::Only(bitmap) => bitmap.contains(position),
        }
    }

    /// How many of the first `rows` positions are allowed.
    pub(crate) fn count(&self, rows: u32) -> u64 {
        match self {
            Self::All => u64::from(rows),
            Self::Except(bitmap) => u64::from(rows) - bitmap.range_cardinality(..rows),
            Self::Only(bitmap) => bitmap.range_cardinality(..rows),
        }
    }
}
