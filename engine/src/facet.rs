//! FACET: permit → snapshot → rows that match → how many of them have each value at a key.
//!
//! The values that indexes have are walked in their order, in all segments at once, so that each is counted when it is
//! met; only values of records that no index knows are held, and of the others as many as are asked for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use privacy::access::{Asked, Permission};
use roaring::RoaringBitmap;
use storage::segment::Field;

use crate::error::{Error, Result};
use crate::fields;
use crate::filter::{Filter, Scalar};
use crate::permit::Permit;
use crate::query::{FacetCount, Facets};
use crate::read::{as_of, on_stable_view};
use crate::select::{Selection, live_records, live_rows};
use crate::snapshot::paths;
use crate::state::{CollectionState, EnvironmentState};
use crate::values::Values;

/// The most bytes of different values that no index has.
const LOOSE_BYTES_MAX: usize = 64 << 20;
/// What a value takes beside its text, about.
const VALUE_BYTES: usize = 64;

/// Counts records by value: the commonest values first, equally common ones in their own order.
pub(crate) fn facet(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    key: &str,
    filter: Option<&Filter>,
    limit: usize,
) -> Result<Facets> {
    env.admit_read(permit, Permission::SearchScan, state)?;
    let filter = env.narrowed(permit, state, Asked::Query, filter)?;
    let max = env.shared.settings.limit_max;
    if limit == 0 || limit > max {
        return Err(Error::out_of_range(format!("limit must be between 1 and {max}")));
    }
    on_stable_view(env, state, |view, hidden| {
        let mut values = Values::new(env, key, "key")?;
        let mut selection = filter.as_deref().map(|filter| Selection::new(env, filter)).transpose()?;
        let (mut loose, mut indexed) = (Loose::new(LOOSE_BYTES_MAX), Vec::new());
        for record in live_records(view, selection.as_ref())? {
            loose.add(values.of_payload(record.payload.as_ref())?)?;
        }
        for found in &view.segments {
            let rows = live_rows(env, found, selection.as_mut())?;
            let located = values.locate(found, &rows)?;
            values.open(found, &located.doubtful, |_, values| loose.add(values))?;
            indexed.extend(located.field.map(|field| (field, located.known)));
        }
        let mut commonest = Commonest::new(limit);
        each_count(loose, &indexed, |value, count| commonest.add(value, count));
        let (distinct, counts) = (commonest.distinct, commonest.counts());
        Ok(Facets { counts, distinct, as_of: as_of(env, view), partial: !hidden.is_empty(), damaged: paths(hidden) })
    })
}

/// Values of records that no index knows, with how many have each.
struct Loose {
    counts: BTreeMap<Scalar, u64>,
    left: usize,
}

impl Loose {
    fn new(bytes: usize) -> Self {
        Self { counts: BTreeMap::new(), left: bytes }
    }

    /// Counts the values of one record.
    fn add(&mut self, values: BTreeSet<Scalar>) -> Result<()> {
        for value in values {
            if let Some(count) = self.counts.get_mut(&value) {
                *count += 1;
                continue;
            }
            let bytes = if let Scalar::Text(text) = &value { text.len() } else { 0 };
            let left = self.left.checked_sub(bytes.saturating_add(VALUE_BYTES));
            self.left = left.ok_or_else(|| {
                Error::invalid(
                    "records that no payload index knows have too many different values at the key to be counted; index \
                     the field, flush, or narrow the filter",
                )
            })?;
            self.counts.insert(value, 1);
        }
        Ok(())
    }
}

/// Values in order, each with how many records have it.
type Source<'a> = Box<dyn Iterator<Item = (Scalar, u64)> + 'a>;

/// Those that any of `rows` has.
fn counted<'a>(field: &'a Field, rows: &'a RoaringBitmap) -> Source<'a> {
    let counted = fields::Values::of(field, false).map(|valued| {
        let count = valued.count(rows);
        (valued.value, count)
    });
    Box::new(counted.filter(|(_, count)| *count > 0))
}

/// Calls `found` with every value in order, and how many records have it. Fields come with the rows that count.
fn each_count(loose: Loose, indexed: &[(&Field, RoaringBitmap)], mut found: impl FnMut(Scalar, u64)) {
    let mut sources: Vec<Source<'_>> = indexed.iter().map(|(field, rows)| counted(field, rows)).collect();
    sources.push(Box::new(loose.counts.into_iter()));
    // The next value of each source, the first on top.
    let mut heads = BinaryHeap::new();
    let next = |heads: &mut BinaryHeap<_>, sources: &mut [Source<'_>], at: usize| {
        let head = sources.get_mut(at).and_then(Iterator::next);
        heads.extend(head.map(|(value, count)| Reverse((value, at, count))));
    };
    (0..sources.len()).for_each(|at| next(&mut heads, &mut sources, at));
    while let Some(Reverse((value, at, mut sum))) = heads.pop() {
        next(&mut heads, &mut sources, at);
        while heads.peek().is_some_and(|Reverse((other, ..))| *other == value) {
            let Some(Reverse((_, at, count))) = heads.pop() else { break };
            sum += count;
            next(&mut heads, &mut sources, at);
        }
        found(value, sum);
    }
}

/// The commonest of some values.
struct Commonest {
    limit: usize,
    /// The least of them on top: the rarest, and of those the last.
    held: BinaryHeap<(Reverse<u64>, Scalar)>,
    /// How many values there were.
    distinct: u64,
}

impl Commonest {
    fn new(limit: usize) -> Self {
        Self { limit, held: BinaryHeap::new(), distinct: 0 }
    }

    /// Takes in a value; they come in order.
    fn add(&mut self, value: Scalar, count: u64) {
        self.distinct += 1;
        if self.held.len() == self.limit {
            // Of equally common ones those that came before stay.
            if self.held.peek().is_none_or(|(Reverse(least), _)| *least >= count) {
                return;
            }
            self.held.pop();
        }
        self.held.push((Reverse(count), value));
    }

    fn counts(self) -> Vec<FacetCount> {
        let fact = |(Reverse(count), value): (_, Scalar)| FacetCount { value: value.to_json(), count };
        self.held.into_sorted_vec().into_iter().map(fact).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_no_index_has_are_bounded() {
        let mut loose = Loose::new(10 * VALUE_BYTES + 3);
        let one = |n: i64| BTreeSet::from([Scalar::Number(crate::filter::Number::Integer(n.into()))]);
        for _ in 0..5 {
            (0..9).for_each(|n| loose.add(one(n)).unwrap());
        }
        assert!(loose.add(BTreeSet::from([Scalar::Text("four".into())])).is_err());
        assert!(loose.add(one(9)).is_ok() && loose.add(one(10)).is_err() && loose.add(one(9)).is_ok());
    }
}
