//! WRITE: permit → validate → consent → conditions → log (sealed, synced) → memtable → answer.
//!
//! Everything that can be refused is refused before the log, because what is logged is replayed. A write
//! becomes visible only once its frame is synced, so no reader sees what a crash could take back.
//!
//! Whoever may write of some data subjects alone learns of no other: a record of another is to them as one that is not there,
//! and what they would put in its place is answered, and logged as a write of nothing, as if it had been put.

use std::iter;

use index::Codes;
use privacy::access::{Asked, Permission};
use storage::id::{CollectionId, RecordId, Sequence};
use storage::wal::Entry;

use crate::batch::{Batch, Conditions, Errors, of_record, too_many};
use crate::doubt;
use crate::entropy::generator;
use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filter;
use crate::maintain;
use crate::pending::Write;
use crate::permit::Permit;
use crate::read::{hiding, on_stable_view};
use crate::record::Record;
use crate::run::encode;
use crate::select::Selection;
use crate::snapshot::{SegmentView, View};
use crate::state::{CollectionState, EnvironmentState};

/// Stores `records` as one batch, all or nothing; the last of several with one id wins.
///
/// # Errors
/// `Invalid` or `Conflict`, naming the first record that cannot be stored.
pub(crate) fn upsert(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    records: impl IntoIterator<Item = Record>,
) -> Result<Sequence> {
    env.admit_write(permit, Permission::RecordWrite, state)?;
    let (mut batch, errors) = Batch::gather(&env.shared.settings, state, permit.subjects(), records)?;
    env.tell_if_beyond(permit, Permission::RecordWrite, &errors);
    if let Some((at, error)) = errors.into_iter().next() {
        return Err(of_record(at, error));
    }
    let mut conditions = batch.conditions();
    put(env, state, permit, &mut batch, &mut conditions)
}

/// Stores those of `records` that can be stored, as one batch; returns how many these are, what is wrong with the
/// others by their places, and the sequence.
pub(crate) fn upsert_each(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    records: impl IntoIterator<Item = Record>,
) -> Result<(usize, Errors, Sequence)> {
    env.admit_write(permit, Permission::RecordWrite, state)?;
    let (mut batch, mut errors) = Batch::gather(&env.shared.settings, state, permit.subjects(), records)?;
    env.tell_if_beyond(permit, Permission::RecordWrite, &errors);
    let (count, unmet, sequence) = store(env, state, permit, &mut batch)?;
    errors.extend(unmet);
    errors.sort_unstable_by_key(|(at, _)| *at);
    Ok((count, errors, sequence))
}

/// Stores what finds the record that it expects; returns how many these are, what is wrong with the others by their
/// places, ascending, and the sequence.
pub(crate) fn store(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    batch: &mut Batch,
) -> Result<(usize, Errors, Sequence)> {
    let mut errors = Errors::new();
    loop {
        let (count, mut conditions) = (batch.count(), batch.conditions());
        match put(env, state, permit, batch, &mut conditions) {
            // Fewer every time.
            Err(_) if conditions.are_unmet() => errors.extend(batch.refuse(&conditions)),
            done => {
                errors.sort_unstable_by_key(|(at, _)| *at);
                return done.map(|sequence| (count, errors, sequence));
            }
        }
    }
}

/// Logs the batch, which is empty afterwards, if all `conditions` hold.
fn put(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    batch: &mut Batch,
    conditions: &mut Conditions,
) -> Result<Sequence> {
    if batch.candidates.is_empty() {
        return Ok(*env.apply.lock());
    }
    loop {
        let codes = encode(&state.space, batch.candidates.iter().map(|candidate| &candidate.record));
        match log(env, state, permit, codes, conditions, Intent::Put(batch)) {
            // Fewer every time; in the end none, which is a write like any other.
            Err(_) if conditions.reach_beyond() => batch.pass_over(conditions),
            done => return done,
        }
        *conditions = batch.conditions();
    }
}

/// Deletes the records with these ids; returns how many existed, and the sequence.
pub(crate) fn delete(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    ids: Vec<RecordId>,
) -> Result<(u64, Sequence)> {
    env.admit_write(permit, Permission::RecordDelete, state)?;
    if ids.len() > env.shared.settings.batch_records_max {
        return Err(too_many(&env.shared.settings));
    }
    delete_at_once(env, state, permit, ids)
}

/// Ids that one frame of the log surely holds: it takes 256 MiB.
const AT_ONCE: usize = 4 << 20;

/// Deletes the records that match, as they are when it begins; returns how many, and the sequence. Only their ids are
/// logged, as one write, or as few as hold them.
///
/// # Errors
/// Those of reading; `Corrupt` where a segment is damaged, so that nobody can say what matches in it.
pub(crate) fn delete_matching(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    filter: &Filter,
) -> Result<(u64, Sequence)> {
    env.admit_write(permit, Permission::RecordDelete, state)?;
    let ids = ids_matching(env, state, permit, filter)?;
    let (mut count, mut sequence) = (0, *env.apply.lock());
    for ids in ids.chunks(AT_ONCE) {
        let deleted = delete_at_once(env, state, permit, ids.to_vec());
        let (deleted, last) = deleted.map_err(|error| match count {
            0 => error,
            _ => error.within(&format!("{count} of the records were deleted")),
        })?;
        count += deleted;
        sequence = last;
    }
    Ok((count, sequence))
}

/// Deletes the records with these ids as one write.
fn delete_at_once(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    mut ids: Vec<RecordId>,
) -> Result<(u64, Sequence)> {
    ids.sort_unstable();
    ids.dedup();
    loop {
        let present = on_stable_view(env, state, |view, hidden| {
            let mut present = Vec::with_capacity(ids.len());
            for id in &ids {
                if is_there(env, (view, hidden), permit, id)? {
                    present.push(*id);
                }
            }
            Ok(present)
        })?;
        let count = present.len() as u64;
        if present.is_empty() {
            return Ok((0, *env.apply.lock()));
        }
        let mut conditions = Conditions::of_deletion(permit.subjects(), &present);
        let no_codes = encode(&state.space, iter::empty());
        match log(env, state, permit, no_codes, &mut conditions, Intent::Delete(present)) {
            // Somebody else put one of another in its place meanwhile: each time a write was stored.
            Err(_) if conditions.reach_beyond() => {}
            done => return Ok((count, done?)),
        }
    }
}

/// Whether there is a record of this id for the permit's holder to delete, be it in a segment in quarantine.
fn is_there(
    env: &EnvironmentState,
    (view, hidden): (&View, &[SegmentView]),
    permit: &Permit,
    id: &RecordId,
) -> Result<bool> {
    let Some(subjects) = permit.subjects() else {
        return Ok(view.contains(id, &env.keys)? || hiding(env, hidden, id)?.is_some());
    };
    if let Some(is_theirs) = view.is_of(id, subjects, &env.keys)? {
        return Ok(is_theirs);
    }
    let Some(found) = hiding(env, hidden, id)? else { return Ok(false) };
    let index = found.segment.index(&env.keys)?;
    let owner = index.ids.position(id).and_then(|position| index.entities.of(position));
    Ok(owner.is_some_and(|entity| subjects.has(entity)))
}

/// The records that match now, of those that the permit shows.
///
/// # Errors
/// Those of reading; `Corrupt` where a segment is damaged, so that nobody can say what matches in it.
pub(crate) fn ids_matching(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    filter: &Filter,
) -> Result<Vec<RecordId>> {
    let shown = env.narrowed(permit, state, Asked::Query, Some(filter))?;
    let filter = shown.as_deref().unwrap_or(filter);
    on_stable_view(env, state, |view, hidden| match hidden {
        [] => matching(env, view, filter),
        [damaged, ..] => Err(damaged.segment.damaged()),
    })
}

fn matching(env: &EnvironmentState, view: &View, filter: &Filter) -> Result<Vec<RecordId>> {
    let mut selection = Selection::new(env, filter)?;
    let in_memtable = selection.in_memtable(&view.memtable)?;
    let mut ids: Vec<RecordId> = view.memtable.records(in_memtable).map(|record| record.id).collect();
    for found in &view.segments {
        let names = &found.segment.index(&env.keys)?.ids;
        ids.extend(selection.rows(found)?.into_iter().filter_map(|position| names.id(position)));
    }
    Ok(ids)
}

/// What is to be logged.
enum Intent<'a> {
    Put(&'a mut Batch),
    Delete(Vec<RecordId>),
}

impl Intent<'_> {
    /// Refuses what belongs to somebody who revoked consent. The caller holds the queue.
    fn check_consent(&self, env: &EnvironmentState, conditions: &mut Conditions) -> Result<()> {
        match self {
            Self::Put(batch) => conditions.refuse_revoked(env.consents.revoked(&env.keys, batch.owners())),
            Self::Delete(_) => Ok(()),
        }
    }

    fn entry(self, collection: CollectionId, sequence: Sequence, written_ms: u64) -> Entry {
        match self {
            Self::Put(batch) => Entry::Put { collection, written_ms, records: batch.take(sequence) },
            Self::Delete(ids) => Entry::Delete { collection, ids },
        }
    }
}

fn log(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    codes: Codes,
    conditions: &mut Conditions,
    intent: Intent<'_>,
) -> Result<Sequence> {
    // What applying the write will look at is loaded first: after the log there is no way back.
    on_stable_view(env, state, |view, hidden| {
        view.segments.iter().chain(hidden).try_for_each(|view| view.segment.index(&env.keys).map(drop))
    })?;
    env.shared.reserve.check()?;
    env.shared.reserve.note(log_one(env, state, permit, codes, conditions, intent))
}

fn log_one(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    codes: Codes,
    conditions: &mut Conditions,
    intent: Intent<'_>,
) -> Result<Sequence> {
    maintain::hold_back(env, state)?;
    let mut rng = generator(&*env.shared.entropy)?;
    let (log, sequence) = {
        // Nothing becomes visible meanwhile where it matters what is.
        let mut applied = (!conditions.is_empty()).then(|| env.apply.lock());
        let mut queue = env.queue.lock();
        let log = env.open_log(&mut queue)?;
        // Whoever drops a collection holds the queue: a write is before that and goes with it, or is refused.
        if !env.catalog.read().has(state) {
            return Err(Error::new(ErrorKind::NotFound, "the collection was dropped"));
        }
        intent.check_consent(env, conditions)?;
        if let Some(applied) = &mut applied {
            let its = queue.pending.iter().map(|write| &write.entry).filter(|entry| entry.collection() == state.id);
            if conditions.depend_on(its, &state.view()) {
                env.apply_all(applied, &mut queue)?;
            }
            conditions.check(&state.view(), &env.keys)?;
        }
        let written_ms = doubt::written_ms(env);
        let (sequence, entry) = log.append(|sequence| intent.entry(state.id, sequence, written_ms), &mut rng)?;
        queue.pending.push_back(Write { sequence, entry, codes, by: permit.by() });
        queue.next_sequence = sequence + 1;
        (log, sequence)
    };
    log.commit(sequence).inspect_err(|_| env.queue.lock().pending.retain(|write| write.sequence != sequence))?;
    let mut applied = env.apply.lock();
    env.apply_synced(&mut applied)?;
    Ok(sequence)
}
