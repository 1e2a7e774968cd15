//! FACET: permit → snapshot → rows that match → how many of them have each value at a key.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::filter::{Filter, Scalar};
use crate::permit::{Action, Permit};
use crate::query::{FacetCount, Facets};
use crate::read::{as_of, on_stable_view};
use crate::select::{Selection, live_records, live_rows};
use crate::snapshot::paths;
use crate::state::{CollectionState, EnvironmentState};
use crate::values::Values;

/// Counts records by value: the commonest values first, equally common ones in their own order.
pub(crate) fn facet(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    key: &str,
    filter: Option<&Filter>,
    limit: usize,
) -> Result<Facets> {
    permit.check(Action::Read)?;
    let max = env.shared.settings.limit_max;
    if limit == 0 || limit > max {
        return Err(Error::invalid(format!("limit must be between 1 and {max}")));
    }
    on_stable_view(env, state, |view, hidden| {
        let mut values = Values::new(env, key, "key")?;
        let mut selection = filter.map(|filter| Selection::new(env, filter)).transpose()?;
        let mut counts: BTreeMap<Scalar, u64> = BTreeMap::new();
        for record in live_records(view, selection.as_ref())? {
            for value in values.of_record(record)? {
                *counts.entry(value).or_default() += 1;
            }
        }
        for found in &view.segments {
            let rows = live_rows(env, found, selection.as_mut())?;
            for (value, rows) in values.of_rows(found, &rows)? {
                *counts.entry(value).or_default() += rows.len();
            }
        }
        let mut counts: Vec<(Scalar, u64)> = counts.into_iter().collect();
        // Stable, so that the order of values is kept.
        counts.sort_by_key(|(_, count)| Reverse(*count));
        let distinct = counts.len() as u64;
        let fact = |(value, count): (Scalar, u64)| FacetCount { value: value.to_json(), count };
        let counts = counts.into_iter().take(limit).map(fact).collect();
        Ok(Facets { counts, distinct, as_of: as_of(env, view), partial: !hidden.is_empty(), damaged: paths(hidden) })
    })
}
