//! How far everything that has a number was counted, so that an environment whose data is put back counts on from there.
//!
//! Invariant: nothing was ever given a higher number than the floor says, and the floor never sinks: it lives with the
//! keys, which never roll back.

use super::entry::FileKey;

/// The highest numbers that were given out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Floor {
    /// No write has a higher sequence.
    pub sequence: u64,
    /// No log has a higher number.
    pub log: u64,
    /// No segment with an index has a higher number.
    pub index: u64,
    /// No job has a higher number.
    pub job: u64,
    /// How many audit logs were lost before the one that there is.
    pub trail: u64,
    /// The ledger of the privacy budgets has at least so many rows.
    pub ledger: u64,
}

impl Floor {
    /// Counts a file that was given a key.
    pub(super) fn count(&mut self, file: &FileKey) {
        let (highest, number) = match file {
            FileKey::Log(number) => (&mut self.log, number),
            FileKey::Index(number) => (&mut self.index, number),
            FileKey::Job(number) => (&mut self.job, number),
        };
        *highest = (*highest).max(*number);
    }
}
