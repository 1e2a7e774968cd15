//! RETAIN: clock judged → flushed, where memtables hold what is past → the keys of past periods found, those of held entities
//! passed over → told, job synced, rows masked → from there on as an erasure goes ([`crate::erase`]): one epoch for all of
//! them, affected segments rewritten. So backups lose what is past as they lose who was erased.
//!
//! Invariant: nothing goes before its window is over by a clock that was judged. A run that is interrupted goes on at the
//! next opening: which keys go is in its job before any row is hidden.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use privacy::access::Permission;
use privacy::audit::{Act, Outcome};
use privacy::erasure::{self, Expired, Shredding, Stamp};
use privacy::{KeyId, Tag, Trusted, Window};

use crate::declare::declare_as;
use crate::doubt;
use crate::erase::{self, Done};
use crate::error::{Error, ErrorKind, Result};
use crate::flush::flush_alone;
use crate::job::{self, Job};
use crate::kept::Retention;
use crate::permit::Permit;
use crate::purge;
use crate::relog::is_held;
use crate::state::{CollectionState, EnvironmentState};

/// What a run did.
pub(crate) struct Ran {
    /// How far its job came; none if nothing was past.
    pub progress: Option<erasure::Job>,
    /// Entities of which something is past and held.
    pub held: u64,
    /// Why the keys are not destroyed yet.
    pub pending: Option<Error>,
}

/// The keys of past periods.
#[derive(Default)]
pub(crate) struct Past {
    pub keys: BTreeSet<KeyId>,
    /// Whose keys of past periods stay.
    pub held: BTreeSet<Tag>,
}

/// Has a collection keep records for `window` from now on, or for ever.
pub(crate) fn set(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    window: Option<Window>,
) -> Result<()> {
    env.admit_in(permit, Permission::RetentionWrite, &state.name)?;
    let window_ms = window.map(Window::as_ms);
    if window.is_some() {
        // What is there counts from now, and a wrong clock must not decide that.
        doubt::now(env)?;
    }
    let now = doubt::written_ms(env);
    let act = Act::RetentionSet { collection: state.id.0, window_ms };
    declare_as(env, state, permit, act, |rules| {
        let since_ms = rules.retention.map_or(now, |retention| retention.since_ms);
        Ok(rules.with_retention(window_ms.map(|window_ms| Retention { window_ms, since_ms })))
    })
}

/// Removes everything that is past its window.
pub(crate) fn retain(env: &EnvironmentState, permit: &Permit) -> Result<Ran> {
    env.admit(permit, Permission::RetentionWrite)?;
    let one = env.maintenance.lock();
    env.check_open()?;
    if !keeps_for_a_time(env) {
        return Ok(Ran { progress: None, held: 0, pending: None });
    }
    let reserve = &env.shared.reserve;
    let now = reserve.spend(|| doubt::now(env))?;
    erase::finish_hidden(env)?;
    if has_past_writes(env, now) {
        // They are sealed under the keys of their periods, which are past.
        flush_alone(env)?;
    }
    let Past { keys, held } = past(env, now);
    let held = held.len() as u64;
    if keys.is_empty() {
        return Ok(Ran { progress: None, held, pending: None });
    }
    let number = reserve.spend(|| erase::begin(env))?;
    let job = reserve.spend(|| hide(env, permit, number, &keys))?;
    reserve.spend(|| purge::save(env, &job.progress))?;
    let Done { progress, pending, .. } = erase::destroy(env, permit, one, &job, false)?;
    Ok(Ran { progress: Some(progress), held, pending })
}

/// [`retain`] if it is time to look; whether anything went. A clock in doubt is no reason to leave other upkeep.
pub(crate) fn retain_due(env: &EnvironmentState) -> Result<bool> {
    let every_ms = env.shared.settings.retention_check_minutes.saturating_mul(60 * 1000);
    let now_ms = env.shared.clock.now_ms();
    let look_at = &env.judge.look_at;
    let next = look_at.load(Ordering::Relaxed);
    // A clock that was set back does not put it off.
    let is_due = now_ms >= next || now_ms.saturating_add(every_ms) < next;
    if every_ms == 0 || !is_due || !keeps_for_a_time(env) {
        return Ok(false);
    }
    look_at.store(now_ms.saturating_add(every_ms), Ordering::Relaxed);
    match retain(env, &Permit::engine()) {
        Err(error) if error.kind() == ErrorKind::Conflict => {
            tracing::warn!(%error, "retention waits");
            Ok(false)
        }
        ran => ran.map(|ran| ran.progress.is_some()),
    }
}

/// Whether any collection has a window.
pub(crate) fn keeps_for_a_time(env: &EnvironmentState) -> bool {
    env.all().iter().any(|state| state.rules().retention.is_some())
}

/// Which keys are past at `now`.
pub(crate) fn past(env: &EnvironmentState, now: Trusted) -> Past {
    let (keyring, mut past) = (env.keys.read(), Past::default());
    for state in env.all() {
        let Some(retention) = state.rules().retention else { continue };
        for (owner, key, _) in keyring.keys_of(state.id.0).filter(|(.., until)| retention.is_past(*until, now)) {
            if env.holds.is_held(&owner) {
                past.held.insert(owner);
            } else {
                past.keys.insert(key);
            }
        }
    }
    past
}

/// How many records of a memtable are past at `now`.
pub(crate) fn past_writes(state: &CollectionState, now: Trusted) -> u64 {
    let (view, Some(retention)) = (state.view(), state.rules().retention) else { return 0 };
    let ages = view.memtable.ages();
    let is_past = |written_ms| retention.is_past(retention.until(written_ms), now);
    if !ages.oldest_ms().is_some_and(is_past) {
        return 0;
    }
    let records = view.memtable.iter().filter_map(|(_, slot)| slot.live());
    records.filter(|record| ages.written_ms(record.sequence).is_some_and(is_past)).count() as u64
}

/// Whether a memtable that can be flushed holds records that are past.
fn has_past_writes(env: &EnvironmentState, now: Trusted) -> bool {
    env.all().iter().any(|state| past_writes(state, now) > 0 && !is_held(env, state))
}

/// Tells the run and makes its job durable, then masks what its keys open in every collection.
fn hide(env: &EnvironmentState, permit: &Permit, number: u64, keys: &BTreeSet<KeyId>) -> Result<Job> {
    let mut applied = env.apply.lock();
    let through = {
        let mut queue = env.queue.lock();
        env.apply_all(&mut applied, &mut queue)?;
        queue.next_sequence.saturating_sub(1)
    };
    let (mut views, mut expired, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for state in env.all() {
        let mut view = (*state.view()).clone();
        let records = view.mask_keys(keys, &env.keys)?;
        if env.keys.read().keys_of(state.id.0).any(|(_, key, _)| keys.contains(&key)) {
            let ran = Act::RetentionRan { collection: state.id.0, count: records };
            told.push(env.entry(permit, ran, Outcome::Done));
        }
        if records > 0 {
            expired.push(Expired { collection: state.id.0, records });
        }
        views.push((state, view));
    }
    let epoch = env.keys.read().epoch_number() + 1;
    let shredding = Shredding { epoch, destroyed: keys.iter().copied().collect(), anchors: env.keys.grades() };
    let begun = Stamp { time_ms: env.shared.clock.now_ms(), sequence: through };
    let progress = erasure::Job::begin_expiry(number, begun, shredding).map_err(job::out_of_turn)?;
    let mut job = Job::of_keys(progress);
    env.append(told)?;
    purge::save(env, &job.progress)?;
    env.hidden.lock().push(job.clone());
    views.into_iter().for_each(|(state, view)| state.publish(view));
    // Reads that took an older view start over.
    env.masked.fetch_add(1, Ordering::Release);
    drop(applied);
    job.hide_expired(env.shared.clock.now_ms(), expired)?;
    env.hidden.lock().iter_mut().filter(|other| other.number() == number).for_each(|other| *other = job.clone());
    Ok(job)
}
