//! The graph of the rows that match a filter, as a walk sees it: two of them are neighbours if the graph links them, or
//! if a single row that does not match lies between (Patel et al., "ACORN: performant and predicate-agnostic search over
//! vector embeddings and structured data", 2024, its variant without an index of its own).
//!
//! Invariant: a walk compares no row that does not match. It may miss parts of the graph that only longer ways lead to,
//! so who walks must count what was found.

use super::allow::Allow;
use super::walkable::{Links, first};

/// Rows picked at once.
const BATCH: usize = 16;

/// A bitmap holds rows by number, not by bit, if fewer than one in as many are in it.
const SPARSE: u64 = 16;

/// The rows that match.
#[derive(Clone, Copy)]
pub(crate) enum Members<'a> {
    /// As the caller keeps them.
    Given(Allow<'a>),
    /// One bit each.
    Bits(&'a [u64]),
}

impl<'a> Members<'a> {
    /// The `matching` members of `allow` among `rows`. Where they are few, asking for one takes a search in the sets that
    /// hold them, and giving each a bit in `bits` takes less.
    pub fn new(allow: Allow<'a>, (rows, matching): (u32, u64), bits: &'a mut Vec<u64>) -> Self {
        if matching * SPARSE >= u64::from(rows) {
            return Self::Given(allow);
        }
        bits.clear();
        bits.resize(rows.div_ceil(64) as usize, 0);
        for position in allow.positions(rows) {
            if let Some(word) = bits.get_mut(position as usize / 64) {
                *word |= 1 << (position % 64);
            }
        }
        Self::Bits(bits)
    }

    /// Adds those of `rows` that match to `picked`. Which do, no processor can foresee: no branch depends on it.
    fn pick(&self, rows: &[u32], picked: &mut Vec<u32>) {
        for rows in rows.chunks(BATCH) {
            let (mut batch, mut count) = ([0; BATCH], 0);
            for &row in rows {
                batch[count % BATCH] = row;
                count += usize::from(self.contains(row));
            }
            picked.extend_from_slice(batch.get(..count).unwrap_or_default());
        }
    }

    #[inline]
    fn contains(&self, position: u32) -> bool {
        match self {
            Self::Given(allow) => allow.contains(position),
            Self::Bits(bits) => bits.get(position as usize / 64).is_some_and(|word| word >> (position % 64) & 1 == 1),
        }
    }
}

/// A graph, seen through the rows that do not match.
pub(crate) struct Through<'a, G> {
    pub graph: &'a G,
    pub members: Members<'a>,
    pub allow: Allow<'a>,
    /// No more rows in between are looked at once there are this many neighbours.
    pub enough: usize,
}

impl<G: Links> Links for Through<'_, G> {
    fn rows(&self) -> usize {
        self.graph.rows()
    }

    fn starts<'a>(&'a self, room: &'a mut Vec<u32>) -> &'a [u32] {
        first(self.allow.positions(self.graph.rows() as u32), room)
    }

    fn neighbours<'a>(&'a self, row: u32, room: &'a mut Vec<u32>) -> &'a [u32] {
        room.clear();
        let (mut none, mut nothing) = (Vec::new(), Vec::new());
        let near = self.graph.neighbours(row, &mut none);
        self.members.pick(near, room);
        let between = near.iter().filter(|to| !self.members.contains(**to));
        between.clone().for_each(|&to| self.graph.prefetch(to));
        for &to in between {
            if room.len() >= self.enough {
                break;
            }
            self.members.pick(self.graph.neighbours(to, &mut nothing), room);
        }
        room
    }

    fn prefetch(&self, row: u32) {
        self.graph.prefetch(row);
    }
}
