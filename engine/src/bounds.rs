//! What is known about which rows match: some surely, some perhaps, the others surely not.
//!
//! Invariant: `certain` ⊆ the rows that match ⊆ `possible`. Every combination keeps that, so that what nobody knows makes
//! an answer wider and never wrong; whoever needs the answer itself opens the rows in between.

use roaring::RoaringBitmap;

/// Which rows match, as far as is known.
pub(crate) struct Bounds {
    /// Rows that match.
    pub certain: RoaringBitmap,
    /// Rows that may match, the certain ones among them.
    pub possible: RoaringBitmap,
}

impl Bounds {
    /// These rows match and no others.
    pub fn exact(rows: RoaringBitmap) -> Self {
        Self { certain: rows.clone(), possible: rows }
    }

    /// Any of these rows may match.
    pub fn unknown(rows: &RoaringBitmap) -> Self {
        Self { certain: RoaringBitmap::new(), possible: rows.clone() }
    }

    /// The rows in between.
    pub fn doubtful(&self) -> RoaringBitmap {
        &self.possible - &self.certain
    }

    /// Those of `rows` that may not match.
    pub fn but_certain(&self, rows: &RoaringBitmap) -> RoaringBitmap {
        rows - &self.certain
    }

    /// Rows that match both.
    pub fn and(self, other: &Self) -> Self {
        Self { certain: self.certain & &other.certain, possible: self.possible & &other.possible }
    }

    /// Rows that match either.
    pub fn or(self, other: &Self) -> Self {
        Self { certain: self.certain | &other.certain, possible: self.possible | &other.possible }
    }

    /// Rows that match this and not the other.
    pub fn but_not(self, other: &Self) -> Self {
        Self { certain: self.certain - &other.possible, possible: self.possible - &other.certain }
    }

    /// The rows in `rows` that match at least so many of these.
    pub fn at_least(least: u64, all: &[Self], rows: &RoaringBitmap) -> Self {
        Self {
            certain: in_at_least(least, all.iter().map(|one| &one.certain), rows),
            possible: in_at_least(least, all.iter().map(|one| &one.possible), rows),
        }
    }
}

/// Those of `rows` that are in at least so many of `sets`.
fn in_at_least<'a>(least: u64, sets: impl Iterator<Item = &'a RoaringBitmap>, rows: &RoaringBitmap) -> RoaringBitmap {
    let Some(end) = rows.max().map(|last| last as usize + 1).filter(|_| least > 0) else { return rows.clone() };
    // A filter has fewer clauses than this counts to.
    let mut counts = vec![0_u16; end];
    for row in sets.flatten() {
        if let Some(count) = counts.get_mut(row as usize) {
            *count += 1;
        }
    }
    let is_enough = |row: &u32| counts.get(*row as usize).is_some_and(|count| u64::from(*count) >= least);
    rows.iter().filter(is_enough).collect()
}
