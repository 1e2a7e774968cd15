//! Every row with the one of some pivots that it is nearest to, so that a walk among others can begin in the matches that
//! lie nearest to what is sought: the coarse half of an inverted file (Jégou, Douze and Schmid, "Product quantization for
//! nearest neighbor search", 2011), without scans of its lists.
//!
//! It is made from codes and graph when a walk first asks for it, and nothing of it is stored: that takes a fraction of
//! what a build does, because a row's nearest pivot is most often that of one of its neighbours, and no other is looked at.
//!
//! Invariant: every row is in one cell; a pure function of codes and graph.

use super::walkable::{Goal, Links};
use crate::arena::Arena;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use zeroize::Zeroizing;

/// Rows of a cell on average. A query is compared with all pivots.
const ROWS: usize = 100;

/// Pivots at most.
const MOST: usize = 4096;

/// Neighbours of a row, the nearest first, whose pivots are tried: a cache line of them.
const NEIGHBOURS: usize = 16;

/// Of a row whose pivot is not known yet.
const UNKNOWN: u32 = u32::MAX;

/// Rows by their nearest pivot.
pub(crate) struct Cells {
    /// Where in `rows` the cell of each pivot begins, and where the last one ends.
    bounds: Arena<u32>,
    /// Cell by cell, rising in each.
    rows: Arena<u32>,
}

/// The memory of a search for near cells.
#[derive(Default)]
pub(crate) struct Nearest {
    pivots: Vec<u32>,
    keys: Vec<i32>,
    heap: BinaryHeap<Reverse<(i32, u32)>>,
}

impl Cells {
    /// The cells of the rows of `graph`, which has some. `keys` writes into the front of a list how far a row is from each of
    /// others, as integers in the order of distances.
    pub fn new(graph: &impl Links, keys: impl FnMut(u32, &[u32], &mut [i32])) -> Self {
        // Positions follow a keyed order: the first rows are a random sample.
        let pivots = (graph.rows() / ROWS).clamp(1, MOST);
        let nearest = nearest(graph, pivots as u32, keys);
        let mut bounds = Arena::zeroed(pivots + 1);
        for &pivot in nearest.iter() {
            bounds[pivot as usize + 1] += 1;
        }
        for at in 1..bounds.len() {
            bounds[at] += bounds[at - 1];
        }
        let (mut rows, mut ends) = (Arena::zeroed(nearest.len()), bounds.to_vec());
        for (row, &pivot) in (0..).zip(nearest.iter()) {
            let end = &mut ends[pivot as usize];
            rows[*end as usize] = row;
            *end += 1;
        }
        Self { bounds, rows }
    }

    /// The rows of each cell, the cell of the pivot that is nearest to the goal first.
    pub fn by_distance<'a>(&'a self, goal: &impl Goal, room: &'a mut Nearest) -> impl Iterator<Item = &'a [u32]> {
        let Nearest { pivots, keys, heap } = room;
        pivots.clear();
        pivots.extend(0..self.bounds.len().saturating_sub(1) as u32);
        keys.resize(pivots.len(), 0);
        goal.keys(pivots, keys);
        let mut all = std::mem::take(heap).into_vec();
        all.clear();
        all.extend(keys.iter().zip(pivots.iter()).map(|(&key, &pivot)| Reverse((key, pivot))));
        *heap = BinaryHeap::from(all);
        std::iter::from_fn(|| heap.pop()).map(|Reverse((_, pivot))| self.rows(pivot as usize))
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.bounds.len().saturating_sub(1)
    }

    /// The rows of a cell.
    fn rows(&self, cell: usize) -> &[u32] {
        let (start, end) = (self.bounds.get(cell), self.bounds.get(cell + 1));
        start.zip(end).and_then(|(start, end)| self.rows.get(*start as usize..*end as usize)).unwrap_or_default()
    }

    /// Bytes of memory held.
    pub fn resident_bytes(&self) -> usize {
        self.bounds.resident_bytes() + self.rows.resident_bytes()
    }

    /// Whether the system agreed to keep the cells out of swap.
    pub fn is_locked(&self) -> bool {
        self.bounds.is_locked() && self.rows.is_locked()
    }
}

/// For each row which of the first `pivots` rows is nearest to it, of those that its neighbours know.
fn nearest(graph: &impl Links, pivots: u32, mut keys: impl FnMut(u32, &[u32], &mut [i32])) -> Zeroizing<Vec<u32>> {
    let rows = graph.rows() as u32;
    let all: Vec<u32> = (0..pivots).collect();
    let mut nearest: Zeroizing<Vec<u32>> =
        Zeroizing::new((0..rows).map(|row| if row < pivots { row } else { UNKNOWN }).collect());
    let (mut links, mut near, mut found) = (Vec::new(), Vec::new(), Vec::new());
    // Who comes first knows the fewest: where no neighbour is with a pivot yet, one is by the second turn.
    for is_last in [false, true] {
        for row in pivots..rows {
            if nearest[row as usize] != UNKNOWN {
                continue;
            }
            near.clear();
            for &to in graph.neighbours(row, &mut links).iter().take(NEIGHBOURS) {
                let pivot = nearest.get(to as usize).copied().unwrap_or(UNKNOWN);
                if pivot != UNKNOWN && !near.contains(&pivot) {
                    near.push(pivot);
                }
            }
            match near.as_slice() {
                [] if !is_last => continue,
                // One of many copies that name no other rows.
                [] => near.extend_from_slice(&all),
                _ => {}
            }
            found.resize(near.len().max(found.len()), 0);
            if near.len() > 1 {
                keys(row, &near, &mut found);
            }
            if let Some((pivot, _)) = near.iter().zip(&found).min_by_key(|(pivot, key)| (**key, **pivot)) {
                nearest[row as usize] = *pivot;
            }
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{self, BuildParams};
    use crate::metric::Metric;
    use crate::quantize::Space;
    use crate::samples::{clusters, codes};

    /// Lists of neighbours, whatever they are.
    struct Lists(Vec<Vec<u32>>);

    impl Links for Lists {
        fn rows(&self) -> usize {
            self.0.len()
        }

        fn starts<'a>(&'a self, _: &impl Goal, (room, _): (&'a mut Vec<u32>, &mut Vec<i32>)) -> &'a [u32] {
            room
        }

        fn neighbours<'a>(&'a self, row: u32, _: &'a mut Vec<u32>) -> &'a [u32] {
            &self.0[row as usize]
        }

        fn prefetch(&self, _: u32) {}
    }

    /// A goal on a line, among rows that lie at their positions.
    struct At(i32);

    impl Goal for At {
        fn keys(&self, positions: &[u32], keys: &mut [i32]) {
            for (key, &position) in keys.iter_mut().zip(positions) {
                *key = (self.0 - position as i32).abs();
            }
        }

        fn prefetch(&self, _: &[u32]) {}
    }

    fn on_a_line(row: u32, others: &[u32], keys: &mut [i32]) {
        At(row as i32).keys(others, keys);
    }

    /// The cell of each row, after a look at whether each is in one.
    fn by_row(cells: &Cells, rows: usize) -> Vec<usize> {
        let mut own = vec![usize::MAX; rows];
        for cell in 0..cells.len() {
            assert!(cells.rows(cell).is_sorted_by(|a, b| a < b));
            for &row in cells.rows(cell) {
                assert_eq!(own[row as usize], usize::MAX, "row {row} is in two cells");
                own[row as usize] = cell;
            }
        }
        assert!(!own.contains(&usize::MAX), "a row is in no cell");
        own
    }

    /// Among vectors in clusters, against a comparison with all pivots.
    #[test]
    fn nearly_every_row_is_with_the_nearest_pivot() {
        const ROWS: usize = 6000;
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            for dimension in [24, 200] {
                let space = Space::new(metric, dimension, &[2; 32]);
                let vectors = clusters(ROWS, dimension, 8);
                let codes = codes(&space, &vectors);
                let graph = graph::build(&space, &codes, &BuildParams::default(), &|| false).unwrap();
                let any = space.query(&vectors[0]);
                let cells = Cells::new(&graph, codes.between_rows(&any));
                assert_eq!(cells.len(), ROWS / super::ROWS);
                let own = by_row(&cells, ROWS);
                assert_eq!(own, by_row(&Cells::new(&graph, codes.between_rows(&any)), ROWS));
                let (pivots, mut keys) = (Vec::from_iter(0..cells.len() as u32), vec![0; cells.len()]);
                let mut between = codes.between_rows(&any);
                let (mut nearest, mut near) = (0, 0);
                for (row, &cell) in own.iter().enumerate() {
                    between(row as u32, &pivots, &mut keys);
                    let nearer = keys.iter().filter(|key| **key < keys[cell]).count();
                    (nearest, near) = (nearest + usize::from(nearer == 0), near + usize::from(nearer < 5));
                    assert!(row >= cells.len() || cell == row, "a pivot is its own");
                }
                // Lists lack whom their rows can reach by another, and by the inner product they name longer ones.
                assert!(nearest * 100 >= ROWS * 60, "{metric} {dimension}: {nearest}");
                assert!(near * 100 >= ROWS * 85, "{metric} {dimension}: {near}");
            }
        }
    }

    /// Rows that name only each other are compared with all pivots once, and rows without any neighbour, too.
    #[test]
    fn rows_that_lead_nowhere_are_in_a_cell_too() {
        const ROWS: usize = 1000;
        let circle = |row: usize| vec![if row + 1 < ROWS { row as u32 + 1 } else { 100 }];
        for lists in [(0..ROWS).map(circle).collect(), vec![Vec::new(); ROWS], vec![vec![77]; ROWS]] {
            let cells = Cells::new(&Lists(lists), on_a_line);
            let own = by_row(&cells, ROWS);
            assert!(cells.len() == 10 && own[400] == 9, "{own:?}");
        }
        for rows in [1, 2, super::ROWS, 2 * super::ROWS] {
            by_row(&Cells::new(&Lists(vec![Vec::new(); rows]), on_a_line), rows);
        }
    }

    #[test]
    fn cells_come_by_the_distance_of_their_pivots() {
        let cells = Cells::new(&Lists(vec![Vec::new(); 2000]), on_a_line);
        let mut room = Nearest::default();
        for goal in [0, 7, 39, 7, 100] {
            let mut all: Vec<u32> = (0..cells.len() as u32).collect();
            all.sort_by_key(|&pivot| ((goal - pivot as i32).abs(), pivot));
            let expected = all.iter().map(|&pivot| cells.rows(pivot as usize));
            assert!(cells.by_distance(&At(goal), &mut room).eq(expected), "{goal}");
        }
    }
}
