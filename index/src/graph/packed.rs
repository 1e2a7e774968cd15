//! Rows of a segment side by side, to be compared with others a few at a time.
//!
//! Invariant: distances are those of [`Geometry`], whatever the size and order of what was packed before.

use super::geometry::Geometry;
use crate::arena::Arena;
use crate::kernel::panel::{Few, HEIGHT, Point, Points, Step, Tile, WIDTH};

/// Panels that are compared at once.
const AT_ONCE: usize = 16;

/// Memory for rows side by side; it grows to what it must hold, and is used again.
pub(super) struct Packed {
    panels: Arena<i8>,
    points: Vec<Points>,
    tiles: [[Tile; HEIGHT]; AT_ONCE],
    /// The rows that are compared with the others.
    steps: Vec<Step>,
    own: [Point; HEIGHT],
}

impl Packed {
    pub(super) fn new() -> Self {
        Self {
            panels: Arena::zeroed(0),
            points: Vec::new(),
            tiles: [[Tile::EMPTY; HEIGHT]; AT_ONCE],
            steps: Vec::new(),
            own: [Point::default(); HEIGHT],
        }
    }

    /// Packs these rows.
    pub(super) fn fill(&mut self, geometry: &Geometry, rows: &[u32]) {
        let codes = rows.len().div_ceil(WIDTH) * geometry.panel_codes();
        if self.panels.len() < codes {
            self.panels = Arena::zeroed(codes.next_power_of_two());
        }
        geometry.pack(rows, &mut self.panels);
        self.points.clear();
        self.points.extend(rows.chunks(WIDTH).map(|rows| Points::of(rows.iter().map(|&row| geometry.point(row)))));
    }

    /// Says which rows are to be compared with those that are packed: as many as go at once, of which `few` are the first.
    pub(super) fn ask(&mut self, geometry: &Geometry, few: impl Fn(usize) -> Option<u32>) {
        let rows = std::array::from_fn(|at| few(at).or(few(0)).unwrap_or_default());
        geometry.pack_few(rows, &mut self.steps);
        self.own = rows.map(|row| geometry.point(row));
    }

    /// The blocks in which the first `count` rows are compared.
    pub(super) fn blocks(count: usize) -> std::ops::Range<usize> {
        0..count.div_ceil(AT_ONCE * WIDTH)
    }

    /// Compares those asked for with the rows of a block, up to the panel of the last of the first `count`: how far they
    /// are, and which are within `most`, with the place of the first of each sixteen.
    pub(super) fn compare(
        &mut self,
        geometry: &Geometry,
        most: [f32; HEIGHT],
        block: usize,
        count: usize,
    ) -> impl Iterator<Item = (usize, &[Tile; HEIGHT])> {
        let (first, end) = (block * AT_ONCE, count.div_ceil(WIDTH).min((block + 1) * AT_ONCE));
        let points = self.points.get(first..end).unwrap_or_default();
        let panels = self.panels.get(first * geometry.panel_codes()..end * geometry.panel_codes()).unwrap_or_default();
        let few = Few { steps: &self.steps, points: self.own, most };
        geometry.tiles(&few, panels, points, &mut self.tiles);
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
