//! SORTED: rows that match → the value of each at a key → the page that starts where a caller says.
//!
//! Invariant: a record is on one page only, at the first of its values in the order; equal values are in the order of ids.
//! Of all records no more than the page are held: values are walked in their order, and no further than the page goes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use roaring::RoaringBitmap;
use storage::id::RecordId;

use crate::error::Result;
use crate::fields;
use crate::filter::{Filter, Scalar};
use crate::query::{OrderBy, ScrollQuery};
use crate::read::Place;
use crate::select::{Selection, live_records, live_rows};
use crate::snapshot::{SegmentView, View};
use crate::state::EnvironmentState;
use crate::values::Values;

/// A record at its place in the order.
pub(crate) struct Placed {
    pub value: Scalar,
    pub id: RecordId,
    pub place: Place,
    is_descending: bool,
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.is_descending, &self.value, &other.value).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Placed {}

fn compare(is_descending: bool, a: &Scalar, b: &Scalar) -> Ordering {
    if is_descending { b.cmp(a) } else { a.cmp(b) }
}

/// The first `limit + 1` records of the page.
pub(crate) fn places(
    env: &EnvironmentState,
    view: &View,
    (query, order): (&ScrollQuery, &OrderBy),
    filter: Option<&Filter>,
) -> Result<Vec<Placed>> {
    let mut values = Values::new(env, &order.key, "order_by")?;
    let mut selection = filter.map(|filter| Selection::new(env, filter)).transpose()?;
    let mut page = PageOf { query, order, placed: BinaryHeap::new() };
    for record in live_records(view, selection.as_ref())? {
        let mut values = values.of_payload(record.payload.as_ref())?;
        let first = if order.is_descending { values.pop_last() } else { values.pop_first() };
        if let Some(value) = first {
            page.offer(&value, record.id, || Place::Memtable(Arc::clone(record)));
        }
    }
    for found in &view.segments {
        let rows = live_rows(env, found, selection.as_mut())?;
        of_segment(env, &mut values, found, &rows, &mut page)?;
    }
    Ok(page.placed.into_sorted_vec())
}

fn of_segment(
    env: &EnvironmentState,
    values: &mut Values<'_>,
    found: &SegmentView,
    rows: &RoaringBitmap,
    page: &mut PageOf<'_>,
) -> Result<()> {
    let ids = &found.segment.index(&env.keys)?.ids;
    let offer = |page: &mut PageOf<'_>, value: &Scalar, position: u32| {
        if let Some(id) = ids.id(position) {
            page.offer(value, id, || Place::Segment(Arc::clone(&found.segment), position));
        }
    };
    let located = values.locate(found, rows)?;
    if let Some(field) = located.field {
        let mut walk = fields::Values::of(field, page.order.is_descending);
        // A record that has an earlier value is on an earlier page.
        let passed = page.order.start_from.as_ref().map(|start| walk.pass_to(start)).unwrap_or_default();
        let mut left = located.known - passed;
        for valued in walk {
            if left.is_empty() || page.ends_before(&valued.value) {
                break;
            }
            let here = valued.rows(&left);
            left -= &here;
            here.iter().for_each(|position| offer(page, &valued.value, position));
        }
    }
    values.open(found, &located.doubtful, |position, mut values| {
        let first = if page.order.is_descending { values.pop_last() } else { values.pop_first() };
        first.iter().for_each(|value| offer(page, value, position));
        Ok(())
    })
}

/// The first records after the cursor, as far as they were offered.
struct PageOf<'q> {
    query: &'q ScrollQuery,
    order: &'q OrderBy,
    /// At most `limit + 1`, the last on top.
    placed: BinaryHeap<Placed>,
}

impl PageOf<'_> {
    fn is_full(&self) -> bool {
        self.placed.len() > self.query.limit
    }

    /// Whether no record at `value` or behind it can still get a place.
    fn ends_before(&self, value: &Scalar) -> bool {
        let is_behind = |last: &Placed| compare(self.order.is_descending, &last.value, value).is_lt();
        self.is_full() && self.placed.peek().is_some_and(is_behind)
    }

    /// Takes the record in if it is among the first.
    fn offer(&mut self, value: &Scalar, id: RecordId, place: impl FnOnce() -> Place) {
        if !self.is_ahead(value, &id) {
            return;
        }
        if self.is_full() {
            let order = |last: &Placed| compare(self.order.is_descending, &last.value, value).then(last.id.cmp(&id));
            if self.placed.peek().is_none_or(|last| order(last).is_le()) {
                return;
            }
            self.placed.pop();
        }
        let is_descending = self.order.is_descending;
        self.placed.push(Placed { value: value.clone(), id, place: place(), is_descending });
    }

    /// Whether a record at `value` is on this page or a later one.
    fn is_ahead(&self, value: &Scalar, id: &RecordId) -> bool {
        let Some(start) = &self.order.start_from else { return self.query.is_ahead(id) };
        match compare(self.order.is_descending, value, start) {
            Ordering::Less => false,
            Ordering::Equal => self.query.is_ahead(id),
            Ordering::Greater => true,
        }
    }
}
