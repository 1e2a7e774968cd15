//! A run: some records of a memtable as a search sees them, by the index that a segment would have of them.
//!
//! Invariant: rows never change; which of them are dead is a bitmap beside them, so that a clone is a
//! snapshot that costs nothing.

use std::sync::{Arc, OnceLock};

use index::{Allow, Ann, Candidate, Codes, Query, Reach, Scratch, Space};
use privacy::EntityId;
use rayon::ThreadPool;
use roaring::RoaringBitmap;
use storage::id::{RecordId, Sequence};
use storage::record::Record as StoredRecord;
use storage::segment::{EntityMap, FieldMap, IdMap};

use crate::bounds::Bounds;
use crate::declared::Declared;
use crate::error::{Error, ErrorKind, Result};
use crate::fields::{self, Extent, Payload};
use crate::filter::Filter;
use crate::resolve::{Known, resolve};
use crate::segment::Index;

/// The codes of `records`, in their order.
pub(crate) fn encode<'a, I>(space: &Space, records: I) -> Codes
where
    I: IntoIterator<Item = &'a StoredRecord, IntoIter: ExactSizeIterator>,
{
    let records = records.into_iter();
    let mut codes = Codes::with_capacity(space, records.len());
    records.for_each(|record| codes.push(space, &record.vector));
    codes
}

/// Payloads are gathered to decide so many rows; fewer are read one by one.
const GATHERED_FROM: u64 = 16;
/// The commonest fields are gathered, in the room of about as many values as a memtable of usual size can have.
const EXTENT: Extent = Extent { others: 64, room: 64 << 20 };

/// Records with their codes.
#[derive(Clone)]
pub(crate) struct Run {
    index: Arc<Index>,
    /// Positions of records that were replaced, deleted, masked or flushed.
    dead: Arc<RoaringBitmap>,
    /// What the payloads say, gathered for the first filter that asks, for all clones.
    fields: Arc<OnceLock<Gathered>>,
}

/// What the payloads of some rows say.
struct Gathered {
    fields: FieldMap,
    /// Those that were live for whoever gathered. For another clone, others may be: of these it says nothing.
    rows: RoaringBitmap,
}

impl Run {
    /// The run of `records`, whose ids differ and whose codes are `codes`.
    pub fn new(records: &[StoredRecord], codes: Codes) -> Result<Self> {
        let ids = records.iter().map(|record| (record.id, record.sequence)).collect();
        let owners = records.iter().map(|record| record.entity.clone()).collect();
        Self::of(codes, ids, owners)
    }

    fn of(codes: Codes, ids: Vec<(RecordId, Sequence)>, owners: Vec<Option<EntityId>>) -> Result<Self> {
        let odd = |e| Error::with(ErrorKind::Corrupt, "a batch of records names one of them twice", e);
        let (ids, entities) = (IdMap::build(ids).map_err(odd)?, EntityMap::build(&owners).map_err(odd)?);
        Ok(Self {
            index: Arc::new(Index {
                ann: Ann::Flat(codes),
                ids,
                entities,
                fields: FieldMap::default(),
                erased: RoaringBitmap::new(),
            }),
            dead: Arc::default(),
            fields: Arc::default(),
        })
    }

    /// One run of the live rows of `runs`, which wipes the codes of the dead ones once no snapshot has them.
    pub fn merged(runs: &[Self], space: &Space) -> Result<Self> {
        let rows = runs.iter().map(Self::live).sum();
        let mut codes = Codes::with_capacity(space, rows);
        let (mut ids, mut owners) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        for run in runs {
            let old = run.index.ann.codes();
            for position in (0..old.len() as u32).filter(|position| !run.dead.contains(*position)) {
                let Some(id) = run.id(position) else { continue };
                codes.push_copy(old, position);
                ids.push(id);
                owners.push(run.index.entities.of(position).cloned());
            }
        }
        Self::of(codes, ids, owners)
    }

    /// The live rows of others than `entity`; `None` if no row is its, dead or alive.
    pub fn without(&self, entity: &EntityId, space: &Space) -> Result<Option<Self>> {
        let its = self.index.entities.bitmap(entity);
        if its.is_empty() {
            return Ok(None);
        }
        let rest = Self { index: Arc::clone(&self.index), dead: Arc::new(its | &*self.dead), fields: Arc::default() };
        Self::merged(&[rest], space).map(Some)
    }

    /// Rows a search may find.
    pub fn live(&self) -> usize {
        self.index.ids.len() - self.dead.len() as usize
    }

    /// Whether less than half of the rows are live.
    pub fn is_mostly_dead(&self) -> bool {
        2 * self.live() < self.index.ids.len()
    }

    /// The record at `position`, and the write that made it.
    pub fn id(&self, position: u32) -> Option<(RecordId, Sequence)> {
        Some((self.index.ids.id(position)?, self.index.ids.sequence(position)?))
    }

    /// Marks the row at `position` dead.
    pub fn bury_at(&mut self, position: u32) {
        Arc::make_mut(&mut self.dead).insert(position);
    }

    /// Marks the row of `id` dead, if there is one.
    pub fn bury(&mut self, id: &RecordId) {
        if let Some(position) = self.index.ids.position(id)
            && !self.dead.contains(position)
        {
            self.bury_at(position);
        }
    }

    /// Marks the rows dead that `lives` denies.
    pub fn bury_unless(&mut self, lives: impl Fn(&RecordId, Sequence) -> bool) {
        let died = |position: &u32| !self.id(*position).is_some_and(|(id, sequence)| lives(&id, sequence));
        let died: RoaringBitmap = (0..self.index.ids.len() as u32).filter(died).collect();
        self.dead = Arc::new(died | &*self.dead);
    }

    /// What is known about which live rows match `filter`. Where ids and owners do not decide, the payloads are gathered,
    /// which `payload` gives by position.
    pub fn bounds(&self, filter: &Filter, pool: &ThreadPool, payload: &Payload<'_>) -> Result<Bounds> {
        let rows = self.index.ids.len() as u32;
        let mut live = RoaringBitmap::new();
        live.insert_range(0..rows);
        live -= &*self.dead;
        let with = |fields| resolve(filter, Known { fields, ..self.index.known() }, &live).0;
        if let Some(gathered) = self.fields.get().filter(|gathered| live.is_subset(&gathered.rows)) {
            return Ok(with(&gathered.fields));
        }
        let bounds = with(&self.index.fields);
        if bounds.doubtful().len() < GATHERED_FROM {
            return Ok(bounds);
        }
        let fields = pool.install(|| fields::build(rows, &Declared::default(), EXTENT, payload))?;
        let bounds = with(&fields);
        // Whoever was first, knows enough for those who come after.
        self.fields.get_or_init(|| Gathered { fields, rows: live });
        Ok(bounds)
    }

    /// The live rows, those in `only` if that is given, with the `ef` smallest estimates of their distances.
    pub fn search(
        &self,
        query: &Query,
        ef: usize,
        only: Option<&RoaringBitmap>,
        scratch: &mut Scratch,
    ) -> Vec<Candidate> {
        let allow = match only {
            Some(only) => Allow::Only(only),
            None if self.dead.is_empty() => Allow::All,
            None => Allow::Except(&self.dead),
        };
        self.index.ann.search(query, Reach { limit: ef, ef }, allow, scratch)
    }

    /// How far off an estimate of `distance` can be, whichever row has it.
    pub fn greatest_error(&self, query: &Query, distance: f32) -> f32 {
        self.index.ann.codes().greatest_error(query, distance)
    }

    /// The entities of all rows, dead or alive.
    #[cfg(test)]
    pub fn owners(&self) -> &[EntityId] {
        self.index.entities.entities()
    }

    /// Whether the system agreed to keep the codes out of swap.
    pub fn is_locked(&self) -> bool {
        self.index.is_locked()
    }

    /// Bytes held in memory.
    pub fn resident_bytes(&self) -> usize {
        self.index.resident_bytes() + self.fields.get().map_or(0, |gathered| gathered.fields.resident_bytes())
    }
}
