//! The three metrics and their exact distances: what every estimate elsewhere in the crate is an
//! estimate of.
//!
//! Invariant: a smaller distance is always nearer, and vectors that passed [`Metric::check`] give
//! finite distances. It is a leaf because codes, graphs and the engine's re-ranking all speak in
//! its terms.

use simsimd::SpatialSimilarity;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The greatest dimension of a vector.
pub const MAX_DIMENSION: usize = 4096;

/// How nearness of two vectors is measured; fixed for a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// One minus the cosine of the angle: 0..=2.
    Cosine,
    /// The negated inner product.
    Dot,
    /// The squared Euclidean distance.
    L2,
}

/// Why a vector cannot be stored or searched. Holds no component of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VectorError {
    /// The number of components is not the collection's dimension.
    #[error("the vector has {found} components, the collection {expected}")]
    Dimension {
        /// The collection's dimension.
        expected: usize,
        /// The vector's number of components.
        found: usize,
    },
    /// A component is infinite or not a number.
    #[error("component {at} is not finite")]
    NotFinite {
        /// Index of the first such component.
        at: usize,
    },
    /// The vector is too short to have a direction, which the cosine needs.
    #[error("a zero vector has no direction")]
    Zero,
    /// The vector is so long that distances to it would overflow `f32`.
    #[error("the vector is too long")]
    TooLarge,
}

/// Squared norms stay below this, so that no distance (at most four of them) leaves the finite
/// `f32` range.
const MAX_SQUARED_NORM: f64 = f32::MAX as f64 / 8.0;

impl Metric {
    /// The exact distance of two vectors of equal length; smaller is nearer. Computed by `simsimd`
    /// in `f32` (relative error about 1e-6). Vectors of different length are infinitely far apart.
    pub fn distance(self, a: &[f32], b: &[f32]) -> f32 {
        let distance = match self {
            Self::Cosine => <f32 as SpatialSimilarity>::cos(a, b),
            Self::Dot => f32::dot(a, b).map(|dot| -dot),
            Self::L2 => f32::l2sq(a, b),
        };
        distance.map_or(f32::INFINITY, |distance| distance as f32)
    }

    /// What people call the score of a hit at this distance: the cosine similarity, the inner
    /// product, or the Euclidean distance.
    pub fn score(self, distance: f32) -> f32 {
        match self {
            Self::Cosine => 1.0 - distance,
            Self::Dot => -distance,
            Self::L2 => distance.max(0.0).sqrt(),
        }
    }

    /// How far the score of a distance can be off if the distance is off by at most `error`.
    pub fn score_error(self, distance: f32, error: f32) -> f32 {
        let at = |distance| (self.score(distance) - self.score(distance - error)).abs();
        // The square root falls faster below than it rises above.
        if error > 0.0 { at(distance).max(at(distance + error)) } else { 0.0 }
    }

    /// Whether `vector` may be stored or searched in a collection of `dimension` components.
    ///
    /// # Errors
    /// The first rule it breaks, in the order of [`VectorError`]'s variants.
    pub fn check(self, vector: &[f32], dimension: usize) -> Result<(), VectorError> {
        if vector.len() != dimension {
            return Err(VectorError::Dimension { expected: dimension, found: vector.len() });
        }
        let squared = squared(vector);
        // Squares of what is finite add up to what is.
        if !squared.is_finite()
            && let Some(at) = vector.iter().position(|x| !x.is_finite())
        {
            return Err(VectorError::NotFinite { at });
        }
        if self == Self::Cosine && squared < f64::from(f32::MIN_POSITIVE) {
            return Err(VectorError::Zero);
        }
        if squared > MAX_SQUARED_NORM {
            return Err(VectorError::TooLarge);
        }
        Ok(())
    }
}

/// The squared norm, in double precision and in lanes, since each addition waits for the one before.
fn squared(vector: &[f32]) -> f64 {
    let (chunks, rest) = vector.as_chunks::<16>();
    let mut lanes = [0.0; 16];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &x)| *lane += f64::from(x) * f64::from(x));
    }
    lanes.into_iter().chain(rest.iter().map(|&x| f64::from(x) * f64::from(x))).sum()
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::L2 => "l2",
        })
    }
}

/// The text named no metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a metric; use cosine, dot or l2")]
pub struct UnknownMetric;

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(text: &str) -> Result<Self, UnknownMetric> {
        [Self::Cosine, Self::Dot, Self::L2].into_iter().find(|metric| metric.to_string() == text).ok_or(UnknownMetric)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn agrees_with_double_precision() {
        let mut rng = StdRng::seed_from_u64(1);
        for dimension in [1, 2, 3, 7, 8, 31, 100, 384, 1536, 4096] {
            let mut draw = || (0..dimension).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f32>>();
            let (a, b) = (draw(), draw());
            let sum =
                |f: &dyn Fn(f64, f64) -> f64| -> f64 { a.iter().zip(&b).map(|(&x, &y)| f(x.into(), y.into())).sum() };
            let (dot, aa, bb) = (sum(&|x, y| x * y), sum(&|x, _| x * x), sum(&|_, y| y * y));
            let close = |metric: Metric, exact: f64| {
                let found = f64::from(metric.distance(&a, &b));
                assert!((found - exact).abs() <= 3e-6 * (1.0 + aa + bb), "{metric} {dimension}: {found} {exact}");
            };
            close(Metric::Cosine, 1.0 - dot / (aa * bb).sqrt());
            close(Metric::Dot, -dot);
            close(Metric::L2, sum(&|x, y| (x - y) * (x - y)));
        }
    }

    #[test]
    fn checks_in_order() {
        let check = Metric::Cosine.check(&[1.0, 2.0], 3);
        assert_eq!(check, Err(VectorError::Dimension { expected: 3, found: 2 }));
        assert_eq!(Metric::L2.check(&[1.0, f32::NAN], 2), Err(VectorError::NotFinite { at: 1 }));
        assert_eq!(Metric::Dot.check(&[f32::INFINITY], 1), Err(VectorError::NotFinite { at: 0 }));
        assert_eq!(Metric::Cosine.check(&[0.0; 4], 4), Err(VectorError::Zero));
        assert_eq!(Metric::L2.check(&[0.0; 4], 4), Ok(()));
        assert_eq!(Metric::Dot.check(&[3e18; 16], 16), Err(VectorError::TooLarge));
        // The longest and the shortest admitted vectors still give finite distances.
        let (long, short) = ([6e18; 1], [1.2e-19; 1]);
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            for v in [long, short] {
                assert_eq!(metric.check(&v, 1), Ok(()));
                assert!(metric.distance(&v, &[-v[0]]).is_finite());
            }
        }
    }

    #[test]
    fn names_round_trip_and_scores_are_users_words() {
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            assert_eq!(metric.to_string().parse::<Metric>().unwrap(), metric);
        }
        assert_eq!("Cosine".parse::<Metric>(), Err(UnknownMetric));
        assert_eq!(Metric::Cosine.score(0.25), 0.75);
        assert_eq!(Metric::Dot.score(-3.0), 3.0);
        assert_eq!(Metric::L2.score(9.0), 3.0);
        assert_eq!(Metric::L2.score_error(9.0, 5.0), 1.0);
        assert_eq!(Metric::L2.score_error(1.0, 2.0), 1.0);
        assert_eq!((Metric::Dot.score_error(-3.0, 0.5), Metric::L2.score_error(9.0, 0.0)), (0.5, 0.0));
        assert_eq!(Metric::L2.distance(&[1.0], &[1.0, 2.0]), f32::INFINITY);
    }
}
