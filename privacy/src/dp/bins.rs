//! The contribution to a histogram: an entity's weight of 1, shared among the bins its records fall into.
//!
//! Invariant: the shares are whole steps and add up to at most 1, so a histogram costs ε once, however many bins it has
//! and however many records an entity. The bins are named by the caller: a list found in the data would tell of it.

use super::clip::BoundError;
use super::contribution::{Bound, Contribution, GRID};

/// The most bins.
pub const BINS_MAX: usize = 4096;

/// The weight of an entity, in steps.
const WEIGHT: u64 = 1 << GRID;

/// How many bins a histogram has.
#[derive(Debug, Clone, PartialEq)]
pub struct Bins {
    bound: Bound,
}

impl Bins {
    /// A histogram of `count` bins.
    ///
    /// # Errors
    /// [`BoundError::Width`], for none or more than [`BINS_MAX`].
    pub fn new(count: usize) -> Result<Bins, BoundError> {
        if !(1..=BINS_MAX).contains(&count) {
            return Err(BoundError::Width { found: count, max: BINS_MAX });
        }
        let weight = u128::from(WEIGHT);
        Ok(Bins { bound: Bound::new(count, 1.0 / WEIGHT as f64, WEIGHT, weight * weight) })
    }

    /// What every contribution keeps within.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Begins to gather an entity's records.
    pub fn gather(&self) -> Weights<'_> {
        Weights { bins: self, falls: vec![0; self.bound.width()], all: 0 }
    }
}

/// The records of one entity, being told apart.
pub struct Weights<'b> {
    bins: &'b Bins,
    /// How often a record fell into each bin.
    falls: Vec<u64>,
    all: u64,
}

impl Weights<'_> {
    /// Adds one of the entity's records, which falls into these bins: usually one; several, if the field holds a list;
    /// none, if its value is not asked for. Falls into bins that there are not count as into none.
    pub fn add(&mut self, bins: &[usize]) {
        // A record outside of all bins takes its share of the weight with it.
        self.all = self.all.saturating_add(bins.len().max(1) as u64);
        for bin in bins {
            if let Some(falls) = self.falls.get_mut(*bin) {
                *falls = falls.saturating_add(1);
            }
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.all == 0
    }

    /// The entity's contribution. It begins anew for the next entity.
    pub fn take(&mut self) -> Contribution {
        let all = u128::from(self.all.max(1));
        let share = |falls: &u64| (u128::from(*falls) * u128::from(WEIGHT) / all) as i64;
        let steps = self.falls.iter().map(share).collect();
        self.falls.fill(0);
        self.all = 0;
        Contribution::new(steps, &self.bins.bound)
    }
}
