//! REWRITE: rows, keep → extend keys → codes → graph → `.rec`, `.idx` → manifest → old files gone.
//!
//! Flush, compaction and the purge of an erasure are this one walk with other inputs. Ciphertext of rows
//! that are in a segment already is copied as it is; only memtable rows are sealed here, and only here are
//! data keys minted. The positions of a segment follow the keyed order of its record ids, so that the
//! order is a function of the set of records alone.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use index::{Ann, Codes};
use privacy::{Dek, EntityId, KeyId, RowContext, RowField, Tag, Wanted, seal_row};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use roaring::RoaringBitmap;
use storage::id::{RecordId, RowId, SegmentId, Sequence};
use storage::manifest::SegmentEntry;
use storage::memtable::Memtable;
use storage::record::{Record as StoredRecord, encode_body, encode_vector};
use storage::segment::layout::{index_name, rows_name, tombstones_name};
use storage::segment::{EntityMap, IdMap, RowsWriter, SealedRow, write_index};
use zeroize::Zeroizing;

use crate::entropy::generator;
use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;
use crate::segment::{Index, Segment, section};
use crate::snapshot::SegmentView;
use crate::state::{CollectionState, EnvironmentState};

/// What goes into one rewrite. A row of a segment is kept if it is not dead and its key still lives.
pub(crate) struct Input<'a> {
    pub memtable: Option<&'a Memtable>,
    pub segments: &'a [SegmentView],
    /// The last write that the memtable includes.
    pub flushed: Option<Sequence>,
}

/// A row that will be in the new segment.
struct Row {
    order: u64,
    id: RecordId,
    sequence: Sequence,
    entity: Option<EntityId>,
    origin: Origin,
}

enum Origin {
    Memtable(Arc<StoredRecord>),
    /// Index into `Input::segments`, and the position there.
    Segment(usize, u32),
}

/// Runs the walk for one collection and publishes its outcome. The caller holds `maintenance`.
pub(crate) fn rewrite(env: &EnvironmentState, state: &CollectionState, input: &Input<'_>) -> Result<()> {
    for view in input.segments {
        // A reader of an older view may come to these files after they are gone: it must find them opened.
        // A salvage comes with segments that nobody reads, and of which perhaps nothing opens.
        if view.segment.is_quarantined() && view.live() == 0 {
            continue;
        }
        view.segment.rows(&env.keys)?;
        if view.segment.has_index(&env.keys) {
            view.segment.index_unless_lost(&env.keys)?;
        }
    }
    let rows = gather(env, input)?;
    let id = fresh_id(env);
    let built = if rows.is_empty() { Ok(None) } else { build(env, state, input, &rows, id).map(Some) };
    built.and_then(|segment| install(env, state, input, &rows, segment)).inspect_err(|_| {
        // It must not take the room that a full disk lacks. Where its outcome is unknown, the latch keeps it.
        let _ = [rows_name(id), index_name(id)].map(|name| remove(&env.segments_dir(), &name));
    })?;
    for old in input.segments {
        remove_files(env, old)?;
    }
    Ok(())
}

/// Rewrites `segments`; `false` if one of them is damaged: then it is in quarantine, and nothing was changed.
pub(crate) fn rewrite_sound(env: &EnvironmentState, state: &CollectionState, segments: &[SegmentView]) -> Result<bool> {
    let is_damaged = || segments.iter().any(|view| view.segment.is_quarantined());
    if is_damaged() {
        return Ok(false);
    }
    match rewrite(env, state, &Input { memtable: None, segments, flushed: None }) {
        Err(_) if is_damaged() => Ok(false),
        rewritten => rewritten.map(|()| true),
    }
}

fn gather(env: &EnvironmentState, input: &Input<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (_, slot) in input.memtable.into_iter().flat_map(Memtable::iter) {
        if let Some(record) = slot.live() {
            let (id, sequence, entity) = (record.id, record.sequence, record.entity.clone());
            rows.push(Row { order: 0, id, sequence, entity, origin: Origin::Memtable(Arc::clone(record)) });
        }
    }
    for (source, view) in input.segments.iter().enumerate() {
        for position in (0..view.segment.len).filter(|position| !view.dead.contains(*position)) {
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
    if segment.dek(position, &env.keys)?.is_none() {
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

fn build(
    env: &EnvironmentState,
    state: &CollectionState,
    input: &Input<'_>,
    rows: &[Row],
    id: SegmentId,
) -> Result<Segment> {
    let owners = mint(env, state, rows, id)?;
    let index = build_index(env, state, input, rows)?;
    // A segment that never reached the manifest may have left files under this number.
    for name in [rows_name(id), index_name(id)] {
        remove(&env.segments_dir(), &name)?;
    }
    write_rows(env, state, input, rows, &owners, id)?;
    write_index_file(env, id, &index)?;
    let len = index.ids.len() as u32;
    let segment = Segment::new(&env.segments_dir(), id, len, state.id, &state.space, env.scope);
    segment.condition().mark_checked(env.shared.clock.now_ms());
    Ok(segment.with_index(index))
}

/// A segment number that no file and no key ever had: a failed rewrite may have used the manifest's next.
fn fresh_id(env: &EnvironmentState) -> SegmentId {
    let mut number = env.manifest.lock().next_segment;
    let keyring = env.keys.read();
    while keyring.index_key(number).is_some() {
        number += 1;
    }
    SegmentId(number)
}

/// The data key of every memtable row, in row order; keys that do not exist yet are made durable first.
fn mint(env: &EnvironmentState, state: &CollectionState, rows: &[Row], id: SegmentId) -> Result<Vec<Option<Owner>>> {
    let tags: Vec<Option<Tag>> = {
        let keyring = env.keys.read();
        let tag = |row: &Row| match row.origin {
            Origin::Memtable(_) => Some(row.entity.as_ref().map_or(Tag::COLLECTION, |entity| keyring.tag(entity))),
            Origin::Segment(..) => None,
        };
        rows.iter().map(tag).collect()
    };
    let distinct: BTreeSet<Tag> = tags.iter().flatten().copied().collect();
    let mut wanted = vec![Wanted::Index(id.0)];
    wanted.extend(distinct.into_iter().map(|owner| Wanted::Dek { owner, collection: state.id.0 }));
    env.keys.extend(&wanted)?;
    let keyring = env.keys.read();
    tags.iter()
        .map(|tag| match tag {
            None => Ok(None),
            Some(tag) => match keyring.dek(tag, state.id.0) {
                Some((key, dek)) => Ok(Some(Owner { key, dek })),
                None => Err(Error::new(ErrorKind::KeyUnavailable, "a new data key is missing")),
            },
        })
        .collect()
}

struct Owner {
    key: KeyId,
    dek: Arc<Dek>,
}

fn build_index(env: &EnvironmentState, state: &CollectionState, input: &Input<'_>, rows: &[Row]) -> Result<Index> {
    let mut codes = Codes::with_capacity(&state.space, rows.len());
    let (mut scratch, mut vector) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()));
    let mut code = Zeroizing::new(vec![0; state.space.stride()]);
    for row in rows {
        match &row.origin {
            Origin::Memtable(record) => codes.push(&state.space, &record.vector),
            Origin::Segment(source, position) => {
                let segment = &source_of(input, *source)?.segment;
                if let Some(index) = segment.resident() {
                    index.ann.codes().read(*position, &mut code);
                    codes.push_code(&code, index.ann.codes().norm(*position));
                } else if segment.vector(*position, &env.keys, &mut scratch, &mut vector)? {
                    codes.push(&state.space, &vector);
                } else {
                    return Err(destroyed());
                }
            }
        }
    }
    let params = env.shared.settings.build_params();
    let ann = env.shared.pool.install(|| Ann::build(&state.space, codes, &params));
    let entities: Vec<Option<EntityId>> = rows.iter().map(|row| row.entity.clone()).collect();
    let too_large = |e| Error::with(ErrorKind::Unsupported, "the segment has more rows than a segment can hold", e);
    Ok(Index {
        ann,
        ids: IdMap::build(rows.iter().map(|row| (row.id, row.sequence))).map_err(too_large)?,
        entities: EntityMap::build(&entities).map_err(too_large)?,
    })
}

fn destroyed() -> Error {
    Error::new(ErrorKind::Conflict, "a data key was destroyed during a rewrite")
}

fn source_of<'a>(input: &'a Input<'_>, source: usize) -> Result<&'a SegmentView> {
    input.segments.get(source).ok_or_else(|| Error::corrupt("a rewrite lost one of its segments"))
}

/// Rows sealed at a time: enough to keep every thread busy, few enough to bound memory.
const CHUNK: usize = 4096;

fn write_rows(
    env: &EnvironmentState,
    state: &CollectionState,
    input: &Input<'_>,
    rows: &[Row],
    owners: &[Option<Owner>],
    id: SegmentId,
) -> Result<()> {
    let doing = "the rows of a segment cannot be written";
    let dir = env.segments_dir();
    let mut rng = generator(&*env.shared.entropy)?;
    let mut writer = RowsWriter::create(&dir, id).map_err(|e| Error::io(doing, e))?;
    for (rows, owners) in rows.chunks(CHUNK).zip(owners.chunks(CHUNK)) {
        let seeds: Vec<[u8; 32]> = rows.iter().map(|_| rng.random()).collect();
        let sealed: Vec<Result<SealedRow<'_>>> = env.shared.pool.install(|| {
            let one = |((row, owner), seed): ((&Row, &Option<Owner>), &[u8; 32])| match (&row.origin, owner) {
                (Origin::Memtable(record), Some(owner)) => Ok(seal(env, state, record, owner, *seed)),
                (Origin::Segment(source, at), _) => {
                    // Looked up in `input`, whose segments outlive the chunk.
                    let view = source_of(input, *source)?;
                    view.segment.sound_row(*at, &env.keys)?.ok_or_else(destroyed)
                }
                (Origin::Memtable(_), None) => Err(Error::corrupt("a row has no data key")),
            };
            rows.par_iter().zip(owners).zip(&seeds).map(one).collect()
        });
        for row in sealed {
            writer.push(&row?).map_err(|e| Error::io(doing, e))?;
        }
    }
    let table_key = env.keys.read().table_key();
    writer.finish(&table_key, env.scope, &mut rng).map_err(|e| Error::io(doing, e))?;
    Ok(())
}

fn seal<'a>(
    env: &EnvironmentState,
    state: &CollectionState,
    record: &StoredRecord,
    owner: &Owner,
    seed: [u8; 32],
) -> SealedRow<'a> {
    let mut rng = StdRng::from_seed(seed);
    let row = RowId(rng.random());
    let context = |field| RowContext { scope: env.scope, collection: state.id.0, row: row.0, field };
    let vector = seal_row(&owner.dek, &context(RowField::Vector), &encode_vector(&record.vector), &mut rng);
    let body = seal_row(&owner.dek, &context(RowField::Body), &encode_body(record), &mut rng);
    SealedRow { row, key: owner.key, vector: Cow::Owned(vector), body: Cow::Owned(body) }
}

fn write_index_file(env: &EnvironmentState, id: SegmentId, index: &Index) -> Result<()> {
    let key = env.keys.read().index_key(id.0).ok_or_else(|| Error::corrupt("a new index key is missing"))?;
    let codes = Zeroizing::new(index.ann.encode_codes());
    let graph = Zeroizing::new(index.ann.encode_graph());
    let (ids, entities) = (index.ids.encode(), index.entities.encode());
    let sections: [(u8, &[u8]); 4] =
        [(section::CODES, &codes), (section::GRAPH, &graph), (section::IDS, &ids), (section::ENTITIES, &entities)];
    let mut rng = generator(&*env.shared.entropy)?;
    write_index(&env.segments_dir(), id, &sections, &key, env.scope, &mut rng)
        .map(|_| ())
        .map_err(|e| Error::io("the index of a segment cannot be written", e))
}

/// Commits the outcome: what died or was replaced while the segment was being built is dead in it too.
fn install(
    env: &EnvironmentState,
    state: &CollectionState,
    input: &Input<'_>,
    rows: &[Row],
    segment: Option<Segment>,
) -> Result<()> {
    let _order = env.apply.lock();
    let mut view = (*state.view()).clone();
    let dead = died_meanwhile(&view.segments, &view.memtable, input, rows);
    view.segments.retain(|old| !input.segments.iter().any(|gone| gone.segment.id == old.segment.id));
    if let Some(flushed) = input.memtable {
        view.memtable.remove_flushed(flushed, &state.space)?;
    }
    let mut entry = None;
    if let Some(segment) = segment {
        entry = Some(SegmentEntry {
            id: segment.id,
            rows: u64::from(segment.len),
            tombstones: None,
            dead: 0,
            rec_bytes: size(env, &rows_name(segment.id))?,
            idx_bytes: size(env, &index_name(segment.id))?,
            unread: Vec::new(),
        });
        view.segments.push(SegmentView { segment: Arc::new(segment), dead: Arc::new(dead) });
    }
    let flushed = input.flushed.unwrap_or_default();
    let old = state.view();
    state.publish(view);
    let committed = env.commit(|manifest| {
        if let Some(collection) = manifest.collections.iter_mut().find(|collection| collection.id == state.id) {
            collection.segments.retain(|old| !input.segments.iter().any(|gone| gone.segment.id == old.id));
            collection.segments.extend(entry.iter().cloned());
            collection.flushed = collection.flushed.max(flushed);
        }
        manifest.last_sequence = manifest.last_sequence.max(flushed);
        if let Some(entry) = &entry {
            manifest.next_segment = manifest.next_segment.max(entry.id.0 + 1);
        }
    });
    if committed.is_err() {
        state.publish((*old).clone());
    }
    committed
}

fn died_meanwhile(now: &[SegmentView], memtable: &Memtable, input: &Input<'_>, rows: &[Row]) -> RoaringBitmap {
    let current: Vec<Option<&SegmentView>> =
        input.segments.iter().map(|old| now.iter().find(|view| view.segment.id == old.segment.id)).collect();
    let died = |row: &Row| match &row.origin {
        Origin::Memtable(record) => {
            memtable.get(&row.id).and_then(|slot| slot.live()).is_none_or(|live| live.sequence != record.sequence)
        }
        Origin::Segment(source, position) => {
            current.get(*source).copied().flatten().is_none_or(|view| view.dead.contains(*position))
        }
    };
    (0u32..).zip(rows).filter(|(_, row)| died(row)).map(|(position, _)| position).collect()
}

fn size(env: &EnvironmentState, name: &str) -> Result<u64> {
    env.segments_dir().len(name).map_err(|e| Error::io("a new segment file cannot be measured", e))
}

/// Unlinks the files of a segment that no manifest names any more.
pub(crate) fn remove_files(env: &EnvironmentState, old: &SegmentView) -> Result<()> {
    let dir = env.segments_dir();
    for name in [rows_name(old.segment.id), index_name(old.segment.id)] {
        remove(&dir, &name)?;
    }
    let prefix = tombstones_name(old.segment.id, 0);
    let stem = prefix.split('-').next().unwrap_or_default().to_owned();
    for name in dir.list().map_err(|e| Error::io("the segments cannot be listed", e))? {
        if name.starts_with(&stem) && name.ends_with(".del") {
            remove(&dir, &name)?;
        }
    }
    dir.sync_dir().map_err(|e| Error::io("the segment directory cannot be synced", e))
}
