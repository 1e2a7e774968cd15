//! The upkeep of an environment in steps that a test can drive: flush, compaction, and moving the log.
//!
//! Invariant: a log goes only after a committed manifest no longer names it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use storage::compaction::{Policy, Size, pick};
use storage::id::Sequence;
use storage::memtable::{Memtable, Slot};
use storage::record::Record as StoredRecord;
use storage::wal::{Entry, WalWriter, wal_number};

use crate::entropy::generator;
use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;
use crate::rewrite::{Input, rewrite, rewrite_sound};
use crate::snapshot::{SegmentView, View};
use crate::state::{CollectionState, EnvironmentState, Queue};

/// What one step of upkeep did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// Memtables became segments.
    Flushed,
    /// Segments of one collection were merged.
    Compacted,
    /// A segment was written anew, because its index or its tombstones were damaged on disk.
    Mended,
    /// A segment turned out damaged and is left out from now on.
    Quarantined,
}

/// A memtable this many times over its limit makes writers wait for a flush.
const HOLD_BACK: usize = 4;
/// How long it makes them wait for other upkeep to end.
const HOLD_BACK_WAIT: Duration = Duration::from_secs(10);
/// Records in one frame of a moved log.
const FRAME_RECORDS: usize = 256;

/// Does the most urgent piece of upkeep, if any.
pub(crate) fn step(env: &EnvironmentState) -> Result<Step> {
    if env.all().iter().any(|state| over(env, state, 1) && !is_held(env, state)) {
        flush(env)?;
        return Ok(Step::Flushed);
    }
    let _one = env.maintenance.lock();
    env.check_open()?;
    for state in env.all() {
        let (view, _) = state.view().served();
        if let Some((chosen, done)) = choose(&view) {
            let is_sound = rewrite_sound(env, &state, &chosen)?;
            return Ok(if is_sound { done } else { Step::Quarantined });
        }
    }
    Ok(Step::Idle)
}

/// What a collection should have rewritten next, and what that is called.
fn choose(view: &View) -> Option<(Vec<SegmentView>, Step)> {
    if let Some(stale) = view.segments.iter().find(|view| view.segment.condition().is_stale()) {
        return Some((vec![stale.clone()], Step::Mended));
    }
    let sizes: Vec<Size> = view.segments.iter().map(size).collect();
    let picks = pick(&sizes, &Policy::default());
    let picked = picks.first()?;
    let chosen = view.segments.iter().filter(|view| picked.contains(&view.segment.id)).cloned().collect();
    Some((chosen, Step::Compacted))
}

/// Merges every collection into one segment without dead rows.
pub(crate) fn compact(env: &EnvironmentState) -> Result<()> {
    flush(env)?;
    let _one = env.maintenance.lock();
    env.check_open()?;
    for state in env.all() {
        loop {
            let (view, _) = state.view().served();
            let is_due = |view: &SegmentView| !view.dead.is_empty() || view.segment.condition().is_stale();
            // Whatever is damaged is left out the next time around.
            if view.segments.len() < 2 && !view.segments.iter().any(is_due)
                || rewrite_sound(env, &state, &view.segments)?
            {
                break;
            }
        }
    }
    Ok(())
}

/// Writers flush here while a memtable is far over its limit, or are told to come back where other upkeep
/// takes too long.
pub(crate) fn hold_back(env: &EnvironmentState, state: &CollectionState) -> Result<()> {
    if !over(env, state, HOLD_BACK) {
        return Ok(());
    }
    let Some(_one) = env.maintenance.try_lock_for(HOLD_BACK_WAIT) else {
        return Err(Error::new(ErrorKind::Busy, "writes come faster than segments are built; retry in a few seconds"));
    };
    // Whoever held the lock may have flushed.
    if over(env, state, HOLD_BACK) { flush_alone(env) } else { Ok(()) }
}

/// Writes every memtable into a segment and lets the logs behind them go.
pub(crate) fn flush(env: &EnvironmentState) -> Result<()> {
    let _one = env.maintenance.lock();
    flush_alone(env)
}

/// [`flush`] for a caller that holds `maintenance`.
fn flush_alone(env: &EnvironmentState) -> Result<()> {
    env.check_open()?;
    let (flushed, memtables) = {
        let mut applied = env.apply.lock();
        let mut queue = env.queue.lock();
        if queue.log.is_none() && env.manifest.lock().logs.is_empty() {
            return Ok(());
        }
        env.apply_all(&mut applied, &mut queue)?;
        let log = env.new_log(queue.next_sequence)?;
        env.commit(|manifest| manifest.logs.push(log.number()))?;
        queue.log = Some(Arc::clone(&log));
        let (held, free): (Vec<_>, Vec<_>) = env.all().into_iter().partition(|state| is_held(env, state));
        copy_all(env, &mut queue, &log, &held)?;
        let memtable = |state: Arc<CollectionState>| (Arc::clone(&state), state.view().memtable.clone());
        let memtables: Vec<(Arc<CollectionState>, Memtable)> = free.into_iter().map(memtable).collect();
        (*applied, memtables)
    };
    for (state, memtable) in memtables {
        if !memtable.is_empty() {
            let input = Input { memtable: Some(&memtable), segments: &[], flushed: Some(flushed) };
            rewrite(env, &state, &input)?;
        }
    }
    {
        let _order = env.apply.lock();
        let newest = env.queue.lock().log.as_ref().map(|log| log.number());
        env.commit(|manifest| {
            manifest.logs.retain(|log| Some(*log) == newest);
            manifest.last_sequence = manifest.last_sequence.max(flushed);
        })?;
    }
    remove_old_logs(env)
}

/// Writes what the memtables hold into a new log, so that every older log can go with its key. The caller
/// holds `maintenance` and the queue, with every write applied.
pub(crate) fn move_log(env: &EnvironmentState, queue: &mut Queue) -> Result<()> {
    let log = env.new_log(queue.next_sequence)?;
    copy_all(env, queue, &log, &env.all())?;
    let last = queue.next_sequence.saturating_sub(1);
    env.commit(|manifest| {
        manifest.logs = vec![log.number()];
        manifest.last_sequence = manifest.last_sequence.max(last);
    })?;
    queue.log = Some(log);
    Ok(())
}

/// Unlinks the log files that the manifest does not name.
pub(crate) fn remove_old_logs(env: &EnvironmentState) -> Result<()> {
    let live = env.manifest.lock().logs.clone();
    let dir = env.wal_dir();
    let names = dir.list().map_err(|e| Error::io("the logs cannot be listed", e))?;
    for name in names {
        if wal_number(&name).is_some_and(|number| !live.contains(&number)) {
            remove(&dir, &name)?;
        }
    }
    Ok(())
}

/// Whether the memtable of a collection must stay in the log. Nobody can say which rows of a segment that lost
/// its ids these writes replace; once the segment is put back, the replay of the log will.
fn is_held(env: &EnvironmentState, state: &CollectionState) -> bool {
    state.view().quarantined().any(|view| !matches!(view.segment.index_unless_lost(&env.keys), Ok(Some(_))))
}

/// Logs the memtables of `states` once more.
fn copy_all(env: &EnvironmentState, queue: &mut Queue, log: &WalWriter, states: &[Arc<CollectionState>]) -> Result<()> {
    let mut last = None;
    for state in states {
        last = copy(env, state, log)?.or(last);
    }
    if let Some(last) = last {
        log.commit(last)?;
        queue.next_sequence = last + 1;
    }
    Ok(())
}

fn copy(env: &EnvironmentState, state: &CollectionState, log: &WalWriter) -> Result<Option<Sequence>> {
    let mut rng = generator(&*env.shared.entropy)?;
    let view = state.view();
    let mut last = None;
    let mut records: Vec<StoredRecord> = Vec::with_capacity(FRAME_RECORDS);
    let mut ids = Vec::new();
    let collection = state.id;
    for (id, slot) in view.memtable.iter() {
        match slot {
            Slot::Live(record) => records.push((**record).clone()),
            Slot::Deleted(_) => ids.push(id),
        }
        if records.len() == FRAME_RECORDS {
            let batch = std::mem::take(&mut records);
            last = Some(log.append(|_| Entry::Put { collection, records: batch }, &mut rng)?.0);
        }
    }
    if !records.is_empty() {
        last = Some(log.append(|_| Entry::Put { collection, records }, &mut rng)?.0);
    }
    if !ids.is_empty() {
        last = Some(log.append(|_| Entry::Delete { collection, ids }, &mut rng)?.0);
    }
    Ok(last)
}

fn size(view: &SegmentView) -> Size {
    Size { id: view.segment.id, rows: u64::from(view.segment.len), dead: view.dead.len() }
}

fn over(env: &EnvironmentState, state: &CollectionState, times: usize) -> bool {
    let settings = &env.shared.settings;
    let memtable = &state.view().memtable;
    memtable.len() >= settings.memtable_rows_max.saturating_mul(times)
        || memtable.bytes() >= settings.memtable_bytes_max.saturating_mul(times)
}
