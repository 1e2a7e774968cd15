//! Chooses each row's neighbours from candidates: near ones that lie in different directions.
//!
//! Invariant: a chosen list has no duplicates, never the row itself, at most `degree` entries, and
//! is sorted by (distance, position).

use super::geometry::{Geometry, Near};
use super::packed::{Desk, Panels};
use crate::kernel::panel::{HEIGHT, WIDTH};

/// Orders by (distance, position): distances are never negative, so that their bits order as they do.
#[inline]
pub(crate) fn rank(near: &Near) -> u64 {
    u64::from(near.0.to_bits()) << 32 | u64::from(near.1)
}

/// What becomes of room in a list that no direction needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// The nearest of those passed over fill it: the layout has it in any case, and this measures better than leaving it
    /// empty or than relaxing the rule (`benches/LOG.md`).
    Nearest,
    /// It stays open.
    Open,
}

/// Memory for choosing.
pub(crate) struct Choice {
    panels: Panels,
    desk: Desk,
    rows: Vec<u32>,
    /// Of each panel of candidates, those that were chosen.
    chosen: Vec<u16>,
    /// Of the few candidates that are looked at, which others are nearer to each than the row is.
    nearer: [Vec<u16>; HEIGHT],
}

impl Choice {
    pub(crate) fn new() -> Self {
        Self {
            panels: Panels::new(),
            desk: Desk::new(),
            rows: Vec::new(),
            chosen: Vec::new(),
            nearer: Default::default(),
        }
    }

    /// The neighbours of `row` among `candidates`, which are near it in any order, at most `degree`.
    ///
    /// A candidate is passed over if one chosen before is nearer to it than the row is (Malkov and
    /// Yashunin, 2016, algorithm 4; the relative neighbourhood rule).
    pub(crate) fn choose(
        &mut self,
        geometry: &Geometry,
        row: u32,
        mut candidates: Vec<Near>,
        degree: usize,
        fill: Fill,
    ) -> Vec<Near> {
        candidates.sort_by_key(rank);
        candidates.dedup_by_key(|near| near.1);
        candidates.retain(|near| near.1 != row);
        if candidates.len() <= degree && fill == Fill::Nearest {
            return candidates;
        }
        self.rows.clear();
        self.rows.extend(candidates.iter().map(|near| near.1));
        self.panels.fill(geometry, &self.rows);
        let panels = candidates.len().div_ceil(WIDTH);
        self.chosen.clear();
        self.chosen.resize(panels, 0);
        let (mut kept, mut passed_over) = (Vec::with_capacity(degree), Vec::new());
        for (few, first) in candidates.chunks(HEIGHT).zip((0..).step_by(HEIGHT)) {
            if kept.len() == degree {
                break;
            }
            self.look(geometry, few, first);
            for ((candidate, place), nearer) in few.iter().zip(first..).zip(&self.nearer) {
                let is_hidden = nearer.iter().zip(&self.chosen).any(|(nearer, chosen)| nearer & chosen != 0);
                if is_hidden {
                    passed_over.push(*candidate);
                } else if kept.len() < degree {
                    kept.push(*candidate);
                    if let Some(chosen) = self.chosen.get_mut(place / WIDTH) {
                        *chosen |= 1 << (place % WIDTH);
                    }
                }
            }
        }
        if fill == Fill::Nearest {
            kept.extend(passed_over.into_iter().take(degree - kept.len()));
            kept.sort_by_key(rank);
        }
        kept
    }

    /// Finds which candidates before them, or among them, are nearer to `few` than the row is; `first` is their place.
    fn look(&mut self, geometry: &Geometry, few: &[Near], first: usize) {
        let (count, most) = (first + few.len(), std::array::from_fn(|at| few.get(at).map_or(0.0, |near| near.0)));
        self.desk.ask(geometry, |at| few.get(at).map(|near| near.1));
        self.nearer.iter_mut().for_each(Vec::clear);
        for block in Panels::blocks(count) {
            for (_, tiles) in self.desk.compare(geometry, &self.panels, most, block, count) {
                for (tile, nearer) in tiles.iter().zip(&mut self.nearer) {
                    nearer.push(tile.within);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Metric;
    use crate::quantize::Space;
    use crate::samples::{clusters, codes};
    use proptest::prelude::*;

    /// The rule as it is written, one pair after the other.
    fn expected(geometry: &Geometry, row: u32, candidates: &[Near], degree: usize, fill: Fill) -> Vec<Near> {
        let (mut kept, mut passed_over): (Vec<Near>, Vec<Near>) = (Vec::new(), Vec::new());
        for candidate in candidates.iter().filter(|near| near.1 != row) {
            let is_hidden = kept.iter().any(|kept| geometry.distance(candidate.1, kept.1) <= candidate.0);
            if !is_hidden && kept.len() < degree {
                kept.push(*candidate);
            } else {
                passed_over.push(*candidate);
            }
        }
        if fill == Fill::Nearest {
            kept.extend(passed_over.into_iter().take(degree - kept.len()));
        }
        kept.sort_unstable_by_key(rank);
        kept
    }

    proptest! {
        #[test]
        fn chooses_by_the_rule(
            row in 0_u32..400,
            degree in 1_usize..60,
            to in proptest::collection::btree_set(0_u32..400, 0..300),
            is_open: bool,
            twice: bool,
        ) {
            let space = Space::new(Metric::Dot, 8, &[1; 32]);
            let mut vectors = clusters(400, 8, 2);
            (0..40).for_each(|at| vectors[at * 10] = vectors[at].clone());
            let geometry = Geometry::new(&space, &codes(&space, &vectors));
            let mut candidates: Vec<Near> = Vec::new();
            geometry.distances(row, &Vec::from_iter(to), &mut candidates);
            let fill = if is_open { Fill::Open } else { Fill::Nearest };
            let mut choice = Choice::new();
            if twice {
                // What was chosen before leaves nothing behind.
                choice.choose(&geometry, 7, candidates.clone(), 3, fill);
                candidates.extend(candidates.clone());
            }
            let found = choice.choose(&geometry, row, candidates.clone(), degree, fill);
            candidates.sort_unstable_by_key(rank);
            candidates.dedup();
            prop_assert_eq!(found, expected(&geometry, row, &candidates, degree, fill));
        }
    }
}
