//! What a data set means by near.
//!
//! Invariant: smaller is nearer, and the figures are those of ann-benchmarks, so that its tolerance for ties keeps its
//! meaning. It is an enum of our own because this crate depends on no other of ours.

use std::fmt;
use std::str::FromStr;

use simsimd::SpatialSimilarity;

/// The distance a data set was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// `1 − cos(a, b)`, which ann-benchmarks calls angular.
    Cosine,
    /// `−a·b`.
    Dot,
    /// `‖a − b‖`, not squared.
    L2,
}

impl Distance {
    /// How far `a` lies from `b`; infinitely far if their lengths differ.
    pub fn between(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Cosine => f32::cosine(a, b),
            Self::Dot => f32::dot(a, b).map(|product| -product),
            Self::L2 => f32::l2sq(a, b).map(f64::sqrt),
        }
        .map_or(f32::INFINITY, |distance| distance as f32)
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::L2 => "l2",
        })
    }
}

/// The name is none of `cosine` (`angular`), `dot` and `l2` (`euclidean`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown distance; known are cosine or angular, dot, and l2 or euclidean")]
pub struct UnknownDistance;

impl FromStr for Distance {
    type Err = UnknownDistance;

    /// Reads our name or that of ann-benchmarks.
    fn from_str(name: &str) -> Result<Self, UnknownDistance> {
        match name {
            "cosine" | "angular" => Ok(Self::Cosine),
            "dot" => Ok(Self::Dot),
            "l2" | "euclidean" => Ok(Self::L2),
            _ => Err(UnknownDistance),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        let (a, b) = ([3.0, 0.0], [0.0, 4.0]);
        assert_eq!(Distance::L2.between(&a, &b), 5.0);
        assert_eq!(Distance::Dot.between(&a, &[2.0, 1.0]), -6.0);
        assert!((Distance::Cosine.between(&a, &b) - 1.0).abs() < 1e-6);
        assert!(Distance::Cosine.between(&a, &[6.0, 0.0]).abs() < 1e-6);
        assert_eq!(Distance::L2.between(&a, &[1.0]), f32::INFINITY);
    }

    #[test]
    fn names_are_read_back() {
        for distance in [Distance::Cosine, Distance::Dot, Distance::L2] {
            assert_eq!(distance.to_string().parse(), Ok(distance));
        }
        assert_eq!("hamming".parse::<Distance>(), Err(UnknownDistance));
    }
}
