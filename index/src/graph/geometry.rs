//! Distances between stored rows, for building: the squared Euclidean distance of the points that
//! codes stand for.
//!
//! For the cosine these are the codes themselves, in integers; for L2 the codes scaled by norm and
//! step; for the inner product one more coordinate lifts all points onto one sphere, which turns
//! the greatest product into the least distance (Bachrach et al., "Speeding up the Xbox recommender
//! system using a Euclidean transformation", 2014).
//!
//! Invariant: distances are finite, never negative, symmetric, 0 between equal rows, and the same
//! on every processor.

use crate::codes::Codes;
use crate::metric::Metric;
use crate::quantize::{STEP, Space};
use zeroize::Zeroizing;

/// The points of a segment.
pub(crate) struct Geometry<'a> {
    codes: &'a Codes,
    dot: fn(&[i8], &[i8]) -> i32,
    points: Zeroizing<Vec<Point>>,
}

/// What a row needs besides its code.
#[derive(Clone, Copy, Default, zeroize::Zeroize)]
struct Point {
    /// Length of one code unit.
    unit: f64,
    /// Squared length of the point, without the lift.
    squared: f64,
    /// The coordinate that lifts it; 0 except for the inner product.
    lift: f64,
}

impl<'a> Geometry<'a> {
    pub(crate) fn new(space: &Space, codes: &'a Codes) -> Self {
        let dot = space.kernels().dot;
        let step = f64::from(STEP) / (codes.stride() as f64).sqrt();
        let unlifted = (0..codes.len() as u32).map(|position| {
            let unit = match space.metric() {
                Metric::Cosine => 1.0,
                Metric::Dot | Metric::L2 => step * f64::from(codes.norm(position)),
            };
            let code = codes.code(position);
            Point { unit, squared: unit * unit * f64::from(dot(code, code)), lift: 0.0 }
        });
        let mut points: Zeroizing<Vec<Point>> = Zeroizing::new(unlifted.collect());
        if space.metric() == Metric::Dot {
            let radius = grid_above(points.iter().fold(0.0, |most, point| point.squared.max(most)));
            for point in points.iter_mut() {
                point.lift = (radius - point.squared).max(0.0).sqrt();
            }
        }
        Self { codes, dot, points }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// Distance of two rows.
    #[inline]
    pub(crate) fn distance(&self, a: u32, b: u32) -> f32 {
        let (Some(p), Some(q)) = (self.points.get(a as usize), self.points.get(b as usize)) else {
            return f32::MAX;
        };
        let dot = f64::from((self.dot)(self.codes.code(a), self.codes.code(b)));
        let flat = p.squared + q.squared - 2.0 * (p.unit * q.unit) * dot;
        let lift = p.lift - q.lift;
        (flat + lift * lift).max(0.0) as f32
    }
}

/// The least 2^k or 2^k·√2 that is not below `x`. On this coarse grid the radius of the sphere
/// stays the same when a record is removed, unless it was the longest by far.
fn grid_above(x: f64) -> f64 {
    if x <= f64::MIN_POSITIVE {
        return f64::MIN_POSITIVE;
    }
    let below = f64::from_bits(x.to_bits() & (0x7ff << 52));
    [below, below * std::f64::consts::SQRT_2].into_iter().find(|&step| step >= x).unwrap_or(2.0 * below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_above_and_coarse() {
        for x in [1e-300, 0.3, 1.0, 1.4, 1.5, 2.0, 3.9, 1e30] {
            let radius = grid_above(x);
            assert!(radius >= x && radius < 1.415 * x, "{x} {radius}");
            assert_eq!(grid_above(radius), radius);
        }
        assert!(grid_above(0.0) > 0.0);
    }
}
