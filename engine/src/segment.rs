//! A live segment: its durable rows, and its derived index, loaded on first use.
//!
//! Invariant: whatever position a caller holds, the row at it never changes; deletion is a bitmap beside
//! the segment, held by the view. A segment whose rows turn out damaged, at whatever read, is in quarantine
//! from then on until the environment is opened anew: nothing is served from it, and nothing is merged.

mod loading;
mod opening;

use std::sync::{Arc, OnceLock};

use index::{Ann, Codes, Space};
use privacy::{Scope, SectionKey};
use rayon::ThreadPool;
use roaring::RoaringBitmap;
use storage::backend::Dir;
use storage::id::{CollectionId, RecordId, SegmentId, Sequence};
use storage::manifest::SegmentEntry;
use storage::recovery::SEGMENTS;
use storage::segment::layout::index_name;
use storage::segment::{EntityMap, FieldMap, IdMap, IndexFile, RowsFile};
use storage::sync::Mutex;
use zeroize::Zeroizing;

use crate::condition::Condition;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::Keys;
use crate::resolve::Known;

/// Section codes inside an `.idx` file.
pub(crate) mod section {
    pub const CODES: u8 = 1;
    pub const GRAPH: u8 = 2;
    pub const IDS: u8 = 3;
    pub const ENTITIES: u8 = 4;
    pub const FIELDS: u8 = 5;
}

/// The derived half of a segment, in memory.
pub(crate) struct Index {
    pub ann: Ann,
    pub ids: IdMap,
    pub entities: EntityMap,
    pub fields: FieldMap,
    /// Rows that nobody can open any more and no view marks: an index that had to be made from the rows found them
    /// without a key. They have neither code nor name.
    pub erased: RoaringBitmap,
}

impl Index {
    /// Whether the system agreed to keep codes and graph out of swap.
    pub fn is_locked(&self) -> bool {
        self.ann.is_locked()
    }

    /// What it knows about its rows beside where they lie.
    pub fn known(&self) -> Known<'_> {
        Known { ids: &self.ids, entities: &self.entities, fields: &self.fields }
    }

    /// Bytes held in memory.
    pub fn resident_bytes(&self) -> usize {
        let maps = self.ids.resident_bytes() + self.entities.resident_bytes() + self.fields.resident_bytes();
        self.ann.resident_bytes() + maps
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
    pool: Arc<ThreadPool>,
    /// `None` once neither the index nor, in quarantine, the rows that it could be made from open.
    index: OnceLock<Option<Index>>,
    loading: Mutex<()>,
    condition: Arc<Condition>,
    /// Versions of its tombstones that did not open.
    unread: Vec<u64>,
}

impl Segment {
    /// Names a segment of `len` rows; its files are opened on first use.
    pub fn new(
        (dir, pool): (&Dir, &Arc<ThreadPool>),
        (id, len): (SegmentId, u32),
        collection: CollectionId,
        space: &Arc<Space>,
        scope: Scope,
    ) -> Self {
        Self {
            id,
            len,
            rows: OnceLock::new(),
            scope,
            collection,
            space: Arc::clone(space),
            dir: dir.clone(),
            pool: Arc::clone(pool),
            index: OnceLock::new(),
            loading: Mutex::new(()),
            condition: Arc::default(),
            unread: Vec::new(),
        }
    }

    /// Its name in answers and messages: the path of its files without their endings.
    pub fn path(&self) -> String {
        format!("{SEGMENTS}/{}", self.id)
    }

    /// Takes the segment out of every answer from now on.
    pub fn quarantine(&self, why: &Error) {
        if self.condition.damage(why.to_string()) {
            tracing::error!(segment = self.path(), %why, "a damaged segment is left out of every answer");
        }
    }

    /// Whether damage was met in its rows or tombstones.
    pub fn is_quarantined(&self) -> bool {
        self.condition.is_damaged()
    }

    /// What is known about its files.
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// The same files, not opened yet, for whoever wants to see what is on disk and not what is in memory.
    pub fn unopened(&self) -> Self {
        let fresh = Self::new((&self.dir, &self.pool), (self.id, self.len), self.collection, &self.space, self.scope);
        Self { condition: Arc::clone(&self.condition), ..fresh }
    }

    /// Passes on what a read of the rows gave; damage quarantines the segment.
    fn watch<T>(&self, read: Result<T>) -> Result<T> {
        read.inspect_err(|error| {
            if is_damage(error) {
                self.quarantine(error);
            }
        })
    }

    /// Quarantines the segment for want of a version of its tombstones: rows that it marks would come back.
    pub fn lack_tombstones(&mut self, version: u64, why: &Error) {
        self.unread.push(version);
        self.quarantine(why);
    }

    /// Whether a version of its tombstones is lacking.
    pub fn lacks_tombstones(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Keeps tombstones that did not open named in the manifest, beside those written since, and drops the
    /// names of those that opened again, since the view holds all they mark.
    pub fn name_unread(&self, entry: &mut SegmentEntry) {
        if let Some(version) = entry.tombstones.filter(|version| self.unread.contains(version)) {
            entry.unread.push(version);
            (entry.tombstones, entry.dead) = (None, 0);
        }
        entry.unread.retain(|version| self.unread.contains(version));
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
        match self.open_rows(&table_key) {
            Ok(rows) => Ok(self.rows.get_or_init(|| rows)),
            // A rewrite opens its sources before it removes them, perhaps just now.
            Err(error) => self.rows.get().map_or_else(|| self.watch(Err(error)), Ok),
        }
    }

    fn open_rows(&self, table_key: &SectionKey) -> Result<RowsFile> {
        let rows = RowsFile::open(&self.dir, self.id, table_key, self.scope)?;
        if rows.len() == self.len {
            return Ok(rows);
        }
        Err(Error::corrupt(format!("segment {} has another number of rows than the manifest says", self.id)))
    }

    /// Gives the segment the index it was just built with.
    pub fn with_index(self, index: Index) -> Self {
        Self { index: OnceLock::from(Some(index)), ..self }
    }

    /// Whether an index is in memory.
    pub fn resident(&self) -> Option<&Index> {
        self.index.get().and_then(Option::as_ref)
    }

    /// The index: from its file, or where that is damaged from the rows. It is loaded in the pool, so work there must
    /// not be the first to ask for it: a thread that loads could take up such work, and wait for itself.
    ///
    /// # Errors
    /// `Corrupt` where neither opens, so that nobody can say what is in the segment.
    pub fn index(&self, keys: &Keys) -> Result<&Index> {
        self.index_unless_lost(keys)?.ok_or_else(|| self.damaged())
    }

    /// [`Segment::index`], or `None` if the segment is in quarantine and has lost its index too.
    pub fn index_unless_lost(&self, keys: &Keys) -> Result<Option<&Index>> {
        if let Some(index) = self.index.get() {
            return Ok(index.as_ref());
        }
        debug_assert!(cfg!(feature = "schedules") || self.pool.current_thread_index().is_none(), "see Segment::index");
        let _one_loader = self.loading.lock();
        if let Some(index) = self.index.get() {
            return Ok(index.as_ref());
        }
        let table_key = keys.read().table_key();
        let index = match self.index_file(keys).and_then(|file| self.load(&file, &table_key)) {
            Ok(index) => Some(index),
            Err(error) if is_damage(&error) || error.kind() == ErrorKind::KeyUnavailable => {
                tracing::warn!(segment = self.path(), %error, "a damaged index is replaced from the rows");
                self.replace(keys)?
            }
            Err(error) => return Err(error),
        };
        Ok(self.index.get_or_init(|| index).as_ref())
    }

    /// An index in place of the one that does not open. It may find rows without a key that the views, which are out
    /// already, do not mark; so it marks them itself, as [`Index::erased`].
    fn replace(&self, keys: &Keys) -> Result<Option<Index>> {
        if self.is_quarantined() {
            return Ok(None);
        }
        match self.derive(keys) {
            Ok(index) => {
                self.condition.mark_stale();
                Ok(Some(index))
            }
            Err(_) if self.is_quarantined() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether reads find everything open: they load and open nothing first.
    pub fn is_warm(&self) -> bool {
        self.resident().is_some() && self.rows.get().is_some()
    }

    /// Whether there is an index file and a key for it; otherwise it must be rebuilt from the rows.
    pub fn has_index(&self, keys: &Keys) -> bool {
        // A file that cannot even be looked up is as good as none.
        self.dir.exists(&index_name(self.id)).unwrap_or(false) && keys.read().index_key(self.id.0).is_some()
    }

    /// The error of whoever needs what only this segment could tell.
    pub fn damaged(&self) -> Error {
        Error::corrupt(format!(
            "the segment {} is damaged; restore its files from a backup, or salvage it",
            self.path()
        ))
    }

    /// An index made from the rows alone, without a graph and without payloads, for a segment whose own is gone and that
    /// waits to be written anew.
    pub fn derive(&self, keys: &Keys) -> Result<Index> {
        let mut codes = Codes::with_capacity(&self.space, self.len as usize);
        let (mut names, mut owners, mut erased) = (Vec::new(), Vec::new(), RoaringBitmap::new());
        let (mut scratch, mut vector) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()));
        let blank = vec![0.0; self.space.dimension()];
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
                    codes.push(&self.space, &blank);
                    erased.insert(position);
                }
            }
        }
        let corrupt = |e| Error::with(ErrorKind::Corrupt, format!("segment {} has impossible rows", self.id), e);
        Ok(Index {
            ann: Ann::Flat(codes),
            ids: IdMap::build(names).map_err(corrupt)?,
            entities: EntityMap::build(&owners).map_err(corrupt)?,
            fields: FieldMap::default(),
            erased,
        })
    }

    /// The file of the index.
    ///
    /// # Errors
    /// `KeyUnavailable` where its key is gone by design and the segment waits to be rewritten.
    pub fn index_file(&self, keys: &Keys) -> Result<IndexFile> {
        let key = keys.read().index_key(self.id.0).ok_or_else(|| {
            Error::new(ErrorKind::KeyUnavailable, format!("the index of segment {} must be rebuilt", self.id))
        })?;
        Ok(IndexFile::open(&self.dir, self.id, key, self.scope)?)
    }

    /// Position, sequence of a record, if a row of it is here (dead or alive).
    pub fn find(&self, id: &RecordId, keys: &Keys) -> Result<Option<(u32, Sequence)>> {
        let ids = &self.index(keys)?.ids;
        Ok(ids.position(id).and_then(|position| Some((position, ids.sequence(position)?))))
    }
}

/// Whether an error tells of a file that is not what was written, or cannot be read.
pub(crate) fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Io)
}
