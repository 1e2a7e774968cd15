//! The samplers against the formulas: 200 000 draws a scale.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::sampler::Noise;
use super::pmf::{Pmf, chi_square, quantiles};

const DRAWS: usize = 200_000;

const NARROW: [Noise; 8] = [
    Noise::Laplace { steps: 2, total: 1 },
    Noise::Laplace { steps: 1, total: 1 },
    Noise::Laplace { steps: 2, total: 3 },
    Noise::Laplace { steps: 1, total: 10 },
    Noise::Gaussian { sigma: 1 },
    Noise::Gaussian { sigma: 2 },
    Noise::Gaussian { sigma: 3 },
    Noise::Gaussian { sigma: 17 },
];

const WIDE: [Noise; 4] = [
    Noise::Laplace { steps: 943_719, total: 1 << 44 },
    Noise::Laplace { steps: 921, total: 11_863_283 << 20 },
    Noise::Gaussian { sigma: 99_999_989 },
    Noise::Gaussian { sigma: 1 << 45 },
];

pub(super) fn draws(noise: Noise, seed: u64, count: usize) -> Vec<i128> {
    let rng = &mut StdRng::seed_from_u64(seed);
    (0..count).map(|_| noise.draw(rng)).collect()
}

/// Narrow noise has its exact probabilities, number by number.
pub(super) fn draws_have_the_exact_pmf() -> Result<(), String> {
    for noise in NARROW {
        let pmf = Pmf::of(noise, 600);
        let mut counts = vec![0; pmf.probabilities.len()];
        for y in draws(noise, 1, DRAWS) {
            counts[usize::try_from(y - pmf.first).map_err(|_| "far beyond")?] += 1;
        }
        let expected: Vec<f64> = pmf.probabilities.iter().map(|p| p * DRAWS as f64).collect();
        chi_square(&counts, &expected).map_err(|reason| format!("{noise:?}: {reason}"))?;
    }
    Ok(())
}

/// Wide noise falls equally often between the quantiles of its distribution.
pub(super) fn draws_have_the_exact_quantiles() -> Result<(), String> {
    for noise in WIDE {
        let ends = quantiles(noise, 32);
        let mut counts = vec![0; ends.len() + 1];
        for y in draws(noise, 2, DRAWS) {
            counts[ends.partition_point(|end| *end < y as f64 / noise.scale())] += 1;
        }
        let expected = vec![DRAWS as f64 / counts.len() as f64; counts.len()];
        chi_square(&counts, &expected).map_err(|reason| format!("{noise:?}: {reason}"))?;
    }
    Ok(())
}

/// The mean size is within 1 % of what it should be, and the variance within 3 %.
pub(super) fn noise_is_as_wide_as_it_says() -> Result<(), String> {
    for noise in NARROW.into_iter().chain(WIDE) {
        let is_wide = noise.scale() > 100.0;
        let pmf = Pmf::of(noise, 600);
        let (size, square) = match noise {
            Noise::Laplace { .. } if is_wide => (noise.scale(), 2.0 * noise.scale().powi(2)),
            Noise::Gaussian { .. } if is_wide => {
                ((2.0 / std::f64::consts::PI).sqrt() * noise.scale(), noise.scale().powi(2))
            }
            _ => (pmf.mean(f64::abs), pmf.mean(|y| y * y)),
        };
        let all = draws(noise, 3, DRAWS);
        let mean = |of: fn(f64) -> f64| all.iter().map(|y| of(*y as f64)).sum::<f64>() / DRAWS as f64;
        for (what, found, want, most) in [
            ("mean size", mean(f64::abs), size, 0.01),
            ("variance", mean(|y| y * y), square, 0.03),
            ("stated deviation", noise.deviation(), square.sqrt(), 1e-6),
        ] {
            if (found / want - 1.0).abs() > most {
                return Err(format!("{noise:?}: {what} {found} instead of {want}"));
            }
        }
    }
    Ok(())
}

/// Either sign comes as often, and a draw says nothing of the next.
pub(super) fn signs_are_even_and_draws_independent() -> Result<(), String> {
    for noise in NARROW.into_iter().chain(WIDE) {
        let all = draws(noise, 4, DRAWS);
        let (above, below) = (all.iter().filter(|y| **y > 0).count(), all.iter().filter(|y| **y < 0).count());
        if (above as f64 - below as f64).abs() > 4.5 * ((above + below) as f64).sqrt() {
            return Err(format!("{noise:?}: {above} above 0, {below} below"));
        }
        // Signs and sizes of neighbours: how often both are on the same side of their middle.
        let sizes: Vec<i128> = all.iter().map(|y| y.abs()).collect();
        let middle = *sizes.clone().select_nth_unstable(DRAWS / 2).1;
        for (what, sides) in [
            ("signs", all.iter().map(|y| *y > 0).collect::<Vec<_>>()),
            ("sizes", sizes.iter().map(|size| *size > middle).collect()),
        ] {
            let share = sides.iter().filter(|side| **side).count() as f64 / DRAWS as f64;
            let both = sides.windows(2).filter(|pair| pair[0] && pair[1]).count() as f64;
            let expected = share * share * (DRAWS - 1) as f64;
            if (both - expected).abs() > 4.5 * expected.sqrt() {
                return Err(format!("{noise:?}: {what} of neighbours agree {both} times instead of {expected}"));
            }
        }
    }
    Ok(())
}

#[test]
fn narrow_draws_have_the_exact_probabilities() {
    assert_eq!(draws_have_the_exact_pmf(), Ok(()));
}

#[test]
fn wide_draws_have_the_exact_quantiles() {
    assert_eq!(draws_have_the_exact_quantiles(), Ok(()));
}

#[test]
fn the_mean_size_is_within_one_percent() {
    assert_eq!(noise_is_as_wide_as_it_says(), Ok(()));
}

#[test]
fn signs_are_even_and_neighbours_independent() {
    assert_eq!(signs_are_even_and_draws_independent(), Ok(()));
}
