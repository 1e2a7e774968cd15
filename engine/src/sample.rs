//! SAMPLE: rows that match → as many of them as asked for, every set of so many equally likely → bodies.

use std::sync::Arc;

use privacy::access::{Asked, Permission};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::index;
use storage::id::RecordId;

use crate::entropy::generator;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::permit::Permit;
use crate::query::{Page, ScrollQuery};
use crate::read::{Place, on_stable_view, page_of};
use crate::select::{Selection, live_records, live_rows};
use crate::snapshot::View;
use crate::state::{CollectionState, EnvironmentState};

/// `query.limit` records, or all if there are fewer, in random order.
pub(crate) fn sample(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    query: &ScrollQuery,
    seed: Option<u64>,
) -> Result<Page> {
    env.admit_read(permit, Permission::SearchScan, state)?;
    env.admit_vectors(permit, query.with.vector, state)?;
    let filter = env.narrowed(permit, state, Asked::Query, query.filter.as_ref())?;
    let max = env.shared.settings.limit_max;
    if query.limit == 0 || query.limit > max {
        return Err(Error::out_of_range(format!("limit must be between 1 and {max}")));
    }
    on_stable_view(env, state, |view, hidden| {
        let mut rng = match seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => generator(&*env.shared.entropy)?,
        };
        page_of(env, view, hidden, query, places(env, view, query, filter.as_deref(), &mut rng)?)
    })
}

fn places(
    env: &EnvironmentState,
    view: &View,
    query: &ScrollQuery,
    filter: Option<&Filter>,
    rng: &mut StdRng,
) -> Result<Vec<(RecordId, Place)>> {
    let mut selection = filter.map(|filter| Selection::new(env, filter)).transpose()?;
    let records = live_records(view, selection.as_ref())?;
    let mut rows = Vec::with_capacity(view.segments.len());
    for found in &view.segments {
        rows.push((found, live_rows(env, found, selection.as_mut())?));
    }
    let total = rows.iter().fold(records.len(), |total, (_, rows)| total.saturating_add(rows.len() as usize));
    let mut places = Vec::with_capacity(query.limit.min(total));
    for mut at in index::sample(rng, total, query.limit.min(total)) {
        if let Some(record) = records.get(at) {
            places.push((record.id, Place::Memtable(Arc::clone(record))));
            continue;
        }
        at -= records.len();
        for (found, rows) in &rows {
            if let Some(position) = rows.select(u32::try_from(at).unwrap_or(u32::MAX)) {
                let id = found.segment.index(&env.keys)?.ids.id(position);
                places.extend(id.map(|id| (id, Place::Segment(Arc::clone(&found.segment), position))));
                break;
            }
            at -= rows.len() as usize;
        }
    }
    Ok(places)
}
