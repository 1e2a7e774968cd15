//! The samplers against another's: what OpenDP's drew, counted and kept in `oracle.txt` by `oracle.py` beside this file.
//!
//! Kept rather than drawn anew, because OpenDP takes its randomness from the system and is large: a test that sometimes
//! fails, and a build that takes minutes more, would prove no more than these eleven million draws.

use super::super::sampler::Noise;
use super::sampler::draws;

const TABLE: &str = include_str!("oracle.txt");
const DRAWS: usize = 200_000;
const EDGE: i128 = 24;

/// A distribution and how often OpenDP drew each cell of it.
fn rows() -> Vec<(Noise, Vec<u64>)> {
    let row = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let mut numbers = words.map(|word| word.parse::<u64>().unwrap());
        let (steps, total) = (numbers.next().unwrap(), numbers.next().unwrap());
        let noise = match name {
            "laplace" => Noise::Laplace { steps, total },
            _ => Noise::Gaussian { sigma: total },
        };
        (noise, numbers.collect())
    };
    TABLE.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

fn cells(noise: Noise, seed: u64) -> Vec<u64> {
    let (steps, total) = match noise {
        Noise::Laplace { steps, total } => (i128::from(steps), i128::from(total)),
        Noise::Gaussian { sigma } => (1, i128::from(sigma)),
    };
    let mut counts = vec![0; 2 * EDGE as usize + 1];
    for y in draws(noise, seed, DRAWS) {
        counts[((4 * y * steps).div_euclid(total).clamp(-EDGE, EDGE) + EDGE) as usize] += 1;
    }
    counts
}

/// χ² of two samples (Numerical Recipes §14.3), in standard deviations from what chance gives.
fn apart(ours: &[u64], theirs: &[u64]) -> f64 {
    let [all_ours, all_theirs] = [ours, theirs].map(|all| all.iter().sum::<u64>() as f64);
    let ratio = (all_theirs / all_ours).sqrt();
    let cells = ours.iter().zip(theirs).filter(|(a, b)| **a + **b >= 20);
    let terms: Vec<f64> =
        cells.map(|(a, b)| (*a as f64 * ratio - *b as f64 / ratio).powi(2) / (a + b) as f64).collect();
    let free = terms.len().saturating_sub(1).max(1) as f64;
    (terms.iter().sum::<f64>() - free) / (2.0 * free).sqrt()
}

#[test]
fn draws_are_those_of_opendp() {
    let rows = rows();
    assert_eq!(rows.len(), 11);
    for (noise, theirs) in rows {
        assert_eq!(theirs.iter().sum::<u64>(), 1_000_000, "{noise:?}");
        let found = apart(&cells(noise, 11), &theirs);
        assert!(found < 4.5, "{noise:?}: {found} standard deviations apart");
    }
}

/// The oracle tells scales apart that differ by 2 %.
#[test]
fn the_oracle_sees_a_wrong_scale() {
    let (_, theirs) =
        rows().into_iter().find(|(noise, _)| *noise == Noise::Laplace { steps: 1, total: 1 << 24 }).unwrap();
    let mut counts = vec![0; theirs.len()];
    for y in draws(Noise::Laplace { steps: 50, total: 51 << 24 }, 12, DRAWS) {
        counts[((4 * y).div_euclid(1 << 24).clamp(-EDGE, EDGE) + EDGE) as usize] += 1;
    }
    assert!(apart(&counts, &theirs) > 4.5);
}
