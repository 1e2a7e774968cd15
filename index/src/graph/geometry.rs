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

use crate::arena::Arena;
use crate::codes::Codes;
use crate::kernel::{Kernels, Rows};
use crate::metric::Metric;
use crate::quantize::{STEP, Space};
use crate::search::{Goal, Horizon};
use rayon::prelude::*;
use zeroize::Zeroizing;

/// The points of a segment.
pub(crate) struct Geometry {
    stride: usize,
    /// The codes taken out of their packed form.
    rows: Arena<i8>,
    kernels: &'static Kernels,
    points: Zeroizing<Vec<Point>>,
    /// Squared radius of the sphere that points are lifted to; 0 where they are not.
    radius: f64,
}

/// A row and its distance to another, ordered by (distance, position).
pub(crate) type Near = (f32, u32);

/// What a row needs besides its code.
#[derive(Clone, Copy, Default, zeroize::Zeroize)]
struct Point {
    /// Length of one code unit.
    unit: f32,
    /// Inner product of the code with itself.
    square: i32,
}

impl Geometry {
    pub(crate) fn new(space: &Space, codes: &Codes) -> Self {
        let kernels = space.kernels();
        let step = STEP / (codes.stride() as f32).sqrt();
        let stride = codes.stride();
        let mut rows = Arena::zeroed(codes.len() * stride);
        let each = rows.par_chunks_exact_mut(stride).enumerate();
        each.for_each(|(position, row)| codes.read(position as u32, row));
        let point = |position| {
            let unit = match space.metric() {
                Metric::Cosine => 1.0,
                Metric::Dot | Metric::L2 => step * codes.scale(position).norm,
            };
            let row = Rows::new(&rows, stride, 0..stride).row(position);
            Point { unit, square: (kernels.dot)(row, row) }
        };
        let points: Zeroizing<Vec<Point>> =
            Zeroizing::new((0..codes.len() as u32).into_par_iter().map(point).collect());
        let radius = match space.metric() {
            Metric::Dot => grid_above(points.iter().fold(0.0, |most, point| point.squared().max(most))),
            Metric::Cosine | Metric::L2 => 0.0,
        };
        Self { stride, rows, kernels, points, radius }
    }

    fn rows(&self) -> Rows<'_, i8> {
        Rows::new(&self.rows, self.stride, 0..self.stride)
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// Distance of two rows.
    #[inline]
    pub(crate) fn distance(&self, a: u32, b: u32) -> f32 {
        let mut distance = [f32::MAX.to_bits() as i32];
        Around { geometry: self, row: a }.keys(&[b], &mut distance);
        f32::from_bits(distance[0] as u32)
    }

    /// The rows at `positions` with their distances to `row`, in this order.
    pub(crate) fn distances(&self, row: u32, positions: &[u32], near: &mut Vec<Near>) {
        let mut keys = [0; 64];
        for positions in positions.chunks(keys.len()) {
            let around = Around { geometry: self, row };
            around.prefetch(positions);
            around.keys(positions, &mut keys);
            near.extend(keys.iter().zip(positions).map(|(&key, &to)| (f32::from_bits(key as u32), to)));
        }
    }

    /// The rows around `row` as the goal of a walk.
    pub(crate) fn around(&self, row: u32) -> Around<'_> {
        Around { geometry: self, row }
    }

    /// How far `point` is lifted.
    #[inline]
    fn lift(&self, point: Point) -> f64 {
        (self.radius - point.squared()).max(0.0).sqrt()
    }
}

impl Point {
    /// Squared length, without the lift.
    #[inline]
    fn squared(self) -> f64 {
        f64::from(self.unit) * f64::from(self.unit) * f64::from(self.square)
    }
}

/// Nearness to a row. Keys are the bits of distances, which order as these do, since none is
/// negative.
pub(crate) struct Around<'a> {
    geometry: &'a Geometry,
    row: u32,
}

impl Goal for Around<'_> {
    #[inline]
    fn keys(&self, positions: &[u32], keys: &mut [i32]) {
        let Geometry { kernels, points, radius, .. } = self.geometry;
        let Some(&p) = points.get(self.row as usize) else {
            return;
        };
        let rows = self.geometry.rows();
        (kernels.dots)(rows.row(self.row), rows, positions, keys);
        let (squared, lift) = (p.squared(), self.geometry.lift(p));
        for (key, &position) in keys.iter_mut().zip(positions) {
            let q = points.get(position as usize).copied().unwrap_or_default();
            let flat = squared + q.squared() - 2.0 * (f64::from(p.unit) * f64::from(q.unit)) * f64::from(*key);
            let lifted = if *radius > 0.0 { lift - self.geometry.lift(q) } else { 0.0 };
            *key = ((flat + lifted * lifted).max(0.0) as f32).to_bits() as i32;
        }
    }

    #[inline]
    fn prefetch(&self, positions: &[u32]) {
        self.geometry.rows().prefetch(positions);
    }
}

impl Horizon for Around<'_> {
    /// Neighbours are chosen among more rows than those whose distance says how far to look.
    const KEEPS_ALL: bool = true;

    fn beyond(&self, key: i32, slack: f32) -> i32 {
        (f32::from_bits(key as u32) * (1.0 + slack)).to_bits() as i32
    }

    fn doubtful(&self, key: i32) -> i32 {
        key
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
