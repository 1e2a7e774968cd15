//! ρ of zero-concentrated differential privacy, in which Gaussian noise adds up (Bun and Steinke 2016).
//!
//! Invariant: a ρ found for (ε, δ) implies it: the conversion of Canonne, Kamath and Steinke (2020, proposition 7) holds at
//! every order α, so trying few of them costs accuracy and never privacy; and the result is rounded down.

use super::epsilon::{Delta, Epsilon};

/// Units of ρ in 1: 2⁵⁰.
const RHO_UNIT: u64 = 1 << 50;

/// A ρ, in units of 2⁻⁵⁰.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rho(u64);

impl Rho {
    /// The largest ρ found to imply (ε, δ).
    pub fn of(epsilon: Epsilon, delta: Delta) -> Rho {
        let (epsilon, log_delta) = (epsilon.as_f64(), delta.as_f64().ln());
        // Orders α = 1 + e^x, from next to 1 to far beyond what the smallest ε calls for.
        let best =
            (-400..=1600).map(|x| at_order((f64::from(x) / 100.0).exp(), epsilon, log_delta)).fold(0.0, f64::max);
        // What floats round is far less than this.
        Rho((best * (1.0 - 1e-9) * RHO_UNIT as f64) as u64)
    }

    /// The smallest whole σ at which Gaussian noise on sums that move by at most √`l2_squared` has this ρ:
    /// Δ₂²/2σ² ≤ ρ. None for ρ = 0.
    pub fn sigma(self, l2_squared: u128) -> Option<u64> {
        // 2ρσ² ≥ Δ₂², in units of ρ.
        let least = l2_squared.checked_mul(u128::from(RHO_UNIT))?.checked_div(2 * u128::from(self.0))?;
        // One above what was cut off by dividing; then the root, rounded up.
        let root = (least + 1).isqrt();
        let sigma = if root * root > least { root } else { root + 1 };
        u64::try_from(sigma.max(1)).ok()
    }

    /// This ρ in tenths: what one of two noises may use.
    pub(super) fn tenths(self, tenths: u64) -> Rho {
        Rho(self.0 / 10 * tenths)
    }

    /// As a number, exactly.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / RHO_UNIT as f64
    }
}

/// The largest ρ for which δ is met at the order α = 1 + `a`: solved for ρ from
/// δ = e^(a(αρ − ε)) / a · (1 − 1/α)^α.
fn at_order(a: f64, epsilon: f64, log_delta: f64) -> f64 {
    let alpha = 1.0 + a;
    let log_rest = alpha * (-1.0 / alpha).ln_1p() - a.ln();
    (epsilon + (log_delta - log_rest) / a) / alpha
}
