//! The upkeep of an environment in steps that a test can drive: flush, compaction, the rest of erasures for which there
//! was no room, what is past its window, and the graphs that both left to be built.
//!
//! Invariant: a log goes only after a committed manifest no longer names it. What grows with the segments is built aside
//! ([`crate::aside`]), so that a flush, for which writers may be waiting, never waits for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use index::Stop;
use storage::compaction::{Policy, Size, pick};
use storage::id::SegmentId;
use storage::sync::lock_within;

use crate::aside::{ATTEMPTS, Chosen, rewrite_alone, rewrite_aside, rewrite_at_last};
use crate::declare::lacks_fields;
use crate::erase;
use crate::error::{Error, ErrorKind, Result};
use crate::flush::{flush, flush_alone};
use crate::rebuild;
use crate::relog::is_held;
use crate::retain::retain_due;
use crate::snapshot::SegmentView;
use crate::state::{CollectionState, EnvironmentState};
use crate::step::Step;

/// A memtable this many times over its limit makes writers wait for a flush.
const HOLD_BACK: usize = 4;
/// How long it makes them wait for other upkeep to end.
const HOLD_BACK_WAIT: Duration = Duration::from_secs(10);

/// Does the most urgent piece of upkeep, if any; what it builds aside is given up once told to `stop`.
pub(crate) fn step(env: &EnvironmentState, stop: Stop<'_>) -> Result<Step> {
    if let Err(error) = sign_due(env) {
        // It must not be in the way of what makes room.
        tracing::warn!(%error, "the audit log is behind and will be tried again");
    }
    // Writers who never pause must not put a rebuild off for ever.
    if flush_due(env)? && !rebuild::is_overdue(env) {
        return Ok(Step::Flushed);
    }
    let _one_builds = env.building.lock();
    {
        let _one = env.maintenance.lock();
        env.check_open()?;
        if erase::finish_shredded(env)? {
            return Ok(Step::Purged);
        }
    }
    if retain_due(env)? {
        return Ok(Step::Expired);
    }
    for piece in [rebuild::overdue, compact_next, rebuild::at_leisure] {
        match piece(env, stop)? {
            Step::Idle => {}
            done => return Ok(done),
        }
    }
    Ok(if rotate_due(env)? { Step::Rotated } else { Step::Idle })
}

/// Replaces the KEK if it is older than the settings allow; says whether it was.
fn rotate_due(env: &EnvironmentState) -> Result<bool> {
    let age = env.shared.settings.kek_rotation_days.saturating_mul(24 * 60 * 60 * 1000);
    env.check_open()?;
    Ok(age > 0 && env.keys.rotate_if_older(age, env.shared.clock.now_ms())?)
}

/// Tells what was counted in the last minute, and signs for what was told.
fn sign_due(env: &EnvironmentState) -> Result<()> {
    let now = env.shared.clock.now_ms();
    let is_due = env.tally.lock().is_due(now) || env.denials.lock().is_due(now);
    if is_due {
        env.tell_counts()?;
    }
    env.trail.checkpoint_due(now)
}

/// Flushes if a memtable is over its limit; says whether one was.
pub(crate) fn flush_due(env: &EnvironmentState) -> Result<bool> {
    let is_due = || env.all().iter().any(|state| over(env, state, 1) && !is_held(env, state));
    if !is_due() {
        return Ok(false);
    }
    let _one = env.maintenance.lock();
    // Whoever held the lock may have flushed.
    if is_due() { flush_alone(env).map(|()| true) } else { Ok(true) }
}

/// Rewrites what is most worth it, if anything is. Where erasures overtake that, the other collections have their turn;
/// then fewer segments are merged, and in the end with others kept out, so that nobody can put it off for ever.
fn compact_next(env: &EnvironmentState, stop: Stop<'_>) -> Result<Step> {
    let mut met = Step::Idle;
    for state in env.all() {
        let times = state.overtaken.load(Ordering::Relaxed);
        let choose = || choose(&state, times);
        let rewritten =
            if times < ATTEMPTS { rewrite_aside(env, choose, stop) } else { rewrite_alone(env, choose, stop) };
        match rewritten? {
            Step::Idle => state.overtaken.store(0, Ordering::Relaxed),
            Step::Overtaken => {
                met = Step::Overtaken;
                if stop() {
                    break;
                }
                state.overtaken.store(times + 1, Ordering::Relaxed);
            }
            done => {
                state.overtaken.store(0, Ordering::Relaxed);
                return Ok(done);
            }
        }
    }
    Ok(met)
}

/// What a collection should have rewritten next after it was overtaken so many times: half as many segments each time,
/// the smallest, since their merge takes least long.
pub(crate) fn choose(state: &Arc<CollectionState>, overtaken: usize) -> Option<Chosen> {
    let (view, _) = state.view().served();
    let declared = state.declared();
    let chosen = |sources, done| Some(Chosen { state: Arc::clone(state), sources, done });
    let is_stale = |view: &&SegmentView| view.segment.condition().is_stale() || lacks_fields(view, &declared);
    if let Some(stale) = view.segments.iter().find(is_stale) {
        return chosen(vec![stale.clone()], Step::Mended);
    }
    let sizes: Vec<Size> = view.segments.iter().map(size).collect();
    let picks = pick(&sizes, &Policy::default());
    let picked: Vec<SegmentId> = picks.into_iter().next()?;
    let fewer = (picked.len() >> overtaken.min(ATTEMPTS)).max(2);
    let picked = picked.get(..fewer).unwrap_or(&picked);
    chosen(view.segments.iter().filter(|view| picked.contains(&view.segment.id)).cloned().collect(), Step::Compacted)
}

/// Merges every collection into one segment without dead rows, whose graph is built from its rows alone.
pub(crate) fn compact(env: &EnvironmentState) -> Result<()> {
    flush(env)?;
    let _one_builds = env.building.lock();
    for state in env.all() {
        let choose = || {
            let (view, _) = state.view().served();
            let (waiting, declared) = (rebuild::waiting(env), state.declared());
            let is_due = |view: &SegmentView| {
                let segment = &view.segment;
                !view.dead.is_empty()
                    || segment.condition().is_stale()
                    || lacks_fields(view, &declared)
                    || waiting.contains_key(&segment.id)
            };
            let is_whole = view.segments.len() < 2 && !view.segments.iter().any(is_due);
            (!is_whole).then(|| Chosen {
                state: Arc::clone(&state),
                sources: view.segments.clone(),
                done: Step::Compacted,
            })
        };
        // Whatever is damaged is left out the next time around.
        while rewrite_at_last(env, choose, &|| false)? == Step::Quarantined {}
    }
    // No graph waits any more, which is what erasures may have waited for.
    let _one = env.maintenance.lock();
    erase::finish_shredded(env).map(drop)
}

/// Writers flush here while a memtable is far over its limit, or are told to come back where other upkeep
/// takes too long.
pub(crate) fn hold_back(env: &EnvironmentState, state: &CollectionState) -> Result<()> {
    if !over(env, state, HOLD_BACK) {
        return Ok(());
    }
    let Some(_one) = lock_within(&env.maintenance, HOLD_BACK_WAIT) else {
        return Err(Error::new(ErrorKind::Busy, "writes come faster than segments are built; retry in a few seconds"));
    };
    // Whoever held the lock may have flushed.
    if over(env, state, HOLD_BACK) { flush_alone(env) } else { Ok(()) }
}

/// What the choice of segments to rewrite depends on.
pub(crate) fn size(view: &SegmentView) -> Size {
    Size { id: view.segment.id, rows: u64::from(view.segment.len), dead: view.dead.len() }
}

fn over(env: &EnvironmentState, state: &CollectionState, times: usize) -> bool {
    let settings = &env.shared.settings;
    let memtable = &state.view().memtable;
    memtable.len() >= settings.memtable_rows_max.saturating_mul(times)
        || memtable.resident_bytes() >= settings.memtable_bytes_max.saturating_mul(times)
}
