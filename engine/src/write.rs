//! WRITE: permit → validate → consent → log (sealed, synced) → memtable → answer.
//!
//! Everything that can be refused is refused before the log, because what is logged is replayed. A write
//! becomes visible only once its frame is synced, so no reader sees what a crash could take back.

use std::collections::BTreeMap;

use index::Codes;
use privacy::EntityId;
use storage::id::{RecordId, Sequence};
use storage::record::Record as StoredRecord;
use storage::wal::Entry;

use crate::entropy::generator;
use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filter;
use crate::maintain;
use crate::permit::{Action, Permit};
use crate::read::{hiding, on_stable_view};
use crate::record::Record;
use crate::run::encode;
use crate::select::Selection;
use crate::settings::Settings;
use crate::snapshot::View;
use crate::state::{CollectionState, EnvironmentState, Write};

/// Stores `records` as one batch, all or nothing; the last of several with one id wins.
pub(crate) fn upsert(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    records: impl IntoIterator<Item = Record>,
) -> Result<Sequence> {
    permit.check(Action::Write)?;
    let records = validate(&env.shared.settings, state, records)?;
    if records.is_empty() {
        return Ok(*env.apply.lock());
    }
    let collection = state.id;
    log(env, state, encode(&state.space, &records), |sequence| {
        let with_sequence = |mut record: StoredRecord| {
            record.sequence = sequence;
            record
        };
        Entry::Put { collection, records: records.into_iter().map(with_sequence).collect() }
    })
}

/// Deletes the records with these ids; returns how many existed, and the sequence.
pub(crate) fn delete(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    mut ids: Vec<RecordId>,
) -> Result<(u64, Sequence)> {
    permit.check(Action::Write)?;
    if ids.len() > env.shared.settings.batch_records_max {
        return Err(too_many(env.shared.settings.batch_records_max));
    }
    ids.sort_unstable();
    ids.dedup();
    let present = on_stable_view(env, state, |view, hidden| {
        let mut present = Vec::with_capacity(ids.len());
        for id in &ids {
            if view.contains(id, &env.keys)? || hiding(env, hidden, id)?.is_some() {
                present.push(*id);
            }
        }
        Ok(present)
    })?;
    let count = present.len() as u64;
    if present.is_empty() {
        return Ok((0, *env.apply.lock()));
    }
    let collection = state.id;
    let no_codes = encode(&state.space, &[]);
    Ok((count, log(env, state, no_codes, |_| Entry::Delete { collection, ids: present })?))
}

/// Deletes the records that match, as they are when it begins; returns how many, and the sequence. Only their ids are
/// logged, in as many batches as they need.
///
/// # Errors
/// Those of reading; `Corrupt` where a segment is damaged, so that nobody can say what matches in it.
pub(crate) fn delete_matching(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    filter: &Filter,
) -> Result<(u64, Sequence)> {
    permit.check(Action::Write)?;
    let ids = on_stable_view(env, state, |view, hidden| match hidden {
        [] => matching_ids(env, view, filter),
        [damaged, ..] => Err(damaged.segment.damaged()),
    })?;
    let (mut count, mut sequence) = (0, *env.apply.lock());
    for batch in ids.chunks(env.shared.settings.batch_records_max.max(1)) {
        let (deleted, last) = delete(env, state, permit, batch.to_vec())?;
        count += deleted;
        sequence = last;
    }
    Ok((count, sequence))
}

fn matching_ids(env: &EnvironmentState, view: &View, filter: &Filter) -> Result<Vec<RecordId>> {
    let (mut selection, mut ids) = (Selection::new(env, filter)?, Vec::new());
    for (id, slot) in view.memtable.iter() {
        if slot.live().map_or(Ok(false), |record| selection.takes(record))? {
            ids.push(id);
        }
    }
    for found in &view.segments {
        let names = &found.segment.index(&env.keys)?.ids;
        ids.extend(selection.rows(found)?.into_iter().filter_map(|position| names.id(position)));
    }
    Ok(ids)
}

fn log(
    env: &EnvironmentState,
    state: &CollectionState,
    codes: Codes,
    entry: impl FnOnce(Sequence) -> Entry,
) -> Result<Sequence> {
    // What applying the write will look at is loaded first: after the log there is no way back.
    on_stable_view(env, state, |view, hidden| {
        view.segments.iter().chain(hidden).try_for_each(|view| view.segment.index(&env.keys).map(drop))
    })?;
    env.shared.reserve.check()?;
    env.shared.reserve.note(log_one(env, state, codes, entry))
}

fn log_one(
    env: &EnvironmentState,
    state: &CollectionState,
    codes: Codes,
    entry: impl FnOnce(Sequence) -> Entry,
) -> Result<Sequence> {
    maintain::hold_back(env, state)?;
    let mut rng = generator(&*env.shared.entropy)?;
    let (log, sequence) = {
        let mut queue = env.queue.lock();
        let log = env.open_log(&mut queue)?;
        // Whoever drops a collection holds the queue: a write is before that and goes with it, or is refused.
        if env.collections.read().get(&state.name).is_none_or(|current| current.id != state.id) {
            return Err(Error::new(ErrorKind::NotFound, "the collection was dropped"));
        }
        let (sequence, entry) = log.append(entry, &mut rng)?;
        queue.pending.push_back(Write { sequence, entry, codes });
        queue.next_sequence = sequence + 1;
        (log, sequence)
    };
    log.commit(sequence).inspect_err(|_| env.queue.lock().pending.retain(|write| write.sequence != sequence))?;
    let mut applied = env.apply.lock();
    env.apply_synced(&mut applied)?;
    Ok(sequence)
}

fn too_many(max: usize) -> Error {
    Error::invalid(format!("a batch may hold at most {max} records; send it in parts"))
}

fn validate(
    settings: &Settings,
    state: &CollectionState,
    records: impl IntoIterator<Item = Record>,
) -> Result<Vec<StoredRecord>> {
    let mut bytes = 0usize;
    let mut checked = Vec::new();
    for (at, record) in records.into_iter().enumerate() {
        if at >= settings.batch_records_max {
            return Err(too_many(settings.batch_records_max));
        }
        let record = check(settings, state, record, at)?;
        bytes = bytes.saturating_add(record.bytes());
        if bytes > settings.batch_bytes_max {
            return Err(Error::invalid(format!(
                "a batch may hold at most {} bytes; send it in parts",
                settings.batch_bytes_max
            )));
        }
        checked.push(record);
    }
    // The last one with an id wins; the order of the others is kept.
    let last: BTreeMap<RecordId, usize> = checked.iter().enumerate().map(|(at, record)| (record.id, at)).collect();
    if last.len() < checked.len() {
        let mut at = 0;
        checked.retain(|record| {
            at += 1;
            last.get(&record.id) == Some(&(at - 1))
        });
    }
    Ok(checked)
}

/// Lists and objects that a payload may hold in one another: what reads them back goes no deeper than 128.
const PAYLOAD_DEPTH_MAX: usize = 100;

fn is_deeper(value: &serde_json::Value, depth: usize) -> bool {
    let below = |value| depth == 0 || is_deeper(value, depth - 1);
    match value {
        serde_json::Value::Array(items) => items.iter().any(below),
        serde_json::Value::Object(members) => members.values().any(below),
        _ => false,
    }
}

fn check(settings: &Settings, state: &CollectionState, record: Record, at: usize) -> Result<StoredRecord> {
    state
        .metric
        .check(&record.vector, state.space.dimension())
        .map_err(|e| Error::with(ErrorKind::Invalid, format!("records[{at}]: the vector is not usable"), e))?;
    let entity = record
        .entity
        .map(|id| {
            EntityId::new(id)
                .map_err(|e| Error::with(ErrorKind::Invalid, format!("records[{at}]: the entity is not usable"), e))
        })
        .transpose()?;
    let payload = record
        .payload
        .as_ref()
        .map(serde_json::to_vec)
        .transpose()
        .map_err(|_| Error::invalid(format!("records[{at}]: the payload is not JSON")))?;
    if record.payload.as_ref().is_some_and(|payload| is_deeper(payload, PAYLOAD_DEPTH_MAX)) {
        return Err(Error::invalid(format!("records[{at}]: the payload is nested over {PAYLOAD_DEPTH_MAX} deep")));
    }
    if payload.as_ref().is_some_and(|text| text.len() > settings.payload_bytes_max) {
        return Err(Error::invalid(format!("records[{at}]: the payload is over {} bytes", settings.payload_bytes_max)));
    }
    Ok(StoredRecord { id: record.id, sequence: 0, entity, vector: record.vector, payload })
}
