//! What one entity may add to an answer, and the exact sum of that over all entities.
//!
//! Invariant: a [`Contribution`] that reaches a [`Sum`] is within its [`Bound`], counted in integers: Σ|q| ≤ K and
//! Σq² ≤ K₂, whatever came in; what is not within is 0. So adding or removing an entity, with however many records, moves
//! the sum by at most K in L1 and √K₂ in L2, and the count by 1. Integer addition does not depend on order, which float
//! addition does (Casacuberta et al. 2022 make a leak of that).

#[cfg(test)]
use super::mutant::{self, Mutant};

/// Units of the grid in the power of two above the largest sum of sizes: 2²⁴, far below any noise.
pub(super) const GRID: u32 = 24;

/// How far an entity reaches: how many numbers it gives, and how much in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// How many numbers a contribution has.
    width: usize,
    /// What one step of the grid is worth, γ: a power of two.
    step: f64,
    /// K: the largest Σ|q|, in steps.
    l1: u64,
    /// K₂: the largest Σq², in steps squared.
    l2_squared: u128,
}

impl Bound {
    pub(super) fn new(width: usize, step: f64, l1: u64, l2_squared: u128) -> Bound {
        Bound { width, step, l1, l2_squared }
    }

    /// The bound of a mere count: nothing is summed up but entities.
    pub fn count() -> Bound {
        Bound { width: 0, step: 1.0, l1: 0, l2_squared: 0 }
    }

    /// How many numbers a contribution has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What one step of the grid is worth.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// K: the largest sum of sizes, in steps.
    pub fn l1(&self) -> u64 {
        self.l1
    }

    /// The largest sum of squares, in steps squared.
    pub fn l2_squared(&self) -> u128 {
        self.l2_squared
    }

    /// Whether `steps` keeps within.
    fn holds(&self, steps: &[i64]) -> bool {
        #[cfg(test)]
        if mutant::is(Mutant::PerRecord) {
            return true;
        }
        let l1 = steps.iter().try_fold(0_u64, |sum, q| sum.checked_add(q.unsigned_abs()));
        let square = |q: &i64| u128::from(q.unsigned_abs()) * u128::from(q.unsigned_abs());
        let l2 = steps.iter().try_fold(0_u128, |sum, q| sum.checked_add(square(q)));
        steps.len() == self.width && l1.is_some_and(|l1| l1 <= self.l1) && l2.is_some_and(|l2| l2 <= self.l2_squared)
    }
}

/// What one entity adds: whole steps of the grid, within the bound it was made for.
#[derive(Clone, PartialEq, Eq)]
pub struct Contribution(Vec<i64>);

impl Contribution {
    /// An entity that is counted and gives no numbers.
    pub fn counted() -> Contribution {
        Contribution(Vec::new())
    }

    /// Takes steps of the grid if they keep within, zeros if not.
    pub(super) fn new(steps: Vec<i64>, bound: &Bound) -> Contribution {
        if bound.holds(&steps) { Contribution(steps) } else { Contribution(vec![0; bound.width]) }
    }

    /// Steps of the grid.
    #[cfg(test)]
    pub(super) fn steps(&self) -> &[i64] {
        &self.0
    }
}

/// The exact sum over entities, and how many there were. Nothing of it may leave but through a release.
#[derive(Clone)]
pub struct Sum {
    bound: Bound,
    steps: Vec<i64>,
    entities: u64,
}

impl Sum {
    /// The sum over nobody.
    pub fn new(bound: &Bound) -> Sum {
        Sum { bound: bound.clone(), steps: vec![0; bound.width], entities: 0 }
    }

    /// Adds an entity. Each entity must be added once; one whose contribution is not within the bound (because it was made
    /// for another) is counted, and adds 0.
    pub fn add(&mut self, contribution: &Contribution) {
        self.entities = self.entities.saturating_add(1);
        if self.bound.holds(&contribution.0) {
            for (sum, q) in self.steps.iter_mut().zip(&contribution.0) {
                // A sum overflows after 2³⁹ entities; then it wraps, which depends on order as little.
                *sum = sum.wrapping_add(*q);
            }
        }
    }

    /// What all contributions keep within.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Steps of the grid, summed up.
    pub(super) fn steps(&self) -> &[i64] {
        &self.steps
    }

    /// How many entities were added.
    pub(super) fn entities(&self) -> u64 {
        self.entities
    }
}
