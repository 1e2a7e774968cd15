//! What a search of one segment finds.
//!
//! Invariant: the exact distance lies within `error` of `distance` (with three standard deviations'
//! confidence), which is what re-ranking decides by.

/// A position that may be among the nearest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The position in the segment.
    pub position: u32,
    /// Estimate of [`Metric::distance`](crate::Metric::distance) to the query.
    pub distance: f32,
    /// Half-width of the interval around the estimate that holds the exact distance.
    pub error: f32,
}
