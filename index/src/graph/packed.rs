//! Rows of a segment side by side, to be compared with others a few at a time.
//!
//! Invariant: distances are those of [`Geometry`], whatever the size and order of what was packed before. Codes lie in
//! memory that is locked and wiped, here too; positions and distances, as in a search, do not.

use super::geometry::Geometry;
use crate::arena::Arena;
use crate::kernel::panel::{Few, HEIGHT, Point, Points, STEP, Step, Tile, WIDTH};
use std::ops::Range;

/// Panels that are compared at once.
const AT_ONCE: usize = 16;

/// Rows side by side, in memory that grows to what it must hold and is used again.
pub(super) struct Panels {
    codes: Arena<i8>,
    points: Arena<Points>,
    rows: usize,
}

impl Panels {
    pub(super) fn new() -> Self {
        Self { codes: Arena::zeroed(0), points: Arena::zeroed(0), rows: 0 }
    }

    /// Packs these rows.
    pub(super) fn fill(&mut self, geometry: &Geometry, rows: &[u32]) {
        let panels = rows.len().div_ceil(WIDTH);
        if self.points.len() < panels {
            let panels = panels.next_power_of_two();
            self.codes = Arena::zeroed(panels * geometry.panel_codes());
            self.points = Arena::zeroed(panels);
        }
        self.rows = rows.len();
        geometry.pack(rows, &mut self.codes);
        for (points, rows) in self.points.iter_mut().zip(rows.chunks(WIDTH)) {
            *points = Points::of(rows.iter().map(|&row| geometry.point(row)));
        }
    }

    /// The blocks in which the first `count` rows are compared.
    pub(super) fn blocks(count: usize) -> Range<usize> {
        0..count.div_ceil(AT_ONCE * WIDTH)
    }
}

/// Where a few rows lie that are compared with panels, and what comes of it.
pub(super) struct Desk {
    steps: Arena<Step>,
    points: [Point; HEIGHT],
    tiles: [[Tile; HEIGHT]; AT_ONCE],
}

impl Desk {
    pub(super) fn new() -> Self {
        let (points, tiles) = ([Point::default(); HEIGHT], [[Tile::EMPTY; HEIGHT]; AT_ONCE]);
        Self { steps: Arena::zeroed(0), points, tiles }
    }

    /// Says which rows are to be compared: as many as go at once, of which `few` are the first.
    pub(super) fn ask(&mut self, geometry: &Geometry, few: impl Fn(usize) -> Option<u32>) {
        let rows = std::array::from_fn(|at| few(at).or(few(0)).unwrap_or_default());
        if self.steps.len() != geometry.panel_codes() / STEP {
            self.steps = Arena::zeroed(geometry.panel_codes() / STEP);
        }
        geometry.pack_few(rows, &mut self.steps);
        self.points = rows.map(|row| geometry.point(row));
    }

    /// Compares them with the rows of a block, up to the panel of the last of the first `count`: how far they are, and
    /// which are within `most`, with the place of the first of each sixteen.
    pub(super) fn compare(
        &mut self,
        geometry: &Geometry,
        panels: &Panels,
        most: [f32; HEIGHT],
        block: usize,
        count: usize,
    ) -> impl Iterator<Item = (usize, &[Tile; HEIGHT])> {
        let (first, end) = (block * AT_ONCE, count.min(panels.rows).div_ceil(WIDTH).min((block + 1) * AT_ONCE));
        let points = panels.points.get(first..end).unwrap_or_default();
        let codes = panels.codes.get(first * geometry.panel_codes()..end * geometry.panel_codes()).unwrap_or_default();
        let few = Few { steps: &self.steps, points: self.points, most };
        geometry.tiles(&few, codes, points, &mut self.tiles);
        (first..end).map(|panel| panel * WIDTH).zip(&self.tiles)
    }
}

/// The lanes whose bits are set.
#[inline]
pub(super) fn lanes(mut mask: u16) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (lane < WIDTH).then_some(lane)
    })
}
