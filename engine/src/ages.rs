//! When the records of a memtable were written, as exactly as retention asks: to the hour.
//!
//! Invariant: a record is never said to be older than it is. Writes of one hour have sequences next to one another unless
//! the clock is set, so a short list is enough.

use storage::id::Sequence;

const HOUR_MS: u64 = 60 * 60 * 1000;

/// When writes were made, by sequence.
#[derive(Clone, Default)]
pub(crate) struct Ages(Vec<Age>);

/// The writes of one hour.
#[derive(Clone, Copy)]
struct Age {
    /// The last of them.
    through: Sequence,
    /// When that was made, in milliseconds since the Unix epoch.
    written_ms: u64,
}

impl Ages {
    /// Notes that everything after what was noted before, up to the write `through`, was written at `written_ms` or
    /// earlier.
    pub fn note(&mut self, through: Sequence, written_ms: u64) {
        let hour = |written_ms: u64| written_ms / HOUR_MS;
        match self.0.last_mut() {
            Some(last) if through <= last.through || hour(written_ms) == hour(last.written_ms) => {
                last.through = last.through.max(through);
                last.written_ms = last.written_ms.max(written_ms);
            }
            _ => self.0.push(Age { through, written_ms }),
        }
    }

    /// When the write `sequence` was made at the latest; `None` if it was never noted.
    pub fn written_ms(&self, sequence: Sequence) -> Option<u64> {
        self.0.get(self.place(sequence)).map(|age| age.written_ms)
    }

    /// A number that is the same for writes of one hour, and higher for later writes.
    pub fn place(&self, sequence: Sequence) -> usize {
        self.0.partition_point(|age| age.through < sequence)
    }

    /// When the oldest write that is known was made.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.0.iter().map(|age| age.written_ms).min()
    }

    /// Forgets what `flushed`, an earlier picture of these, knew already.
    pub fn forget(&mut self, flushed: &Self) {
        let last = flushed.0.last().map(|age| age.through);
        self.0.retain(|age| last.is_none_or(|last| age.through > last));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a list of every write.
        #[test]
        fn a_write_is_dated_to_the_hour_and_never_too_early(
            hours in prop::collection::vec((0..3_u64, 0..HOUR_MS), 0..40),
            flushed: prop::sample::Index,
        ) {
            let times: Vec<u64> = hours.iter().map(|(hour, rest)| hour * HOUR_MS + rest).collect();
            let (mut ages, mut early) = (Ages::default(), Ages::default());
            let cut = flushed.index(times.len() + 1);
            for (sequence, written_ms) in times.iter().enumerate() {
                if sequence == cut {
                    early = ages.clone();
                }
                ages.note(sequence as u64, *written_ms);
            }
            for (sequence, written_ms) in times.iter().enumerate() {
                let found = ages.written_ms(sequence as u64).unwrap();
                prop_assert!(found >= *written_ms && found / HOUR_MS == written_ms / HOUR_MS);
            }
            let hour = |ms: &u64| ms / HOUR_MS;
            prop_assert_eq!(ages.oldest_ms().as_ref().map(hour), times.iter().map(hour).min());
            prop_assert_eq!(ages.written_ms(times.len() as u64), None);
            ages.forget(&early);
            for (sequence, written_ms) in times.iter().enumerate().skip(cut) {
                prop_assert_eq!(ages.written_ms(sequence as u64).as_ref().map(hour), Some(hour(written_ms)));
            }
        }
    }
}
