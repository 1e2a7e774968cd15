//! What one step of upkeep did.

use serde::Serialize;

/// What one step of upkeep did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// Memtables became segments.
    Flushed,
    /// Rows of erased entities went, for which there had been no room on the disk.
    Purged,
    /// What was past its window went.
    Expired,
    /// What waited to be written anew had no row left and is gone.
    Emptied,
    /// What was being built was given up, because an erasure or another rewrite changed what it was built from.
    Overtaken,
    /// Segments of one collection were merged.
    Compacted,
    /// A segment was written anew, because its index or its tombstones were damaged on disk.
    Mended,
    /// A graph that an erasure repaired was built anew from the rows that are left.
    Rebuilt,
    /// The KEK was old and is another now.
    Rotated,
    /// A segment turned out damaged and is left out from now on.
    Quarantined,
}
