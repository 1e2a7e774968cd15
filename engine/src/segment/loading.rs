//! Loading an index: its sections are opened and checked by all threads of the pool, chunk by chunk, into the memory
//! that will be searched.
//!
//! Invariant: nothing of a section is looked at before all of its chunks are authentic, and whatever was opened of one
//! that is not is wiped with its buffer.

use index::{Ann, Image};
use privacy::{SECTION_CHUNK, SectionReader};
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

    fn ann(&self, file: &IndexFile) -> Result<Ann> {
        let (codes, graph) = (self.reader(file, section::CODES)?, self.reader(file, section::GRAPH)?);
        let mut image = Image::zeroed(codes.len(), graph.len()).map_err(|e| self.damaged_index(e))?;
        let (codes_room, graph_room) = image.buffers();
        self.open_into(&codes, codes_room)?;
        self.open_into(&graph, graph_room)?;
        Ann::read(&self.space, image).map_err(|e| self.damaged_index(e))
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
