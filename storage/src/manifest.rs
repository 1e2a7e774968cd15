//! The numbered list of live files: an environment's state is what its newest manifest says.
//!
//! A manifest is whole and never changed; an edit is a new one with the next number, made durable beside the others and
//! given its name without replacing any. The highest number wins. If it does not open, that is an error and never a
//! reason to look at an older one. What is written has been checked, and so is what is read.
//!
//! The file is a [`numbered`](crate::numbered) one; sealed in it is CBOR (RFC 8949), deterministic.

use std::collections::{BTreeSet, HashSet};
use std::io;

use minicbor::{Decode, Encode};
use privacy::{Scope, SectionKey, SectionKind};
use rand_core::CryptoRng;

use crate::backend::Dir;
use crate::codec::Malformed;
use crate::id::{CollectionId, NUMBER_MAX, SegmentId, Sequence};
use crate::journal::{Mark, Subject};
use crate::numbered::{Numbered, NumberedError};

/// The newest manifest format this build reads, and the one it writes. Format 1 knew no repaired segments, format 2 no
/// aliases, format 3 neither revoked consent nor holds, format 4 no clock, format 5 neither privacy budgets nor a book of API
/// keys; they are otherwise the same.
pub const FORMAT: u16 = 6;

const FILE: Numbered = Numbered { magic: b"lethman\0", format: FORMAT, kind: SectionKind::Manifest };
/// No file of a segment is longer (256 TiB), so that lengths can be added up.
const FILE_BYTES_MAX: u64 = 1 << 48;

/// One state of an environment.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Manifest {
    /// Its number; the first is 1.
    #[n(0)]
    pub number: u64,
    /// The next segment gets this number.
    #[n(1)]
    pub next_segment: u64,
    /// The next log gets this number.
    #[n(2)]
    pub next_wal: u64,
    /// The next erasure job gets this number.
    #[n(3)]
    pub next_job: u64,
    /// No write before this manifest has a higher number.
    #[n(4)]
    pub last_sequence: Sequence,
    /// Live logs in the order to replay them. A log is named here before its first frame is acknowledged.
    #[n(5)]
    pub logs: Vec<u64>,
    /// The collections. A dropped one is simply not here.
    #[n(6)]
    pub collections: Vec<CollectionEntry>,
    /// Where it is written who has revoked consent; none before anyone did.
    #[n(7)]
    pub consent: Option<Mark>,
    /// Where it is written whose data must not be erased yet; none before anybody's.
    #[n(8)]
    pub holds: Option<Mark>,
    /// The latest time that the clock was believed to show, in milliseconds since the Unix epoch; none before anything
    /// was kept for a time only.
    #[n(9)]
    pub trusted_ms: Option<u64>,
    /// Where it is written what was spent of the privacy budgets; none before anything was.
    #[n(10)]
    pub budget: Option<Mark>,
    /// Where it is written who may do what; only where a database keeps its API keys.
    #[n(11)]
    pub access: Option<Mark>,
}

/// A collection and its segments.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CollectionEntry {
    /// Its random name, for ever.
    #[n(0)]
    pub id: CollectionId,
    /// Its name for users, unique in the environment.
    #[n(1)]
    pub name: String,
    /// Numbers in each vector, at least 1.
    #[n(2)]
    pub dimension: u32,
    /// The metric's code, which storage does not interpret.
    #[n(3)]
    pub metric: u8,
    /// The last write before it was made; older log entries are not its own.
    #[n(4)]
    pub created_sequence: Sequence,
    /// Writes up to this one are in its segments.
    #[n(5)]
    pub flushed: Sequence,
    /// The engine's own settings, which storage does not interpret.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub schema: Vec<u8>,
    /// Its segments, in the order they were put here.
    #[n(7)]
    pub segments: Vec<SegmentEntry>,
    /// Its other names for users; no name in the environment stands for two collections.
    #[cbor(n(8), default, skip_if = "BTreeSet::is_empty")]
    pub aliases: BTreeSet<String>,
}

/// A segment and its files.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SegmentEntry {
    /// Its number.
    #[n(0)]
    pub id: SegmentId,
    /// Its rows, at least one.
    #[n(1)]
    pub rows: u64,
    /// Which version of its tombstones counts; none if all rows live.
    #[n(2)]
    pub tombstones: Option<u64>,
    /// How many rows these tombstones mark.
    #[n(3)]
    pub dead: u64,
    /// Length of its `.rec`.
    #[n(4)]
    pub rec_bytes: u64,
    /// Length of its `.idx` when written.
    #[n(5)]
    pub idx_bytes: u64,
    /// Earlier versions of its tombstones that did not open: what they mark is dead as well.
    #[cbor(n(6), default)]
    pub unread: Vec<u64>,
    /// Since when its graph still has edges that were chosen when rows erased since were there, in milliseconds since
    /// the Unix epoch; none if it was built from its rows alone.
    #[n(7)]
    pub repaired_at: Option<u64>,
}

impl SegmentEntry {
    /// All versions of its tombstones that count.
    pub fn tombstone_versions(&self) -> impl Iterator<Item = u64> {
        self.unread.iter().copied().chain(self.tombstones)
    }
}

/// A manifest that contradicts itself is neither written nor believed: what it contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("inconsistent {0}")]
pub struct Inconsistent(pub &'static str);

/// Why the newest manifest could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are not what was written.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// Its name.
        file: String,
        /// The part that makes no sense.
        what: &'static str,
    },
    /// It is sealed under another key or for another environment.
    #[error("{file} does not open under this key")]
    WrongKey {
        /// Its name.
        file: String,
    },
    /// Written by a later version of lethedb.
    #[error("manifest format {found} is newer than {max}, the newest known")]
    NewerFormat {
        /// The version in the file.
        found: u16,
        /// The newest version this build reads.
        max: u16,
    },
    /// The storage failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Manifest {
    /// The first manifest of an environment: nothing in it, and every counter at 1.
    pub fn first() -> Self {
        Self {
            number: 1,
            next_segment: 1,
            next_wal: 1,
            next_job: 1,
            last_sequence: 0,
            logs: Vec::new(),
            collections: Vec::new(),
            consent: None,
            holds: None,
            trusted_ms: None,
            budget: None,
            access: None,
        }
    }

    /// The journal on a subject, if there is one.
    pub fn journal(&self, subject: Subject) -> Option<Mark> {
        match subject {
            Subject::Consent => self.consent,
            Subject::Holds => self.holds,
            Subject::Budget => self.budget,
            Subject::Access => self.access,
        }
    }

    /// Where the journal on a subject is named, inside [`Manifest::edit`].
    pub fn journal_mut(&mut self, subject: Subject) -> &mut Option<Mark> {
        match subject {
            Subject::Consent => &mut self.consent,
            Subject::Holds => &mut self.holds,
            Subject::Budget => &mut self.budget,
            Subject::Access => &mut self.access,
        }
    }

    /// The next manifest: this one, changed.
    ///
    /// # Errors
    /// [`Inconsistent`] if the change contradicts the rest.
    pub fn edit(&self, change: impl FnOnce(&mut Self)) -> Result<Self, Inconsistent> {
        let mut next = self.clone();
        change(&mut next);
        next.number = self.number.checked_add(1).ok_or(Inconsistent("manifest number"))?;
        next.check()?;
        Ok(next)
    }

    /// The collection of this id.
    pub fn collection(&self, id: CollectionId) -> Option<&CollectionEntry> {
        self.collections.iter().find(|collection| collection.id == id)
    }

    /// The collection of this id, inside [`Manifest::edit`].
    pub fn collection_mut(&mut self, id: CollectionId) -> Option<&mut CollectionEntry> {
        self.collections.iter_mut().find(|collection| collection.id == id)
    }

    /// The collection of this name.
    pub fn collection_named(&self, name: &str) -> Option<&CollectionEntry> {
        self.collections.iter().find(|collection| collection.name == name)
    }

    /// All segments of all collections.
    pub fn segments(&self) -> impl Iterator<Item = (&CollectionEntry, &SegmentEntry)> {
        self.collections
            .iter()
            .flat_map(|collection| collection.segments.iter().map(move |segment| (collection, segment)))
    }

    /// Makes this manifest durable and the newest.
    ///
    /// # Errors
    /// Those of the backend; [`io::ErrorKind::AlreadyExists`] if there is one of this number, and
    /// [`io::ErrorKind::InvalidInput`] if it is [`Inconsistent`].
    pub fn write(
        &self,
        dir: &Dir,
        table_key: &SectionKey,
        scope: Scope,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> io::Result<()> {
        self.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let plaintext = minicbor::to_vec(self).map_err(io::Error::other)?;
        dir.write_new(&file_name(self.number), &FILE.seal(self.number, (table_key, scope), &plaintext, rng))
    }

    fn check(&self) -> Result<(), Inconsistent> {
        let ensure = |holds: bool, what| {
            if holds { Ok(()) } else { Err(Inconsistent(what)) }
        };
        ensure((1..=NUMBER_MAX).contains(&self.number), "manifest number")?;
        let counters = [self.next_segment, self.next_wal, self.next_job, self.last_sequence];
        ensure(counters.iter().all(|&counter| counter <= NUMBER_MAX), "counter")?;
        ensure(self.logs.is_sorted_by(|a, b| a < b), "log order")?;
        ensure(self.logs.last().is_none_or(|&last| last < self.next_wal), "log number")?;
        let journals = Subject::ALL.into_iter().filter_map(|subject| self.journal(subject));
        ensure(journals.into_iter().all(|mark| mark.number <= NUMBER_MAX && mark.frames > 0), "journal")?;
        let (mut ids, mut names, mut segments) = (HashSet::new(), HashSet::new(), HashSet::new());
        for collection in &self.collections {
            ensure(ids.insert(collection.id), "collection id")?;
            for name in [&collection.name].into_iter().chain(&collection.aliases) {
                ensure(!name.is_empty() && names.insert(name), "collection name")?;
            }
            ensure(collection.dimension > 0, "dimension")?;
            ensure(collection.created_sequence <= self.last_sequence, "creation sequence")?;
            ensure(collection.flushed <= self.last_sequence, "flushed sequence")?;
        }
        for (_, segment) in self.segments() {
            ensure(segments.insert(segment.id), "segment id")?;
            ensure(segment.id.0 < self.next_segment, "segment number")?;
            ensure((1..=u64::from(u32::MAX)).contains(&segment.rows), "row count")?;
            ensure(segment.dead <= segment.rows, "dead rows")?;
            ensure(segment.tombstones.is_none_or(|version| version <= NUMBER_MAX), "tombstones")?;
            ensure(segment.rec_bytes.max(segment.idx_bytes) <= FILE_BYTES_MAX, "file length")?;
            ensure(segment.tombstones.is_some() == (segment.dead > 0), "tombstones")?;
        }
        Ok(())
    }
}

/// The manifest of the highest number; `None` if there is none.
///
/// # Errors
/// [`ManifestError`] if that one does not open.
pub fn read_newest(dir: &Dir, table_key: &SectionKey, scope: Scope) -> Result<Option<Manifest>, ManifestError> {
    let Some(number) = dir.list()?.iter().filter_map(|name| file_number(name)).max() else {
        return Ok(None);
    };
    let file = file_name(number);
    let bytes = dir.read(&file)?;
    let damaged = |what| ManifestError::Damaged { file: file.clone(), what };
    let plaintext = FILE.open(number, (table_key, scope), &bytes).map_err(|error| match error {
        NumberedError::Damaged(what) => damaged(what),
        NumberedError::WrongKey => ManifestError::WrongKey { file: file.clone() },
        NumberedError::NewerFormat { found, max } => ManifestError::NewerFormat { found, max },
    })?;
    let manifest = decode(&plaintext).map_err(|Malformed(what)| damaged(what))?;
    if manifest.number != number {
        return Err(damaged("number"));
    }
    Ok(Some(manifest))
}

/// Removes every manifest below `number`, which must be durable.
///
/// # Errors
/// Those of the backend.
pub fn remove_older(dir: &Dir, number: u64) -> io::Result<()> {
    for name in dir.list()? {
        if file_number(&name).is_some_and(|found| found < number) {
            dir.remove(&name)?;
        }
    }
    dir.sync_dir()
}

/// Name of the manifest with this number; names sort as numbers do.
pub fn file_name(number: u64) -> String {
    format!("MANIFEST-{number:020}")
}

/// The number in a manifest's name; `None` for any other name.
pub fn file_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("MANIFEST-")?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

fn decode(plaintext: &[u8]) -> Result<Manifest, Malformed> {
    let mut decoder = minicbor::Decoder::new(plaintext);
    let manifest: Manifest = decoder.decode().map_err(|_| Malformed("contents"))?;
    if decoder.position() != plaintext.len() {
        return Err(Malformed("trailing bytes"));
    }
    manifest.check().map_err(|Inconsistent(what)| Malformed(what))?;
    // One manifest has one encoding: bytes that are not it were written by something else.
    if minicbor::to_vec(&manifest).ok().as_deref() != Some(plaintext) {
        return Err(Malformed("encoding"));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests;
