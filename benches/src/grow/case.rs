//! What grows, and the store and search that it grows from.
//!
//! Invariant: every value of an axis lies within its range, so a measurement ends and fits a machine that one meets.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::Serialize;

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Growing {
    /// Rows.
    N,
    /// Numbers in a vector.
    Dimension,
    /// Segments that the rows are spread over.
    Segments,
    /// Rows that were deleted and lie there still, of 100.
    Deleted,
    /// Neighbours asked for.
    K,
    /// Threads that search.
    Threads,
}

/// Nothing of that name grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the axes are n, dimension, segments, deleted, k and threads")]
pub struct UnknownGrowing;

impl FromStr for Growing {
    type Err = UnknownGrowing;

    fn from_str(name: &str) -> Result<Self, UnknownGrowing> {
        Self::ALL.into_iter().find(|growing| growing.as_str() == name).ok_or(UnknownGrowing)
    }
}

impl fmt::Display for Growing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Growing {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::N, Self::Dimension, Self::Segments, Self::Deleted, Self::K, Self::Threads];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::N => "n",
            Self::Dimension => "dimension",
            Self::Segments => "segments",
            Self::Deleted => "deleted",
            Self::K => "k",
            Self::Threads => "threads",
        }
    }

    /// What an axis of a picture is labelled with.
    pub fn label(self) -> &'static str {
        match self {
            Self::N => "rows",
            Self::Dimension => "numbers in a vector",
            Self::Segments => "segments",
            Self::Deleted => "deleted rows, %",
            Self::K => "neighbours asked for",
            Self::Threads => "threads",
        }
    }

    /// Values that it can have.
    pub fn range(self) -> RangeInclusive<usize> {
        match self {
            Self::N => 1..=10_000_000,
            Self::Dimension => 1..=4096,
            Self::Segments => 1..=256,
            Self::Deleted => 0..=90,
            Self::K => 1..=1000,
            Self::Threads => 1..=256,
        }
    }

    /// The values to measure where the user names none.
    pub fn usual(self, is_quick: bool) -> &'static [usize] {
        match (self, is_quick) {
            (Self::N, false) => &[10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000],
            (Self::N, true) => &[2_000, 4_000, 8_000],
            (Self::Dimension, false) => &[64, 128, 256, 384, 768, 1536],
            (Self::Dimension, true) => &[32, 64, 128],
            (Self::Segments, false) => &[1, 2, 4, 8, 16],
            (Self::Segments, true) => &[1, 2],
            (Self::Deleted, false) => &[0, 10, 20, 30, 40, 50],
            (Self::Deleted, true) => &[0, 25, 50],
            (Self::K, false) => &[1, 5, 10, 20, 50, 100],
            (Self::K, true) => &[1, 10, 50],
            (Self::Threads, false) => &[1, 2, 4, 8],
            (Self::Threads, true) => &[1, 2],
        }
    }
}

/// A store and how it is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Rows, those deleted among them.
    pub n: usize,
    /// Numbers in a vector.
    pub dimension: usize,
    /// Segments of equal size.
    pub segments: usize,
    /// Rows that were deleted, of 100.
    pub deleted: usize,
    /// Neighbours asked for.
    pub k: usize,
    /// Threads that search, each one query at a time.
    pub threads: usize,
}

impl Case {
    /// The value of what grows.
    pub fn value(&self, growing: Growing) -> usize {
        let mut case = *self;
        *case.place(growing)
    }

    /// The same but for what grows.
    pub fn with(mut self, growing: Growing, value: usize) -> Self {
        *self.place(growing) = value;
        self
    }

    fn place(&mut self, growing: Growing) -> &mut usize {
        match growing {
            Growing::N => &mut self.n,
            Growing::Dimension => &mut self.dimension,
            Growing::Segments => &mut self.segments,
            Growing::Deleted => &mut self.deleted,
            Growing::K => &mut self.k,
            Growing::Threads => &mut self.threads,
        }
    }

    /// Rows that were deleted, which are the first: rows are drawn independently, so those are as good as any.
    pub fn deleted_rows(&self) -> usize {
        self.n * self.deleted / 100
    }

    /// What cannot be measured: a value out of its range, or more neighbours than rows.
    pub fn excess(&self) -> Option<Growing> {
        let is_out = |growing: &Growing| !growing.range().contains(&self.value(*growing));
        let few_rows = (self.n - self.deleted_rows().min(self.n) < self.k).then_some(Growing::K);
        Growing::ALL.into_iter().find(is_out).or(few_rows).or((self.segments > self.n).then_some(Growing::Segments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case { n: 2000, dimension: 16, segments: 1, deleted: 0, k: 10, threads: 1 };

    #[test]
    fn names_are_read_as_they_are_written() {
        for growing in Growing::ALL {
            assert_eq!(growing.to_string().parse(), Ok(growing));
        }
        assert_eq!("rows".parse::<Growing>(), Err(UnknownGrowing));
    }

    #[test]
    fn usual_values_rise_within_their_range() {
        for growing in Growing::ALL {
            for is_quick in [false, true] {
                let usual = growing.usual(is_quick);
                assert!(usual.is_sorted() && usual.iter().all(|value| growing.range().contains(value)), "{growing}");
                assert!(usual.iter().all(|value| CASE.with(growing, *value).value(growing) == *value));
            }
        }
    }

    #[test]
    fn what_cannot_be_measured_is_named() {
        assert_eq!(CASE.excess(), None);
        assert_eq!(CASE.with(Growing::Dimension, 0).excess(), Some(Growing::Dimension));
        assert_eq!(CASE.with(Growing::Deleted, 91).excess(), Some(Growing::Deleted));
        assert_eq!(CASE.with(Growing::N, 9).excess(), Some(Growing::K));
        assert_eq!(CASE.with(Growing::N, usize::MAX).excess(), Some(Growing::N));
        assert_eq!(Case { n: 20, k: 11, deleted: 50, ..CASE }.excess(), Some(Growing::K));
        assert_eq!(Case { n: 20, segments: 21, ..CASE }.excess(), Some(Growing::Segments));
    }
}
