//! Extend: adding keys, in two phases.
//!
//! Invariant: a key is served only after its frame was made durable. [`Keyring::extend`] prepares and changes
//! nothing; the caller appends the frame to `new.log` and syncs; [`Keyring::apply`] takes it in. A frame is sealed
//! for its epoch and its number, so none can be repeated, moved, left out or brought over from another epoch.

use std::sync::Arc;

use rand_core::CryptoRng;
use thiserror::Error;

use super::entry::{Entry, EntryKey, FileKey, Tag};
use super::page::{self, Additions};
use super::ring::Keyring;
use crate::retention::Until;
use crate::seal::{OpenError, SectionContext, SectionKind, open_section, seal_section};
use crate::secret::{Blind, Dek, KeyId, SectionKey};

/// A key to have. One that is present already is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// The key of an owner for the writes of a period to a collection. For an entity erased before, a new entry under a
    /// new key.
    Dek {
        /// Whose; [`Tag::COLLECTION`] for records without an entity.
        owner: Tag,
        /// The collection's id.
        collection: [u8; 16],
        /// The end of the period; none where records are kept for ever.
        until: Option<Until>,
    },
    /// The entry of an owner, whose blind the audit log needs before any key of theirs is: that of somebody whose records
    /// are in the log of writes alone.
    Blind(Tag),
    /// The key of a write-ahead log.
    Log(u64),
    /// The key of a segment's index file.
    Index(u64),
    /// The key of a job's record.
    Job(u64),
    /// That writes may be numbered up to this one, see [`Floor`](super::Floor).
    Sequences(u64),
    /// That the audit log is the one after so many that were lost.
    Trail(u64),
    /// That the ledger of the privacy budgets has so many rows, see [`Floor`](super::Floor).
    Ledger(u64),
}

/// Why a keyring does not take a frame or an extension. It is unchanged then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// A frame was repeated or left out.
    #[error("frame {found} of new.log was offered where frame {expected} is due")]
    OutOfOrder {
        /// The number that is due.
        expected: u64,
        /// The number offered.
        found: u64,
    },
    /// The frame was sealed for another place or epoch, or the head of its bytes was changed.
    #[error("a frame of new.log belongs to another place or epoch")]
    Foreign,
    /// The frame's bytes were changed or cut.
    #[error("a frame of new.log is damaged")]
    Damaged,
    /// The extension was prepared on another state of the keyring; prepare it again.
    #[error("the keyring has changed since this extension was prepared")]
    Stale,
}

/// Keys prepared but not yet served. Once its frame may have reached the log, apply it before preparing another, or
/// open the keyring again: two frames of one number would make the log unreadable.
#[must_use = "the frame must be made durable and the extension applied"]
pub struct Extension {
    epoch: u64,
    number: u64,
    frame: Vec<u8>,
    additions: Additions,
}

impl Extension {
    /// The sealed frame to append to `new.log`; empty if nothing was missing, and then not to be written.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Whether every wanted key was present already.
    pub fn is_empty(&self) -> bool {
        self.frame.is_empty()
    }

    /// The frame's number in its epoch's `new.log`.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Keyring {
    /// Prepares the keys that are wanted and not yet there.
    pub fn extend(&self, wanted: &[Wanted], rng: &mut (impl CryptoRng + ?Sized)) -> Extension {
        let mut additions = Additions::default();
        for want in wanted {
            match *want {
                Wanted::Dek { owner, collection, until } => {
                    self.want_dek(&mut additions, owner, (collection, until), rng)
                }
                Wanted::Blind(owner) => self.want_entry(&mut additions, owner, rng),
                Wanted::Log(number) => self.want_file(&mut additions, FileKey::Log(number), rng),
                Wanted::Index(number) => self.want_file(&mut additions, FileKey::Index(number), rng),
                Wanted::Job(number) => self.want_file(&mut additions, FileKey::Job(number), rng),
                Wanted::Sequences(last) if last > self.floor.sequence => {
                    additions.sequence = additions.sequence.max(last);
                }
                Wanted::Trail(lost) if lost > self.floor.trail => additions.trail = additions.trail.max(lost),
                Wanted::Ledger(rows) if rows > self.floor.ledger => additions.ledger = additions.ledger.max(rows),
                Wanted::Sequences(_) | Wanted::Trail(_) | Wanted::Ledger(_) => {}
            }
        }
        let counts = additions.sequence > 0 || additions.trail > 0 || additions.ledger > 0;
        let frame = if additions.entries.is_empty() && additions.files.is_empty() && !counts {
            Vec::new()
        } else {
            let content = page::encode_additions(&additions);
            seal_section(&self.new_keys, &self.frame_context(self.frames), &content, rng)
        };
        Extension { epoch: self.epoch, number: self.frames, frame, additions }
    }

    /// Takes in an extension whose frame is durable. Only the state it was prepared on accepts it.
    pub fn apply(&mut self, extension: Extension) -> Result<(), KeyringError> {
        if (extension.epoch, extension.number) != (self.epoch, self.frames) {
            return Err(KeyringError::Stale);
        }
        if extension.is_empty() {
            return Ok(());
        }
        self.take_in(extension.additions).map_err(|_| KeyringError::Stale)
    }

    /// Takes in one frame of this epoch's `new.log`, as read back; numbers count from 0 without gaps.
    pub fn replay(&mut self, number: u64, frame: &[u8]) -> Result<(), KeyringError> {
        if number != self.frames {
            return Err(KeyringError::OutOfOrder { expected: self.frames, found: number });
        }
        let content =
            open_section(&self.new_keys, &self.frame_context(number), frame).map_err(|error| match error {
                OpenError::WrongKey => KeyringError::Foreign,
                OpenError::Damaged | OpenError::TooShort => KeyringError::Damaged,
            })?;
        self.take_in(page::decode_additions(&content).map_err(|_| KeyringError::Damaged)?)
    }

    fn want_dek(
        &self,
        additions: &mut Additions,
        owner: Tag,
        (collection, until): ([u8; 16], Option<Until>),
        rng: &mut (impl CryptoRng + ?Sized),
    ) {
        let present = self.buckets.entry(&owner);
        if present.is_some_and(|entry| entry.key(collection, until).is_some()) {
            return;
        }
        let added = additions.entries.entry(owner).or_insert_with(|| self.entry(present, rng));
        let (id, dek) = (KeyId::generate(rng), Arc::new(Dek::generate(rng)));
        added.add(EntryKey { collection, until, id, dek });
    }

    fn want_entry(&self, additions: &mut Additions, owner: Tag, rng: &mut (impl CryptoRng + ?Sized)) {
        if self.buckets.entry(&owner).is_none() {
            additions.entries.entry(owner).or_insert_with(|| self.entry(None, rng));
        }
    }

    /// An entry without keys: that of the owner who has the one that is `present`, or a new one.
    fn entry(&self, present: Option<&Entry>, rng: &mut (impl CryptoRng + ?Sized)) -> Entry {
        Entry {
            generation: present.map_or(self.epoch, |entry| entry.generation),
            blind: present.map_or_else(|| Arc::new(Blind::generate(rng)), |entry| entry.blind.clone()),
            keys: Vec::new(),
        }
    }

    fn want_file(&self, additions: &mut Additions, file: FileKey, rng: &mut (impl CryptoRng + ?Sized)) {
        if !self.files.contains_key(&file) {
            additions.files.entry(file).or_insert_with(|| Arc::new(SectionKey::generate(rng)));
        }
    }

    /// Adds all or nothing, and counts the frame.
    fn take_in(&mut self, additions: Additions) -> Result<(), KeyringError> {
        let fits = additions.entries.iter().all(|(tag, entry)| self.buckets.accepts(tag, entry))
            && additions.files.keys().all(|file| !self.files.contains_key(file));
        if !fits {
            return Err(KeyringError::Damaged);
        }
        for (tag, entry) in additions.entries {
            self.buckets.add(tag, entry);
        }
        additions.files.keys().for_each(|file| self.floor.count(file));
        self.floor.sequence = self.floor.sequence.max(additions.sequence);
        self.floor.trail = self.floor.trail.max(additions.trail);
        self.floor.ledger = self.floor.ledger.max(additions.ledger);
        self.files.extend(additions.files);
        self.frames += 1;
        Ok(())
    }

    fn frame_context(&self, number: u64) -> SectionContext {
        SectionContext { scope: self.scope, kind: SectionKind::NewKeys, file: self.epoch, place: number }
    }
}
