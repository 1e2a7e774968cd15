//! Group commit: many writers append to one log and share its syncs.
//!
//! Appending seals an entry into a buffer under a lock. Committing waits until the entry is synced: if nobody is
//! writing, the caller leads, takes the whole buffer, and writes and syncs it with the lock released, while others
//! fill the next buffer. Hence no thread of its own, and as many writers share a sync as arrive during the one before.
//!
//! Invariants: nobody returns from commit with success before a sync that covers its entry did; sequences are handed
//! out once and rise, also across failures, whereas frame numbers have no gaps; after a failure that leaves the file
//! in doubt nothing is ever written again.

use std::io;
use std::mem;
use std::ops::RangeInclusive;
use std::sync::Arc;

use privacy::{Scope, SectionContext, SectionKey, SectionKind, seal_section};
use rand_core::CryptoRng;

use super::entry::Entry;
use crate::backend::{Dir, LogFile, Poisoned};
use crate::frame_log::{Header, LogKind, MAX_PAYLOAD, TooLong, create_log, put_frame};
use crate::id::Sequence;
use crate::sync::{Condvar, Mutex, MutexGuard};

/// The file name of log `number`: 16 hexadecimal digits and `.wal`.
pub fn wal_name(number: u64) -> String {
    format!("{number:016x}.wal")
}

/// The number in a log's file name; none for any other name.
pub fn wal_number(name: &str) -> Option<u64> {
    let number = u64::from_str_radix(name.strip_suffix(".wal")?, 16).ok()?;
    (wal_name(number) == name).then_some(number)
}

/// What a frame of log `number` is bound to.
pub(super) fn frame_context(scope: Scope, number: u64, frame: u64) -> SectionContext {
    SectionContext { scope, kind: SectionKind::WalFrame, file: number, place: frame }
}

/// Why a write was not made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalError {
    /// Writing or syncing this entry's group failed: it may or may not be there after a restart. The log is poisoned.
    #[error("outcome unknown: writing the log failed ({kind})")]
    OutcomeUnknown {
        /// What the file said.
        kind: io::ErrorKind,
    },
    /// An earlier failure poisoned the log. This entry was not written. Only a restart helps.
    #[error("the log refuses writes since an earlier failure ({kind})")]
    Poisoned {
        /// What the file said then.
        kind: io::ErrorKind,
    },
    /// The disk took nothing of this entry's group, for example because it is full. A later entry may be written.
    #[error("the log could not be written ({kind}); nothing of it was")]
    Refused {
        /// What the file said.
        kind: io::ErrorKind,
    },
    /// The entry does not fit in a frame. Nothing was written and no sequence used.
    #[error("the entry takes more than {max} bytes")]
    TooLarge {
        /// The limit in bytes, sealed.
        max: usize,
    },
    /// Nothing with this sequence was appended.
    #[error("write {sequence} was never appended")]
    NotAppended {
        /// The sequence asked for.
        sequence: Sequence,
    },
}

/// Writes one log. Shared by all writers of an environment.
pub struct WalWriter {
    number: u64,
    key: Arc<SectionKey>,
    scope: Scope,
    state: Mutex<State>,
    /// A leader has finished.
    led: Condvar,
}

struct State {
    /// None while a leader writes.
    file: Option<Box<dyn LogFile>>,
    file_bytes: u64,
    /// Frames waiting for the next leader.
    buffer: Vec<u8>,
    /// Sequence of the first frame in `buffer`, if there is one.
    buffer_first: Sequence,
    next_sequence: Sequence,
    next_frame: u64,
    /// The last sequence that is durable, also counting earlier logs.
    synced: Sequence,
    /// Frames of this file that are durable.
    synced_frames: u64,
    /// Sequences that were handed out and not written, with what the disk said.
    refused: Vec<(RangeInclusive<Sequence>, io::ErrorKind)>,
    poison: Option<Poison>,
}

#[derive(Clone, Copy)]
struct Poison {
    kind: io::ErrorKind,
    /// Entries up to here were being written; later ones were not.
    in_doubt: Sequence,
}

/// What became of a group.
enum Outcome {
    Synced,
    /// The file is as it was before.
    Refused(io::ErrorKind),
    Failed(io::ErrorKind),
}

impl WalWriter {
    /// Creates log `number` in `dir`. Its header and name are durable on return. The first entry gets
    /// `next_sequence`; `synced` is the last sequence that is durable elsewhere already.
    ///
    /// # Errors
    /// `AlreadyExists`: a log of an earlier process is never continued. After any other error a log without entries
    /// may be left.
    pub fn create(
        dir: &Dir,
        number: u64,
        key: Arc<SectionKey>,
        scope: Scope,
        next_sequence: Sequence,
        synced: Sequence,
    ) -> io::Result<Self> {
        let file = create_log(dir, &wal_name(number), &Header { kind: LogKind::Wal, number, base: synced })?;
        let state = State {
            file_bytes: file.len(),
            file: Some(file),
            buffer: Vec::new(),
            buffer_first: next_sequence,
            next_sequence,
            next_frame: 0,
            synced,
            synced_frames: 0,
            refused: Vec::new(),
            poison: None,
        };
        Ok(Self { number, key, scope, state: Mutex::new(state), led: Condvar::new() })
    }

    /// Takes the next sequence, and seals and buffers the entry made for it. Nothing is durable before
    /// [`commit`](Self::commit). Returns the sequence, and the entry for applying it then. The order of sequences is the order of calls; `entry` runs under the writer's lock
    /// and must not call it.
    ///
    /// # Errors
    /// [`WalError::Poisoned`], [`WalError::TooLarge`].
    pub fn append(
        &self,
        entry: impl FnOnce(Sequence) -> Entry,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(Sequence, Entry), WalError> {
        let mut state = self.state.lock();
        if let Some(Poison { kind, .. }) = state.poison {
            return Err(WalError::Poisoned { kind });
        }
        let (sequence, frame, synced_frames) = (state.next_sequence, state.next_frame, state.synced_frames);
        let entry = entry(sequence);
        let plain = entry.encode(sequence);
        let sealed = seal_section(&self.key, &frame_context(self.scope, self.number, frame), &plain, rng);
        if state.buffer.is_empty() {
            state.buffer_first = sequence;
        }
        put_frame(&mut state.buffer, frame, synced_frames, &sealed)
            .map_err(|TooLong| WalError::TooLarge { max: MAX_PAYLOAD })?;
        state.next_sequence += 1;
        state.next_frame += 1;
        Ok((sequence, entry))
    }

    /// Returns once everything up to `sequence` is durable, leading a group or waiting for one.
    ///
    /// # Errors
    /// [`WalError::OutcomeUnknown`], [`WalError::Poisoned`] and [`WalError::Refused`] as each says;
    /// [`WalError::NotAppended`] for a sequence that no append returned yet.
    pub fn commit(&self, sequence: Sequence) -> Result<(), WalError> {
        let mut state = self.state.lock();
        loop {
            if let Some(decided) = state.decided(sequence) {
                return decided;
            }
            match state.file.take() {
                Some(file) => self.lead(&mut state, file),
                None => self.led.wait(&mut state),
            }
        }
    }

    /// Writes and syncs the whole buffer, with the lock released meanwhile.
    fn lead(&self, state: &mut MutexGuard<'_, State>, mut file: Box<dyn LogFile>) {
        let group = mem::take(&mut state.buffer);
        let first = state.buffer_first;
        let (last, frames) = (state.next_sequence.saturating_sub(1), state.next_frame);
        let outcome = MutexGuard::unlocked(state, || write_group(file.as_mut(), &group));
        match outcome {
            Outcome::Synced => {
                state.synced = last;
                state.synced_frames = frames;
            }
            Outcome::Refused(kind) => state.refuse_from(first, kind),
            Outcome::Failed(kind) => {
                state.poison = Some(Poison { kind, in_doubt: last });
                state.buffer = Vec::new();
            }
        }
        state.file_bytes = file.len();
        state.file = Some(file);
        self.led.notify_all();
    }

    /// The last durable sequence.
    pub fn synced(&self) -> Sequence {
        self.state.lock().synced
    }

    /// The log's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Length of the log in bytes, with what is buffered.
    pub fn bytes(&self) -> u64 {
        let state = self.state.lock();
        state.file_bytes + state.buffer.len() as u64
    }

    /// Whether the log refuses all writes because of an earlier failure.
    pub fn is_poisoned(&self) -> bool {
        self.state.lock().poison.is_some()
    }
}

impl State {
    /// What is known about a sequence; none while it waits in the buffer or with a leader.
    fn decided(&self, sequence: Sequence) -> Option<Result<(), WalError>> {
        if let Some((_, kind)) = self.refused.iter().find(|(range, _)| range.contains(&sequence)) {
            return Some(Err(WalError::Refused { kind: *kind }));
        }
        if sequence <= self.synced {
            return Some(Ok(()));
        }
        if sequence >= self.next_sequence {
            return Some(Err(WalError::NotAppended { sequence }));
        }
        let Poison { kind, in_doubt } = self.poison?;
        Some(Err(if sequence <= in_doubt { WalError::OutcomeUnknown { kind } } else { WalError::Poisoned { kind } }))
    }

    /// Gives up the group that began with `first` and what was buffered behind it: those frames have numbers and
    /// would leave a gap. Their sequences are never used again, since a caller may still ask for their fate.
    fn refuse_from(&mut self, first: Sequence, kind: io::ErrorKind) {
        let last = self.next_sequence.saturating_sub(1);
        match self.refused.last_mut() {
            Some((range, same)) if range.end().checked_add(1) == Some(first) && *same == kind => {
                *range = *range.start()..=last;
            }
            _ => self.refused.push((first..=last, kind)),
        }
        self.next_frame = self.synced_frames;
        self.buffer = Vec::new();
    }
}

fn write_group(file: &mut dyn LogFile, group: &[u8]) -> Outcome {
    let before = file.len();
    if let Err(error) = file.append(group) {
        let sound = file.len() == before && !Poisoned::is(&error);
        return if sound { Outcome::Refused(error.kind()) } else { Outcome::Failed(error.kind()) };
    }
    // An error here is no refusal, not even of a full disk: what the sync lost cannot be known.
    file.sync().map_or_else(|error| Outcome::Failed(error.kind()), |()| Outcome::Synced)
}
