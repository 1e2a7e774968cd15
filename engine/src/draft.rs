//! The draft of a segment: the rows that stay, in the keyed order of their record ids, and the index over them. Nothing
//! of it is on disk.
//!
//! Invariant: the order is a function of the set of records alone, and so is the index unless its graph was repaired.

use std::sync::Arc;

use index::{Ann, Codes, Stop};
use privacy::EntityId;
use rayon::ThreadPool;
use roaring::RoaringBitmap;
use storage::id::{RecordId, Sequence};
use storage::record::Record as StoredRecord;
use storage::segment::{EntityMap, FieldMap, IdMap};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::fields;
use crate::memtable::Memtable;
use crate::repair::repaired;
use crate::segment::{Index, Segment};
use crate::snapshot::SegmentView;
use crate::state::{CollectionState, EnvironmentState};

/// What goes into one rewrite. A row of a segment is kept if it is not dead and its key still lives.
pub(crate) struct Input<'a> {
    pub memtable: Option<&'a Memtable>,
    pub segments: &'a [SegmentView],
    /// The last write that the memtable includes.
    pub flushed: Option<Sequence>,
    /// Whether the graph of the only segment may be repaired now and built later, where building it takes long.
    pub may_repair: bool,
    /// Whether nobody is kept out meanwhile.
    pub is_aside: bool,
    /// What ends the work before its time.
    pub stop: Stop<'a>,
}

impl<'a> Input<'a> {
    /// The rows of these segments.
    pub fn of(segments: &'a [SegmentView]) -> Self {
        Self { memtable: None, segments, flushed: None, may_repair: false, is_aside: false, stop: &|| false }
    }

    /// The error that ends the work before its time, if it is to end.
    pub fn go_on(&self) -> Result<()> {
        if (self.stop)() { Err(overtaken()) } else { Ok(()) }
    }

    /// The threads for the work: those of what can wait, unless others wait for it.
    pub fn pool<'e>(&self, env: &'e EnvironmentState) -> &'e ThreadPool {
        if self.is_aside { &env.shared.patient_pool } else { &env.shared.pool }
    }
}

/// A row that will be in the new segment.
pub(crate) struct Row {
    order: u64,
    pub id: RecordId,
    pub sequence: Sequence,
    pub entity: Option<EntityId>,
    pub origin: Origin,
}

pub(crate) enum Origin {
    Memtable(Arc<StoredRecord>),
    /// Index into `Input::segments`, and the position there.
    Segment(usize, u32),
}

/// A segment that is not written yet.
pub(crate) struct Draft {
    pub rows: Vec<Row>,
    pub index: Index,
    /// Whether its graph waits to be built.
    pub is_repaired: bool,
}

/// Rows and index of the new segment; changes nothing.
pub(crate) fn draft(env: &EnvironmentState, state: &CollectionState, input: &Input<'_>) -> Result<Draft> {
    let rows = gather(env, input)?;
    let (index, is_repaired) = build_index(env, state, input, &rows)?;
    Ok(Draft { rows, index, is_repaired })
}

fn gather(env: &EnvironmentState, input: &Input<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (_, slot) in input.memtable.into_iter().flat_map(|memtable| memtable.iter()) {
        if let Some(record) = slot.live() {
            let (id, sequence, entity) = (record.id, record.sequence, record.entity.clone());
            rows.push(Row { order: 0, id, sequence, entity, origin: Origin::Memtable(Arc::clone(record)) });
        }
    }
    for (source, view) in input.segments.iter().enumerate() {
        for position in (0..view.segment.len).filter(|position| !view.dead.contains(*position)) {
            input.go_on()?;
            if let Some((id, sequence, entity)) = identity(env, &view.segment, position)? {
                rows.push(Row { order: 0, id, sequence, entity, origin: Origin::Segment(source, position) });
            }
        }
    }
    let order_key = env.keys.read().order_key();
    for row in &mut rows {
        row.order = order_key.order_hash(&id_bytes(&row.id));
    }
    rows.sort_unstable_by_key(|row| (row.order, row.id));
    Ok(rows)
}

type Identity = (RecordId, Sequence, Option<EntityId>);

/// Who the row at `position` is; `None` if its entity was erased. From the index where it is in memory,
/// from the sealed body otherwise.
fn identity(env: &EnvironmentState, segment: &Segment, position: u32) -> Result<Option<Identity>> {
    if !segment.is_live(position, &env.keys)? {
        return Ok(None);
    }
    if let Some(index) = segment.resident()
        && let (Some(id), Some(sequence)) = (index.ids.id(position), index.ids.sequence(position))
    {
        return Ok(Some((id, sequence, index.entities.of(position).cloned())));
    }
    let body = segment.body(position, &env.keys)?;
    Ok(body.map(|body| (body.id, body.sequence, body.entity.clone())))
}

/// A record id as the 17 bytes that the keyed order hashes.
fn id_bytes(id: &RecordId) -> [u8; 17] {
    let mut bytes = [0u8; 17];
    match id {
        RecordId::Num(number) => bytes[9..].copy_from_slice(&number.to_be_bytes()),
        RecordId::Uuid(uuid) => {
            bytes[0] = 1;
            bytes[1..].copy_from_slice(uuid.as_bytes());
        }
    }
    bytes
}

/// The index of the rows, and whether its graph was repaired instead of built.
fn build_index(
    env: &EnvironmentState,
    state: &CollectionState,
    input: &Input<'_>,
    rows: &[Row],
) -> Result<(Index, bool)> {
    let repaired = repair(env, state, input, rows);
    let is_repaired = repaired.is_some();
    let ann = match repaired {
        Some(ann) => ann,
        None => {
            let (codes, params) = (encode(env, state, input, rows)?, env.shared.settings.build_params());
            let built = input.pool(env).install(|| Ann::build(&state.space, codes, &params, input.stop));
            built.ok_or_else(overtaken)?
        }
    };
    let entities: Vec<Option<EntityId>> = rows.iter().map(|row| row.entity.clone()).collect();
    let too_large = |e| Error::with(ErrorKind::Unsupported, "the segment has more rows than a segment can hold", e);
    let index = Index {
        ann,
        fields: index_payloads(env, state, input, rows)?,
        ids: IdMap::build(rows.iter().map(|row| (row.id, row.sequence))).map_err(too_large)?,
        entities: EntityMap::build(&entities).map_err(too_large)?,
        erased: RoaringBitmap::new(),
    };
    Ok((index, is_repaired))
}

fn index_payloads(
    env: &EnvironmentState,
    state: &CollectionState,
    input: &Input<'_>,
    rows: &[Row],
) -> Result<FieldMap> {
    let payload = |position: u32| -> Result<Option<Zeroizing<Vec<u8>>>> {
        input.go_on()?;
        let Some(row) = rows.get(position as usize) else { return Ok(None) };
        Ok(match &row.origin {
            Origin::Memtable(record) => record.payload.clone().map(Zeroizing::new),
            Origin::Segment(source, at) => {
                let body = source_of(input, *source)?.segment.body(*at, &env.keys)?;
                body.ok_or_else(destroyed)?.payload.take().map(Zeroizing::new)
            }
        })
    };
    let extent = env.shared.settings.payload_extent();
    input.pool(env).install(|| fields::build(rows.len() as u32, &state.declared(), extent, &payload))
}

fn repair(env: &EnvironmentState, state: &CollectionState, input: &Input<'_>, rows: &[Row]) -> Option<Ann> {
    let ([source], true) = (input.segments, input.may_repair) else { return None };
    let position = |row: &Row| match row.origin {
        Origin::Segment(_, position) => Some(position),
        Origin::Memtable(_) => None,
    };
    repaired(env, state, &source.segment, rows.iter().filter_map(position))
}

fn encode(env: &EnvironmentState, state: &CollectionState, input: &Input<'_>, rows: &[Row]) -> Result<Codes> {
    let mut codes = Codes::with_capacity(&state.space, rows.len());
    let (mut scratch, mut vector) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()));
    for row in rows {
        input.go_on()?;
        match &row.origin {
            Origin::Memtable(record) => codes.push(&state.space, &record.vector),
            Origin::Segment(source, position) => {
                let segment = &source_of(input, *source)?.segment;
                if let Some(index) = segment.resident() {
                    codes.push_copy(index.ann.codes(), *position);
                } else if segment.vector(*position, &env.keys, &mut scratch, &mut vector)? {
                    codes.push(&state.space, &vector);
                } else {
                    return Err(destroyed());
                }
            }
        }
    }
    Ok(codes)
}

/// What a rewrite says that ended before its time.
pub(crate) fn overtaken() -> Error {
    Error::new(ErrorKind::Conflict, "what was being rewritten was changed meanwhile")
}

/// What a rewrite says that lost a row to an erasure.
pub(crate) fn destroyed() -> Error {
    Error::new(ErrorKind::Conflict, "a data key was destroyed during a rewrite")
}

/// The segment that a row comes from.
pub(crate) fn source_of<'a>(input: &'a Input<'_>, source: usize) -> Result<&'a SegmentView> {
    input.segments.get(source).ok_or_else(|| Error::corrupt("a rewrite lost one of its segments"))
}
