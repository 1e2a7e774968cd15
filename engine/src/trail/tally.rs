//! Tallies: batches of records and looks at them, counted by who, where and by which minute until they are told.
//!
//! A batch is told with others, because an event of its own would cost a sync of its own: the log of writes is another
//! file. On a disk where a synced append took 3.0 ms, that would have doubled what a lone writer waits for. Nothing is
//! lost by it. What was counted and not told is in the log of writes still,
//! since it is told before any of that goes ([`crate::relog`], [`crate::maintain`]), and opening counts again what the log
//! of writes holds and the audit log does not tell: every event names the last write that it counts. That log does not
//! know who wrote, so a batch that is counted again is told as the engine's.
//!
//! Looks are in no log: of those that were counted a crash loses what was not told, a minute at most while upkeep runs.

use std::collections::BTreeMap;

use privacy::access::Permission;
use privacy::audit::{Act, Actor, Name, Source};
use storage::wal::Entry;

/// Who, and by which way.
pub(crate) type By = (Actor, Source);

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

/// Looks of one kind: what permits them, and the collection, if they are into one.
type Look = (Permission, Option<[u8; 16]>);

/// What was counted since the last telling.
#[derive(Default)]
pub(crate) struct Tally {
    batches: BTreeMap<(By, [u8; 16], Kind), (u64, u64)>,
    looks: BTreeMap<(By, Look, u64), u64>,
    /// When the first of them was counted, in milliseconds since the Unix epoch; 0 for none.
    since: u64,
}

/// How long counts wait, in milliseconds.
const PATIENCE_MS: u64 = 60_000;
/// So many different counts of looks are kept, and told when there are more.
const LOOKS_MAX: usize = 1024;

impl Tally {
    /// Counts the records of a batch, which is write `last`.
    pub fn count(&mut self, by: By, (collection, kind): ([u8; 16], Kind), records: u64, last: u64, now_ms: u64) {
        self.begin(now_ms);
        let (count, through) = self.batches.entry((by, collection, kind)).or_default();
        *count = count.saturating_add(records);
        *through = last.max(*through);
    }

    /// Counts looks; says whether there are so many different ones that they are to be told.
    pub fn look(&mut self, by: By, look: Look, times: u64, now_ms: u64) -> bool {
        self.begin(now_ms);
        let count = self.looks.entry((by, look, now_ms / PATIENCE_MS)).or_default();
        *count = count.saturating_add(times);
        self.is_full()
    }

    /// Whether there are so many different counts of looks that they are to be told.
    pub fn is_full(&self) -> bool {
        self.looks.len() > LOOKS_MAX
    }

    fn begin(&mut self, now_ms: u64) {
        if self.batches.is_empty() && self.looks.is_empty() {
            self.since = now_ms;
        }
    }

    /// Whether it has waited for its minute; a clock that was set back puts nothing off.
    pub fn is_due(&self, now_ms: u64) -> bool {
        !(self.batches.is_empty() && self.looks.is_empty()) && now_ms.abs_diff(self.since) >= PATIENCE_MS
    }

    /// What is to be told of batches, after which none is counted; of a collection the last write last, since the log
    /// may be cut between any two events, and what the last one names counts as told.
    pub fn take(&mut self) -> Vec<(By, Act)> {
        let mut batches: Vec<_> = std::mem::take(&mut self.batches).into_iter().collect();
        batches.sort_by_key(|(_, (_, last))| *last);
        let act = |((by, collection, kind), (count, last))| match kind {
            Kind::Written => (by, Act::RecordsWritten { collection, count, last }),
            Kind::Deleted => (by, Act::RecordsDeleted { collection, count, last }),
        };
        batches.into_iter().map(act).collect()
    }

    /// What is to be told of looks, after which none is counted.
    pub fn take_reads(&mut self) -> Vec<(By, Act)> {
        let act = |((by, (permission, collection), minute), count)| {
            Some((by, read(permission, collection, Some(minute), count)?))
        };
        std::mem::take(&mut self.looks).into_iter().filter_map(act).collect()
    }

    /// Counts again what could not be told.
    pub fn put_back(&mut self, acts: &[(By, Act)], now_ms: u64) {
        for (by, act) in acts {
            match *act {
                Act::RecordsWritten { collection, count, last } => {
                    self.count(by.clone(), (collection, Kind::Written), count, last, now_ms);
                }
                Act::RecordsDeleted { collection, count, last } => {
                    self.count(by.clone(), (collection, Kind::Deleted), count, last, now_ms);
                }
                Act::SearchesCounted { collection, count, .. } => {
                    self.look(by.clone(), (Permission::SearchQuery, Some(collection)), count, now_ms);
                }
                Act::Read { ref permission, collection, count, .. } => {
                    if let Some(permission) = Permission::parse(permission.as_str()) {
                        self.look(by.clone(), (permission, collection), count, now_ms);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What is told of looks: those of a minute, or one. Searches have acts of their own. Every permission has a name that the
/// log takes.
pub(crate) fn read(
    permission: Permission,
    collection: Option<[u8; 16]>,
    minute: Option<u64>,
    count: u64,
) -> Option<Act> {
    let is_search = matches!(permission, Permission::SearchQuery | Permission::SearchSimilar);
    Some(match (collection.filter(|_| is_search), minute) {
        (Some(collection), Some(minute)) => Act::SearchesCounted { collection, minute, count },
        (Some(collection), None) => Act::Searched { collection },
        _ => Act::Read { permission: Name::new(permission.as_str()).ok()?, collection, minute, count },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: By = (Actor::Host, Source::Rest);

    #[test]
    fn looks_are_counted_by_who_where_what_and_minute() {
        let mut tally = Tally::default();
        for (collection, now_ms) in [(1, 0), (1, 59_999), (1, 60_000), (2, 60_001)] {
            assert!(!tally.look(BY, (Permission::SearchQuery, Some([collection; 16])), 2, now_ms));
        }
        tally.look((Actor::Engine, Source::Worker), (Permission::RecordRead, None), 1, 60_002);
        let told = tally.take_reads();
        let count = |act: &Act| match act {
            Act::SearchesCounted { collection, minute, count } => (collection[0], *minute, *count),
            Act::Read { minute, count, .. } => (0, minute.unwrap_or_default(), *count),
            _ => (99, 99, 99),
        };
        let counts: Vec<_> = told.iter().map(|(_, act)| count(act)).collect();
        assert_eq!(counts, [(1, 0, 4), (1, 1, 2), (2, 1, 2), (0, 1, 1)]);
        assert!(tally.take_reads().is_empty() && tally.take().is_empty());
        tally.put_back(&told, 120_000);
        assert_eq!(tally.take_reads().iter().map(|(_, act)| count(act).2).sum::<u64>(), 9, "none is lost");
    }

    #[test]
    fn every_permission_can_be_told() {
        for permission in Permission::ALL {
            assert!(read(*permission, None, None, 1).is_some(), "{permission}");
        }
    }

    #[test]
    fn too_many_different_looks_are_told_at_once() {
        let mut tally = Tally::default();
        let full =
            (0..=LOOKS_MAX as u64).map(|minute| tally.look(BY, (Permission::RecordRead, None), 1, minute * 60_000));
        assert_eq!(full.filter(|full| *full).count(), 1);
    }
}
