//! The rows nearest to each row, found leaf by leaf: all rows of a leaf are compared with each other.
//!
//! A walk through a graph waits for memory row by row. A leaf is in the cache, and its rows are compared sixteen with
//! eight at once: each row is compared with ten times as many others as a walk would meet, in half the time.
//!
//! Invariant: each list is the nearest `most` of all rows that share a leaf with its row, sorted by (distance,
//! position), without the row itself, in whatever order leaves were worked through.

use super::geometry::{Geometry, Near};
use super::packed::{Desk, Panels, lanes};
use super::params::Stop;
use super::prune::rank;
use crate::kernel::panel::HEIGHT;
use parking_lot::Mutex;
use rayon::prelude::*;

/// Rows that one task compares with others.
const BLOCK: usize = 1024;

/// Lists grow to so many times what is wanted before the nearest are chosen.
const SLACK: usize = 2;

/// The nearest few of the rows that one row was compared with.
struct Found {
    near: Vec<Near>,
    most: usize,
    /// Nothing farther is wanted.
    farthest: f32,
}

impl Found {
    fn new(most: usize) -> Self {
        Self { near: Vec::with_capacity(SLACK * most), most, farthest: f32::INFINITY }
    }

    /// Forgets all, to find what is not beyond `farthest`.
    fn reset(&mut self, farthest: f32) {
        self.near.clear();
        self.farthest = farthest;
    }

    fn push(&mut self, near: Near) {
        self.near.push(near);
        if self.near.len() >= SLACK * self.most {
            self.settle();
        }
    }

    /// Keeps the nearest `most`, in no order.
    fn settle(&mut self) {
        if self.near.len() > self.most {
            let (_, last, _) = self.near.select_nth_unstable_by_key(self.most.saturating_sub(1), rank);
            // Others come by rising position: who is as far comes too late.
            self.farthest = last.0.next_down();
            self.near.truncate(self.most);
        }
    }
}

/// Fills `found` with the nearest of the packed `others`, which rise, to each of `rows`, no farther than is asked for, in no
/// order.
fn search(
    geometry: &Geometry,
    rows: &[u32],
    (panels, desk): (&Panels, &mut Desk),
    others: &[u32],
    found: &mut [Found; HEIGHT],
) {
    desk.ask(geometry, |at| rows.get(at).copied());
    for block in Panels::blocks(others.len()) {
        // Nothing is near enough to who is not there.
        let most = std::array::from_fn(|at| if at < rows.len() { found[at].farthest } else { f32::NEG_INFINITY });
        for (first, tiles) in desk.compare(geometry, panels, most, block, others.len()) {
            for (tile, found) in tiles.iter().zip(&mut *found) {
                for lane in lanes(tile.within) {
                    if let Some(&other) = others.get(first + lane) {
                        found.push((tile.distances[lane], other));
                    }
                }
            }
        }
    }
    found.iter_mut().for_each(Found::settle);
}

/// For each of `rows` the nearest `most` of `others`, in no order; `None` once told to `stop`.
pub(super) fn among(
    geometry: &Geometry,
    rows: &[u32],
    others: &[u32],
    most: usize,
    stop: Stop<'_>,
) -> Option<Vec<Vec<u32>>> {
    let mut panels = Panels::new();
    panels.fill(geometry, others);
    let room = || (Desk::new(), [(); HEIGHT].map(|()| Found::new(most)));
    let blocks = rows.par_chunks(BLOCK).map_init(room, |(desk, found), rows| {
        if stop() {
            return None;
        }
        let mut lists = Vec::with_capacity(rows.len());
        for few in rows.chunks(HEIGHT) {
            found.iter_mut().for_each(|found| found.reset(f32::INFINITY));
            search(geometry, few, (&panels, desk), others, found);
            lists.extend(found.iter().take(few.len()).map(|found| found.near.iter().map(|near| near.1).collect()));
        }
        Some(lists)
    });
    let blocks: Vec<Vec<Vec<u32>>> = blocks.collect::<Option<_>>()?;
    Some(blocks.into_iter().flatten().collect())
}

/// What leaves have told so far of one row.
#[derive(Default)]
struct List {
    near: Vec<Near>,
    /// So many were chosen, and nothing beyond the last of them is among the nearest.
    farthest: Option<f32>,
}

impl List {
    /// Adds what a leaf told; chooses before the list would grow beyond what it is given room for.
    fn add(&mut self, near: &[Near], most: usize) {
        let room = SLACK * most;
        if self.near.len() + near.len() > room {
            self.settle(most);
        }
        self.near.reserve_exact(room.max(self.near.len() + near.len()) - self.near.len());
        self.near.extend_from_slice(near);
        if self.farthest.is_none() {
            self.settle(most);
        }
    }

    /// Sorts, which finds what it kept last time in order, and keeps the nearest `most`.
    fn settle(&mut self, most: usize) {
        self.near.sort_by_key(rank);
        self.near.dedup_by_key(|near| near.1);
        self.near.truncate(most);
        self.farthest = self.near.get(most.saturating_sub(1)).map(|last| last.0);
    }
}

/// For each of the first `rows` rows the nearest `most` of those it shares a leaf with; `None` once told to `stop`.
pub(super) fn nearest(
    geometry: &Geometry,
    rows: usize,
    leaves: &[Vec<u32>],
    most: usize,
    stop: Stop<'_>,
) -> Option<Vec<Vec<Near>>> {
    let lists: Vec<Mutex<List>> = (0..rows).map(|_| Mutex::default()).collect();
    // A row finds itself too.
    let room = || (Panels::new(), Desk::new(), [(); HEIGHT].map(|()| Found::new(most + 1)));
    let done = leaves.par_iter().map_init(room, |(panels, desk, found), leaf| {
        if stop() {
            return None;
        }
        panels.fill(geometry, leaf);
        let of = |row: u32| lists.get(row as usize);
        for few in leaf.chunks(HEIGHT) {
            for (found, &row) in found.iter_mut().zip(few) {
                found.reset(of(row).and_then(|list| list.lock().farthest).unwrap_or(f32::INFINITY));
            }
            search(geometry, few, (panels, desk), leaf, found);
            for (found, &row) in found.iter_mut().zip(few) {
                found.near.retain(|near| near.1 != row);
                if let Some(list) = of(row) {
                    list.lock().add(&found.near, most);
                }
            }
        }
        Some(())
    });
    done.collect::<Option<()>>()?;
    let settled = lists.into_par_iter().map(|list| {
        let mut list = list.into_inner();
        list.settle(most);
        list.near.shrink_to_fit();
        list.near
    });
    Some(settled.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Metric;
    use crate::quantize::Space;
    use crate::samples::{clusters, codes};

    /// Against all pairs, one by one: leaves that overlap, lie in each other or hold one row, and copies of rows.
    #[test]
    fn finds_the_nearest_of_those_that_share_a_leaf() {
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            let space = Space::new(metric, 24, &[1; 32]);
            let mut vectors = clusters(900, 24, 2);
            for at in 0..60 {
                vectors[at * 9] = vectors[at].clone();
            }
            let geometry = Geometry::new(&space, &codes(&space, &vectors));
            let leaves: Vec<Vec<u32>> = vec![
                (0..700).collect(),
                (300..900).collect(),
                (0..900).step_by(3).collect(),
                (350..380).collect(),
                vec![5],
            ];
            for (rows, most) in [(900, 1), (900, 30), (900, 2000)] {
                let found = nearest(&geometry, rows, &leaves, most, &|| false).unwrap();
                for (row, found) in (0..).zip(found) {
                    let shares = leaves.iter().filter(|leaf| leaf.contains(&row)).flatten();
                    let mut expected: Vec<Near> =
                        shares.filter(|&&to| to != row).map(|&to| (geometry.distance(row, to), to)).collect();
                    expected.sort_unstable_by_key(rank);
                    expected.dedup();
                    expected.truncate(most);
                    assert_eq!(found, expected, "{metric} {row}");
                }
            }
            let pivots: Vec<u32> = (0..77).collect();
            let rows: Vec<u32> = (3..900).collect();
            for (row, mut found) in rows.iter().zip(among(&geometry, &rows, &pivots, 5, &|| false).unwrap()) {
                let mut expected: Vec<Near> = pivots.iter().map(|&to| (geometry.distance(*row, to), to)).collect();
                expected.sort_unstable_by_key(rank);
                let mut expected: Vec<u32> = expected.into_iter().take(5).map(|near| near.1).collect();
                expected.sort_unstable();
                found.sort_unstable();
                assert_eq!(found, expected, "{metric} {row}");
            }
        }
    }
}
