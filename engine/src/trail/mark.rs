//! The mark: how far the log was signed for, and what proofs and checks need of the blocks that are closed.
//!
//! Invariant: one file, whole and immutable, named by the size of the log that it signs; the largest is the mark. It is
//! sealed under the audit key and for its size, so none is another's or another size's. It says nothing that the blocks do
//! not say: it saves reading them all, and shows that the last ones were cut off.

use std::collections::BTreeMap;

use privacy::audit::{Checkpoint, Frontier, Hash, Log, Origin};
use privacy::{Scope, SectionContext, SectionKind, VerifyingKey, open_section, seal_section};
use rand_core::CryptoRng;
use storage::backend::Dir;
use storage::codec::Reader;

use super::block::{AUDIT, BLOCK, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;

const FORMAT: u8 = 2;

/// What a mark says.
#[derive(Clone, Default)]
pub(super) struct Mark {
    /// The roots of the closed blocks.
    pub roots: Vec<Hash>,
    /// The signed checkpoint where the open block begins, and the log there; empty for the first block.
    pub boundary: (String, Vec<u8>),
    /// The newest signed checkpoint.
    pub note: String,
    /// Through which write the batches of each collection were told.
    pub told: BTreeMap<[u8; 16], u64>,
    /// The last row of the ledger of privacy budgets that was told.
    pub ledger: u64,
}

fn name(size: u64) -> String {
    format!("mark-{size:020}")
}

fn size_of(file: &str) -> Option<u64> {
    let size = file.strip_prefix("mark-")?.parse().ok()?;
    (name(size) == file).then_some(size)
}

/// The newest mark among these files, with the size that it signs.
///
/// # Errors
/// `Corrupt` if it does not open.
pub(super) fn newest(place: &Place<'_>, names: &[String]) -> Result<Option<(u64, Mark)>> {
    let Some(size) = names.iter().filter_map(|name| size_of(name)).max() else { return Ok(None) };
    let name = name(size);
    let sealed = place.dir.read(&name).map_err(|e| Error::io("the mark of the audit log cannot be read", e))?;
    let damaged = || format!("the file {AUDIT}/{name} of the audit log is damaged; restore it from a copy");
    let plain = open_section(place.key, &context(place.scope, size), &sealed)
        .map_err(|e| Error::with(ErrorKind::Corrupt, damaged(), e))?;
    let mark = Mark::decode(&plain).ok_or_else(|| Error::corrupt(damaged()))?;
    Ok(Some((size, mark)))
}

/// Removes the marks before the one of `size` events, and any that was not finished.
pub(super) fn remove_unfinished(dir: &Dir, size: u64) -> Result<()> {
    let names = dir.list().map_err(|e| Error::io("the audit log cannot be listed", e))?;
    let is_left = |file: &&String| size_of(file).is_some_and(|other| other < size) || file.ends_with(".tmp");
    names.iter().filter(is_left).try_for_each(|file| remove(dir, file))
}

impl Mark {
    /// Makes the mark of a log of `size` events durable, in place of the ones before.
    pub fn write(&self, place: &Place<'_>, size: u64, rng: &mut (impl CryptoRng + ?Sized)) -> Result<()> {
        let doing = "the mark of the audit log cannot be written";
        let sealed = seal_section(place.key, &context(place.scope, size), &self.encode(), rng);
        // An attempt that failed may have left one.
        remove(place.dir, &name(size))?;
        place.dir.write_new(&name(size), &sealed).map_err(|e| Error::io(doing, e))?;
        remove_unfinished(place.dir, size)
    }

    /// The log where the open block begins.
    ///
    /// # Errors
    /// `Corrupt` if the mark is not what this environment's key has signed.
    pub fn log(&self, scope: Scope, origin: &Origin, key: &VerifyingKey) -> Result<Log> {
        if self.roots.is_empty() {
            return Ok(Log::start(scope));
        }
        let (note, watermark) = &self.boundary;
        let checkpoint = open_note(note, origin, key)?;
        let log = Log::resume(watermark, &checkpoint)
            .map_err(|e| Error::with(ErrorKind::Corrupt, "the mark of the audit log contradicts itself", e))?;
        let mut tree = Frontier::new();
        self.roots.iter().for_each(|root| tree.append(*root));
        // Blocks are perfect parts of the tree, so a tree over their roots has the root of all.
        if (tree.root(), self.roots.len() as u64 * BLOCK as u64) != (checkpoint.root, checkpoint.size) {
            return Err(Error::corrupt("the mark of the audit log contradicts itself"));
        }
        Ok(log)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        for part in [self.note.as_bytes(), self.boundary.0.as_bytes(), &self.boundary.1] {
            out.extend_from_slice(&(part.len() as u64).to_le_bytes());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&(self.roots.len() as u64).to_le_bytes());
        self.roots.iter().for_each(|root| out.extend_from_slice(root));
        out.extend_from_slice(&self.ledger.to_le_bytes());
        for (collection, last) in &self.told {
            out.extend_from_slice(collection);
            out.extend_from_slice(&last.to_le_bytes());
        }
        out
    }

    fn decode(plain: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(plain);
        if reader.u8("format").ok()? != FORMAT {
            return None;
        }
        let mut part = || {
            let length = usize::try_from(reader.u64("length").ok()?).ok()?;
            reader.bytes(length, "part").ok().map(<[u8]>::to_vec)
        };
        let text = |part: Vec<u8>| String::from_utf8(part).ok();
        let (note, boundary) = (text(part()?)?, (text(part()?)?, part()?));
        let mut mark = Self { note, boundary, ..Self::default() };
        for _ in 0..reader.u64("count").ok()? {
            mark.roots.push(reader.array("root").ok()?);
        }
        mark.ledger = reader.u64("ledger").ok()?;
        while !reader.rest().is_empty() {
            let collection = reader.array("collection").ok()?;
            mark.told.insert(collection, reader.u64("sequence").ok()?);
        }
        (mark.encode() == plain).then_some(mark)
    }
}

/// A checkpoint that this environment's key has signed for the log of this name.
///
/// # Errors
/// `Corrupt` if it is none.
pub(super) fn open_note(note: &str, origin: &Origin, key: &VerifyingKey) -> Result<Checkpoint> {
    Checkpoint::open(note, origin, key).map_err(|e| {
        Error::with(ErrorKind::Corrupt, "a checkpoint of the audit log is not what this environment signed", e)
    })
}

/// Whether a note is of a log that the environment had before `origin` and lost: signed by its key, under the name of then.
/// It says nothing against the log that it has now.
pub(super) fn is_of_earlier(note: &str, origin: &Origin, scope: Scope, key: &VerifyingKey) -> bool {
    Origin::named_in(note, scope)
        .filter(|named| named.lost() < origin.lost())
        .is_some_and(|named| open_note(note, &named, key).is_ok())
}

fn context(scope: Scope, size: u64) -> SectionContext {
    SectionContext { scope, kind: SectionKind::AuditWatermark, file: size, place: 0 }
}
