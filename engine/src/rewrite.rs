//! REWRITE: rows, keep → codes → graph → extend keys → `.rec` → `.idx` → manifest → old files gone.
//!
//! Flush, compaction, the purge of an erasure and the rebuild of a graph are this one walk with other inputs: what is
//! built changes nothing that anyone sees, so that it can be built aside ([`crate::aside`]); the commit puts it in the
//! place of its sources. Ciphertext of rows that are in a segment already is copied as it is; only memtable rows are sealed
//! here, and only here are data keys minted.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use privacy::{Dek, KeyId, RowContext, RowField, Tag, Until, Wanted, seal_row};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use roaring::RoaringBitmap;
use storage::id::{RowId, SegmentId};
use storage::manifest::SegmentEntry;
use storage::record::{Record as StoredRecord, encode_body, encode_vector};
use storage::segment::layout::{index_name, rows_name};
use storage::segment::{RowsWriter, SealedRow};

use crate::doubt;
use crate::draft::{Draft, Input, Origin, Row, destroyed, draft, source_of};
use crate::entropy::generator;
use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;
use crate::memtable::Memtable;
use crate::segment::{Index, Segment};
use crate::segment_files::{fresh_id, remove_files, size, write_index_file};
use crate::snapshot::SegmentView;
use crate::state::{CollectionState, EnvironmentState};

/// What became of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// None was left.
    Emptied,
    /// They are in a segment whose index is a function of them alone.
    Built,
    /// They are in a segment whose graph waits to be built.
    Repaired,
}

/// Runs the walk for one collection and publishes its outcome. The caller holds `maintenance`.
pub(crate) fn rewrite(env: &EnvironmentState, state: &CollectionState, input: &Input<'_>) -> Result<Outcome> {
    open(env, input.segments)?;
    let built = build(env, state, input)?;
    commit(env, state, input, built)
}

/// Opens the sources of a rewrite. The caller holds `maintenance`.
pub(crate) fn open(env: &EnvironmentState, segments: &[SegmentView]) -> Result<()> {
    for view in segments {
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
    Ok(())
}

/// A draft whose rows, if there are any, are on disk.
pub(crate) struct Built {
    pub id: SegmentId,
    draft: Draft,
}

impl Built {
    /// What becomes of the rows once it is committed.
    pub fn outcome(&self) -> Outcome {
        match (self.draft.rows.is_empty(), self.draft.is_repaired) {
            (true, _) => Outcome::Emptied,
            (false, true) => Outcome::Repaired,
            (false, false) => Outcome::Built,
        }
    }
}

/// Drafts a segment and writes its rows. Nothing names them yet: whoever does not commit them must [`discard`] them.
pub(crate) fn build(env: &EnvironmentState, state: &CollectionState, input: &Input<'_>) -> Result<Built> {
    let draft = draft(env, state, input)?;
    let id = fresh_id(env);
    if !draft.rows.is_empty() {
        let owners = mint(env, state, input, &draft.rows)?;
        write_rows(env, state, input, &draft.rows, &owners, id).inspect_err(|_| discard(env, id))?;
    }
    Ok(Built { id, draft })
}

/// Removes what is on disk of a segment that no manifest names.
pub(crate) fn discard(env: &EnvironmentState, id: SegmentId) {
    // It must not take the room that a full disk lacks. Where its outcome is unknown, the latch keeps it.
    let _ = [rows_name(id), index_name(id)].map(|name| remove(&env.segments_dir(), &name));
}

/// Puts what was built in the place of its sources. The caller holds `maintenance`.
pub(crate) fn commit(
    env: &EnvironmentState,
    state: &CollectionState,
    input: &Input<'_>,
    built: Built,
) -> Result<Outcome> {
    let outcome = built.outcome();
    let Built { id, draft: Draft { rows, index, is_repaired } } = built;
    let segment = if rows.is_empty() { Ok(None) } else { finish(env, state, index, id).map(Some) };
    let repaired_at = is_repaired.then(|| env.shared.clock.now_ms());
    segment
        .and_then(|segment| install(env, state, input, &rows, segment, repaired_at))
        .inspect_err(|_| discard(env, id))?;
    for old in input.segments {
        remove_files(env, old)?;
    }
    Ok(outcome)
}

/// The segment that was built, with its index written and what a manifest says of it; `None` if no row was left. The
/// caller names it in a manifest, or else [`discard`]s it.
pub(crate) fn place(env: &EnvironmentState, state: &CollectionState, built: Built) -> Result<Option<SegmentEntry>> {
    let Built { id, draft: Draft { rows, index, .. } } = built;
    if rows.is_empty() {
        return Ok(None);
    }
    finish(env, state, index, id).and_then(|segment| entry_of(env, &segment, None)).map(Some)
}

/// [`rewrite`]; `None` if a segment is damaged: then it is in quarantine, and nothing was changed.
pub(crate) fn rewrite_sound(
    env: &EnvironmentState,
    state: &CollectionState,
    input: &Input<'_>,
) -> Result<Option<Outcome>> {
    sound(input.segments, || rewrite(env, state, input))
}

/// Does `work` on `segments`; `None` if one of them is damaged or turns out to be.
pub(crate) fn sound<T>(segments: &[SegmentView], work: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    let is_damaged = || segments.iter().any(|view| view.segment.is_quarantined());
    if is_damaged() {
        return Ok(None);
    }
    match work() {
        Err(_) if is_damaged() => Ok(None),
        done => done.map(Some),
    }
}

/// The segment of rows that are written, once its index is too.
fn finish(env: &EnvironmentState, state: &CollectionState, index: Index, id: SegmentId) -> Result<Segment> {
    write_index_file(env, id, &index)?;
    let len = index.ids.len() as u32;
    let segment = Segment::new((&env.segments_dir(), &env.shared.pool), (id, len), state.id, &state.space, env.scope);
    segment.condition().mark_checked(env.shared.clock.now_ms());
    Ok(segment.with_index(index))
}

/// The data key of every memtable row, in row order; keys that do not exist yet are made durable first.
fn mint(
    env: &EnvironmentState,
    state: &CollectionState,
    input: &Input<'_>,
    rows: &[Row],
) -> Result<Vec<Option<Owner>>> {
    let retention = state.rules().retention;
    let now = doubt::written_ms(env);
    let until = |row: &Row| {
        let written_ms = input.memtable.and_then(|memtable| memtable.ages().written_ms(row.sequence));
        retention.and_then(|retention| retention.until(written_ms.unwrap_or(now)))
    };
    let owners: Vec<Option<(Tag, Option<Until>)>> = {
        let keyring = env.keys.read();
        let tag = |row: &Row| row.entity.as_ref().map_or(Tag::COLLECTION, |entity| keyring.tag(entity));
        let owner = |row: &Row| match row.origin {
            Origin::Memtable(_) => Some((tag(row), until(row))),
            Origin::Segment(..) => None,
        };
        rows.iter().map(owner).collect()
    };
    let (distinct, collection): (BTreeSet<_>, _) = (owners.iter().flatten().copied().collect(), state.id.0);
    let wanted: Vec<Wanted> =
        distinct.into_iter().map(|(owner, until)| Wanted::Dek { owner, collection, until }).collect();
    env.keys.extend(&wanted)?;
    let keyring = env.keys.read();
    owners
        .iter()
        .map(|owner| match owner {
            None => Ok(None),
            Some((tag, until)) => match keyring.dek(tag, collection, *until) {
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
    // A segment that never reached the manifest may have left files under this number.
    discard(env, id);
    let mut writer = RowsWriter::create(&dir, id).map_err(|e| Error::io(doing, e))?;
    for (rows, owners) in rows.chunks(CHUNK).zip(owners.chunks(CHUNK)) {
        input.go_on()?;
        if input.is_aside {
            // An erasure that goes on beside this must not have to race it for the room.
            env.shared.reserve.check()?;
        }
        let seeds: Vec<[u8; 32]> = rows.iter().map(|_| rng.random()).collect();
        let sealed: Vec<Result<SealedRow<'_>>> = input.pool(env).install(|| {
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

/// Commits the outcome: what died or was replaced while the segment was being built is dead in it too.
fn install(
    env: &EnvironmentState,
    state: &CollectionState,
    input: &Input<'_>,
    rows: &[Row],
    segment: Option<Segment>,
    repaired_at: Option<u64>,
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
        entry = Some(entry_of(env, &segment, repaired_at)?);
        view.segments.push(SegmentView { segment: Arc::new(segment), dead: Arc::new(dead) });
    }
    let flushed = input.flushed.unwrap_or_default();
    let old = state.view();
    state.publish(view);
    let committed = env.commit(|manifest| {
        if let Some(collection) = manifest.collections.iter_mut().find(|collection| collection.id == state.id) {
            let is_gone = |old: &SegmentEntry| input.segments.iter().any(|gone| gone.segment.id == old.id);
            // A graph that is repaired again has waited since the first time.
            let earlier = collection.segments.iter().filter(|old| is_gone(old)).filter_map(|old| old.repaired_at).min();
            entry.iter_mut().for_each(|entry| entry.repaired_at = entry.repaired_at.map(|now| earlier.unwrap_or(now)));
            collection.segments.retain(|old| !is_gone(old));
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

/// What a manifest says of a new segment.
fn entry_of(env: &EnvironmentState, segment: &Segment, repaired_at: Option<u64>) -> Result<SegmentEntry> {
    Ok(SegmentEntry {
        id: segment.id,
        rows: u64::from(segment.len),
        tombstones: None,
        dead: 0,
        rec_bytes: size(env, &rows_name(segment.id))?,
        idx_bytes: size(env, &index_name(segment.id))?,
        unread: Vec::new(),
        repaired_at,
    })
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
