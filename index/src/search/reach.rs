//! How far a search goes.
//!
//! A fixed width spends as much on queries whose neighbours stand out as on those whose neighbours do
//! not. So a walk ends where the next row is `1 + slack` times as far as the last one wanted (Al-Jazzazi
//! et al., "Distance adaptive beam search for provably accurate graph-based nearest neighbor search",
//! 2025), and width is its bound for the hardest.
//!
//! Invariant: pure; a reach never wants more than it may keep.

/// Local intrinsic dimension for which a walk of width `ef` expands about `ef` rows. Text embeddings have
/// 15 to 25: of so many rows, those `1 + slack` times as far (squared) are as many as `ef` to `limit`.
const DIMENSION: f32 = 22.0;

/// The lowest rank whose distance is a measure.
const FEWEST: usize = 10;

/// How many times `ef` a walk may keep where distances hardly tell rows apart.
const WIDEST: usize = 4;

/// The same of a walk for rows that match a filter. Those can all be far from what is sought, and about as far: then
/// distances tell little, and what is left to gain is not worth four times the width.
const WIDEST_AMONG_OTHERS: usize = 2;

/// Rows that a scan may keep, however narrow the search: more are in doubt only where distances hardly tell rows apart.
const IN_DOUBT: usize = 1024;

/// What a search wants, and how hard it tries.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// Nearest rows wanted.
    pub limit: usize,
    /// Width: about how many rows are expanded to find them. More finds more of the true ones.
    pub ef: usize,
}

impl Reach {
    /// Rows that the frontier of a walk keeps at most.
    pub(crate) fn width(&self) -> usize {
        self.ef.saturating_mul(WIDEST).max(self.rank())
    }

    /// [`width`](Self::width) of a walk for rows that match a filter.
    pub(crate) fn width_among_others(&self) -> usize {
        self.ef.saturating_mul(WIDEST_AMONG_OTHERS).max(self.rank())
    }

    /// Rows that a scan keeps at most. It meets them all, so that only doubt between rough keys takes room.
    pub(crate) fn width_of_scan(&self) -> usize {
        self.width().max(IN_DOUBT)
    }

    /// The rank of the row whose distance ends a walk. Of very few rows it says little how far around it others lie.
    pub(crate) fn rank(&self) -> usize {
        self.limit.max(FEWEST)
    }

    /// How much farther than the row of that rank, in squared distance, a walk goes on. Negative for a width below
    /// the rank: then a walk ends before it has expanded all that it wants.
    pub(crate) fn slack(&self) -> f32 {
        let times = self.ef.max(1) as f32 / self.rank() as f32;
        (2.0 / DIMENSION * times.ln()).max(-1.0)
    }

    /// Rows that a walk expands whatever their distance: where dimensions are few, slack alone would end it before it
    /// has looked around.
    pub(crate) fn least(&self) -> u64 {
        self.ef as u64 / 2
    }
}
