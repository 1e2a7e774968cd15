//! Vectors for tests: Gaussian clusters, and the shapes that break quantisers and graphs.

use crate::{Codes, Space};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// A standard normal number, near enough: the sum of twelve uniform ones (Irwin and Hall).
fn normal(rng: &mut StdRng) -> f32 {
    (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0
}

/// `n` vectors in about `n`/50 clusters, of norms that vary by a factor of about two.
pub(crate) fn clusters(n: usize, dimension: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let centres: Vec<Vec<f32>> =
        (0..n.div_ceil(50)).map(|_| (0..dimension).map(|_| normal(&mut rng)).collect()).collect();
    let mut around = |centre: &[f32]| {
        let length = rng.random_range(0.7..1.4);
        centre.iter().map(|x| length * (x + 0.6 * normal(&mut rng))).collect()
    };
    (0..n).map(|at| around(&centres[at % centres.len()])).collect()
}

/// Sets of `n` vectors of one shape each: all equal, equal in two groups, one-hot, constant with
/// varying length, and clusters.
pub(crate) fn shapes(n: usize, dimension: usize) -> Vec<Vec<Vec<f32>>> {
    let one_hot = |at: usize| (0..dimension).map(|i| f32::from(u8::from(i == at % dimension))).collect();
    vec![
        vec![vec![0.5; dimension]; n],
        (0..n).map(|at| vec![if at % 3 == 0 { -1.0 } else { 2.0 }; dimension]).collect(),
        (0..n).map(one_hot).collect(),
        (0..n).map(|at| vec![1.0 + at as f32; dimension]).collect(),
        clusters(n, dimension, 5),
    ]
}

/// The codes of vectors.
pub(crate) fn codes(space: &Space, vectors: &[Vec<f32>]) -> Codes {
    let mut codes = Codes::with_capacity(space, vectors.len());
    vectors.iter().for_each(|vector| codes.push(space, vector));
    codes
}
