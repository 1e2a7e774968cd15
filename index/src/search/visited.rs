//! The positions a walk has seen: one exact bit each, cleared by undoing what was set.
//!
//! Invariant: between queries every bit is 0, so that a query costs what it visits, not what the
//! segment holds.

use std::ops::Range;

/// Positions admitted at once.
const BATCH: usize = 16;

/// A set of positions.
#[derive(Default)]
pub(crate) struct Visited {
    words: Vec<u64>,
    /// What is in the set, in the order of arrival.
    members: Vec<u32>,
}

impl Visited {
    /// Empties the set and makes room for positions below `rows`.
    pub(crate) fn reset(&mut self, rows: usize) {
        for &member in &self.members {
            if let Some(word) = self.words.get_mut(member as usize / 64) {
                *word = 0;
            }
        }
        self.members.clear();
        let words = rows.div_ceil(64);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
    }

    /// Adds positions and returns those that were not there; positions beyond the room are passed
    /// over. Whether a neighbour was seen is a coin toss, so no branch depends on it. A few at a time they are shown
    /// to `ahead`, which can start loading what will be asked of them while the next are looked up.
    #[inline]
    pub(crate) fn admit(&mut self, positions: &[u32], mut ahead: impl FnMut(&[u32])) -> Range<usize> {
        let start = self.members.len();
        for positions in positions.chunks(BATCH) {
            let (mut fresh, mut count) = ([0; BATCH], 0);
            for &position in positions {
                if let Some(word) = self.words.get_mut(position as usize / 64) {
                    fresh[count % BATCH] = position;
                    count += usize::from(*word >> (position % 64) & 1 == 0);
                    *word |= 1 << (position % 64);
                }
            }
            let fresh = fresh.get(..count).unwrap_or_default();
            ahead(fresh);
            self.members.extend_from_slice(fresh);
        }
        start..self.members.len()
    }

    /// Those that were admitted together.
    #[inline]
    pub(crate) fn members(&self, admitted: Range<usize>) -> &[u32] {
        self.members.get(admitted).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn is_a_set_again_after_each_reset(
            rounds in proptest::collection::vec(
                (1_usize..500, proptest::collection::vec(proptest::collection::vec(0_u32..600, 0..40), 0..9)), 1..6
            )
        ) {
            let mut visited = Visited::default();
            let mut room = 0;
            for (rows, batches) in rounds {
                visited.reset(rows);
                room = room.max(rows.div_ceil(64) * 64);
                let mut model = HashSet::new();
                for positions in batches {
                    let within = positions.iter().copied().filter(|&position| (position as usize) < room);
                    let expected: Vec<u32> = within.filter(|&position| model.insert(position)).collect();
                    let admitted = visited.admit(&positions, |_| ());
                    prop_assert_eq!(visited.members(admitted), expected);
                }
            }
        }
    }
}
