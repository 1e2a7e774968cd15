//! The graph of a segment that loses rows, repaired where building it anew takes long.
//!
//! Invariant: what is repaired holds no id, no code and no vector of a row that went, and leads to every row that stays.
//! The rows that went still show in which edges were chosen, until [`crate::rebuild`] builds the graph of the others
//! alone; so the manifest says of every such segment since when it has waited.

use index::Ann;
use roaring::RoaringBitmap;

use crate::segment::Segment;
use crate::state::{CollectionState, EnvironmentState};

/// The index of the rows of `source` at the positions `kept`, which ascend; `None` if it has no graph in memory, or so
/// few rows stay that their graph is built as quickly.
pub(crate) fn repaired(
    env: &EnvironmentState,
    state: &CollectionState,
    source: &Segment,
    kept: impl Iterator<Item = u32>,
) -> Option<Ann> {
    let settings = &env.shared.settings;
    let ann = &source.resident()?.ann;
    ann.graph()?;
    // In any other order the codes would not belong to the rows.
    let kept = RoaringBitmap::from_sorted_iter(kept).ok()?;
    if kept.len() < settings.repair_from as u64 {
        return None;
    }
    let mut removed = RoaringBitmap::new();
    removed.insert_range(0..source.len);
    removed -= kept;
    let repaired =
        env.shared.pool.install(|| ann.without(&state.space, &removed, &settings.build_params(), &|| false))?;
    // Without a graph it is what a build would have made of these rows.
    repaired.graph().is_some().then_some(repaired)
}
