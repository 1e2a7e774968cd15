//! READ: permit → snapshot → rows → bodies. Get and count, and what all reads share.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use privacy::access::{Asked, Permission};
use roaring::RoaringBitmap;
use storage::id::RecordId;
use storage::memtable::Slot;
use storage::record::Record as StoredRecord;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::filter::{Filter, Subject};
use crate::permit::Permit;
use crate::query::{AsOf, Counted, Page, ScrollQuery, With};
use crate::record::{Expected, Record};
use crate::segment::Segment;
use crate::select::{Selection, shows};
use crate::snapshot::{SegmentView, View, paths};
use crate::state::{CollectionState, EnvironmentState};

/// The stamp of an answer made from `view`.
pub(crate) fn as_of(env: &EnvironmentState, view: &View) -> AsOf {
    AsOf { sequence: view.sequence, time_ms: env.shared.clock.now_ms() }
}

/// Reads that an erasure interrupts start over at most this often.
const RESTARTS: usize = 8;

/// Runs `read` on the newest view, with the segments that are in quarantine taken out and given beside it.
///
/// Runs it again without a segment in which it met damage, so that an answer shows a segment wholly or says
/// that it does not; and again if keys were destroyed meanwhile: rows that stop opening in the middle of a
/// read would show it a part of a write. An erasure masks before it destroys, so the view taken after it
/// holds none of them; the same goes for a collection that is dropped, whose files go too and may be missed.
/// And again if it was an entity that went out of sight meanwhile, since from then on no answer may know it.
/// A caller whom erasures outrun that often keeps the next one waiting.
pub(crate) fn on_stable_view<T>(
    env: &EnvironmentState,
    state: &CollectionState,
    mut read: impl FnMut(&View, &[SegmentView]) -> Result<T>,
) -> Result<T> {
    let mut restarts = 0;
    loop {
        let _no_epoch = (restarts == RESTARTS).then(|| env.maintenance.lock());
        let before = gone_so_far(env);
        let (view, hidden) = state.view().served();
        let answer = read(&view, &hidden);
        if view.quarantined().next().is_some() {
            continue;
        }
        if gone_so_far(env) == before {
            return answer;
        }
        restarts += 1;
    }
}

/// How often keys were destroyed, and how often an entity was masked.
pub(crate) fn gone_so_far(env: &EnvironmentState) -> (u64, u64) {
    (env.keys.read().epoch_number(), env.masked.load(Ordering::Acquire))
}

/// The record `id`, if it exists and the permit shows it; without its vector, if the permit shows none.
///
/// # Errors
/// `Corrupt` if it is in a damaged segment, or if nobody can say that it is not.
pub(crate) fn get(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    id: RecordId,
) -> Result<Option<Record>> {
    env.admit_read(permit, Permission::RecordRead, state)?;
    let shown = env.narrowed(permit, state, Asked::Query, None)?;
    let found = on_stable_view(env, state, |view, hidden| find(env, view, hidden, &id, shown.as_deref()))?;
    let shows_vectors = permit.permissions().contains(Permission::RecordReadVector);
    let Some(mut record) = found else { return Ok(None) };
    if !shows_vectors {
        // Wiped as it goes: who may read records may not be given what can be turned back into them.
        drop(Zeroizing::new(std::mem::take(&mut record.vector)));
    }
    Ok(Some(record))
}

/// The record `id` in a view, with vector and payload, if `shown` shows it or there is none. Of one that is not shown, no
/// vector is opened, and nothing at all where an index tells.
///
/// # Errors
/// As [`get`].
pub(crate) fn find(
    env: &EnvironmentState,
    view: &View,
    hidden: &[SegmentView],
    id: &RecordId,
    shown: Option<&Filter>,
) -> Result<Option<Record>> {
    match place_of(env, view, hidden, id)? {
        Some(place) if is_shown(env, &place, shown)? => record_at(env, &place, With::ALL),
        _ => Ok(None),
    }
}

fn is_shown(env: &EnvironmentState, place: &Place, shown: Option<&Filter>) -> Result<bool> {
    match (shown, place) {
        (None, _) => Ok(true),
        (Some(shown), Place::Memtable(record)) => shown.matches(&Subject::of(record)),
        (Some(shown), Place::Segment(segment, position)) => shows(env, segment, *position, shown),
    }
}

/// The vector of the record `id` in a view, if it is shown.
///
/// # Errors
/// As [`get`].
pub(crate) fn vector_of(
    env: &EnvironmentState,
    view: &View,
    hidden: &[SegmentView],
    id: &RecordId,
    shown: Option<&Filter>,
) -> Result<Option<Zeroizing<Vec<f32>>>> {
    let place = place_of(env, view, hidden, id)?;
    match place {
        Some(place) if !is_shown(env, &place, shown)? => Ok(None),
        Some(Place::Memtable(record)) => Ok(Some(Zeroizing::new(record.vector.clone()))),
        Some(Place::Segment(segment, position)) => {
            let (mut opened, mut vector) = (Zeroizing::default(), Zeroizing::default());
            Ok(segment.vector(position, &env.keys, &mut opened, &mut vector)?.then_some(vector))
        }
        None => Ok(None),
    }
}

fn place_of(env: &EnvironmentState, view: &View, hidden: &[SegmentView], id: &RecordId) -> Result<Option<Place>> {
    Ok(match view.memtable.get(id) {
        Some(Slot::Live(record)) => Some(Place::Memtable(Arc::clone(record))),
        Some(Slot::Deleted(_)) => None,
        None => match view.locate(id, &env.keys)? {
            Some((found, position)) => Some(Place::Segment(Arc::clone(&found.segment), position)),
            None => match hiding(env, hidden, id)? {
                Some(view) => return Err(view.segment.damaged()),
                None => None,
            },
        },
    })
}

/// The segment in quarantine that holds the live version of a record.
///
/// # Errors
/// `Corrupt` if nobody can say whether one does.
pub(crate) fn hiding<'a>(
    env: &EnvironmentState,
    hidden: &'a [SegmentView],
    id: &RecordId,
) -> Result<Option<&'a SegmentView>> {
    for view in hidden {
        let found = view.segment.find(id, &env.keys)?;
        if found.is_some_and(|(position, _)| !view.dead.contains(position)) {
            return Ok(Some(view));
        }
    }
    Ok(None)
}

/// How many records match.
pub(crate) fn count(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    filter: Option<&Filter>,
) -> Result<Counted> {
    env.admit_read(permit, Permission::SearchScan, state)?;
    let filter = env.narrowed(permit, state, Asked::Query, filter)?;
    on_stable_view(env, state, |view, hidden| {
        let count = match filter.as_deref() {
            None => view.live(),
            Some(filter) => {
                let mut selection = Selection::new(env, filter)?;
                let mut count = selection.in_memtable(&view.memtable)?.iter().map(RoaringBitmap::len).sum::<u64>();
                for segment in &view.segments {
                    count += selection.rows(segment)?.len();
                }
                count
            }
        };
        Ok(Counted { count, as_of: as_of(env, view), partial: !hidden.is_empty(), damaged: paths(hidden) })
    })
}

/// Where the version of a record that a read returns is.
pub(crate) enum Place {
    Memtable(Arc<StoredRecord>),
    Segment(Arc<Segment>, u32),
}

/// The records that were found, in this order: at most `limit`, and where the next page starts if there are more.
pub(crate) fn page_of(
    env: &EnvironmentState,
    view: &View,
    hidden: &[SegmentView],
    query: &ScrollQuery,
    mut places: Vec<(RecordId, Place)>,
) -> Result<Page> {
    let more = places.len() > query.limit;
    places.truncate(query.limit);
    let next = places.last().filter(|_| more).map(|(id, _)| *id);
    let mut records = Vec::with_capacity(places.len());
    for (_, place) in places {
        records.extend(record_at(env, &place, query.with)?);
    }
    let (partial, damaged) = (!hidden.is_empty(), paths(hidden));
    Ok(Page { records, next, next_value: None, as_of: as_of(env, view), partial, damaged })
}

/// The record at a place; `None` if its entity was erased after the snapshot was taken.
pub(crate) fn record_at(env: &EnvironmentState, place: &Place, with: With) -> Result<Option<Record>> {
    match place {
        Place::Memtable(record) => from_stored(record, with).map(Some),
        Place::Segment(segment, at) => from_segment(env, segment, *at, with),
    }
}

/// The payload text of a stored record as JSON.
pub(crate) fn payload(text: Option<&Vec<u8>>) -> Result<Option<serde_json::Value>> {
    text.map(|text| serde_json::from_slice(text))
        .transpose()
        .map_err(|_| Error::corrupt("a stored payload is not JSON"))
}

fn from_stored(record: &StoredRecord, with: With) -> Result<Record> {
    Ok(Record {
        id: record.id,
        vector: if with.vector { record.vector.clone() } else { Vec::new() },
        entity: record.entity.as_ref().map(|entity| entity.as_str().to_owned()),
        payload: if with.payload { payload(record.payload.as_ref())? } else { None },
        sequence: record.sequence,
        expected: Expected::Anything,
    })
}

/// The record at `position` of a segment; `None` if its entity was erased after the snapshot was taken.
pub(crate) fn from_segment(
    env: &EnvironmentState,
    segment: &Segment,
    position: u32,
    with: With,
) -> Result<Option<Record>> {
    let Some(body) = segment.body(position, &env.keys)? else { return Ok(None) };
    let mut vector = Vec::new();
    if with.vector && !segment.vector(position, &env.keys, &mut Zeroizing::new(Vec::new()), &mut vector)? {
        return Ok(None);
    }
    Ok(Some(Record {
        id: body.id,
        vector,
        entity: body.entity.as_ref().map(|entity| entity.as_str().to_owned()),
        payload: if with.payload { payload(body.payload.as_ref())? } else { None },
        sequence: body.sequence,
        expected: Expected::Anything,
    }))
}
