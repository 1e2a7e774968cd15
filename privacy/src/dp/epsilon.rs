//! What privacy costs: ε and δ as exact integers, and the guarantee of one release.
//!
//! Invariant: an [`Epsilon`] is 2⁻¹⁰ to 64 and a [`Delta`] 2⁻⁵⁰ to 2⁻¹⁰, both whole numbers of a power of two, so that
//! adding them up never rounds and the noise is calibrated to the very number that is paid. A number that cannot be met
//! exactly is rounded down: more noise than was asked for, never less. At the bottom of the room, because everything
//! else here speaks of it.

use std::fmt;

use thiserror::Error;

/// Units of ε in 1: 2²⁰.
pub const EPSILON_UNIT: u64 = 1 << 20;

/// Units of δ in 1: 2⁶⁰.
pub const DELTA_UNIT: u64 = 1 << 60;

/// The ε of one release, in units of 2⁻²⁰ (Dwork, McSherry, Nissim, Smith 2006).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epsilon(u64);

/// Why a number is no [`Epsilon`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EpsilonError {
    /// It is NaN or infinite.
    #[error("epsilon must be a finite number")]
    NotFinite,
    /// It is zero or less: an answer that costs nothing says nothing.
    #[error("epsilon must be above 0")]
    NotPositive,
    /// It is below 2⁻¹⁰, where rounding to whole units would be felt.
    #[error("epsilon is too small: at least 1/1024 (about 0.000977) is needed")]
    TooSmall,
    /// It is above 64, where nothing is left of the promise.
    #[error("epsilon is too large: at most 64; values above 10 protect hardly anybody")]
    TooLarge,
}

impl Epsilon {
    /// The smallest: 2⁻¹⁰, where rounding down to a unit loses less than a thousandth.
    pub const MIN: Epsilon = Epsilon(EPSILON_UNIT >> 10);
    /// The largest: 64, at which odds change by up to e⁶⁴.
    pub const MAX: Epsilon = Epsilon(64 * EPSILON_UNIT);

    /// The largest ε in whole units that is not above `value`.
    ///
    /// # Errors
    /// [`EpsilonError`], for what is not a finite number from 2⁻¹⁰ to 64.
    pub fn new(value: f64) -> Result<Epsilon, EpsilonError> {
        use EpsilonError::{NotFinite, NotPositive, TooLarge, TooSmall};
        let faults = [NotFinite, NotPositive, TooSmall, TooLarge];
        whole_units(value, EPSILON_UNIT, [Epsilon::MIN.0, Epsilon::MAX.0], faults).map(Epsilon)
    }

    /// Units of 2⁻²⁰: what a ledger adds up.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// As a number, exactly.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / EPSILON_UNIT as f64
    }
}

impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_f64().fmt(f)
    }
}

/// The δ of one release, in units of 2⁻⁶⁰: how likely the bound of ε may fail, for whoever is unluckiest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delta(u64);

/// Why a number is no [`Delta`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DeltaError {
    /// It is NaN or infinite.
    #[error("delta must be a finite number")]
    NotFinite,
    /// It is zero or less.
    #[error("delta must be above 0; leave it out for pure epsilon")]
    NotPositive,
    /// It is below 2⁻⁵⁰, where the discrete Laplace mechanism serves better.
    #[error("delta is too small: at least 2^-50 (about 9e-16) is needed; leave it out for pure epsilon")]
    TooSmall,
    /// It is above 2⁻¹⁰: publishing one entity of a thousand in full would satisfy it.
    #[error("delta is too large: at most 1/1024; choose far less than one in the number of entities")]
    TooLarge,
}

impl Delta {
    /// The smallest: 2⁻⁵⁰.
    pub const MIN: Delta = Delta(DELTA_UNIT >> 50);
    /// The largest: 2⁻¹⁰.
    pub const MAX: Delta = Delta(DELTA_UNIT >> 10);

    /// The largest δ in whole units that is not above `value`.
    ///
    /// # Errors
    /// [`DeltaError`], for what is not a finite number from 2⁻⁵⁰ to 2⁻¹⁰.
    pub fn new(value: f64) -> Result<Delta, DeltaError> {
        use DeltaError::{NotFinite, NotPositive, TooLarge, TooSmall};
        let faults = [NotFinite, NotPositive, TooSmall, TooLarge];
        whole_units(value, DELTA_UNIT, [Delta::MIN.0, Delta::MAX.0], faults).map(Delta)
    }

    /// Units of 2⁻⁶⁰: what a ledger adds up.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// As a number, exactly.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / DELTA_UNIT as f64
    }
}

impl fmt::Display for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:e}", self.as_f64())
    }
}

/// The whole units in `value`, rounded down, if it is from the least to the most of them; or else which of these it is: no
/// finite number, not above 0, too small, too large.
fn whole_units<E>(
    value: f64,
    unit: u64,
    [least, most]: [u64; 2],
    [not_finite, not_positive, too_small, too_large]: [E; 4],
) -> Result<u64, E> {
    // Scaling by a power of two is exact, so that only the cast rounds, and it rounds down.
    let units = value * unit as f64;
    match value {
        _ if !value.is_finite() => Err(not_finite),
        _ if value <= 0.0 => Err(not_positive),
        _ if units < least as f64 => Err(too_small),
        _ if units > most as f64 => Err(too_large),
        _ => Ok(units as u64),
    }
}

/// What one noisy answer promises: ε alone (pure), or ε but for a probability δ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guarantee {
    /// How far the odds of any answer may change by one entity: e^ε.
    pub epsilon: Epsilon,
    /// How likely that may fail; none for pure ε.
    pub delta: Option<Delta>,
}

impl Guarantee {
    /// Pure ε.
    pub fn pure(epsilon: Epsilon) -> Guarantee {
        Guarantee { epsilon, delta: None }
    }

    /// (ε, δ).
    pub fn approximate(epsilon: Epsilon, delta: Delta) -> Guarantee {
        Guarantee { epsilon, delta: Some(delta) }
    }

    /// What `times` such answers cost together, by basic composition: a cost for the ledger, which may be larger than any
    /// single answer's.
    pub fn times(self, times: u64) -> Cost {
        let delta = self.delta.map_or(0, Delta::units);
        Cost { epsilon_units: self.epsilon.units().saturating_mul(times), delta_units: delta.saturating_mul(times) }
    }
}

/// What is paid to the ledger: sums of ε and δ. It saturates, which no budget affords.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost {
    /// In units of 2⁻²⁰, see [`EPSILON_UNIT`].
    pub epsilon_units: u64,
    /// In units of 2⁻⁶⁰, see [`DELTA_UNIT`].
    pub delta_units: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epsilon_is_a_number_between_its_ends() {
        for (value, want) in [
            (f64::NAN, EpsilonError::NotFinite),
            (f64::INFINITY, EpsilonError::NotFinite),
            (f64::NEG_INFINITY, EpsilonError::NotFinite),
            (0.0, EpsilonError::NotPositive),
            (-0.0, EpsilonError::NotPositive),
            (-1.0, EpsilonError::NotPositive),
            (f64::MIN_POSITIVE, EpsilonError::TooSmall),
            (1e-5, EpsilonError::TooSmall),
            (0.000_976, EpsilonError::TooSmall),
            (64.000_001, EpsilonError::TooLarge),
            (1e300, EpsilonError::TooLarge),
        ] {
            assert_eq!(Epsilon::new(value).map(Epsilon::units), Err(want), "{value}");
        }
        assert_eq!(Epsilon::new(1.0 / 1024.0), Ok(Epsilon::MIN));
        assert_eq!(Epsilon::new(64.0), Ok(Epsilon::MAX));
        assert_eq!(Epsilon::new(1.0).map(Epsilon::units), Ok(EPSILON_UNIT));
    }

    #[test]
    fn what_cannot_be_met_exactly_is_rounded_down() {
        for value in [0.1, 0.3, 0.001, 1.0 + f64::EPSILON, 9.999_999_9] {
            let epsilon = Epsilon::new(value).unwrap();
            assert!(epsilon.as_f64() <= value && epsilon.as_f64() > value - 1.0 / EPSILON_UNIT as f64, "{value}");
        }
        for value in [1e-6, 1e-9, 1e-15] {
            let delta = Delta::new(value).unwrap();
            assert!(delta.as_f64() <= value && delta.as_f64() > value * 0.999, "{value}");
        }
    }

    #[test]
    fn a_delta_is_a_number_between_its_ends() {
        for (value, want) in [
            (f64::NAN, DeltaError::NotFinite),
            (f64::INFINITY, DeltaError::NotFinite),
            (0.0, DeltaError::NotPositive),
            (-1e-6, DeltaError::NotPositive),
            (1e-300, DeltaError::TooSmall),
            (8e-16, DeltaError::TooSmall),
            (0.000_977, DeltaError::TooLarge),
            (1.0, DeltaError::TooLarge),
        ] {
            assert_eq!(Delta::new(value).map(Delta::units), Err(want), "{value}");
        }
        assert_eq!(Delta::new(1.0 / 1024.0), Ok(Delta::MAX));
    }

    #[test]
    fn costs_add_up_and_never_wrap() {
        let guarantee = Guarantee::approximate(Epsilon::MAX, Delta::MAX);
        assert_eq!(guarantee.times(3).epsilon_units, 3 * Epsilon::MAX.units());
        assert_eq!(guarantee.times(u64::MAX), Cost { epsilon_units: u64::MAX, delta_units: u64::MAX });
        assert_eq!(Guarantee::pure(Epsilon::MIN).times(5).delta_units, 0);
    }
}
