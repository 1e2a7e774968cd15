//! `.idx`: the derived half of a segment, in sections that are opaque here.
//!
//! All of it is sealed under one key made for this file. When that key is gone the file is noise, and the engine builds
//! it again from the `.rec`. Sections lie back to back, so every byte of the file is accounted for.

use std::io;
use std::sync::Arc;

use privacy::{Scope, SectionContext, SectionKey, SectionKind, SectionReader, open_section, seal_section};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::backend::{Dir, Region};
use crate::codec::{Malformed, Reader};
use crate::id::SegmentId;
use crate::segment::SegmentError;
use crate::segment::layout::{FileWriter, Footer, Kind, index_name, is_filled, open};

/// Bytes of a section in the directory: code 1, offset 8, length 8.
const ENTRY_LEN: usize = 17;
/// Where the directory is bound to; section codes are below.
const DIRECTORY: u64 = 256;

/// Writes the `.idx` of `segment` from its sections, each with its code, in ascending order of codes. One section is
/// in memory twice (plain and sealed) at a time. Returns the file's length.
///
/// # Errors
/// Those of the backend; [`io::ErrorKind::AlreadyExists`] if the segment has an `.idx`, and
/// [`io::ErrorKind::InvalidInput`] if codes do not ascend.
pub fn write_index(
    dir: &Dir,
    segment: SegmentId,
    sections: &[(u8, &[u8])],
    key: &SectionKey,
    scope: Scope,
    rng: &mut (impl CryptoRng + ?Sized),
) -> io::Result<u64> {
    if !sections.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut file = FileWriter::create(dir, &index_name(segment), Kind::Index, segment)?;
    let mut directory = Vec::new();
    for (code, plaintext) in sections {
        let sealed = seal_section(key, &context(scope, segment, u64::from(*code)), plaintext, rng);
        let offset = file.append(&sealed)?;
        directory.push(*code);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(&(sealed.len() as u64).to_le_bytes());
    }
    let sealed = seal_section(key, &context(scope, segment, DIRECTORY), &directory, rng);
    file.finish(&sealed, sections.len() as u64)
}

/// An open `.idx`: its bytes, mapped, and its directory. Sections are decrypted when asked for.
pub struct IndexFile {
    name: String,
    segment: SegmentId,
    scope: Scope,
    key: Arc<SectionKey>,
    bytes: Region,
    sections: Vec<Section>,
}

struct Section {
    code: u8,
    offset: usize,
    len: usize,
}

impl IndexFile {
    /// Opens the `.idx` of `segment` and checks its directory.
    ///
    /// # Errors
    /// [`SegmentError`]; a file cut short is [`SegmentError::Damaged`].
    pub fn open(dir: &Dir, segment: SegmentId, key: Arc<SectionKey>, scope: Scope) -> Result<Self, SegmentError> {
        let name = index_name(segment);
        let bytes = open(dir, &name, Kind::Index, segment)?;
        let (footer, sealed) = Footer::read(&name, &bytes)?;
        let directory = open_section(&key, &context(scope, segment, DIRECTORY), sealed)
            .map_err(|error| SegmentError::sealed(&name, "directory", error))?;
        let sections =
            read_directory(&directory, &footer).map_err(|Malformed(what)| SegmentError::damaged(&name, what))?;
        Ok(Self { name, segment, scope, key, bytes, sections })
    }

    /// The codes of its sections, ascending.
    pub fn codes(&self) -> impl Iterator<Item = u8> {
        self.sections.iter().map(|section| section.code)
    }

    /// A section's plaintext; `None` if the file has no such section.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`] if it does not open.
    pub fn section(&self, code: u8) -> Result<Option<Zeroizing<Vec<u8>>>, SegmentError> {
        let Some(section) = self.find(code) else {
            return Ok(None);
        };
        open_section(&self.key, &self.context(code), self.sealed(section)?)
            .map(Some)
            .map_err(|error| SegmentError::sealed(&self.name, "section", error))
    }

    /// A section to be opened chunk by chunk, from as many threads as the caller has; `None` if the file has no such
    /// section.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`] if its commitment or its length is not authentic.
    pub fn section_reader(&self, code: u8) -> Result<Option<SectionReader<'_>>, SegmentError> {
        let Some(section) = self.find(code) else {
            return Ok(None);
        };
        SectionReader::open(&self.key, &self.context(code), self.sealed(section)?)
            .map(Some)
            .map_err(|error| SegmentError::sealed(&self.name, "section", error))
    }

    fn find(&self, code: u8) -> Option<&Section> {
        self.sections.iter().find(|section| section.code == code)
    }

    fn context(&self, code: u8) -> SectionContext {
        context(self.scope, self.segment, u64::from(code))
    }

    fn sealed(&self, section: &Section) -> Result<&[u8], SegmentError> {
        self.bytes
            .get(section.offset..)
            .and_then(|rest| rest.get(..section.len))
            .ok_or_else(|| SegmentError::damaged(&self.name, "section bounds"))
    }
}

/// The sections must fill the file from header to directory, codes ascending, as many as the footer says.
fn read_directory(directory: &[u8], footer: &Footer) -> Result<Vec<Section>, Malformed> {
    const WHAT: Malformed = Malformed("directory");
    let (entries, rest) = directory.as_chunks::<ENTRY_LEN>();
    if !rest.is_empty() || entries.len() as u64 != footer.count {
        return Err(WHAT);
    }
    let mut sections = Vec::with_capacity(entries.len());
    for bytes in entries {
        let mut reader = Reader::new(bytes);
        let code = reader.u8(WHAT.0)?;
        let offset = usize::try_from(reader.u64(WHAT.0)?).map_err(|_| WHAT)?;
        let len = usize::try_from(reader.u64(WHAT.0)?).map_err(|_| WHAT)?;
        sections.push(Section { code, offset, len });
    }
    let fills = is_filled(sections.iter().map(|section| (section.offset, section.len)), footer);
    if fills && sections.is_sorted_by(|a, b| a.code < b.code) { Ok(sections) } else { Err(WHAT) }
}

fn context(scope: Scope, segment: SegmentId, place: u64) -> SectionContext {
    SectionContext { scope, kind: SectionKind::Index, file: segment.0, place }
}

#[cfg(test)]
mod tests;
