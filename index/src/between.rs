//! How far the rows of a segment are from each other, by their codes alone.
//!
//! Invariant: rows are compared as a walk compares them with a query, so that whoever is near by this is near to a walk. Beside
//! the codes, because these know rows and queries but not that one can stand for the other.

use crate::codes::Codes;
use crate::quantize::Query;

impl Codes {
    /// Writes rough keys of the distances of a row from others into the front of a list; `query` is any of the space.
    pub(crate) fn between_rows(&self, query: &Query) -> impl FnMut(u32, &[u32], &mut [i32]) {
        let mut sought = query.for_rows();
        move |row, others, keys| {
            sought.stand_for(self.scale(row), |code| self.read(row, code));
            self.rough_keys(&sought, others, keys);
        }
    }
}
