//! SORTED: rows that match → the value of each at a key → the page that starts where a caller says.
//!
//! Invariant: a record is on one page only, at the first of its values in the order; equal values are in the order of ids.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use roaring::RoaringBitmap;
use storage::id::RecordId;

use crate::error::Result;
use crate::filter::Scalar;
use crate::query::{OrderBy, ScrollQuery};
use crate::read::Place;
use crate::select::{Selection, live_records, live_rows};
use crate::snapshot::View;
use crate::state::EnvironmentState;
use crate::values::Values;

/// A record at its place in the order.
pub(crate) type Placed = (Scalar, RecordId, Place);

/// The first `limit + 1` records of the page.
pub(crate) fn places(env: &EnvironmentState, view: &View, query: &ScrollQuery, order: &OrderBy) -> Result<Vec<Placed>> {
    let mut values = Values::new(env, &order.key, "order_by")?;
    let mut selection = query.filter.as_ref().map(|filter| Selection::new(env, filter)).transpose()?;
    let mut places: Vec<Placed> = Vec::new();
    for record in live_records(view, selection.as_ref())? {
        let values = values.of_record(record)?;
        let first = if order.is_descending { values.last() } else { values.first() };
        if let Some(value) = first.filter(|value| is_ahead(query, order, value, &record.id)) {
            places.push((value.clone(), record.id, Place::Memtable(Arc::clone(record))));
        }
    }
    for found in &view.segments {
        let rows = live_rows(env, found, selection.as_mut())?;
        let ids = &found.segment.index(&env.keys)?.ids;
        let mut ahead = 0;
        let mut seen = RoaringBitmap::new();
        for (value, rows) in ordered(values.of_rows(found, &rows)?, order) {
            for position in rows - &seen {
                seen.insert(position);
                if let Some(id) = ids.id(position).filter(|id| is_ahead(query, order, &value, id)) {
                    places.push((value.clone(), id, Place::Segment(Arc::clone(&found.segment), position)));
                    ahead += 1;
                }
            }
            // All of one value are in, so that the lowest ids of it are.
            if ahead > query.limit {
                break;
            }
        }
    }
    places.sort_unstable_by(|(a, a_id, _), (b, b_id, _)| compare(order, a, b).then(a_id.cmp(b_id)));
    places.truncate(query.limit + 1);
    Ok(places)
}

fn ordered(
    values: BTreeMap<Scalar, RoaringBitmap>,
    order: &OrderBy,
) -> Box<dyn Iterator<Item = (Scalar, RoaringBitmap)>> {
    if order.is_descending { Box::new(values.into_iter().rev()) } else { Box::new(values.into_iter()) }
}

fn compare(order: &OrderBy, a: &Scalar, b: &Scalar) -> Ordering {
    if order.is_descending { b.cmp(a) } else { a.cmp(b) }
}

/// Whether a record at `value` is on this page or a later one.
fn is_ahead(query: &ScrollQuery, order: &OrderBy, value: &Scalar, id: &RecordId) -> bool {
    let Some(start) = &order.start_from else { return query.is_ahead(id) };
    match compare(order, value, start) {
        Ordering::Less => false,
        Ordering::Equal => query.is_ahead(id),
        Ordering::Greater => true,
    }
}
