//! A live segment: its durable rows, and its derived index, loaded on first use.
//!
//! Invariant: whatever position a caller holds, the row at it never changes; deletion is a bitmap beside
//! the segment, held by the view.

use std::sync::{Arc, OnceLock};

use index::{Ann, BuildParams, Codes, Space};
use privacy::{Dek, RowContext, RowField, Scope, open_row_into};
use roaring::RoaringBitmap;
use storage::backend::Dir;
use storage::id::{CollectionId, RecordId, SegmentId, Sequence};
use storage::record::{Body, decode_body, decode_vector_into};
use storage::segment::layout::index_name;
use storage::segment::{EntityMap, IdMap, IndexFile, RowsFile};
use storage::sync::Mutex;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::keys::Keys;

/// Section codes inside an `.idx` file.
pub(crate) mod section {
    pub const CODES: u8 = 1;
    pub const GRAPH: u8 = 2;
    pub const IDS: u8 = 3;
    pub const ENTITIES: u8 = 4;
}

/// The derived half of a segment, in memory.
pub(crate) struct Index {
    pub ann: Ann,
    pub ids: IdMap,
    pub entities: EntityMap,
}

impl Index {
    /// Bytes held in memory.
    pub fn resident_bytes(&self) -> usize {
        self.ann.resident_bytes() + self.ids.resident_bytes() + self.entities.resident_bytes()
    }
}

/// One immutable segment of a collection.
pub(crate) struct Segment {
    pub id: SegmentId,
    /// Rows in the segment, dead ones included.
    pub len: u32,
    rows: OnceLock<RowsFile>,
    scope: Scope,
    collection: CollectionId,
    space: Arc<Space>,
    dir: Dir,
    index: OnceLock<Index>,
    loading: Mutex<()>,
}

impl Segment {
    /// Names a segment of `len` rows; its files are opened on first use.
    pub fn new(dir: &Dir, id: SegmentId, len: u32, collection: CollectionId, space: &Arc<Space>, scope: Scope) -> Self {
        Self {
            id,
            len,
            rows: OnceLock::new(),
            scope,
            collection,
            space: Arc::clone(space),
            dir: dir.clone(),
            index: OnceLock::new(),
            loading: Mutex::new(()),
        }
    }

    /// The durable rows, opened if need be.
    ///
    /// # Errors
    /// `Corrupt` for a missing or damaged file.
    pub fn rows(&self, keys: &Keys) -> Result<&RowsFile> {
        if let Some(rows) = self.rows.get() {
            return Ok(rows);
        }
        let table_key = keys.read().table_key();
        let rows = match RowsFile::open(&self.dir, self.id, &table_key, self.scope) {
            Ok(rows) => rows,
            // A rewrite opens its sources before it removes them, perhaps just now.
            Err(error) => return self.rows.get().ok_or_else(|| error.into()),
        };
        if rows.len() != self.len {
            return Err(Error::corrupt(format!(
                "segment {} has another number of rows than the manifest says",
                self.id
            )));
        }
        Ok(self.rows.get_or_init(|| rows))
    }

    /// Gives the segment the index it was just built with.
    pub fn with_index(self, index: Index) -> Self {
        Self { index: OnceLock::from(index), ..self }
    }

    /// Whether an index is in memory.
    pub fn resident(&self) -> Option<&Index> {
        self.index.get()
    }

    /// The index, loaded if need be.
    ///
    /// # Errors
    /// `Corrupt` for a damaged file; `KeyUnavailable` where its key is gone by design and the segment waits
    /// to be rebuilt.
    pub fn index(&self, keys: &Keys) -> Result<&Index> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let _one_loader = self.loading.lock();
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let index = self.load(keys)?;
        Ok(self.index.get_or_init(|| index))
    }

    /// Whether there is an index file and a key for it; otherwise it must be rebuilt from the rows.
    pub fn has_index(&self, keys: &Keys) -> Result<bool> {
        let present =
            self.dir.exists(&index_name(self.id)).map_err(|e| Error::io("a segment cannot be looked up", e))?;
        Ok(present && keys.read().index_key(self.id.0).is_some())
    }

    /// An index made from the rows alone, without a graph, for a segment whose own is gone; with it the
    /// positions of rows whose entity was erased, which nobody can name any more.
    pub fn derive(&self, keys: &Keys) -> Result<(Index, RoaringBitmap)> {
        let mut codes = Codes::with_capacity(&self.space, self.len as usize);
        let (mut names, mut owners, mut erased) = (Vec::new(), Vec::new(), RoaringBitmap::new());
        let (mut scratch, mut vector) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()));
        let blank = vec![0i8; self.space.stride()];
        for position in 0..self.len {
            match self.body(position, keys)? {
                Some(body) if self.vector(position, keys, &mut scratch, &mut vector)? => {
                    names.push((body.id, body.sequence));
                    owners.push(body.entity.clone());
                    codes.push(&self.space, &vector);
                }
                _ => {
                    // The random row id stands in for the record id, so that ids stay distinct.
                    let row = self.rows(keys)?.row(position)?.row;
                    names.push((RecordId::Uuid(uuid::Uuid::from_bytes(row.0)), 0));
                    owners.push(None);
                    codes.push_code(&blank, 0.0);
                    erased.insert(position);
                }
            }
        }
        let order: Vec<u64> = (0..u64::from(self.len)).collect();
        let scan = BuildParams { flat_below: usize::MAX, ..BuildParams::default() };
        let corrupt = |e| Error::with(ErrorKind::Corrupt, format!("segment {} has impossible rows", self.id), e);
        let index = Index {
            ann: Ann::build(&self.space, codes, &order, &scan),
            ids: IdMap::build(names).map_err(corrupt)?,
            entities: EntityMap::build(&owners).map_err(corrupt)?,
        };
        Ok((index, erased))
    }

    fn load(&self, keys: &Keys) -> Result<Index> {
        let key = keys.read().index_key(self.id.0).ok_or_else(|| {
            Error::new(ErrorKind::KeyUnavailable, format!("the index of segment {} must be rebuilt", self.id))
        })?;
        let file = IndexFile::open(&self.dir, self.id, key, self.scope)?;
        let section = |code| -> Result<Zeroizing<Vec<u8>>> {
            file.section(code)?
                .ok_or_else(|| Error::corrupt(format!("the index of segment {} lacks a section", self.id)))
        };
        let damaged = || format!("the index of segment {} is damaged", self.id);
        let ann = Ann::decode(&self.space, &section(section::CODES)?, &section(section::GRAPH)?)
            .map_err(|e| Error::with(ErrorKind::Corrupt, damaged(), e))?;
        let ids = IdMap::decode(&section(section::IDS)?).map_err(|e| Error::with(ErrorKind::Corrupt, damaged(), e))?;
        let entities = EntityMap::decode(&section(section::ENTITIES)?)
            .map_err(|e| Error::with(ErrorKind::Corrupt, damaged(), e))?;
        let rows = self.len as usize;
        if ann.codes().len() != rows || ids.len() != rows || entities.len() != rows {
            return Err(Error::corrupt(damaged()));
        }
        Ok(Index { ann, ids, entities })
    }

    /// The key of the row at `position`: `None` if its entity was erased.
    ///
    /// # Errors
    /// `Corrupt` if the key is neither live nor known to be destroyed: never silence.
    pub fn dek(&self, position: u32, keys: &Keys) -> Result<Option<Arc<Dek>>> {
        let key = self.rows(keys)?.row(position)?.key;
        let keyring = keys.read();
        match keyring.dek_by_id(key) {
            Some(dek) => Ok(Some(Arc::clone(dek))),
            None if keyring.is_destroyed(key) => Ok(None),
            None => Err(Error::corrupt(format!(
                "segment {} has a row whose key is neither in the keyring nor destroyed",
                self.id
            ))),
        }
    }

    /// Opens the vector at `position` into `out`; `false` if its entity was erased. `scratch` is reused.
    pub fn vector(&self, position: u32, keys: &Keys, scratch: &mut Vec<u8>, out: &mut Vec<f32>) -> Result<bool> {
        let Some(dek) = self.dek(position, keys)? else { return Ok(false) };
        let rows = self.rows(keys)?;
        let context = self.context(rows, position, RowField::Vector)?;
        open_row_into(&dek, &context, rows.vector_blob(position)?, scratch).map_err(|e| self.damaged_row(e))?;
        decode_vector_into(scratch, out).map_err(|e| self.damaged_row(e))?;
        if out.len() != self.space.dimension() {
            return Err(Error::corrupt(format!("segment {} has a vector of another dimension", self.id)));
        }
        Ok(true)
    }

    /// Opens the body at `position`; `None` if its entity was erased.
    pub fn body(&self, position: u32, keys: &Keys) -> Result<Option<Body>> {
        let Some(dek) = self.dek(position, keys)? else { return Ok(None) };
        let mut plain = Zeroizing::new(Vec::new());
        let rows = self.rows(keys)?;
        let context = self.context(rows, position, RowField::Body)?;
        open_row_into(&dek, &context, rows.body_blob(position)?, &mut plain).map_err(|e| self.damaged_row(e))?;
        decode_body(&plain).map(Some).map_err(|e| self.damaged_row(e))
    }

    /// Position, sequence of a record, if a row of it is here (dead or alive).
    pub fn find(&self, id: &RecordId, keys: &Keys) -> Result<Option<(u32, Sequence)>> {
        let ids = &self.index(keys)?.ids;
        Ok(ids.position(id).and_then(|position| Some((position, ids.sequence(position)?))))
    }

    fn context(&self, rows: &RowsFile, position: u32, field: RowField) -> Result<RowContext> {
        let row = rows.row(position)?.row;
        Ok(RowContext { scope: self.scope, collection: self.collection.0, row: row.0, field })
    }

    fn damaged_row(&self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::with(ErrorKind::Corrupt, format!("segment {} has a damaged row", self.id), source)
    }
}
