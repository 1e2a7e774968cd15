//! REBUILD: the graph of a segment that an erasure repaired is built anew from its rows alone, as if the others had never
//! been there.
//!
//! It comes when upkeep has nothing else to do, one segment a step, the one that has waited longest first; after
//! [`crate::Settings::rebuild_hours`] at the latest it comes before whatever can wait. The graph is built aside
//! ([`crate::aside`]) and given up if an erasure changes the segment meanwhile; one that is overdue and is given up again
//! and again is built with erasures kept out, so that it comes to an end. Either way it is a rewrite like any other: the
//! rows are copied under a new segment number, the old index key goes with the next epoch, and a crash leaves the one
//! segment or the other. Where the disk has no room it is put off.
//!
//! Invariant: the manifest alone says which graphs wait, so that no restart forgets one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use index::Stop;
use storage::id::SegmentId;

use crate::aside::{Chosen, rewrite_aside, rewrite_at_last};
use crate::error::Result;
use crate::state::EnvironmentState;
use crate::step::Step;

const MS_PER_HOUR: u64 = 60 * 60 * 1000;
/// Where the disk had no room it is not tried again before this: a graph takes long to build, and would be built in vain.
const RETRY_MS: u64 = 10 * 60 * 1000;

/// The segments whose graph waits to be built, with the time since when.
pub(crate) fn waiting(env: &EnvironmentState) -> HashMap<SegmentId, u64> {
    let manifest = env.manifest.lock();
    manifest.segments().filter_map(|(_, segment)| Some((segment.id, segment.repaired_at?))).collect()
}

/// Whether one has waited too long.
pub(crate) fn is_overdue(env: &EnvironmentState) -> bool {
    longest_overdue(env).is_some()
}

/// Builds a graph that has waited too long. The caller holds `building`.
pub(crate) fn overdue(env: &EnvironmentState, stop: Stop<'_>) -> Result<Step> {
    put_off(env, rewrite_at_last(env, || longest_overdue(env), stop))
}

/// Builds a graph that waits. The caller holds `building`.
pub(crate) fn at_leisure(env: &EnvironmentState, stop: Stop<'_>) -> Result<Step> {
    put_off(env, rewrite_aside(env, || longest(env, u64::MAX), stop))
}

fn longest_overdue(env: &EnvironmentState) -> Option<Chosen> {
    let patience = env.shared.settings.rebuild_hours.saturating_mul(MS_PER_HOUR);
    longest(env, env.shared.clock.now_ms().checked_sub(patience)?)
}

/// The segment whose graph has waited longest, if that is since `until` or before.
fn longest(env: &EnvironmentState, until: u64) -> Option<Chosen> {
    let waiting = waiting(env);
    let mut longest = None;
    for state in env.all() {
        for view in &state.view().served().0.segments {
            let id = view.segment.id;
            let since = waiting.get(&id).filter(|&&since| since <= until);
            if let Some(&since) = since
                && longest.as_ref().is_none_or(|(other, _)| (since, id) < *other)
            {
                let chosen = Chosen { state: Arc::clone(&state), sources: vec![view.clone()], done: Step::Rebuilt };
                longest = Some(((since, id), chosen));
            }
        }
    }
    longest.map(|(_, found)| found).filter(|_| has_room(env))
}

fn has_room(env: &EnvironmentState) -> bool {
    let (now, retry_at) = (env.shared.clock.now_ms(), env.rebuild_at.load(Ordering::Relaxed));
    // A clock that ran back puts nothing off for longer.
    let is_put_off = now < retry_at && retry_at <= now.saturating_add(RETRY_MS);
    !is_put_off && env.shared.reserve.check().is_ok()
}

fn put_off(env: &EnvironmentState, rebuilt: Result<Step>) -> Result<Step> {
    // Whatever is in its way must not be in the way of all other upkeep too.
    rebuilt.inspect_err(|_| {
        env.rebuild_at.store(env.shared.clock.now_ms().saturating_add(RETRY_MS), Ordering::Relaxed);
    })
}
