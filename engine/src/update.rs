//! UPDATE: permit → ids → records read → changed → whole records logged under their versions, and again where one was
//! written meanwhile.
//!
//! Invariant: a change is lost to no other write and undoes none; a record that goes while it is changed stays away.

use std::collections::BTreeSet;

use privacy::access::{Asked, Permission};
use storage::id::{RecordId, Sequence};

use crate::batch::{Batch, Errors};
use crate::change::Change;
use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filter;
use crate::permit::Permit;
use crate::read::{find, on_stable_view};
use crate::record::Record;
use crate::settings::Settings;
use crate::state::{CollectionState, EnvironmentState};
use crate::write::{ids_matching, store};

/// Records that are to be changed.
pub(crate) enum Which {
    /// Those of these ids that are there.
    Ids(Vec<RecordId>),
    /// Those that match when it begins.
    Matching(Box<Filter>),
}

/// How often records that others write meanwhile are read again. Each time somebody's write was stored.
const ATTEMPTS: usize = 64;

/// Bytes of a record beside vector and payload, at most.
const OTHER_BYTES: usize = 512;

/// Changes records; returns how many, and the sequence.
pub(crate) fn update(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    which: &Which,
    changes: &[Change],
) -> Result<(u64, Sequence)> {
    env.admit_write(permit, Permission::RecordWrite, state)?;
    if changes.is_empty() {
        return Err(Error::invalid("an update needs at least one change"));
    }
    changes.iter().try_for_each(Change::check)?;
    let ids: Vec<RecordId> = match which {
        Which::Ids(ids) => ids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
        Which::Matching(filter) => ids_matching(env, state, permit, filter)?,
    };
    let (mut count, mut sequence) = (0, *env.apply.lock());
    for ids in ids.chunks(batch_records(&env.shared.settings, state)) {
        let (updated, last) = update_batch(env, state, permit, ids.to_vec(), changes)?;
        count += updated;
        sequence = sequence.max(last);
    }
    Ok((count, sequence))
}

/// How many records surely fit in a batch, whatever the change makes of them.
fn batch_records(settings: &Settings, state: &CollectionState) -> usize {
    let vector = state.space.dimension().saturating_mul(size_of::<f32>());
    let largest = vector.saturating_add(settings.payload_bytes_max).saturating_add(OTHER_BYTES);
    (settings.batch_bytes_max / largest.max(1)).clamp(1, settings.batch_records_max.max(1))
}

fn update_batch(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    mut ids: Vec<RecordId>,
    changes: &[Change],
) -> Result<(u64, Sequence)> {
    let mut count = 0;
    for _ in 0..ATTEMPTS {
        let mut records = changed(env, state, permit, &ids, changes)?;
        ids = records.iter().map(Record::id).collect();
        let (mut batch, errors) = Batch::gather(&env.shared.settings, state, permit.subjects(), records.drain(..))?;
        if let Some((_, error)) = errors.into_iter().next() {
            return Err(error.within("a record as it would be after the change cannot be stored"));
        }
        let (stored, unmet, sequence): (usize, Errors, Sequence) = store(env, state, permit, &mut batch)?;
        count += stored as u64;
        if unmet.is_empty() {
            return Ok((count, sequence));
        }
        if let Some((_, revoked)) = unmet.iter().find(|(_, error)| error.kind() == ErrorKind::ConsentRevoked) {
            let doing = format!(
                "a record that is to be changed stays as it is; {count} others of its batch were changed: {revoked}"
            );
            return Err(Error::new(ErrorKind::ConsentRevoked, doing));
        }
        ids = unmet.iter().filter_map(|(at, _)| ids.get(*at).copied()).collect();
    }
    Err(Error::new(ErrorKind::Busy, "others keep writing the records that are to be changed; retry"))
}

/// Those of the records that are there for the permit's holder, after the change and each for the place of the version that was read.
fn changed(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    ids: &[RecordId],
    changes: &[Change],
) -> Result<Vec<Record>> {
    let shown = env.narrowed(permit, state, Asked::Query, None)?;
    on_stable_view(env, state, |view, hidden| {
        let mut records = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(mut record) = find(env, view, hidden, id, shown.as_deref())? {
                changes.iter().for_each(|change| change.make(&mut record));
                let version = record.sequence();
                records.push(record.if_version(version));
            }
        }
        Ok(records)
    })
}
