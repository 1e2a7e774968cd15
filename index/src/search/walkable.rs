//! What a walk needs to know: who a row's neighbours are, and how near rows are to what is sought.
//!
//! Two kinds of walk share one loop: along the lists themselves, and from one matching row to the next.

/// A graph.
pub(crate) trait Links {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// Rows to start from on the way to `goal`, written to `room` first if no list holds them.
    fn starts<'a>(&'a self, goal: &impl Goal, room: (&'a mut Vec<u32>, &mut Vec<i32>)) -> &'a [u32];

    /// The neighbours of a row, written to `room` first if no list holds them; where there are fewer than a
    /// list has room for, the row itself fills up.
    fn neighbours<'a>(&'a self, row: u32, room: &'a mut Vec<u32>) -> &'a [u32];

    /// Starts loading the neighbours of a row.
    fn prefetch(&self, row: u32);

    /// Rows that are compared to find those to start from.
    fn sampled(&self) -> u64 {
        0
    }

    /// Lists of neighbours that were read so far, beside those of the rows asked for.
    fn lists_between(&self) -> u64 {
        0
    }
}

/// What is sought.
pub(crate) trait Goal {
    /// Integers that order the rows at `positions` by their distance to the goal, into the front of
    /// `keys`.
    fn keys(&self, positions: &[u32], keys: &mut [i32]);

    /// Starts loading what the keys of the rows at `positions` are computed from.
    fn prefetch(&self, positions: &[u32]);
}

/// A goal whose keys say how far a walk to it goes.
pub(crate) trait Horizon: Goal {
    /// The greatest key of a row that is up to `1 + slack` times as far, in squared distance, as one
    /// with the key `key`.
    fn beyond(&self, key: i32, slack: f32) -> i32;

    /// The greatest key of a row that may be as near as one with the key `key`, for all that keys can tell.
    fn doubtful(&self, key: i32) -> i32;
}
