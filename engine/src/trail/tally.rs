//! Tallies: batches of records, counted by collection until they are told.
//!
//! A batch is told with others, by collection and minute, because an event of its own would cost a sync of its own: the
//! log of writes is another file. On a disk where a synced append took 3.0 ms, that would have doubled what a lone writer
//! waits for. Nothing is lost by it. What was counted and not told is in the log of writes still,
//! since it is told before any of that goes ([`crate::relog`], [`crate::maintain`]), and opening counts again what the log
//! of writes holds and the audit log does not tell: every event names the last write that it counts.

use std::collections::BTreeMap;

use privacy::audit::Act;
use storage::wal::Entry;

/// What a batch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It stored records.
    Written,
    /// It deleted records.
    Deleted,
}

impl Kind {
    /// What `entry` did, and to how many records.
    pub fn of(entry: &Entry) -> (Self, u64) {
        match entry {
            Entry::Put { records, .. } => (Self::Written, records.len() as u64),
            Entry::Delete { ids, .. } => (Self::Deleted, ids.len() as u64),
        }
    }
}

/// What was counted since the last telling.
#[derive(Default)]
pub(crate) struct Tally {
    counts: BTreeMap<([u8; 16], Kind), (u64, u64)>,
    /// When the first of them was counted, in milliseconds since the Unix epoch; 0 for none.
    since: u64,
}

/// How long counts wait, in milliseconds.
const PATIENCE_MS: u64 = 60_000;

impl Tally {
    /// Counts the records of a batch, which is write `last`.
    pub fn count(&mut self, collection: [u8; 16], kind: Kind, records: u64, last: u64, now_ms: u64) {
        if self.counts.is_empty() {
            self.since = now_ms;
        }
        let (count, through) = self.counts.entry((collection, kind)).or_default();
        *count = count.saturating_add(records);
        *through = last.max(*through);
    }

    /// Whether it has waited for its minute; a clock that was set back puts nothing off.
    pub fn is_due(&self, now_ms: u64) -> bool {
        !self.counts.is_empty() && now_ms.abs_diff(self.since) >= PATIENCE_MS
    }

    /// What is to be told, after which nothing is counted.
    pub fn take(&mut self) -> Vec<Act> {
        let act = |((collection, kind), (count, last))| match kind {
            Kind::Written => Act::RecordsWritten { collection, count, last },
            Kind::Deleted => Act::RecordsDeleted { collection, count, last },
        };
        std::mem::take(&mut self.counts).into_iter().map(act).collect()
    }

    /// Counts again what could not be told.
    pub fn put_back(&mut self, acts: &[Act], now_ms: u64) {
        for act in acts {
            match *act {
                Act::RecordsWritten { collection, count, last } => {
                    self.count(collection, Kind::Written, count, last, now_ms);
                }
                Act::RecordsDeleted { collection, count, last } => {
                    self.count(collection, Kind::Deleted, count, last, now_ms);
                }
                _ => {}
            }
        }
    }
}
