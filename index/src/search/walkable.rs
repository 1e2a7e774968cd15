//! What a walk needs to know: who a row's neighbours are, and how near rows are to what is sought.
//!
//! Two kinds of walk share one loop: a search of a finished graph for a query, and a builder's
//! search of its growing graph for a row.

/// A graph.
pub(crate) trait Links {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// The neighbours of a row; where there are fewer than there is room for, the row itself fills
    /// up.
    fn neighbours(&self, row: u32) -> &[u32];

    /// Starts loading the neighbours of a row.
    fn prefetch(&self, row: u32);
}

/// What is sought.
pub(crate) trait Goal {
    /// Integers that order the rows at `positions` by their distance to the goal, into the front of
    /// `keys`.
    fn keys(&self, positions: &[u32], keys: &mut [i32]);
}

/// A goal whose keys say how far a walk to it goes.
pub(crate) trait Horizon: Goal {
    /// The greatest key of a row that is up to `1 + slack` times as far, in squared distance, as one
    /// with the key `key`.
    fn beyond(&self, key: i32, slack: f32) -> i32;

    /// The greatest key of a row that may be as near as one with the key `key`, for all that keys can tell.
    fn doubtful(&self, key: i32) -> i32;
}
