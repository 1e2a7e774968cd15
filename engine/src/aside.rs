//! ASIDE: a rewrite of segments that keeps nobody out while it builds: writes, flushes and erasures go on.
//!
//! Segments are immutable, so what is built of them stays right however long that takes, but for two things. Rows that
//! die meanwhile are marked dead in the outcome. And a segment that goes, or from which an erasure takes rows, overtakes
//! the work: it ends at once, and what it held of whoever was erased goes with it. The erasure waits for that before it
//! says that nothing is left ([`crate::site`]).
//!
//! Invariant: `maintenance` is held while the sources are opened and while the outcome takes their place, never in
//! between; `building` all the while, so that there is one such work at a time and closing can wait for it. No outcome
//! takes the place of sources that an erasure has touched.

use std::sync::Arc;

use index::Stop;

use crate::draft::{Input, overtaken};
use crate::error::Result;
use crate::rewrite::{Outcome, build, commit, discard, open, rewrite_sound, sound};
use crate::snapshot::SegmentView;
use crate::state::{CollectionState, EnvironmentState};
use crate::step::Step;

/// Segments of one collection that are to be rewritten, and what that is called.
pub(crate) struct Chosen {
    pub state: Arc<CollectionState>,
    pub sources: Vec<SegmentView>,
    pub done: Step,
}

/// A rewrite is overtaken this often before others are kept out, so that it comes to an end.
pub(crate) const ATTEMPTS: usize = 3;

/// Rewrites what `choose` says, if anything, unless something overtakes it or it is told to `stop`. The caller holds
/// `building`.
pub(crate) fn rewrite_aside(
    env: &EnvironmentState,
    choose: impl FnOnce() -> Option<Chosen>,
    stop: Stop<'_>,
) -> Result<Step> {
    // Outlives whatever is made of the sources, and the hold on them.
    let work = env.site.begin();
    let Some(chosen) = choose() else { return Ok(Step::Idle) };
    let Chosen { state, sources, .. } = &chosen;
    work.take(sources.iter().map(|source| source.segment.id).collect());
    let stops = || stop() || env.is_closing() || work.is_unwanted() || !stand(env, state, sources);
    let input = Input { is_aside: true, stop: &stops, ..Input::of(sources) };
    let rewritten = sound(sources, || {
        {
            let _one = env.maintenance.lock();
            input.go_on()?;
            open(env, sources)?;
        }
        let built = build(env, state, &input)?;
        let _one = env.maintenance.lock();
        if stops() {
            discard(env, built.id);
            return Err(overtaken());
        }
        commit(env, state, &input, built)
    });
    step_of(env, rewritten, chosen.done, &stops)
}

/// Rewrites what `choose` says, if anything, with others kept out, unless it is told to `stop`.
pub(crate) fn rewrite_alone(
    env: &EnvironmentState,
    choose: impl FnOnce() -> Option<Chosen>,
    stop: Stop<'_>,
) -> Result<Step> {
    let _one = env.maintenance.lock();
    env.check_open()?;
    let Some(Chosen { state, sources, done }) = choose() else { return Ok(Step::Idle) };
    let stops = || stop() || env.is_closing();
    let input = Input { stop: &stops, ..Input::of(&sources) };
    step_of(env, rewrite_sound(env, &state, &input), done, &stops)
}

/// Rewrites what `choose` says, however often that is overtaken: first aside, in the end alone. The caller holds
/// `building`.
pub(crate) fn rewrite_at_last(
    env: &EnvironmentState,
    choose: impl Fn() -> Option<Chosen>,
    stop: Stop<'_>,
) -> Result<Step> {
    for _ in 0..ATTEMPTS {
        let step = rewrite_aside(env, &choose, stop)?;
        if step != Step::Overtaken || stop() {
            return Ok(step);
        }
    }
    rewrite_alone(env, choose, stop)
}

/// What a rewrite that is called `done` came to.
fn step_of(env: &EnvironmentState, rewritten: Result<Option<Outcome>>, done: Step, stops: Stop<'_>) -> Result<Step> {
    match rewritten {
        // Whatever else went wrong, went wrong on the way to nowhere.
        Err(_) if stops() => env.check_open().map(|()| Step::Overtaken),
        Err(error) => Err(error),
        Ok(None) => Ok(Step::Quarantined),
        Ok(Some(Outcome::Emptied)) => Ok(Step::Emptied),
        Ok(Some(_)) => Ok(done),
    }
}

/// Whether the sources of a rewrite are what they were, but for rows that died. An erasure destroys the key of every
/// index that it touches; what it could not purge at once, upkeep purges before anything is built.
fn stand(env: &EnvironmentState, state: &CollectionState, sources: &[SegmentView]) -> bool {
    let (view, keyring) = (state.view(), env.keys.read());
    sources
        .iter()
        .map(|source| source.segment.id)
        .all(|id| view.segments.iter().any(|now| now.segment.id == id) && keyring.index_key(id.0).is_some())
}

#[cfg(test)]
mod tests;
