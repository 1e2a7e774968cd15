//! The graph of the rows that match a filter, as a walk sees it: two of them are neighbours if the graph links them, or,
//! where it links a row to too few of them, if a single row that does not match lies between (Patel et al., "ACORN:
//! performant and predicate-agnostic search over vector embeddings and structured data", 2024, its variant without an
//! index of its own).
//!
//! Invariant: a walk compares no row that does not match, and looks through none twice. It may miss parts of the graph
//! that only longer ways lead to, so who walks must count what was found.

use super::allow::Allow;
use super::bits::Bits;
use super::cells::{Cells, Nearest};
use super::walkable::{Goal, Links};
use std::cell::Cell;

/// Rows picked at once.
const BATCH: usize = 16;

/// A walk begins in matches of the cells that are nearest to the query: from others, edges lead mostly through rows that do
/// not match, and where vectors form clusters it hardly leaves those it began in. Few of many cells lead farther than many
/// of few.
const STARTS_IN_CELL: usize = 8;
const CELLS_PER_START: usize = 2;

/// Matching neighbours after which no row in between is looked through: a walk with more of them finds little more for
/// what it compares, and a wider one more.
const ENOUGH: usize = 20;

/// Rows are looked through until there should be this many times enough neighbours: of what is found behind them, some
/// was met before.
const AGAIN: f64 = 1.4;

/// The most neighbours of a row that are looked at for being in between.
const BETWEEN: usize = 128;

/// The memory of a walk through a graph.
#[derive(Default)]
pub(crate) struct Room {
    matching: Bits,
    unmet: Bits,
    looked_through: Bits,
    nearest: Nearest,
    starts: Vec<u32>,
}

impl Room {
    /// The allowed ones of the first `rows` rows.
    pub fn matching(&mut self, allow: Allow<'_>, rows: u32) -> &Bits {
        self.matching.fill(allow, rows);
        &self.matching
    }
}

/// A graph, seen through the rows that do not match.
pub(crate) struct Through<'a, G> {
    graph: &'a G,
    matching: &'a [u64],
    /// The matching rows that were nobody's neighbours yet.
    unmet: &'a [Cell<u64>],
    /// The other rows whose neighbours were.
    looked_through: &'a [Cell<u64>],
    /// The rows that the walk starts from.
    starts: &'a [u32],
    /// How many rows in between are looked through for one row, at most.
    most: usize,
    /// Rows looked through so far.
    lists: Cell<u64>,
}

impl<'a, G: Links> Through<'a, G> {
    /// `graph`, in which rows have about `degree` neighbours and lie in `cells`, as those of its rows see it that are allowed:
    /// this share.
    pub fn new(
        (graph, degree, cells): (&'a G, usize, &Cells),
        goal: &impl Goal,
        (allow, share): (Allow<'_>, f64),
        room: &'a mut Room,
    ) -> Self {
        let rows = graph.rows() as u32;
        let Room { matching, unmet, looked_through, nearest, starts } = room;
        matching.fill(allow, rows);
        unmet.copy(matching);
        looked_through.clear(rows);
        starts.clear();
        let wanted = cells.len() / CELLS_PER_START;
        for rows in cells.by_distance(goal, nearest) {
            starts.extend(rows.iter().filter(|&&row| matching.contains(row)).take(STARTS_IN_CELL));
            if starts.len() >= wanted {
                break;
            }
        }
        let behind_each = (degree as f64 * share).max(f64::MIN_POSITIVE);
        Self {
            graph,
            matching: matching.words(),
            unmet: shared(unmet),
            looked_through: shared(looked_through),
            starts,
            most: (AGAIN * ENOUGH as f64 / behind_each).ceil() as usize,
            lists: Cell::new(0),
        }
    }

    /// How many of `near` match, and of the others the first that were not looked through yet, in the front of `between`,
    /// with their number.
    fn split(&self, near: &[u32], between: &mut [u32; BETWEEN]) -> (usize, usize) {
        let (matching, looked_through) = (self.matching, self.looked_through);
        let (mut matches, mut others) = (0, 0);
        for &row in near.iter().take(BETWEEN) {
            let at = row as usize / 64;
            let (word, seen) = (matching.get(at).copied().unwrap_or(0), looked_through.get(at).map_or(0, Cell::get));
            between[others % BETWEEN] = row;
            others += 1 - bit(word | seen, row);
            matches += bit(word, row);
        }
        (matches, others)
    }
}

/// The words of a set, for a walk that changes them while it holds them.
fn shared(bits: &mut Bits) -> &[Cell<u64>] {
    Cell::from_mut(bits.words_mut()).as_slice_of_cells()
}

/// Adds those of `rows` that are in `unmet` to `picked`, and takes them out. Which these are, no processor can foresee: no
/// branch depends on it. What was met is noted of them alone, so that no look waits for a note.
fn pick(unmet: &[Cell<u64>], rows: &[u32], picked: &mut Vec<u32>) {
    let (batches, rest) = rows.as_chunks::<BATCH>();
    for rows in batches {
        pick_batch(unmet, rows, picked);
    }
    if !rest.is_empty() {
        pick_batch(unmet, rest, picked);
    }
}

#[inline(always)]
fn pick_batch(unmet: &[Cell<u64>], rows: &[u32], picked: &mut Vec<u32>) {
    let (mut batch, mut count) = ([0; BATCH], 0);
    for &row in rows {
        batch[count % BATCH] = row;
        let word = unmet.get(row as usize / 64).map_or(0, Cell::get);
        count += bit(word, row);
    }
    let batch = batch.get(..count).unwrap_or_default();
    for &row in batch {
        if let Some(word) = unmet.get(row as usize / 64) {
            word.set(word.get() & !(1 << (row % 64)));
        }
    }
    picked.extend_from_slice(batch);
}

/// Whether `row` is in the set that `word` is of, as a number.
#[inline(always)]
fn bit(word: u64, row: u32) -> usize {
    (word >> (row % 64)) as usize & 1
}

impl<G: Links> Links for Through<'_, G> {
    fn rows(&self) -> usize {
        self.graph.rows()
    }

    fn starts<'a>(&'a self, _: &impl Goal, _: (&'a mut Vec<u32>, &mut Vec<i32>)) -> &'a [u32] {
        self.starts
    }

    fn neighbours<'a>(&'a self, row: u32, room: &'a mut Vec<u32>) -> &'a [u32] {
        room.clear();
        let (mut none, mut nothing) = (Vec::new(), Vec::new());
        let mut near = self.graph.neighbours(row, &mut none);
        // The row itself fills up where there are fewer than the list has room for.
        while let Some((&last, others)) = near.split_last()
            && last == row
        {
            near = others;
        }
        let mut between = [0; BETWEEN];
        let (matching, others) = self.split(near, &mut between);
        let lacking = ENOUGH.saturating_sub(matching);
        let between = between.get(..others.min(self.most)).filter(|_| lacking > 0).unwrap_or_default();
        between.iter().for_each(|&to| self.graph.prefetch(to));
        pick(self.unmet, near, room);
        let enough = room.len() + lacking;
        for &to in between {
            if room.len() >= enough {
                break;
            }
            self.lists.set(self.lists.get() + 1);
            if let Some(word) = self.looked_through.get(to as usize / 64) {
                word.set(word.get() | 1 << (to % 64));
            }
            pick(self.unmet, self.graph.neighbours(to, &mut nothing), room);
        }
        room
    }

    fn prefetch(&self, row: u32) {
        self.graph.prefetch(row);
    }

    fn lists_between(&self) -> u64 {
        self.lists.get()
    }
}
