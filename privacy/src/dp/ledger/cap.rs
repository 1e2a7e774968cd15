//! Caps and charges: what a budget is counted in.
//!
//! ε counts in units of 2⁻²⁰, ρ of zero-concentrated differential privacy in units of 2⁻⁴¹, so that the ρ of a query of
//! pure ε, which is ε²/2 (Bun and Steinke, "Concentrated differential privacy", 2016, proposition 1.4), is a whole number.
//! Invariant: sums are of integers and saturate, so none is less than what was spent; the one conversion that needs
//! floating point, from ρ to (ε, δ), is rounded against the spender.

use thiserror::Error;

/// A unit of ε.
const EPSILON_UNIT: f64 = 1.0 / (1_u64 << 20) as f64;
/// A unit of ρ.
const RHO_UNIT: f64 = 1.0 / (1_u64 << 41) as f64;
/// The largest ε of a cap, in its units: 4096, where the units of ρ end.
const EPSILON_MAX: u64 = 1 << 32;
/// What floating point may be wrong by in the logarithm of a δ: some hundred roundings.
const MARGIN: f64 = 1e-9;

/// What a query costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// So much pure ε, in units of 2⁻²⁰.
    Pure(u64),
    /// So much ρ of zCDP, in units of 2⁻⁴¹.
    Concentrated(u64),
}

impl Charge {
    /// What it costs in ρ, in units of 2⁻⁴¹.
    pub fn rho(self) -> u64 {
        match self {
            Self::Pure(epsilon) => epsilon.saturating_mul(epsilon),
            Self::Concentrated(rho) => rho,
        }
    }
}

/// What was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// The sum of pure ε, in units of 2⁻²⁰; none once something was spent that has no pure ε.
    pub epsilon: Option<u64>,
    /// The sum of ρ, in units of 2⁻⁴¹.
    pub rho: u64,
}

impl Spent {
    /// Nothing.
    pub const NOTHING: Spent = Spent { epsilon: Some(0), rho: 0 };

    /// This and a charge.
    #[must_use]
    pub fn and(self, charge: Charge) -> Spent {
        let epsilon = match charge {
            Charge::Pure(more) => self.epsilon.map(|epsilon| epsilon.saturating_add(more)),
            Charge::Concentrated(_) => None,
        };
        Spent { epsilon, rho: self.rho.saturating_add(charge.rho()) }
    }

    /// Whether all of it has a pure ε.
    pub fn is_pure(&self) -> bool {
        self.epsilon.is_some()
    }

    /// This, or all that `cap` allows, whichever is more.
    pub(super) fn at_least(self, cap: &Cap) -> Spent {
        match *cap {
            // However it was spent, squares of parts are no more than the square of their sum.
            Cap::Pure { epsilon } => {
                let rho = self.rho.max(epsilon.saturating_mul(epsilon));
                Spent { epsilon: self.epsilon.map(|spent| spent.max(epsilon)), rho }
            }
            Cap::Approximate { rho, .. } => Spent { epsilon: None, rho: self.rho.max(rho) },
        }
    }

    /// The ε to which it comes at a δ between 0 and 1; infinite where no ε holds.
    pub fn epsilon_at(&self, delta: f64) -> f64 {
        let rho = self.rho as f64 * RHO_UNIT;
        if self.rho == 0 {
            return 0.0;
        }
        // Above the simple bound of Bun and Steinke (2016), proposition 1.3; the conversion finds less.
        let (mut low, mut high) = (0.0, rho + 2.0 * (rho * (1.0 / delta).ln()).sqrt() + 1.0);
        for _ in 0..200 {
            let middle = (low + high) / 2.0;
            if ln_delta(rho, middle) + MARGIN <= delta.ln() { high = middle } else { low = middle }
        }
        if high.is_finite() { high } else { f64::INFINITY }
    }
}

impl Default for Spent {
    fn default() -> Self {
        Self::NOTHING
    }
}

/// The most that may ever be spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cap {
    /// So much pure ε, in units of 2⁻²⁰.
    Pure {
        /// The sum that may be reached.
        epsilon: u64,
    },
    /// (ε, δ), counted as ρ.
    Approximate {
        /// ε in units of 2⁻²⁰.
        epsilon: u64,
        /// δ.
        delta: f64,
        /// The largest ρ that stays within both, in units of 2⁻⁴¹.
        rho: u64,
    },
}

/// No δ of this is a NaN.
impl Eq for Cap {}

/// A budget that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CapError {
    /// The ε is too large.
    #[error("the ε of a privacy budget is at most 4096")]
    Epsilon,
    /// The δ is none.
    #[error("the δ of a privacy budget lies between 0 and 1, both excluded")]
    Delta,
}

impl Cap {
    /// A budget of pure ε, in units of 2⁻²⁰; 0 allows nothing.
    ///
    /// # Errors
    /// [`CapError`].
    pub fn pure(epsilon: u64) -> Result<Cap, CapError> {
        if epsilon > EPSILON_MAX { Err(CapError::Epsilon) } else { Ok(Cap::Pure { epsilon }) }
    }

    /// A budget of (ε, δ), ε in units of 2⁻²⁰.
    ///
    /// # Errors
    /// [`CapError`].
    pub fn approximate(epsilon: u64, delta: f64) -> Result<Cap, CapError> {
        if epsilon > EPSILON_MAX {
            return Err(CapError::Epsilon);
        }
        if !(delta > 0.0 && delta < 1.0) {
            return Err(CapError::Delta);
        }
        Ok(Cap::Approximate { epsilon, delta, rho: largest_rho(epsilon, delta) })
    }

    /// Its ε, in units of 2⁻²⁰.
    pub fn epsilon(&self) -> u64 {
        match *self {
            Self::Pure { epsilon } | Self::Approximate { epsilon, .. } => epsilon,
        }
    }

    /// Its δ; none for a budget of pure ε.
    pub fn delta(&self) -> Option<f64> {
        match *self {
            Self::Pure { .. } => None,
            Self::Approximate { delta, .. } => Some(delta),
        }
    }

    /// Whether it counts in what a query costs.
    pub(super) fn can_take(&self, charge: &Charge) -> bool {
        !matches!((self, charge), (Self::Pure { .. }, Charge::Concentrated(_)))
    }

    /// Whether so much may be spent.
    pub(super) fn allows(&self, spent: &Spent) -> bool {
        match *self {
            Self::Pure { epsilon } => spent.epsilon.is_some_and(|spent| spent <= epsilon),
            Self::Approximate { rho, .. } => spent.rho <= rho,
        }
    }

    /// The largest ε of one more query of pure ε, in units of 2⁻²⁰.
    pub(super) fn left(&self, spent: &Spent) -> u64 {
        match *self {
            Self::Pure { epsilon } => spent.epsilon.map_or(0, |spent| epsilon.saturating_sub(spent)),
            Self::Approximate { rho, .. } => rho.saturating_sub(spent.rho).isqrt(),
        }
    }
}

/// The largest ρ that stays within (ε, δ), in units of 2⁻⁴¹.
fn largest_rho(epsilon: u64, delta: f64) -> u64 {
    let fits = |rho: u64| ln_delta(rho as f64 * RHO_UNIT, epsilon as f64 * EPSILON_UNIT) + MARGIN <= delta.ln();
    let (mut low, mut high) = (0_u64, u64::MAX);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    low
}

/// The logarithm of the δ with which `rho`-zCDP is (`epsilon`, δ)-private, at most: the bound of Canonne, Kamath and
/// Steinke, "The discrete Gaussian for differential privacy" (2020), corollary 13, at an order near the best. It holds at
/// every order α > 1, so that how well the best is found decides about no more than how much may be spent.
fn ln_delta(rho: f64, epsilon: f64) -> f64 {
    if rho <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let slope = |alpha: f64| (2.0 * alpha - 1.0) * rho - epsilon + (-1.0 / alpha).ln_1p();
    let (mut low, mut high) = (1.0 + 1e-9, (epsilon + 1.0) / (2.0 * rho) + 2.0);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    let alpha = high;
    // A δ above 1 says nothing.
    let bound = (alpha - 1.0) * (alpha * rho - epsilon) + alpha * (-1.0 / alpha).ln_1p() - (alpha - 1.0).ln();
    if bound.is_nan() { f64::INFINITY } else { bound }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: u64 = 1 << 20;

    #[test]
    fn the_conversion_allows_more_than_the_simple_one_and_never_more_than_the_exact_one() {
        for delta in [1e-12_f64, 1e-6, 1e-3] {
            for epsilon in [0.1_f64, 0.5, 1.0, 3.0, 10.0] {
                let Ok(Cap::Approximate { rho, .. }) = Cap::approximate((epsilon * ONE as f64) as u64, delta) else {
                    panic!("a cap");
                };
                let rho = rho as f64 * RHO_UNIT;
                // ρ + 2√(ρ ln 1/δ) ≤ ε, solved for ρ.
                let log = (1.0 / delta).ln();
                let simple = ((log + epsilon).sqrt() - log.sqrt()).powi(2);
                assert!(rho >= simple, "{epsilon} {delta}: {rho} {simple}");
                // The exact δ of the continuous Gaussian of that ρ lies below (Balle and Wang, 2018): σ² = 1/2ρ.
                let sigma = (1.0 / (2.0 * rho)).sqrt();
                let exact =
                    normal(0.5 / sigma - epsilon * sigma) - epsilon.exp() * normal(-0.5 / sigma - epsilon * sigma);
                assert!(exact <= delta && exact >= delta / 10.0, "{epsilon} {delta}: {exact}");
            }
        }
    }

    /// The standard normal distribution function by quadrature: slow, and good to ten digits where it is used.
    fn normal(x: f64) -> f64 {
        let (low, steps) = (-40.0_f64, 400_000);
        let width = (x - low) / f64::from(steps);
        let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let simpson = |step: i32| {
            let at = low + width * f64::from(step);
            density(at) + 4.0 * density(at + width / 2.0) + density(at + width)
        };
        (0..steps).map(simpson).sum::<f64>() * width / 6.0
    }

    #[test]
    fn what_is_no_budget_is_refused() {
        assert_eq!(Cap::pure(EPSILON_MAX + 1), Err(CapError::Epsilon));
        assert_eq!(Cap::approximate(EPSILON_MAX + 1, 1e-6), Err(CapError::Epsilon));
        for delta in [0.0, 1.0, -0.5, f64::NAN, f64::INFINITY] {
            assert_eq!(Cap::approximate(ONE, delta), Err(CapError::Delta));
        }
        assert_eq!(Cap::pure(0).map(|cap| cap.left(&Spent::NOTHING)), Ok(0));
    }

    #[test]
    fn a_pure_query_costs_half_its_square() {
        assert_eq!(Charge::Pure(ONE).rho() as f64 * RHO_UNIT, 0.5);
        assert_eq!(Charge::Pure(u64::MAX).rho(), u64::MAX);
    }

    proptest! {
        /// What is left can be spent, and not a unit more.
        #[test]
        fn all_that_is_left_can_be_spent(epsilon in 1..20 * ONE, delta in prop::option::of(1e-9..0.1), spent in 0..20 * ONE) {
            let cap = delta.map_or(Cap::pure(epsilon), |delta| Cap::approximate(epsilon, delta)).unwrap_or(Cap::Pure { epsilon });
            let spent = Spent::NOTHING.and(Charge::Pure(spent));
            prop_assume!(cap.allows(&spent));
            let left = cap.left(&spent);
            prop_assert!(cap.allows(&spent.and(Charge::Pure(left))));
            prop_assert!(!cap.allows(&spent.and(Charge::Pure(left + 1))));
        }

        /// A budget that was spent to its end comes to its ε at its δ, and no more.
        #[test]
        fn there_and_back(epsilon in ONE / 100..20 * ONE, exponent in 2_i32..12) {
            let delta = 10_f64.powi(-exponent);
            let Ok(cap @ Cap::Approximate { rho, .. }) = Cap::approximate(epsilon, delta) else { panic!("a cap") };
            let spent = Spent::NOTHING.and(Charge::Concentrated(rho));
            prop_assert!(cap.allows(&spent) && !cap.allows(&spent.and(Charge::Concentrated(1))));
            let (back, epsilon) = (spent.epsilon_at(delta), epsilon as f64 * EPSILON_UNIT);
            prop_assert!(back <= epsilon * (1.0 + 1e-9) && back >= epsilon * (1.0 - 1e-3), "{} {}", back, epsilon);
        }
    }
}
