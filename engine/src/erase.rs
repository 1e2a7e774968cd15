//! ERASE: nobody held → told → job synced, entities masked → memtable survivors re-logged → one epoch → affected segments rewritten →
//! what was being built of them gone → receipt → answer. Graphs that were repaired meanwhile are built anew by upkeep
//! ([`crate::rebuild`]), after which the receipt is made anew.
//!
//! A crash leaves data unreadable rather than half erased, and the job resumes at open: before the epoch
//! the job's own ephemeral key still opens its ids and it starts over; after the epoch the destroyed keys
//! themselves say which rows have to go.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use privacy::access::Permission;
use privacy::audit::{Act, Outcome, Pseudonym};
use privacy::erasure::{self, Receipt, Segments, Shredding, Stage, Stamp, Subject};
use privacy::{EntityId, Removal, Salt, Wanted};
use storage::id::SegmentId;
use storage::sync::MutexGuard;

use crate::entropy::generator;
use crate::error::{Error, ErrorKind, Result};
use crate::hold;
use crate::job::{self, Job};
use crate::permit::Permit;
use crate::purge::{Affected, finish, forward, left_over, purge, save};
use crate::receipt;
use crate::relog::{move_log, remove_old_logs};
use crate::snapshot::SegmentView;
use crate::state::EnvironmentState;

/// What an erasure is asked to do.
pub(crate) struct Asked {
    pub entities: Vec<EntityId>,
    /// One for each.
    pub salts: Vec<Salt>,
    pub reason: Option<String>,
    /// Whether to answer once the keys are destroyed, and leave the rest to upkeep.
    pub leaves_purge: bool,
}

/// How far an erasure came before it was answered.
pub(crate) struct Done {
    pub progress: erasure::Job,
    /// The receipt, with the place of the audit event that tells of it.
    pub receipt: Option<(Receipt, u64)>,
    /// Why the keys are not destroyed yet: above all, an anchor store or a mirror that is away. The entities are hidden, and
    /// upkeep tries again.
    pub pending: Option<Error>,
}

/// Erases every record that the entities have in the environment, and their keys.
pub(crate) fn erase(env: &EnvironmentState, permit: &Permit, asked: &Asked) -> Result<Done> {
    env.admit_about(permit, Permission::EntityErase, &asked.entities)?;
    let one = env.maintenance.lock();
    env.check_open()?;
    asked.entities.iter().try_for_each(|entity| hold::check(env, entity))?;
    let reserve = &env.shared.reserve;
    finish_hidden(env)?;
    let number = reserve.spend(|| begin(env))?;
    reserve.spend(|| tell_begun(env, permit, number, &asked.entities))?;
    let job = reserve.spend(|| hide(env, number, asked))?;
    reserve.spend(|| save(env, &job.progress))?;
    destroy(env, permit, one, &job, asked.leaves_purge)
}

/// Destroys the keys of a job that is hidden, and purges what they opened. `one` is the lock `maintenance`.
pub(crate) fn destroy(
    env: &EnvironmentState,
    permit: &Permit,
    one: MutexGuard<'_, ()>,
    job: &Job,
    leaves_purge: bool,
) -> Result<Done> {
    let reserve = &env.shared.reserve;
    // Upkeep leaves it to us.
    let _answering = Answering::of(env, job.number());
    let (affected, mut progress) = match shred_durably(env, job) {
        Err(error) if error.kind() == ErrorKind::Io && env.shared.latch.poisoned().is_none() => {
            return Ok(Done { progress: job.progress.clone(), receipt: None, pending: Some(error) });
        }
        shredded => shredded?,
    };
    if leaves_purge {
        return Ok(Done { progress, receipt: None, pending: None });
    }
    let receipt = match reserve.spend(|| purge(env, &affected, slice::from_mut(&mut progress))) {
        // Nothing opens for the entities any more. Their bytes go when there is room to write the survivors' anew.
        Err(error) if error.kind() == ErrorKind::Full => None,
        purged => {
            purged?;
            let touched: Vec<SegmentId> = affected.iter().map(|(_, view)| view.segment.id).collect();
            drop((affected, one));
            // What was being built of these segments ends now, but it has yet to let go of them, for which it may have to
            // lock what others lock.
            env.site.clear(&touched);
            let _one = env.maintenance.lock();
            // Closing may have come first; the job ends at the next opening then.
            env.check_open()?;
            reserve.spend(|| finish(env, permit, &mut progress))?
        }
    };
    Ok(Done { progress, receipt, pending: None })
}

/// A job that somebody waits for, until this is dropped.
struct Answering<'a> {
    env: &'a EnvironmentState,
    number: u64,
}

impl<'a> Answering<'a> {
    fn of(env: &'a EnvironmentState, number: u64) -> Self {
        env.answering.lock().push(number);
        Self { env, number }
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.env.answering.lock().retain(|other| *other != self.number);
    }
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
    hidden.iter().try_for_each(|job| shred_durably(env, job).map(drop))
}

/// Purges what erased entities left, and ends their jobs where no graph waits any more; whether anything was purged. The
/// caller holds `maintenance`.
pub(crate) fn finish_shredded(env: &EnvironmentState) -> Result<bool> {
    if job::numbers(&env.dir)?.is_empty() {
        return Ok(false);
    }
    finish_hidden(env)?;
    env.keys.finish_epoch()?;
    let reserve = &env.shared.reserve;
    let mut waiting = Vec::new();
    let answering = env.answering.lock().clone();
    for number in job::numbers(&env.dir)?.into_iter().filter(|number| !answering.contains(number)) {
        match job::progress(&env.dir, &env.keys.read(), number)? {
            // It could not be written down wholly, and whoever asked for it was told that nothing was erased.
            Some(job) if job.due() == Some(Stage::Hidden) => job::remove_all(&env.dir, number)?,
            job => waiting.extend(job),
        }
    }
    let is_due = waiting.iter().any(|job| job.reached(Stage::Purged).is_none());
    if is_due {
        let affected = left_over(env)?;
        reserve.spend(|| purge(env, &affected, &mut waiting))?;
    }
    let by = Permit::engine();
    waiting.iter_mut().try_for_each(|job| reserve.spend(|| finish(env, &by, job)).map(drop))?;
    Ok(is_due)
}

/// A job number whose key is durable and was never used.
pub(crate) fn begin(env: &EnvironmentState) -> Result<u64> {
    let mut used = job::numbers(&env.dir)?;
    used.extend(receipt::numbers(&env.dir.sub(receipt::RECEIPTS))?);
    let mut job = env.manifest.lock().next_job;
    while used.contains(&job) || env.keys.read().job_key(job).is_some() {
        job += 1;
    }
    env.keys.extend(&[Wanted::Job(job)])?;
    Ok(job)
}

/// Tells whom the job will erase, by pseudonyms that nobody can resolve once it has.
fn tell_begun(env: &EnvironmentState, permit: &Permit, job: u64, entities: &[EntityId]) -> Result<()> {
    let entry = |entity| {
        Ok(env.entry(permit, Act::ErasureBegun { subject: env.pseudonym(Pseudonym::of, entity)?, job }, Outcome::Done))
    };
    let entries = entities.iter().map(entry).collect::<Result<_>>()?;
    env.append(entries).map(drop)
}

/// Syncs the job, then masks the entities in every collection up to the last write given out.
fn hide(env: &EnvironmentState, number: u64, asked: &Asked) -> Result<Job> {
    let states = env.all();
    for view in states.iter().flat_map(|state| state.view().segments.clone()) {
        view.segment.index_unless_lost(&env.keys)?;
    }
    let now = || env.shared.clock.now_ms();
    let mut applied = env.apply.lock();
    let through = {
        let mut queue = env.queue.lock();
        env.apply_all(&mut applied, &mut queue)?;
        queue.next_sequence.saturating_sub(1)
    };
    let mut people: BTreeMap<Subject, EntityId> = BTreeMap::new();
    people.extend(
        asked.entities.iter().zip(&asked.salts).map(|(entity, salt)| (Subject::of(salt, entity), entity.clone())),
    );
    let begun = Stamp { time_ms: now(), sequence: through };
    let progress = erasure::Job::begin(number, begun, people.keys().copied()).with_reason(asked.reason.clone());
    let mut job = Job { entities: people.into_values().collect(), keys: BTreeSet::new(), progress };
    job.write(&env.dir, &env.keys.read(), &mut generator(&*env.shared.entropy)?)?;
    env.hidden.lock().push(job.clone());
    let mut counts = vec![0; job.entities.len()];
    for state in states {
        let mut view = (*state.view()).clone();
        for (entity, count) in job.entities.iter().zip(&mut counts) {
            *count += view.mask(entity, &state.space, &env.keys)?;
        }
        state.publish(view);
    }
    // Reads that took an older view start over.
    env.masked.fetch_add(1, Ordering::Release);
    drop(applied);
    job.hide(now(), &counts)?;
    env.hidden.lock().iter_mut().filter(|other| other.number() == number).for_each(|other| *other = job.clone());
    Ok(job)
}

/// [`shred`], and durably noted.
fn shred_durably(env: &EnvironmentState, job: &Job) -> Result<(Affected, erasure::Job)> {
    let reserve = &env.shared.reserve;
    let (affected, progress) = reserve.spend(|| shred(env, job))?;
    reserve.spend(|| save(env, &progress))?;
    job::remove_ids(&env.dir, job.number())?;
    remove_old_logs(env)?;
    Ok((affected, progress))
}

/// Moves the survivors of the log, then destroys the entities' keys, the old log's and those of every
/// affected index in one epoch. Search goes on from memory.
fn shred(env: &EnvironmentState, job: &Job) -> Result<(Affected, erasure::Job)> {
    let mut affected = Vec::new();
    for state in env.all() {
        for view in &state.view().segments {
            if holds(env, view, job)? {
                affected.push((Arc::clone(&state), view.clone()));
            }
        }
    }
    let number = job.number();
    let mut progress = job.progress.clone();
    {
        let mut applied = env.apply.lock();
        let mut queue = env.queue.lock();
        env.apply_all(&mut applied, &mut queue)?;
        move_log(env, &mut queue)?;
        let mut removal = env.keep(&queue)?;
        removal.entities = job.entities.iter().map(|entity| env.keys.read().tag(entity)).collect();
        removal.keys = job.keys.clone();
        removal.keep_jobs.retain(|other| *other != number);
        removal.keep_indexes.retain(|index| affected.iter().all(|(_, view)| view.segment.id.0 != *index));
        intend(env, &mut progress, &removal, &affected)?;
        env.keys.epoch(&removal)?;
        env.hidden.lock().retain(|other| other.number() != number);
        let at = Stamp { time_ms: env.shared.clock.now_ms(), sequence: queue.next_sequence.saturating_sub(1) };
        // Of a log that was cut off, writes that the job knows of are not there any more.
        progress.shred(forward(&progress, at)).map_err(job::out_of_turn)?;
    }
    Ok((affected, progress))
}

/// Notes durably what the next epoch will destroy and which segments will be purged, and what an attempt before it did.
fn intend(env: &EnvironmentState, progress: &mut erasure::Job, removal: &Removal, affected: &Affected) -> Result<()> {
    let shredding = {
        let keyring = env.keys.read();
        let before = progress.intended().map(|before| before.destroyed.clone()).unwrap_or_default();
        let mut destroyed: Vec<_> = before.into_iter().filter(|id| keyring.is_destroyed(*id)).collect();
        destroyed.extend(removal.entities.iter().flat_map(|owner| keyring.key_ids(owner)));
        destroyed.extend(&removal.keys);
        destroyed.sort_unstable();
        destroyed.dedup();
        Shredding { epoch: keyring.epoch_number() + 1, destroyed, anchors: env.keys.grades() }
    };
    let segments = Segments::of(affected.iter().map(|(_, view)| view.segment.id.0));
    progress.intend(shredding, segments).map_err(job::out_of_turn)?;
    save(env, progress)?;
    let number = progress.number();
    let mut hidden = env.hidden.lock();
    hidden.iter_mut().filter(|job| job.number() == number).for_each(|job| job.progress = progress.clone());
    Ok(())
}

/// Whether a segment has rows that a job is about, or may have some.
fn holds(env: &EnvironmentState, view: &SegmentView, job: &Job) -> Result<bool> {
    let index = view.segment.index_unless_lost(&env.keys)?;
    let is_in = |entity: &EntityId| index.as_ref().is_none_or(|index| !index.entities.positions(entity).is_empty());
    let rows = view.of_keys(&job.keys, &env.keys)?;
    Ok(job.entities.iter().any(is_in) || rows.is_none_or(|rows| !rows.is_empty()))
}
