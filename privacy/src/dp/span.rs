//! The contribution to a mean or a sum of a bounded number: one number of an entity, held between two ends.
//!
//! Invariant: as for vectors, an entity's numbers are added up in integers, and what it gives depends on them alone. The
//! ends are named by the caller: looking for them in the data would tell of it.

use super::clip::{BoundError, SIZE_MAX, check_size, fine_step, step_for};
use super::contribution::{Bound, Contribution};

/// Where a single number saturates, in fine steps.
const NUMBER_MAX: i64 = 1 << 62;

/// Between what ends an entity's number lies, and how it comes of the entity's records.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    low: f64,
    high: f64,
    /// What counts as zero: for a mean the middle, which halves what an entity can move.
    zero: f64,
    is_total: bool,
    bound: Bound,
}

impl Span {
    /// For a mean over entities: each gives the mean of its numbers, each of them held between `low` and `high`.
    ///
    /// # Errors
    /// [`BoundError`], unless both are finite, of reasonable size, and `low` is below `high`.
    pub fn mean(low: f64, high: f64) -> Result<Span, BoundError> {
        check_ends(low, high)?;
        let zero = low + (high - low) / 2.0;
        Span::new(low, high, zero, false)
    }

    /// For a sum over entities: each gives the sum of its numbers, held between `low` and `high`, which therefore bound
    /// what one entity may add and not what one record may.
    ///
    /// # Errors
    /// [`BoundError`], unless both are finite, of reasonable size, and `low` is below `high`.
    pub fn total(low: f64, high: f64) -> Result<Span, BoundError> {
        check_ends(low, high)?;
        Span::new(low, high, 0.0, true)
    }

    fn new(low: f64, high: f64, zero: f64, is_total: bool) -> Result<Span, BoundError> {
        let size = (high - zero).abs().max((low - zero).abs());
        check_size(size)?;
        let step = step_for(size);
        let l1 = (size / step) as u64;
        let bound = Bound::new(1, step, l1, u128::from(l1) * u128::from(l1));
        Ok(Span { low, high, zero, is_total, bound })
    }

    /// What every contribution keeps within.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The lower end.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// The upper end.
    pub fn high(&self) -> f64 {
        self.high
    }

    /// What counts as zero in a sum of contributions.
    pub(super) fn zero(&self) -> f64 {
        self.zero
    }

    /// Whether entities give sums of their numbers rather than means.
    pub fn is_total(&self) -> bool {
        self.is_total
    }

    /// Begins to gather an entity's numbers.
    pub fn gather(&self) -> Numbers<'_> {
        Numbers { span: self, sum: 0, records: 0, is_broken: false }
    }
}

/// The numbers of one entity, being added up.
pub struct Numbers<'s> {
    span: &'s Span,
    /// In fine steps from what counts as zero.
    sum: i128,
    records: u64,
    is_broken: bool,
}

impl Numbers<'_> {
    /// Adds one of the entity's numbers. A record without one adds nothing and should not be told.
    pub fn add(&mut self, number: f64) {
        self.records = self.records.saturating_add(1);
        self.is_broken |= !number.is_finite();
        let Span { low, high, zero, is_total, .. } = *self.span;
        let number = if is_total { number } else { number.clamp(low, high) };
        let steps = ((number - zero) / fine_step(self.span.bound.step())) as i64;
        self.sum = self.sum.saturating_add(i128::from(steps.clamp(-NUMBER_MAX, NUMBER_MAX)));
    }

    /// Whether nothing was added: such an entity takes no part and is not to be counted.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The entity's contribution. It begins anew for the next entity.
    pub fn take(&mut self) -> Contribution {
        let Span { low, high, zero, is_total, .. } = *self.span;
        let step = self.span.bound.step();
        let parts = if is_total { 1 } else { i128::from(self.records.max(1)) };
        let coarse = (step / fine_step(step)) as i128;
        // Both divisions cut towards what counts as zero.
        let steps = if self.is_broken { 0 } else { self.sum / parts / coarse };
        let ends = [low, high].map(|end| ((end - zero) / step) as i128);
        let steps = i64::try_from(steps.clamp(ends[0], ends[1])).unwrap_or(0);
        (self.sum, self.records, self.is_broken) = (0, 0, false);
        Contribution::new(vec![steps], &self.span.bound)
    }
}

fn check_ends(low: f64, high: f64) -> Result<(), BoundError> {
    let is_usable = |end: f64| end.is_finite() && end.abs() <= SIZE_MAX;
    if !is_usable(low) || !is_usable(high) {
        return Err(BoundError::Size);
    }
    if low < high { Ok(()) } else { Err(BoundError::Empty) }
}
