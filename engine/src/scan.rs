//! The exact scan: distances to every record that a search may find.
//!
//! It is what a search without an index would be, and what decides who is near; the approximate search takes from here
//! how one record is considered.

use std::sync::Arc;

use rayon::prelude::*;
use storage::id::RecordId;
use storage::record::Record as StoredRecord;
use zeroize::Zeroizing;

use crate::aim::Aimed;
use crate::error::{Error, Result};
use crate::nearest::{Nearest, Place, Ranked};
use crate::query::Counters;
use crate::select::Selection;
use crate::snapshot::{SegmentView, View};
use crate::state::{CollectionState, EnvironmentState};

/// Exact distances to all of the memtable.
pub(crate) fn scan_memtable<'a>(
    state: &CollectionState,
    aimed: &Aimed<'_>,
    view: &'a View,
    selection: Option<&Selection<'_>>,
) -> Result<Nearest<'a>> {
    let mut nearest = Nearest::new(aimed.query.width());
    match selection.map(|selection| selection.in_memtable(&view.memtable)).transpose()? {
        Some(only) => view.memtable.records(only).for_each(|record| consider(state, aimed, record, &mut nearest)),
        None => {
            let all = view.memtable.iter().filter_map(|(_, slot)| slot.live());
            all.for_each(|record| consider(state, aimed, record, &mut nearest));
        }
    }
    Ok(nearest)
}

/// Rows that one task of an exact scan opens.
const SCAN_ROWS: u32 = 2048;

/// Opens every matching vector of every segment, in parallel.
pub(crate) fn scan_segments<'a>(
    env: &EnvironmentState,
    state: &CollectionState,
    aimed: &Aimed<'_>,
    view: &'a View,
    mut selection: Option<&mut Selection<'_>>,
    counters: &mut Counters,
) -> Result<Nearest<'a>> {
    let mut nearest = Nearest::new(aimed.query.width());
    for found in &view.segments {
        // Names the rows; and work in the pool must not be the first to ask for it.
        found.segment.index(&env.keys)?;
        let only = selection.as_mut().map(|selection| selection.rows(found)).transpose()?;
        let allowed = |position: &u32| match &only {
            Some(only) => only.contains(*position),
            None => !found.dead.contains(*position),
        };
        let rows = found.segment.len;
        let scan = |task: u32| -> Result<(Nearest<'a>, u64)> {
            let (mut opened, mut vector) = (Zeroizing::default(), Zeroizing::default());
            let mut best = Nearest::new(aimed.query.width());
            let start = task * SCAN_ROWS;
            let mut reranked = 0;
            for position in (start..rows.min(start.saturating_add(SCAN_ROWS))).filter(allowed) {
                reranked += 1;
                if found.segment.vector(position, &env.keys, &mut opened, &mut vector)? {
                    let distance = state.metric.distance(aimed.vector, &vector);
                    let (id, place) = (id_of(found, position)?, Place::Segment(&found.segment, position));
                    best.push(Ranked { distance, error: 0.0, id, place });
                }
            }
            Ok((best, reranked))
        };
        let tasks = rows.div_ceil(SCAN_ROWS);
        let parts: Vec<Result<(Nearest<'a>, u64)>> =
            env.shared.pool.install(|| (0..tasks).into_par_iter().map(scan).collect());
        for part in parts {
            let (best, reranked) = part?;
            nearest = nearest.merge(best);
            counters.reranked += reranked;
        }
    }
    Ok(nearest)
}

/// Adds a record of the memtable to the nearest, if it is near enough.
pub(crate) fn consider<'a>(
    state: &CollectionState,
    aimed: &Aimed<'_>,
    record: &'a Arc<StoredRecord>,
    nearest: &mut Nearest<'a>,
) {
    let distance = state.metric.distance(aimed.vector, &record.vector);
    if !nearest.is_closed_at(distance) {
        nearest.push(Ranked { distance, error: 0.0, id: record.id, place: Place::Memtable(record) });
    }
}

/// The id of a row that a search of the index named; takes no lock.
pub(crate) fn id_of(view: &SegmentView, position: u32) -> Result<RecordId> {
    let segment = &view.segment;
    let id = segment.resident().and_then(|index| index.ids.id(position));
    id.ok_or_else(|| Error::corrupt(format!("the index of segment {} names a row it does not have", segment.id)))
}
