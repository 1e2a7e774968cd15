//! The positions a walk has seen: one exact bit each, cleared by undoing what was set.
//!
//! Invariant: between queries every bit is 0, so that a query costs what it visits, not what the
//! segment holds.

/// A set of positions.
#[derive(Default)]
pub(crate) struct Visited {
    words: Vec<u64>,
    touched: Vec<u32>,
}

impl Visited {
    /// Empties the set and makes room for positions below `rows`.
    pub(crate) fn reset(&mut self, rows: usize) {
        for &at in &self.touched {
            if let Some(word) = self.words.get_mut(at as usize) {
                *word = 0;
            }
        }
        self.touched.clear();
        let words = rows.div_ceil(64);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
    }

    /// Adds a position; false if it was there, or is beyond the room.
    #[inline]
    pub(crate) fn insert(&mut self, position: u32) -> bool {
        let Some(word) = self.words.get_mut(position as usize / 64) else {
            return false;
        };
        let bit = 1 << (position % 64);
        if *word & bit != 0 {
            return false;
        }
        if *word == 0 {
            self.touched.push(position / 64);
        }
        *word |= bit;
        true
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
            rounds in proptest::collection::vec((1_usize..500, proptest::collection::vec(0_u32..600, 0..200)), 1..6)
        ) {
            let mut visited = Visited::default();
            let mut room = 0;
            for (rows, positions) in rounds {
                visited.reset(rows);
                room = room.max(rows.div_ceil(64) * 64);
                let mut model = HashSet::new();
                for position in positions {
                    let new = (position as usize) < room && model.insert(position);
                    prop_assert_eq!(visited.insert(position), new);
                }
            }
        }
    }
}
