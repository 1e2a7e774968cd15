//! Exact discrete Laplace and discrete Gaussian noise, after Canonne, Kamath and Steinke, "The Discrete Gaussian for
//! Differential Privacy" (2020), algorithms 1 to 3.
//!
//! Invariant: integers only. A probability that involves e is never computed, only a coin of that probability flipped, so
//! what comes out has the stated distribution exactly, not to the precision of a float (Mironov 2012 shows what the
//! difference gives away). Randomness comes in as a parameter. How long a draw takes depends on what is drawn: who
//! answers over a network pads.

use rand_core::CryptoRng;

#[cfg(test)]
use super::mutant::{self, Mutant};

/// How noise is drawn for whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// Pr\[y\] ∝ e^(−|y|·s/t).
    Laplace {
        /// What one step costs, s: 1 to 2⁴⁰.
        steps: u64,
        /// What all steps may cost, t: 1 to 2⁶⁰.
        total: u64,
    },
    /// Pr\[y\] ∝ e^(−y²/2σ²).
    Gaussian {
        /// σ, 1 to 2⁴⁹. A whole number, so that every quotient below fits 128 bits; rounding it up to one only adds noise.
        sigma: u64,
    },
}

impl Noise {
    /// Draws once.
    pub fn draw(self, rng: &mut (impl CryptoRng + ?Sized)) -> i128 {
        match self {
            Noise::Laplace { steps, total } => laplace(steps.max(1), total.max(1), rng),
            Noise::Gaussian { sigma } => gaussian(sigma.max(1), rng),
        }
    }

    /// Its standard deviation, for reports; nothing is drawn by it.
    pub fn deviation(self) -> f64 {
        match self {
            // Var = 2q/(1−q)², q = e^(−s/t); with x = s/t that is 1/(2·sinh²(x/2)).
            Noise::Laplace { .. } => 1.0 / (std::f64::consts::SQRT_2 * (0.5 / self.scale()).sinh()),
            // The discrete Gaussian's variance is below σ² and at most σ²; from σ = 1 on the two differ by less than 1e-6.
            Noise::Gaussian { .. } => self.scale(),
        }
    }

    /// t/s of Laplace, σ of Gauss: what the literature calls the scale.
    pub fn scale(self) -> f64 {
        match self {
            Noise::Laplace { steps, total } => total as f64 / steps as f64,
            Noise::Gaussian { sigma } => sigma as f64,
        }
    }
}

/// Algorithm 2: discrete Laplace of scale t/s.
fn laplace(s: u64, t: u64, rng: &mut (impl CryptoRng + ?Sized)) -> i128 {
    loop {
        let rest = below(u128::from(t), rng);
        if !coin_of_exponential(rest, u128::from(t), rng) {
            continue;
        }
        let mut whole: u128 = 0;
        while coin_of_exponential(1, 1, rng) {
            whole += 1;
        }
        let size = (rest + whole * u128::from(t)) / u128::from(s);
        let is_negative = rng.next_u32() & 1 == 1;
        // Zero would come up under either sign.
        let is_second_zero = is_negative && size == 0;
        #[cfg(test)]
        let is_second_zero = is_second_zero && !mutant::is(Mutant::TwoZeros);
        if !is_second_zero {
            let size = i128::try_from(size).unwrap_or(i128::MAX);
            return if is_negative { -size } else { size };
        }
    }
}

/// Algorithm 3: discrete Gaussian, by keeping some of the draws of a discrete Laplace of scale σ. (The paper takes
/// ⌊σ⌋ + 1 for the scale; any would do, and with a whole σ this one leaves (|y| − σ)²/2σ² to compare.)
fn gaussian(sigma: u64, rng: &mut (impl CryptoRng + ?Sized)) -> i128 {
    loop {
        let y = laplace(1, sigma, rng);
        let off = y.unsigned_abs().abs_diff(u128::from(sigma));
        let twice = 2 * u128::from(sigma) * u128::from(sigma);
        #[cfg(test)]
        let twice = if mutant::is(Mutant::NarrowGaussian) { twice / 2 } else { twice };
        if coin_of_exponential(off.saturating_mul(off), twice, rng) {
            return y;
        }
    }
}

/// Algorithm 1: true with probability e^(−a/b).
fn coin_of_exponential(a: u128, b: u128, rng: &mut (impl CryptoRng + ?Sized)) -> bool {
    // e^(−a/b) = (1/e)^⌊a/b⌋ · e^(−rest).
    for _ in 0..a / b {
        if !coin_of_small_exponential(1, 1, rng) {
            return false;
        }
    }
    coin_of_small_exponential(a % b, b, rng)
}

/// The same for a ≤ b: counts how long coins of a/b, a/2b, a/3b, … keep showing heads; an even number of them has the
/// probability 1 − x + x²/2! − x³/3! … = e^(−x).
fn coin_of_small_exponential(a: u128, b: u128, rng: &mut (impl CryptoRng + ?Sized)) -> bool {
    let mut turn: u128 = 1;
    while below(b.saturating_mul(turn), rng) < a {
        turn += 1;
    }
    turn % 2 == 1
}

/// A whole number from 0 to `end` − 1, each equally likely: bits are drawn again until they fit.
fn below(end: u128, rng: &mut (impl CryptoRng + ?Sized)) -> u128 {
    if end <= 1 {
        return 0;
    }
    let bits = 128 - (end - 1).leading_zeros();
    loop {
        let mut drawn = u128::from(rng.next_u64());
        if bits > 64 {
            drawn |= u128::from(rng.next_u64()) << 64;
        }
        drawn &= u128::MAX >> (128 - bits);
        if drawn < end {
            return drawn;
        }
    }
}
