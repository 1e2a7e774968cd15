//! Rows of codes sixteen abreast, so that one vector holds the same four components of each.
//!
//! Many rows compared with many cost far less this way than one by one: every vector of a panel serves all rows that are
//! compared with it, and no sum has to be gathered from the lanes of a vector.
//!
//! Invariant: of a panel of rows of `stride` codes, a multiple of sixteen, row `lane`'s components
//! `TOGETHER·step..` lie at `(WIDTH·step + lane)·TOGETHER`. Rows that are missing are zeros.

use super::rows::Rows;
use bytemuck::{Pod, Zeroable};

/// Rows of a panel.
pub const WIDTH: usize = 16;

/// Rows that are compared with panels at once.
pub const HEIGHT: usize = 8;

/// Components of a row that lie together.
pub const TOGETHER: usize = 4;

/// One step through a panel: the same components of all its rows.
pub const STEP: usize = WIDTH * TOGETHER;

/// What the distance of a row from others needs besides its code. Single precision is far finer than what codes keep of a
/// vector.
#[derive(Clone, Copy, Default, zeroize::Zeroize)]
pub struct Point {
    /// Length of one code unit.
    pub unit: f32,
    /// Squared length, without the lift.
    pub squared: f32,
    /// How far the point is lifted off the space of the codes.
    pub lift: f32,
}

impl Point {
    /// The squared distance to another, of whose code with this one's the inner product is known. Vector kernels compute
    /// it in the same steps.
    #[inline]
    pub fn distance(self, other: Self, product: i32) -> f32 {
        let flat = self.squared + other.squared - 2.0 * (self.unit * other.unit * product as f32);
        let lift = self.lift - other.lift;
        flat.max(0.0) + lift * lift
    }
}

/// The points of a panel's rows.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct Points {
    pub units: [f32; WIDTH],
    pub squared: [f32; WIDTH],
    pub lifts: [f32; WIDTH],
}

impl Points {
    /// Infinitely far from every row.
    pub const NOWHERE: Self = Self { units: [0.0; WIDTH], squared: [f32::INFINITY; WIDTH], lifts: [0.0; WIDTH] };

    /// Of these rows; what is missing is infinitely far.
    pub fn of(rows: impl Iterator<Item = Point>) -> Self {
        let mut points = Self::NOWHERE;
        for (lane, row) in rows.take(WIDTH).enumerate() {
            points.units[lane] = row.unit;
            points.squared[lane] = row.squared;
            points.lifts[lane] = row.lift;
        }
        points
    }

    fn row(&self, lane: usize) -> Point {
        Point { unit: self.units[lane], squared: self.squared[lane], lift: self.lifts[lane] }
    }
}

/// A panel and a row that is compared with it.
#[derive(Clone, Copy)]
pub struct Tile {
    /// The squared distances of the panel's rows.
    pub distances: [f32; WIDTH],
    /// Which of them are not greater than was asked for, lowest bit first.
    pub within: u16,
}

impl Tile {
    pub const EMPTY: Self = Self { distances: [0.0; WIDTH], within: 0 };
}

/// The same components of the rows that are compared with panels at once.
pub type Step = [[i8; TOGETHER]; HEIGHT];

/// Rows that are compared with panels, and how far from each a row of a panel may be.
#[derive(Clone, Copy)]
pub struct Few<'a> {
    /// Their codes, step by step.
    pub steps: &'a [Step],
    pub points: [Point; HEIGHT],
    pub most: [f32; HEIGHT],
}

/// Puts the rows that are to be compared side by side, all of them.
pub fn pack_few(rows: [&[i8]; HEIGHT], steps: &mut [Step]) {
    for (at, row) in rows.into_iter().enumerate() {
        for (step, codes) in steps.iter_mut().zip(row.as_chunks::<TOGETHER>().0) {
            step[at] = *codes;
        }
    }
}

/// Puts the rows at `positions`, all of which there are, into panels, as many as hold them.
pub fn pack(rows: Rows<'_, i8>, stride: usize, positions: &[u32], panels: &mut [i8]) {
    for (panel, positions) in panels.chunks_exact_mut(WIDTH * stride).zip(positions.chunks(WIDTH)) {
        if positions.len() < WIDTH {
            panel.fill(0);
        }
        for (four, positions) in positions.chunks(FOUR).enumerate() {
            let row = |at: usize| positions.get(at).map_or(&[][..], |&position| rows.row(position)).as_chunks().0;
            let mut steps = panel.as_chunks_mut::<STEP>().0.iter_mut();
            if let [_, _, _, _] = positions {
                for (((a, b), c), d) in row(0).iter().zip(row(1)).zip(row(2)).zip(row(3)) {
                    transpose([a, b, c, d], four, &mut steps);
                }
            } else {
                for (at, _) in positions.iter().enumerate() {
                    for (step, codes) in
                        panel.as_chunks_mut::<STEP>().0.iter_mut().zip(row(at).as_flattened().as_chunks().0)
                    {
                        if let Some(place) = step.as_chunks_mut::<TOGETHER>().0.get_mut(four * FOUR + at) {
                            *place = *codes;
                        }
                    }
                }
            }
        }
    }
}

/// Rows that are packed at once.
const FOUR: usize = 4;

/// Puts four times four components of four rows into their places in the next four steps.
#[inline(always)]
fn transpose<'a>(
    rows: [&[i8; FOUR * TOGETHER]; FOUR],
    four: usize,
    steps: &mut impl Iterator<Item = &'a mut [i8; STEP]>,
) {
    let fours = rows.map(|row| row.as_chunks::<TOGETHER>().0);
    for (at, step) in (0..FOUR).zip(steps) {
        if let Some(place) = step.as_chunks_mut::<{ FOUR * TOGETHER }>().0.get_mut(four) {
            for (place, four) in place.as_chunks_mut::<TOGETHER>().0.iter_mut().zip(fours) {
                *place = four[at];
            }
        }
    }
}

/// The reference of [`Tiles`](super::table::Tiles).
pub fn tiles(few: &Few<'_>, panels: &[i8], points: &[Points], tiles: &mut [[Tile; HEIGHT]]) {
    let panels = panels.chunks_exact((STEP * few.steps.len()).max(1));
    for ((panel, points), tiles) in panels.zip(points).zip(tiles) {
        for (at, tile) in tiles.iter_mut().enumerate() {
            let mut products = [0; WIDTH];
            for (lanes, codes) in panel.as_chunks::<STEP>().0.iter().zip(few.steps) {
                for (product, lane) in products.iter_mut().zip(lanes.as_chunks::<TOGETHER>().0) {
                    *product += lane.iter().zip(&codes[at]).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum::<i32>();
                }
            }
            tile.within = 0;
            for ((lane, distance), product) in tile.distances.iter_mut().enumerate().zip(products) {
                *distance = few.points[at].distance(points.row(lane), product);
                tile.within |= u16::from(*distance <= few.most[at]) << lane;
            }
        }
    }
}

/// Components that lie together, as one number.
#[inline(always)]
pub fn together(codes: [i8; TOGETHER]) -> i32 {
    let [a, b, c, d] = codes;
    i32::from_le_bytes([a as u8, b as u8, c as u8, d as u8])
}
