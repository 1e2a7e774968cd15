//! The mechanism: which noise on which number keeps a guarantee.
//!
//! Invariant: noise is calibrated to the integers that bound contributions and to the integers that are paid, rounded
//! towards more noise; and it is added to integers. Pure ε: discrete Laplace of scale K/ε₁ on every number of the sum
//! and 1/ε₀ on the count, ε₀ + ε₁ = ε. (ε, δ): discrete Gauss on both, ρ₀ + ρ₁ ≤ the ρ that implies (ε, δ).

use rand_core::CryptoRng;

use super::contribution::{Bound, Sum};
use super::epsilon::{EPSILON_UNIT, Guarantee};
#[cfg(test)]
use super::mutant::{self, Mutant};
use super::rho::Rho;
use super::sampler::Noise;

/// Which numbers of a sum an answer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// How many entities there are.
    Count,
    /// What they add up to, which tells how many there are.
    Sum,
    /// Both, of which the count gets so many tenths.
    Both {
        /// Tenths of ε or ρ for the count: 1 to 9.
        count_tenths: u64,
    },
}

/// Noise that keeps a guarantee for contributions within a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mechanism {
    /// On every number of the sum, in steps of the grid.
    pub(super) sum: Option<Noise>,
    /// On the count of entities.
    pub(super) count: Option<Noise>,
}

/// A sum and a count with noise on them: from here on, everything is post-processing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Noisy {
    /// In steps of the grid; empty if it was not needed.
    pub(super) steps: Vec<i128>,
    /// Entities; may be below 0. None if it was not needed.
    pub(super) count: Option<i128>,
}

impl Mechanism {
    /// Calibrates noise. None if δ is too small for so small an ε to be met by Gaussian noise at all.
    pub(super) fn new(bound: &Bound, guarantee: Guarantee, needs: Needs) -> Option<Mechanism> {
        let count_tenths = match needs {
            Needs::Count => 10,
            Needs::Sum => 0,
            Needs::Both { count_tenths } => count_tenths,
        };
        let units = guarantee.epsilon.units();
        let count_units = units * count_tenths / 10;
        let whole = guarantee.delta.map(|delta| Rho::of(guarantee.epsilon, delta));
        let mut mechanism = Mechanism { sum: None, count: None };
        if needs != Needs::Count {
            let rho = whole.map(|rho| rho.tenths(10 - count_tenths));
            mechanism.sum = Some(noise(rho, units - count_units, bound.l1(), bound.l2_squared())?);
        }
        if needs != Needs::Sum {
            mechanism.count = Some(noise(whole.map(|rho| rho.tenths(count_tenths)), count_units, 1, 1)?);
        }
        Some(mechanism)
    }

    /// Draws noise for every number of `sum` and adds it. Numbers and their order are those of the sum.
    pub(super) fn apply(self, sum: &Sum, rng: &mut (impl CryptoRng + ?Sized)) -> Noisy {
        #[cfg(test)]
        mutant::leak(sum.entities());
        let mut steps = Vec::new();
        if let Some(noise) = self.sum {
            let noisy = sum.steps().iter().map(|step| i128::from(*step).saturating_add(noise.draw(rng)));
            steps.extend(noisy);
        }
        let count = self.count.map(|noise| i128::from(sum.entities()).saturating_add(noise.draw(rng)));
        Noisy { steps, count }
    }
}

/// Noise for numbers that one entity moves by at most `l1` and the root of `l2_squared`: Gaussian of this ρ if there is one,
/// Laplace of so many units of ε if not. None if no Gaussian noise is wide enough.
fn noise(rho: Option<Rho>, units: u64, l1: u64, l2_squared: u128) -> Option<Noise> {
    #[cfg(test)]
    let (units, l1) = mistaken(units, l1, l2_squared);
    match rho {
        Some(rho) => {
            let sigma = rho.sigma(l2_squared)?;
            #[cfg(test)]
            let sigma = if mutant::is(Mutant::HalfSigma) { sigma.div_ceil(2) } else { sigma };
            Some(Noise::Gaussian { sigma })
        }
        None => Some(Noise::Laplace { steps: units, total: l1.max(1) * EPSILON_UNIT }),
    }
}

/// What noise is calibrated to by the mistakes that tests must notice.
#[cfg(test)]
fn mistaken(units: u64, l1: u64, l2_squared: u128) -> (u64, u64) {
    let units = if mutant::is(Mutant::HalfScale) { units * 2 } else { units };
    let l1 = if mutant::is(Mutant::DimensionForgotten) { l2_squared.isqrt() as u64 } else { l1 };
    (units, l1)
}
