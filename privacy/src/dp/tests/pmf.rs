//! Exact probabilities of the two distributions, and how draws are held against them: the oracle is a formula.

use super::super::sampler::Noise;

/// A probability for each of some numbers.
pub(super) struct Pmf {
    pub first: i128,
    pub probabilities: Vec<f64>,
}

impl Pmf {
    /// The probabilities of noise, which must be narrow: from −`edge` to `edge`.
    pub fn of(noise: Noise, edge: i128) -> Pmf {
        let weight = |y: i128| match noise {
            Noise::Laplace { steps, total } => (-(y.abs() as f64) * steps as f64 / total as f64).exp(),
            Noise::Gaussian { sigma } => (-0.5 * (y as f64 / sigma as f64).powi(2)).exp(),
        };
        let weights: Vec<f64> = (-edge..=edge).map(weight).collect();
        let all: f64 = weights.iter().sum();
        Pmf { first: -edge, probabilities: weights.into_iter().map(|weight| weight / all).collect() }
    }

    /// The expected value of some function of what is drawn.
    pub fn mean(&self, of: impl Fn(f64) -> f64) -> f64 {
        let numbers = self.probabilities.iter().enumerate();
        numbers.map(|(at, probability)| probability * of((self.first + at as i128) as f64)).sum()
    }
}

/// Probabilities of the cells of wide noise: cell i of 2·`half` is where the distribution function runs from i/2·half to
/// (i + 1)/2·half. Gives the ends of cells in multiples of the scale.
pub(super) fn quantiles(noise: Noise, half: usize) -> Vec<f64> {
    let at = |share: f64| match noise {
        Noise::Laplace { .. } if share < 0.5 => (2.0 * share).ln(),
        Noise::Laplace { .. } => -(2.0 * (1.0 - share)).ln(),
        Noise::Gaussian { .. } => normal_quantile(share),
    };
    (1..2 * half).map(|cell| at(cell as f64 / (2 * half) as f64)).collect()
}

/// The x below which a standard normal variable lies with this probability, by halving.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if normal(middle) < share { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// The probability that a standard normal variable is below `x`: Simpson's rule from −12 on.
pub(super) fn normal(x: f64) -> f64 {
    let from = -12.0;
    if x <= from {
        return 0.0;
    }
    let (steps, density) = (4000, |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt());
    let width = (x.min(12.0) - from) / f64::from(steps);
    let inner = |step: i32| f64::from(if step % 2 == 1 { 4 } else { 2 }) * density(from + f64::from(step) * width);
    (density(from) + density(x.min(12.0)) + (1..steps).map(inner).sum::<f64>()) * width / 3.0
}

/// χ² of counts against what is expected, over cells of which at least 8 are expected; and the most that chance explains:
/// five standard deviations, three draws in ten million.
pub(super) fn chi_square(counts: &[u64], expected: &[f64]) -> Result<(), String> {
    assert_eq!(counts.len(), expected.len());
    let cells = counts.iter().zip(expected).filter(|(_, expected)| **expected >= 8.0);
    let terms: Vec<f64> = cells.map(|(count, expected)| (*count as f64 - expected).powi(2) / expected).collect();
    let free = terms.len().saturating_sub(1).max(1) as f64;
    let (found, most) = (terms.iter().sum::<f64>(), free + 5.0 * (2.0 * free).sqrt());
    if found <= most { Ok(()) } else { Err(format!("χ² is {found:.1}, {most:.1} at most is chance")) }
}
