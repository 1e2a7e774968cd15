//! GROUP: search → the values at a key of every hit → as many groups as were asked for, or wider again.
//!
//! Invariant: each group holds the best hits of its value, as far as the search finds them, and the groups are those whose
//! best hits are best. A search goes no wider than a caller may ask for; an answer that ends there says so.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::filter::{Path, Scalar, WRONG_PATH, scalars};
use crate::permit::Permit;
use crate::query::{Group, Groups, Hit, Hits, SearchQuery};
use crate::search;
use crate::state::{CollectionState, EnvironmentState};

/// A search goes this many times wider when it did not fill the groups.
const WIDEN: usize = 4;

/// Runs a search of which `query.limit` counts groups.
pub(crate) fn search(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    mut query: SearchQuery<'_>,
    key: &str,
    size: usize,
) -> Result<Groups> {
    let max = env.shared.settings.limit_max;
    let path = Path::parse(key).ok_or_else(|| Error::invalid(format!("group_by is not usable: {WRONG_PATH}")))?;
    if query.offset > 0 {
        return Err(Error::invalid("offset counts hits, and does not go with group_by"));
    }
    let wanted = query.limit;
    let hits = wanted.checked_mul(size).filter(|hits| (1..=max).contains(hits));
    let hits =
        hits.ok_or_else(|| Error::out_of_range(format!("limit times group_size must be between 1 and {max}")))?;
    let with_payload = std::mem::replace(&mut query.with.payload, true);
    query.limit = hits.saturating_mul(2).min(max);
    loop {
        let found = search::search(env, state, permit, &query)?;
        let is_all = found.len() < query.limit;
        let (groups, is_full) = gather(&found, &path, wanted, size);
        if is_full || is_all || query.limit == max {
            let bare = |hit: Hit| Hit { payload: hit.payload.filter(|_| with_payload), ..hit };
            let group = |(key, hits): (Scalar, Vec<usize>)| Group {
                key: key.to_json(),
                hits: hits.into_iter().filter_map(|at| found.get(at).cloned()).map(bare).collect(),
            };
            let groups = groups.into_iter().map(group).collect();
            let Hits { as_of, partial, damaged, .. } = found;
            return Ok(Groups { groups, is_complete: is_full || is_all, as_of, partial, damaged });
        }
        query.limit = query.limit.saturating_mul(WIDEN).min(max);
    }
}

/// The first groups in the order of their best hits, and whether they are as many and as large as they may be.
fn gather(hits: &[Hit], path: &Path, wanted: usize, size: usize) -> (Vec<(Scalar, Vec<usize>)>, bool) {
    let mut groups: Vec<(Scalar, Vec<usize>)> = Vec::new();
    let mut places: BTreeMap<Scalar, usize> = BTreeMap::new();
    for (at, hit) in hits.iter().enumerate() {
        for value in hit.payload.iter().flat_map(|payload| scalars(path, payload)) {
            let Some(place) = places.get(&value).copied().or((groups.len() < wanted).then_some(groups.len())) else {
                continue;
            };
            if place == groups.len() {
                places.insert(value.clone(), place);
                groups.push((value, Vec::new()));
            }
            if let Some((_, members)) = groups.get_mut(place).filter(|(_, members)| members.len() < size) {
                members.push(at);
            }
        }
    }
    let is_full = groups.len() == wanted && groups.iter().all(|(_, members)| members.len() == size);
    (groups, is_full)
}
