//! The list of a backup: what it holds, and which files of rows hold it.
//!
//! Invariant: what is read is what was written for this environment under this number, and makes sense: every collection
//! and segment once, every dead row a row.

use std::collections::{BTreeSet, HashSet};
use std::io;

use minicbor::{Decode, Encode};
use privacy::{Scope, SectionKey, SectionKind};
use rand_core::CryptoRng;
use roaring::RoaringBitmap;

use super::error::BackupError;
use super::objects::Digest;
use crate::backend::Dir;
use crate::id::{CollectionId, NUMBER_MAX, SegmentId, Sequence};
use crate::numbered::{Numbered, NumberedError};

const LIST: Numbered = Numbered { magic: b"lethbak\0", format: 3, kind: SectionKind::Backup };
const ENDING: &str = ".backup";

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Contents {
    /// Its number; the first is 1.
    #[n(0)]
    pub number: u64,
    /// When it was made, in milliseconds since the Unix epoch.
    #[n(1)]
    pub made_ms: u64,
    /// Every write up to this one is in it, and no later one.
    #[n(2)]
    pub sequence: Sequence,
    /// The collections that were there.
    #[n(3)]
    pub collections: Vec<BackedCollection>,
    /// Who had revoked consent, which storage does not interpret. It counts where nothing newer is left.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub latch: Vec<u8>,
    /// Whose data had to stay, in the same way, and not why.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub holds: Vec<u8>,
    /// What was spent of the privacy budgets, in the same way; nothing where nothing was.
    #[cbor(n(6), with = "minicbor::bytes", default, skip_if = "Vec::is_empty")]
    pub budget: Vec<u8>,
}

/// A collection of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BackedCollection {
    /// Its random name, for ever.
    #[n(0)]
    pub id: CollectionId,
    /// Its name for users.
    #[n(1)]
    pub name: String,
    /// Numbers in each vector, at least 1.
    #[n(2)]
    pub dimension: u32,
    /// The metric's code, which storage does not interpret.
    #[n(3)]
    pub metric: u8,
    /// The engine's own settings, which storage does not interpret.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub schema: Vec<u8>,
    /// Its other names for users.
    #[n(5)]
    pub aliases: BTreeSet<String>,
    /// Its rows.
    #[n(6)]
    pub segments: Vec<BackedSegment>,
}

/// The rows of one segment.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BackedSegment {
    /// The number it had, to which its table is bound.
    #[n(0)]
    pub id: SegmentId,
    /// Its rows, at least one.
    #[n(1)]
    pub rows: u32,
    /// Length of its file.
    #[n(2)]
    pub bytes: u64,
    /// What its file holds.
    #[n(3)]
    pub digest: Digest,
    /// The rows that were deleted or superseded, as a serialised bitmap; empty if none was.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub dead: Vec<u8>,
}

impl BackedSegment {
    /// Describes a segment whose rows at the positions `dead` are dead.
    ///
    /// # Errors
    /// None that a bitmap in memory is known to give.
    pub fn new(id: SegmentId, rows: u32, file: (u64, Digest), dead: &RoaringBitmap) -> io::Result<Self> {
        let mut bytes = Vec::new();
        if !dead.is_empty() {
            dead.serialize_into(&mut bytes)?;
        }
        Ok(Self { id, rows, bytes: file.0, digest: file.1, dead: bytes })
    }

    /// The positions of its dead rows; `None` if the bytes are no bitmap of such.
    pub fn dead(&self) -> Option<RoaringBitmap> {
        let mut bytes = self.dead.as_slice();
        if bytes.is_empty() {
            return Some(RoaringBitmap::new());
        }
        let dead = RoaringBitmap::deserialize_from(&mut bytes).ok()?;
        (bytes.is_empty() && dead.max().is_some_and(|last| last < self.rows)).then_some(dead)
    }
}

impl Contents {
    /// All segments with their collections.
    pub fn segments(&self) -> impl Iterator<Item = (&BackedCollection, &BackedSegment)> {
        self.collections.iter().flat_map(|collection| collection.segments.iter().map(move |of| (collection, of)))
    }

    /// Bytes of all its files of rows.
    pub fn bytes(&self) -> u64 {
        self.segments().fold(0, |sum, (_, segment)| sum.saturating_add(segment.bytes))
    }

    fn check(&self) -> Result<(), &'static str> {
        let ensure = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
        ensure((1..=NUMBER_MAX).contains(&self.number), "number")?;
        ensure(self.sequence <= NUMBER_MAX, "sequence")?;
        let (mut ids, mut names, mut segments) = (HashSet::new(), HashSet::new(), HashSet::new());
        for collection in &self.collections {
            ensure(ids.insert(collection.id), "collection id")?;
            for name in [&collection.name].into_iter().chain(&collection.aliases) {
                ensure(!name.is_empty() && names.insert(name), "collection name")?;
            }
            ensure(collection.dimension > 0, "dimension")?;
        }
        for (_, segment) in self.segments() {
            ensure(segments.insert(segment.id) && segment.id.0 <= NUMBER_MAX, "segment id")?;
            ensure(segment.rows > 0, "row count")?;
            ensure(segment.dead().is_some(), "dead rows")?;
        }
        Ok(())
    }
}

/// Writes the list of a backup, whose files are durable. From here on there is such a backup.
///
/// # Errors
/// Those of the backend; [`io::ErrorKind::AlreadyExists`] if there is one of this number, and
/// [`io::ErrorKind::InvalidInput`] if it makes no sense.
pub fn write_contents(
    dir: &Dir,
    contents: &Contents,
    under: (&SectionKey, Scope),
    rng: &mut (impl CryptoRng + ?Sized),
) -> io::Result<()> {
    contents.check().map_err(|what| io::Error::new(io::ErrorKind::InvalidInput, what))?;
    let plaintext = minicbor::to_vec(contents).map_err(io::Error::other)?;
    dir.write_new(&list_name(contents.number), &LIST.seal(contents.number, under, &plaintext, rng))
}

/// Removes the lists of these backups, in this order. Once it returns they are gone for good, and files that only they
/// named may go.
///
/// # Errors
/// Those of the backend; then some may be gone, and any may be there again after a crash.
pub fn remove_contents(dir: &Dir, numbers: &[u64]) -> io::Result<()> {
    for number in numbers {
        dir.remove(&list_name(*number))?;
    }
    dir.sync_dir()
}

/// Reads the list of backup `number`.
///
/// # Errors
/// [`BackupError`].
pub fn read_contents(dir: &Dir, number: u64, under: (&SectionKey, Scope)) -> Result<Contents, BackupError> {
    let file = list_name(number);
    let bytes = dir.read(&file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => BackupError::Missing { file: file.clone() },
        _ => BackupError::Io(error),
    })?;
    let damaged = |what| BackupError::Damaged { file: file.clone(), what };
    let plaintext = LIST.open(number, under, &bytes).map_err(|error| match error {
        NumberedError::Damaged(what) => damaged(what),
        NumberedError::WrongKey => BackupError::WrongKey { file: file.clone() },
        NumberedError::NewerFormat { found, max } => BackupError::NewerFormat { found, max },
    })?;
    let contents: Contents = minicbor::decode(&plaintext).map_err(|_| damaged("contents"))?;
    contents.check().map_err(damaged)?;
    // One list has one encoding: bytes that are not it were written by something else.
    let is_it = contents.number == number && minicbor::to_vec(&contents).ok().as_deref() == Some(&plaintext);
    if is_it { Ok(contents) } else { Err(damaged("encoding")) }
}

/// The numbers of all backups in `dir`, rising.
///
/// # Errors
/// Those of the backend.
pub fn numbers(dir: &Dir) -> io::Result<Vec<u64>> {
    Ok(dir.list()?.iter().filter_map(|name| number_of(name)).collect())
}

/// The number in the name of a list; `None` for any other name.
pub fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(ENDING)?.parse().ok()?;
    (number <= NUMBER_MAX && list_name(number) == name).then_some(number)
}

fn list_name(number: u64) -> String {
    format!("{number:020}{ENDING}")
}

#[cfg(test)]
mod tests;
