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
use crate::kernel::panel::{self, Few, HEIGHT, Point, Points, Step, Tile};
use crate::kernel::{Kernels, Rows};
use crate::metric::Metric;
use crate::quantize::{STEP, Space};
use rayon::prelude::*;
use zeroize::Zeroizing;

/// The points of a segment.
pub(crate) struct Geometry {
    stride: usize,
    /// The codes taken out of their packed form.
    rows: Arena<i8>,
    kernels: &'static Kernels,
    points: Zeroizing<Vec<Point>>,
}

/// The bits of a number that say which power of two it is above.
const EXPONENT: u32 = 0xff << 23;

/// A row and its distance to another, ordered by (distance, position).
pub(crate) type Near = (f32, u32);

impl Geometry {
    pub(crate) fn new(space: &Space, codes: &Codes) -> Self {
        let kernels = space.kernels();
        let step = STEP / (codes.stride() as f32).sqrt();
        let stride = codes.stride();
        let mut rows = Arena::zeroed(codes.len() * stride);
        let each = rows.par_chunks_exact_mut(stride).enumerate();
        each.for_each(|(position, row)| codes.read(position as u32, row));
        // Lengths are counted in a power of two of them, which changes no order, so that squares of short vectors are
        // as exact as those of long ones.
        let longest = (0..codes.len() as u32).fold(0_f32, |most, position| most.max(codes.scale(position).norm));
        let power = f32::from_bits(longest.to_bits() & EXPONENT).max(f32::MIN_POSITIVE);
        let point = |position| {
            let unit = match space.metric() {
                Metric::Cosine => 1.0,
                Metric::Dot | Metric::L2 => step * (codes.scale(position).norm / power),
            };
            let row = Rows::new(&rows, stride, 0..stride).row(position);
            Point { unit, squared: unit * unit * (kernels.dot)(row, row) as f32, lift: 0.0 }
        };
        let mut points: Zeroizing<Vec<Point>> =
            Zeroizing::new((0..codes.len() as u32).into_par_iter().map(point).collect());
        if space.metric() == Metric::Dot {
            let radius = grid_above(points.iter().fold(0.0, |most, point| point.squared.max(most)));
            points.iter_mut().for_each(|point| point.lift = (radius - point.squared).max(0.0).sqrt());
        }
        Self { stride, rows, kernels, points }
    }

    fn rows(&self) -> Rows<'_, i8> {
        Rows::new(&self.rows, self.stride, 0..self.stride)
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// Distance of two rows.
    pub(crate) fn distance(&self, a: u32, b: u32) -> f32 {
        let product = (self.kernels.dot)(self.rows().row(a), self.rows().row(b));
        self.point(a).distance(self.point(b), product)
    }

    /// The rows at `positions` with their distances to `row`, in this order.
    pub(crate) fn distances(&self, row: u32, positions: &[u32], near: &mut Vec<Near>) {
        let (rows, own) = (self.rows(), self.point(row));
        let mut products = [0; 64];
        for positions in positions.chunks(products.len()) {
            rows.prefetch(positions);
            (self.kernels.dots)(rows.row(row), rows, positions, &mut products);
            let each = products.iter().zip(positions);
            near.extend(each.map(|(&product, &to)| (own.distance(self.point(to), product), to)));
        }
    }

    /// The rows at `positions` side by side, to be compared with many.
    pub(crate) fn pack(&self, positions: &[u32], panels: &mut [i8]) {
        panel::pack(self.rows(), self.stride, positions, panels);
    }

    /// Codes in a panel.
    pub(crate) fn panel_codes(&self) -> usize {
        panel::WIDTH * self.stride
    }

    /// The rows that are to be compared with panels, side by side.
    pub(crate) fn pack_few(&self, rows: [u32; HEIGHT], steps: &mut [Step]) {
        panel::pack_few(rows.map(|row| self.rows().row(row)), steps);
    }

    /// Compares rows with those in `panels`.
    #[inline]
    pub(crate) fn tiles(&self, few: &Few<'_>, panels: &[i8], points: &[Points], tiles: &mut [[Tile; HEIGHT]]) {
        (self.kernels.tiles)(few, panels, points, tiles);
    }

    /// Where a row lies, as far as its code does not say it.
    #[inline]
    pub(crate) fn point(&self, row: u32) -> Point {
        self.points.get(row as usize).copied().unwrap_or_default()
    }
}

/// The least 2^k or 2^k·√2 that is not below `x`. On this coarse grid the radius of the sphere
/// stays the same when a record is removed, unless it was the longest by far.
fn grid_above(x: f32) -> f32 {
    if x <= f32::MIN_POSITIVE {
        return f32::MIN_POSITIVE;
    }
    let below = f32::from_bits(x.to_bits() & EXPONENT);
    [below, below * std::f32::consts::SQRT_2].into_iter().find(|&step| step >= x).unwrap_or(2.0 * below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_above_and_coarse() {
        for x in [1e-30, 0.3, 1.0, 1.4, 1.5, 2.0, 3.9, 1e30] {
            let radius = grid_above(x);
            assert!(radius >= x && radius < 1.415 * x, "{x} {radius}");
            assert_eq!(grid_above(radius), radius);
        }
        assert!(grid_above(0.0) > 0.0);
    }
}
