//! SCROLL: permit → snapshot → the rows of a page → bodies. In the order of ids, or of the values at a key.

use std::sync::Arc;

use privacy::access::{Asked, Permission};
use storage::id::RecordId;

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::permit::Permit;
use crate::query::{Page, ScrollQuery};
use crate::read::{Place, on_stable_view, page_of};
use crate::select::Selection;
use crate::snapshot::View;
use crate::sorted;
use crate::state::{CollectionState, EnvironmentState};

/// One page of records.
pub(crate) fn scroll(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    query: &ScrollQuery,
) -> Result<Page> {
    env.admit_read(permit, Permission::SearchScan, state)?;
    env.admit_vectors(permit, query.with.vector, state)?;
    let filter = env.narrowed(permit, state, Asked::Query, query.filter.as_ref())?;
    let filter = filter.as_deref();
    let max = env.shared.settings.limit_max;
    if query.limit == 0 || query.limit > max {
        return Err(Error::out_of_range(format!("limit must be between 1 and {max}")));
    }
    on_stable_view(env, state, |view, hidden| {
        let Some(order) = &query.order else {
            return page_of(env, view, hidden, query, first_places(env, view, query, filter)?);
        };
        let places = sorted::places(env, view, (query, order), filter)?;
        let last = places.get(query.limit - 1).filter(|_| places.len() > query.limit);
        let next_value = last.map(|last| last.value.to_json());
        let places = places.into_iter().map(|placed| (placed.id, placed.place)).collect();
        Ok(Page { next_value, ..page_of(env, view, hidden, query, places)? })
    })
}

/// The first `limit + 1` matching records after the cursor: each source gives as many, in id order.
fn first_places(
    env: &EnvironmentState,
    view: &View,
    query: &ScrollQuery,
    filter: Option<&Filter>,
) -> Result<Vec<(RecordId, Place)>> {
    let wanted = query.limit + 1;
    let mut selection = filter.map(|filter| Selection::new(env, filter)).transpose()?;
    let mut places: Vec<(RecordId, Place)> = Vec::new();
    let start = query.after.unwrap_or(RecordId::Num(0));
    for (id, slot) in view.memtable.range(start).filter(|(id, _)| query.is_ahead(id)) {
        let Some(record) = slot.live() else { continue };
        if selection.as_ref().map_or(Ok(true), |selection| selection.takes(record))? {
            places.push((id, Place::Memtable(Arc::clone(record))));
        }
        if places.len() == wanted {
            break;
        }
    }
    for found in &view.segments {
        let mut left = wanted;
        let bounds = selection.as_mut().map(|selection| selection.bounds(found)).transpose()?;
        let ids = &found.segment.index(&env.keys)?.ids;
        for (id, at) in ids.iter_sorted(query.after.as_ref()).filter(|(id, _)| query.is_ahead(id)) {
            let matches = match (&bounds, &mut selection) {
                (Some(bounds), Some(selection)) => {
                    // Rows are opened as they come, since the page may be full before most of them do.
                    bounds.certain.contains(at)
                        || (bounds.possible.contains(at) && selection.opens(&found.segment, at)?)
                }
                _ => !found.dead.contains(at),
            };
            if matches {
                places.push((id, Place::Segment(Arc::clone(&found.segment), at)));
                left -= 1;
            }
            if left == 0 {
                break;
            }
        }
    }
    places.sort_unstable_by_key(|(id, _)| *id);
    places.truncate(wanted);
    Ok(places)
}
