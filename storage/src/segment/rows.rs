//! `.rec`: the durable half of a segment, and the truth about its rows.
//!
//! Per row two blobs, vector and body, each sealed under its owner's key and bound to the row, not to this file: a
//! rewrite copies them as they are. The row [`table`], sealed under the environment's table key, holds only random names
//! and lengths. Blobs lie back to back in the table's order, so every byte of the file is accounted for.

mod table;

use std::borrow::Cow;
use std::io;

use privacy::{KeyId, Scope, SectionContext, SectionKey, SectionKind, open_section, seal_section};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::backend::{Dir, Region};
use crate::codec::Malformed;
use crate::id::{RowId, SegmentId};
use crate::segment::SegmentError;
use crate::segment::layout::{FileWriter, Footer, Kind, open, rows_name};
use table::{Entry, TableWriter};

/// A row as it is stored: its name, its key's name, and its two blobs.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedRow<'a> {
    /// The row's random name, to which both blobs are bound.
    pub row: RowId,
    /// The key both blobs are sealed under.
    pub key: KeyId,
    /// The sealed vector.
    pub vector: Cow<'a, [u8]>,
    /// The sealed body.
    pub body: Cow<'a, [u8]>,
}

/// A row's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowEntry {
    /// The row's random name.
    pub row: RowId,
    /// The key its blobs are sealed under.
    pub key: KeyId,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsMeta {
    /// Rows in the file.
    pub rows: u64,
    /// Length of the file.
    pub bytes: u64,
}

/// Writes a `.rec` row by row, in the order of their positions. Holds the table in memory, the blobs not.
pub struct RowsWriter {
    file: FileWriter,
    segment: SegmentId,
    table: TableWriter,
}

impl RowsWriter {
    /// Starts the `.rec` of `segment` in the directory of segments.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn create(dir: &Dir, segment: SegmentId) -> io::Result<Self> {
        let file = FileWriter::create(dir, &rows_name(segment), Kind::Rows, segment)?;
        Ok(Self { file, segment, table: TableWriter::default() })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// Those of the backend, and [`io::ErrorKind::InvalidInput`] for a blob of 4 GiB or more.
    pub fn push(&mut self, row: &SealedRow<'_>) -> io::Result<()> {
        let len = |blob: &[u8]| u32::try_from(blob.len()).map_err(|_| io::ErrorKind::InvalidInput);
        let (vector_len, body_len) = (len(&row.vector)?, len(&row.body)?);
        self.file.append(&row.vector)?;
        self.file.append(&row.body)?;
        self.table.push(row.row, row.key, vector_len, body_len);
        Ok(())
    }

    /// Seals the table, makes the file durable and gives it its name.
    ///
    /// # Errors
    /// Those of the backend; [`io::ErrorKind::AlreadyExists`] if the segment has a `.rec`.
    pub fn finish(
        self,
        table_key: &SectionKey,
        scope: Scope,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> io::Result<RowsMeta> {
        let rows = self.table.len() as u64;
        let sealed = seal_section(table_key, &context(scope, self.segment), &self.table.encode(), rng);
        Ok(RowsMeta { rows, bytes: self.file.finish(&sealed, rows)? })
    }
}

/// An open `.rec`: its bytes, mapped, and its row table, taken apart.
pub struct RowsFile {
    name: String,
    bytes: Region,
    table: Zeroizing<Vec<Entry>>,
}

impl RowsFile {
    /// Opens the `.rec` of `segment` and checks all of its table.
    ///
    /// # Errors
    /// [`SegmentError`]; a file cut short is [`SegmentError::Damaged`].
    pub fn open(dir: &Dir, segment: SegmentId, table_key: &SectionKey, scope: Scope) -> Result<Self, SegmentError> {
        let name = rows_name(segment);
        let bytes = open(dir, &name, Kind::Rows, segment)?;
        let (footer, sealed) = Footer::read(&name, &bytes)?;
        let table = open_section(table_key, &context(scope, segment), sealed)
            .map_err(|error| SegmentError::sealed(&name, "row table", error))?;
        let table = table::decode(&table, &footer).map_err(|Malformed(_)| SegmentError::damaged(&name, "row table"))?;
        Ok(Self { name, bytes, table })
    }

    /// Rows in the file, dead ones included.
    pub fn len(&self) -> u32 {
        // Opening refused tables of more rows.
        self.table.len() as u32
    }

    /// Whether the file has no rows.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The names of the row at `position`.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`] if there is no such row: whoever named the position does not fit this file.
    pub fn row(&self, position: u32) -> Result<RowEntry, SegmentError> {
        let Entry { row, key, .. } = *self.entry(position)?;
        Ok(RowEntry { row, key })
    }

    /// The sealed vector of the row at `position`.
    ///
    /// # Errors
    /// As [`RowsFile::row`].
    pub fn vector_blob(&self, position: u32) -> Result<&[u8], SegmentError> {
        let entry = self.entry(position)?;
        self.slice(entry.offset, entry.vector_len)
    }

    /// The sealed body of the row at `position`.
    ///
    /// # Errors
    /// As [`RowsFile::row`].
    pub fn body_blob(&self, position: u32) -> Result<&[u8], SegmentError> {
        let entry = self.entry(position)?;
        self.slice(entry.offset + u64::from(entry.vector_len), entry.body_len)
    }

    /// The whole row at `position` as a rewrite copies it.
    ///
    /// # Errors
    /// As [`RowsFile::row`].
    pub fn sealed_row(&self, position: u32) -> Result<SealedRow<'_>, SegmentError> {
        let RowEntry { row, key } = self.row(position)?;
        Ok(SealedRow { row, key, vector: self.vector_blob(position)?.into(), body: self.body_blob(position)?.into() })
    }

    fn entry(&self, position: u32) -> Result<&Entry, SegmentError> {
        let entry = usize::try_from(position).ok().and_then(|position| self.table.get(position));
        entry.ok_or_else(|| SegmentError::damaged(&self.name, "row position"))
    }

    fn slice(&self, offset: u64, len: u32) -> Result<&[u8], SegmentError> {
        let offset = usize::try_from(offset).ok();
        offset
            .and_then(|offset| self.bytes.get(offset..)?.get(..len as usize))
            .ok_or_else(|| SegmentError::damaged(&self.name, "row bounds"))
    }
}

fn context(scope: Scope, segment: SegmentId) -> SectionContext {
    SectionContext { scope, kind: SectionKind::RowTable, file: segment.0, place: 0 }
}

#[cfg(test)]
mod tests;
