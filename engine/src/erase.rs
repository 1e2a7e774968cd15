//! ERASE: nobody held → job synced, entity masked → memtable survivors re-logged → one epoch → affected segments
//! rewritten → what was being built of them gone → answer. Graphs that were repaired meanwhile are built anew by upkeep
//! ([`crate::rebuild`]).
//!
//! A crash leaves data unreadable rather than half erased, and the job resumes at open: before the epoch
//! the job's own ephemeral key still opens it and it starts over; after the epoch the destroyed keys
//! themselves say which rows have to go.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use privacy::{EntityId, Wanted};
use serde::Serialize;
use storage::id::SegmentId;

use crate::draft::Input;
use crate::entropy::generator;
use crate::error::{Error, ErrorKind, Result};
use crate::hold;
use crate::job::{self, Job};
use crate::permit::{Action, Permit};
use crate::rebuild;
use crate::relog::{move_log, remove_old_logs};
use crate::rewrite::{Outcome, rewrite_sound};
use crate::snapshot::SegmentView;
use crate::state::{CollectionState, EnvironmentState};

/// What an erasure did, with its times in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// Number of the job in its environment.
    pub job: u64,
    /// Live records that were the entity's.
    pub records_deleted: u64,
    /// Segments that held rows of the entity and were rewritten or removed.
    pub segments_purged: u64,
    /// Indexes built anew for survivors, as if the entity had never been there.
    pub indexes_rebuilt: u64,
    /// Indexes of survivors whose graph was repaired, because building it takes long. They hold nothing of the entity,
    /// but some edges were chosen when it was there; upkeep rebuilds them.
    pub indexes_repaired: u64,
    /// Damaged segments that hold rows of the entity or may hold some, and could not be rewritten. What is left
    /// of those rows opens for nobody, since their key is destroyed.
    pub segments_quarantined: u64,
    /// From here on no read returns a record of the entity.
    pub hidden_at: u64,
    /// From here on no copy of any file opens for the entity: its keys are destroyed in every anchor store.
    pub shredded_at: u64,
    /// From here on no live file holds a row of the entity, and nothing that was being built when the erasure came holds
    /// a trace of it. `None` while the disk has no room for it: upkeep does it once there is.
    pub purged_at: Option<u64>,
    /// From here on every index in the environment is one that never knew the entity. `None` while a repaired graph
    /// waits to be rebuilt, see [`CollectionInfo::repaired_segments`](crate::CollectionInfo::repaired_segments):
    /// upkeep does it within [`Settings::rebuild_hours`](crate::Settings::rebuild_hours), and
    /// [`Environment::compact`](crate::Environment::compact) at once.
    pub rebuilt_at: Option<u64>,
    /// When the job ended; `None` while it has not.
    pub completed_at: Option<u64>,
    /// Why, as the caller said.
    pub reason: Option<String>,
}

/// Erases every record that `entity` has in the environment, and its keys.
pub(crate) fn erase(env: &EnvironmentState, permit: &Permit, entity: &EntityId) -> Result<Erasure> {
    permit.check(Action::Erase)?;
    let now = || env.shared.clock.now_ms();
    let one = env.maintenance.lock();
    env.check_open()?;
    hold::check(env, entity)?;
    let reserve = &env.shared.reserve;
    finish_hidden(env)?;
    let number = reserve.spend(|| begin(env))?;
    let (job, records_deleted) = reserve.spend(|| hide(env, number, entity))?;
    let hidden_at = now();
    let affected = reserve.spend(|| shred(env, &job))?;
    let shredded_at = now();
    let mut done = Purged::default();
    let mut is_rebuilt = false;
    let is_purged = match reserve.spend(|| purge(env, &affected, &mut done)) {
        // Nothing opens for the entity any more. Its bytes go when there is room to write the survivors' anew.
        Err(error) if error.kind() == ErrorKind::Full => false,
        purged => {
            purged?;
            // A graph that waits for the sake of others may know the entity too, by rows that it lost before.
            is_rebuilt = rebuild::waiting(env).is_empty() && done.quarantined == 0;
            reserve.spend(|| finish(env, number))?;
            true
        }
    };
    let touched: Vec<SegmentId> = affected.iter().map(|(_, view)| view.segment.id).collect();
    drop((affected, one));
    if is_purged {
        // What was being built of these segments ends now, but it has yet to let go of them, for which it may have to
        // lock what others lock.
        env.site.clear(&touched);
    }
    let purged_at = is_purged.then(now);
    Ok(Erasure {
        job: number,
        records_deleted,
        segments_purged: done.purged,
        indexes_rebuilt: done.rebuilt,
        indexes_repaired: done.repaired,
        segments_quarantined: done.quarantined,
        hidden_at,
        shredded_at,
        purged_at,
        rebuilt_at: purged_at.filter(|_| is_rebuilt),
        completed_at: purged_at,
        reason: None,
    })
}

/// Finishes every job that a crash interrupted; the interrupted ones have been masked again by replay. What the disk has
/// no room for stays with upkeep.
pub(crate) fn resume(env: &EnvironmentState) -> Result<()> {
    let _one = env.maintenance.lock();
    match finish_shredded(env) {
        Err(error) if error.kind() == ErrorKind::Full => Ok(()),
        other => other.map(drop),
    }
}

/// Destroys the keys of every entity that is hidden. Nothing may be sealed for one of them before, since it would go
/// with what was there when the erasure began. The caller holds `maintenance`.
pub(crate) fn finish_hidden(env: &EnvironmentState) -> Result<()> {
    let hidden = env.hidden.lock().clone();
    hidden.iter().try_for_each(|job| env.shared.reserve.spend(|| shred(env, job)).map(drop))
}

/// Purges what erased entities left and ends their jobs; whether there was anything to do. The caller holds
/// `maintenance`.
pub(crate) fn finish_shredded(env: &EnvironmentState) -> Result<bool> {
    let numbers = job::numbers(&env.dir)?;
    if numbers.is_empty() {
        return Ok(false);
    }
    finish_hidden(env)?;
    env.keys.finish_epoch()?;
    let mut affected = Vec::new();
    for state in env.all() {
        for view in &state.view().segments {
            if view.segment.is_quarantined() || !view.segment.has_index(&env.keys) || holds_destroyed(env, view)? {
                affected.push((Arc::clone(&state), view.clone()));
            }
        }
    }
    let reserve = &env.shared.reserve;
    reserve.spend(|| purge(env, &affected, &mut Purged::default()))?;
    numbers.into_iter().try_for_each(|number| reserve.spend(|| finish(env, number)))?;
    Ok(true)
}

/// A job number whose key is durable and was never used.
fn begin(env: &EnvironmentState) -> Result<u64> {
    let used = job::numbers(&env.dir)?;
    let mut job = env.manifest.lock().next_job;
    while used.contains(&job) || env.keys.read().job_key(job).is_some() {
        job += 1;
    }
    env.keys.extend(&[Wanted::Job(job)])?;
    Ok(job)
}

/// Syncs the job, then masks the entity in every collection up to the last write given out; returns how
/// many records that hid.
fn hide(env: &EnvironmentState, number: u64, entity: &EntityId) -> Result<(Job, u64)> {
    let states = env.all();
    for view in states.iter().flat_map(|state| state.view().segments.clone()) {
        view.segment.index_unless_lost(&env.keys)?;
    }
    let mut applied = env.apply.lock();
    let through = {
        let mut queue = env.queue.lock();
        env.apply_all(&mut applied, &mut queue)?;
        queue.next_sequence.saturating_sub(1)
    };
    let job = Job { number, entity: entity.clone(), through };
    let key = env.keys.read().job_key(number).ok_or_else(|| Error::corrupt("a new job key is missing"))?;
    job.write(&env.dir, &key, env.scope, &mut generator(&*env.shared.entropy)?)?;
    env.hidden.lock().push(job.clone());
    let mut hidden = 0;
    for state in states {
        let mut view = (*state.view()).clone();
        hidden += view.mask(entity, &state.space, &env.keys)?;
        state.publish(view);
    }
    // Reads that took an older view start over.
    env.masked.fetch_add(1, Ordering::Release);
    Ok((job, hidden))
}

type Affected = Vec<(Arc<CollectionState>, SegmentView)>;

/// Moves the survivors of the log, then destroys the entity's keys, the old log's and those of every
/// affected index in one epoch. Search goes on from memory.
fn shred(env: &EnvironmentState, job: &Job) -> Result<Affected> {
    let mut affected = Vec::new();
    for state in env.all() {
        for view in &state.view().segments {
            let index = view.segment.index_unless_lost(&env.keys)?;
            if index.is_none_or(|index| !index.entities.positions(&job.entity).is_empty()) {
                affected.push((Arc::clone(&state), view.clone()));
            }
        }
    }
    {
        let mut applied = env.apply.lock();
        let mut queue = env.queue.lock();
        env.apply_all(&mut applied, &mut queue)?;
        move_log(env, &mut queue)?;
        let mut removal = env.keep(&queue)?;
        removal.entities = vec![env.keys.read().tag(&job.entity)];
        removal.keep_jobs.retain(|other| *other != job.number);
        removal.keep_indexes.retain(|index| affected.iter().all(|(_, view)| view.segment.id.0 != *index));
        env.keys.epoch(&removal)?;
        env.hidden.lock().retain(|other| other.number != job.number);
    }
    remove_old_logs(env)?;
    Ok(affected)
}

/// How many segments went, came back without the entity in either way, and could not be rewritten.
#[derive(Default)]
struct Purged {
    purged: u64,
    rebuilt: u64,
    repaired: u64,
    quarantined: u64,
}

/// Rewrites every affected segment from its survivors, and counts in `done`.
fn purge(env: &EnvironmentState, affected: &Affected, done: &mut Purged) -> Result<()> {
    for (state, old) in affected {
        // The view's bitmap may have grown since.
        let view = state.view();
        let Some(now) = view.segments.iter().find(|view| view.segment.id == old.segment.id) else { continue };
        let input = Input { may_repair: true, ..Input::of(slice::from_ref(now)) };
        let Some(outcome) = rewrite_sound(env, state, &input)? else {
            done.quarantined += 1;
            continue;
        };
        done.purged += 1;
        match outcome {
            Outcome::Emptied => {}
            Outcome::Built => done.rebuilt += 1,
            Outcome::Repaired => done.repaired += 1,
        }
    }
    Ok(())
}

fn finish(env: &EnvironmentState, number: u64) -> Result<()> {
    {
        let _order = env.apply.lock();
        env.commit(|manifest| manifest.next_job = manifest.next_job.max(number + 1))?;
    }
    job::remove(&env.dir, number)
}

fn holds_destroyed(env: &EnvironmentState, view: &SegmentView) -> Result<bool> {
    for position in 0..view.segment.len {
        if !view.segment.is_live(position, &env.keys)? {
            return Ok(true);
        }
    }
    Ok(false)
}
