//! Loading an index: its sections are opened and checked by all threads of the pool, chunk by chunk, into the memory
//! that will be searched.
//!
//! Invariant: nothing of a chunk is looked at before it is authentic, at its place in a section whose length is; nothing
//! of a section leaves here before all of its chunks are; and whatever was opened of one that is not is wiped with its
//! buffer.

use index::{Ann, DecodeError, Source};
use privacy::{OpenError, SECTION_CHUNK, SectionKey, SectionReader};
use rayon::prelude::*;
use roaring::RoaringBitmap;
use storage::segment::{EntityMap, FieldMap, IdMap, IndexFile};
use zeroize::Zeroizing;

use super::{Index, Segment, section};
use crate::error::{Error, ErrorKind, Result};

impl Segment {
    /// The index that `file` holds.
    pub fn decode_index(&self, file: &IndexFile) -> Result<Index> {
        let ids = || IdMap::decode(&self.opened(file, section::IDS)?).map_err(|e| self.damaged_index(e));
        let entities = || EntityMap::decode(&self.opened(file, section::ENTITIES)?).map_err(|e| self.damaged_index(e));
        let fields =
            || FieldMap::decode(&self.opened(file, section::FIELDS)?, self.len).map_err(|e| self.damaged_index(e));
        let maps = || rayon::join(|| rayon::join(ids, entities), fields);
        let (ann, ((ids, entities), fields)) = self.pool.install(|| rayon::join(|| self.ann(file), maps));
        let (ann, ids, entities, fields) = (ann?, ids?, entities?, fields?);
        let rows = self.len as usize;
        if ann.codes().len() != rows || ids.len() != rows || entities.len() != rows {
            return Err(Error::corrupt(format!("the index of segment {} has another number of rows", self.id)));
        }
        Ok(Index { ann, ids, entities, fields, erased: RoaringBitmap::new() })
    }

    /// [`Segment::decode_index`], and meanwhile the table of rows, which the first answer needs as well. If that does not
    /// open, whoever asks for it will hear why.
    pub(super) fn load(&self, file: &IndexFile, table_key: &SectionKey) -> Result<Index> {
        let rows = || _ = self.open_rows(table_key).map(|rows| self.rows.set(rows));
        self.pool.install(|| rayon::join(|| self.decode_index(file), rows)).0
    }

    fn ann(&self, file: &IndexFile) -> Result<Ann> {
        let (codes, graph) = (self.reader(file, section::CODES)?, self.reader(file, section::GRAPH)?);
        Ann::read(&self.space, &Chunks(codes), &Chunks(graph)).map_err(|e| self.damaged_index(e))
    }

    fn opened(&self, file: &IndexFile, code: u8) -> Result<Zeroizing<Vec<u8>>> {
        let reader = self.reader(file, code)?;
        let mut plain = Zeroizing::new(vec![0; reader.len()]);
        self.open_into(&reader, &mut plain)?;
        Ok(plain)
    }

    fn reader<'a>(&self, file: &'a IndexFile, code: u8) -> Result<SectionReader<'a>> {
        let lacking = || Error::corrupt(format!("the index of segment {} lacks a section", self.id));
        file.section_reader(code)?.ok_or_else(lacking)
    }

    fn open_into(&self, reader: &SectionReader<'_>, plain: &mut [u8]) -> Result<()> {
        let chunks = plain.par_chunks_mut(SECTION_CHUNK).enumerate();
        let opened = chunks.try_for_each(|(index, chunk)| reader.chunk_into(index, chunk));
        opened.map_err(|e| self.damaged_index(e))
    }

    fn damaged_index(&self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::with(ErrorKind::Corrupt, format!("the index of segment {} is damaged", self.id), source)
    }
}

/// A section as the index reads it.
struct Chunks<'a>(SectionReader<'a>);

/// Why a section does not become an index.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Sealed(#[from] OpenError),
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl Source for Chunks<'_> {
    type Error = Unread;

    fn length(&self) -> usize {
        self.0.len()
    }

    fn read(&self, start: usize, room: &mut [u8]) -> std::result::Result<(), Unread> {
        const { assert!(index::PAGE == SECTION_CHUNK, "or every page would be opened twice") };
        let (mut at, mut room) = (start, room);
        while !room.is_empty() {
            let (number, skip) = (at / SECTION_CHUNK, at % SECTION_CHUNK);
            let whole = SECTION_CHUNK.min(self.length().saturating_sub(number * SECTION_CHUNK));
            let wanted = room.len().min(whole.saturating_sub(skip));
            let (part, rest) = room.split_at_mut(wanted);
            if wanted == 0 {
                return Err(OpenError::TooShort.into());
            } else if wanted == whole {
                self.0.chunk_into(number, part)?;
            } else {
                let mut chunk = Zeroizing::new([0; SECTION_CHUNK]);
                self.0.chunk_into(number, &mut chunk[..whole])?;
                part.copy_from_slice(&chunk[skip..skip + wanted]);
            }
            (at, room) = (at + wanted, rest);
        }
        Ok(())
    }
}
