//! The contribution to a centroid: the mean of an entity's vectors, clipped.
//!
//! Invariant: what an entity gives depends on its own vectors alone, as a multiset. They are added up in integers, so no
//! order in which they lie (which other entities have a hand in) changes the last bit; and they are clipped to L2 and
//! L1 before they are cut to whole steps, which is checked again in integers. Infinities, NaN and 10³⁰⁰ end as zeros or at
//! the edge, never outside.

use thiserror::Error;

use super::contribution::{Bound, Contribution, GRID};
#[cfg(test)]
use super::mutant::{self, Mutant};

/// Bits by which vectors are added up more finely than the grid.
const FINE: u32 = 20;
/// Where a single coordinate saturates, in fine steps: 2¹⁸ times the largest norm and beyond.
const COORDINATE_MAX: i64 = 1 << 62;
/// The most coordinates.
pub const DIMENSION_MAX: usize = 1 << 16;
/// The largest and, inverted, the smallest bound of a norm or a number.
pub(super) const SIZE_MAX: f64 = 1e100;

/// Why contributions cannot be bounded so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BoundError {
    /// A norm or an end is NaN, infinite, or too large or small to compute with.
    #[error("a bound must be a finite number, of a size from 1e-100 to 1e100")]
    Size,
    /// A norm is zero or less.
    #[error("a norm to clip to must be above 0")]
    NotPositive,
    /// The lower end of a range is not below the upper one.
    #[error("the lower end of a range must be below the upper one")]
    Empty,
    /// More or fewer numbers than can be answered at once.
    #[error("an answer has 1 to {max} numbers, this one has {found}")]
    Width {
        /// How many were asked for.
        found: usize,
        /// How many there may be.
        max: usize,
    },
}

/// To what norms an entity's mean vector is clipped.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    l2: f64,
    l1: f64,
    bound: Bound,
}

impl Clip {
    /// Clips vectors of `dimension` numbers to an L2 norm of `l2` and an L1 norm of `l1`; without one, to √dimension · l2,
    /// which no vector within `l2` exceeds.
    ///
    /// # Errors
    /// [`BoundError`], for norms that are not positive numbers and dimensions outside 1 to [`DIMENSION_MAX`].
    pub fn new(dimension: usize, l2: f64, l1: Option<f64>) -> Result<Clip, BoundError> {
        if !(1..=DIMENSION_MAX).contains(&dimension) {
            return Err(BoundError::Width { found: dimension, max: DIMENSION_MAX });
        }
        let widest = (dimension as f64).sqrt() * l2;
        let l1 = l1.unwrap_or(widest);
        for norm in [l2, l1] {
            check_size(norm)?;
        }
        // Neither norm can be above what the other allows.
        let (l2, l1) = (l2.min(l1), l1.min(widest));
        let step = step_for(l1);
        let (l1_steps, l2_steps) = ((l1 / step) as u64, l2 / step);
        let l2_squared = (l2_steps * l2_steps) as u128;
        Ok(Clip { l2, l1, bound: Bound::new(dimension, step, l1_steps, l2_squared) })
    }

    /// What every contribution keeps within.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The L2 norm clipped to.
    pub fn l2(&self) -> f64 {
        self.l2
    }

    /// The L1 norm clipped to.
    pub fn l1(&self) -> f64 {
        self.l1
    }

    /// Begins to gather an entity's vectors.
    pub fn gather(&self) -> Vectors<'_> {
        Vectors { clip: self, sums: vec![0; self.bound.width()], records: 0, is_broken: false }
    }
}

/// The vectors of one entity, being added up.
pub struct Vectors<'c> {
    clip: &'c Clip,
    /// In fine steps.
    sums: Vec<i128>,
    records: u64,
    /// Whether a vector had a number that is none, or the wrong length.
    is_broken: bool,
}

impl Vectors<'_> {
    /// Adds one of the entity's vectors.
    pub fn add(&mut self, vector: &[f32]) {
        self.records = self.records.saturating_add(1);
        self.is_broken |= vector.len() != self.sums.len() || vector.iter().any(|x| !x.is_finite());
        let fine = fine_step(self.clip.bound.step());
        for (sum, x) in self.sums.iter_mut().zip(vector) {
            // Dividing by a power of two is exact, and the cast saturates.
            let steps = (f64::from(*x) / fine) as i64;
            *sum = sum.saturating_add(i128::from(steps.clamp(-COORDINATE_MAX, COORDINATE_MAX)));
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Which of some reference points the mean, before it is clipped, is nearest to in L2; of several, the first. So an
    /// entity is assigned once, by its own records alone. Without a usable vector the mean is all zeros. None without points.
    pub fn nearest(&self, points: &[Vec<f32>]) -> Option<usize> {
        let fine = fine_step(self.clip.bound.step());
        let mean: Vec<f64> = self.mean_in_fine_steps().into_iter().map(|steps| steps * fine).collect();
        let square = |point: &Vec<f32>| mean.iter().zip(point).map(|(a, b)| (a - f64::from(*b)).powi(2)).sum::<f64>();
        let squares = points.iter().map(square).enumerate();
        squares.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(at, _)| at)
    }

    /// The entity's contribution: its mean, clipped and cut to the grid. It begins anew for the next entity.
    pub fn take(&mut self) -> Contribution {
        let mean = self.mean_in_fine_steps();
        let fine = fine_step(self.clip.bound.step());
        let norm_l2 = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
        let norm_l1 = mean.iter().map(|x| x.abs()).sum::<f64>();
        let shrink = shrink(norm_l2, self.clip.l2 / fine).min(shrink(norm_l1, self.clip.l1 / fine));
        let coarse = f64::from(1_u32 << FINE);
        #[cfg(test)]
        let shrink = if mutant::is(Mutant::PerRecord) { shrink * self.records as f64 } else { shrink };
        let steps = mean.iter().map(|x| (x * shrink / coarse) as i64).collect();
        let contribution = Contribution::new(steps, &self.clip.bound);
        self.sums.fill(0);
        (self.records, self.is_broken) = (0, false);
        contribution
    }

    /// Zeros, if there is nothing or a number that is none.
    pub(super) fn mean_in_fine_steps(&self) -> Vec<f64> {
        if self.is_broken || self.records == 0 {
            return vec![0.0; self.sums.len()];
        }
        let records = self.records as f64;
        // Both ways round alike; that of 64 bits, in which all but extreme sums fit, is far faster.
        let float = |sum: &i128| i64::try_from(*sum).map_or(*sum as f64, |sum| sum as f64);
        self.sums.iter().map(|sum| float(sum) / records).collect()
    }
}

/// By what to multiply to come from a norm to within `most`: a hair more than needed, for what floats round.
fn shrink(norm: f64, most: f64) -> f64 {
    if norm <= most { 1.0 } else { most / norm * (1.0 - f64::EPSILON * 16.0) }
}

/// Refuses what is not a positive number of reasonable size.
pub(super) fn check_size(size: f64) -> Result<(), BoundError> {
    if size.is_finite() && size <= 0.0 {
        return Err(BoundError::NotPositive);
    }
    // NaN is in no range.
    if (1.0 / SIZE_MAX..=SIZE_MAX).contains(&size) { Ok(()) } else { Err(BoundError::Size) }
}

/// The step of a grid for contributions whose sizes add up to at most `size`: 2^⌈log₂ size⌉ · 2⁻²⁴.
pub(super) fn step_for(size: f64) -> f64 {
    let mut power = 2_f64.powi(size.log2().ceil() as i32);
    // The logarithm may be off by one where `size` is next to a power of two.
    if power < size {
        power *= 2.0;
    }
    power / f64::from(1_u32 << GRID)
}

/// The step in which records are added up before the mean is cut to `step`.
pub(super) fn fine_step(step: f64) -> f64 {
    step / f64::from(1_u32 << FINE)
}
