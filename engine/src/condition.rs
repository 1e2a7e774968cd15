//! What is known about the files of one segment: sound, until a read says otherwise.
//!
//! Invariant: damage is never taken back while the environment is open. Shared by everyone who looks at the same
//! files, so that what a check finds holds for readers at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The condition of a segment's files.
#[derive(Default)]
pub(crate) struct Condition {
    damage: OnceLock<String>,
    stale: AtomicBool,
    /// Milliseconds since the Unix epoch; 0 for never.
    checked: AtomicU64,
}

impl Condition {
    /// Notes damage that memory cannot make good; says whether it is the first.
    pub fn damage(&self, why: String) -> bool {
        self.damage.set(why).is_ok()
    }

    /// Whether there is such damage.
    pub fn is_damaged(&self) -> bool {
        self.damage.get().is_some()
    }

    /// Notes that the index or the tombstones on disk are damaged, while memory has what they say.
    pub fn mark_stale(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// Whether the segment should be written anew for that.
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// Notes that every byte was found as written, or was just written, at `now`.
    pub fn mark_checked(&self, now: u64) {
        self.checked.store(now.max(1), Ordering::Release);
    }

    /// When that was; 0 for never.
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Acquire)
    }
}
