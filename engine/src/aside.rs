//! ASIDE: a rewrite of segments that keeps nobody out while it builds: writes, flushes and erasures go on.
//!
//! Segments are immutable, so what is built of them stays right however long that takes, but for two things. Rows that
//! die meanwhile are marked dead in the outcome. And a segment that goes, or from which an erasure takes rows, overtakes
//! the work: it ends at once, and the memory that holds codes of whoever was erased goes with it.
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

/// How a rewrite ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The outcome has taken the place of its sources.
    Rewritten(Outcome),
    /// One of the sources is damaged; nothing was changed.
    Quarantined,
    /// The sources changed, or it was told to stop; nothing was changed.
    Overtaken,
}

impl Ended {
    /// The step that this was, if a rewrite is called `done`.
    pub fn step(self, done: Step) -> Step {
        match self {
            Self::Rewritten(Outcome::Emptied) => Step::Emptied,
            Self::Rewritten(_) => done,
            Self::Quarantined => Step::Quarantined,
            Self::Overtaken => Step::Overtaken,
        }
    }

    fn of(rewritten: Option<Outcome>) -> Self {
        rewritten.map_or(Self::Quarantined, Self::Rewritten)
    }
}

/// Segments of one collection.
pub(crate) type Chosen = (Arc<CollectionState>, Vec<SegmentView>);

/// Rewrites `chosen` unless something overtakes it or it is told to `stop`. The caller holds `building`.
pub(crate) fn rewrite_aside(env: &EnvironmentState, chosen: &Chosen, stop: Stop<'_>) -> Result<Ended> {
    let (state, sources) = chosen;
    let stops = || stop() || env.is_closing() || !stand(env, state, sources);
    let input = Input { aside: Some(&stops), ..Input::of(sources) };
    let rewritten = sound(sources, || {
        {
            let _one = env.maintenance.lock();
            if stops() {
                return Err(overtaken());
            }
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
    match rewritten {
        // Whatever else went wrong, went wrong on the way to nowhere.
        Err(_) if stops() => env.check_open().map(|()| Ended::Overtaken),
        done => done.map(Ended::of),
    }
}

/// A rewrite is overtaken this often before others are kept out, so that it comes to an end.
const ATTEMPTS: usize = 3;

/// Rewrites what `choose` says, however often that is overtaken: first aside, in the end with others kept out. `None`
/// if there is nothing to rewrite. The caller holds `building`.
pub(crate) fn rewrite_at_last(
    env: &EnvironmentState,
    choose: impl Fn() -> Option<Chosen>,
    stop: Stop<'_>,
) -> Result<Option<Ended>> {
    for _ in 0..ATTEMPTS {
        let Some(chosen) = choose() else { return Ok(None) };
        let ended = rewrite_aside(env, &chosen, stop)?;
        if ended != Ended::Overtaken || stop() {
            return Ok(Some(ended));
        }
    }
    let _one = env.maintenance.lock();
    env.check_open()?;
    let Some((state, sources)) = choose() else { return Ok(None) };
    Ok(Some(Ended::of(rewrite_sound(env, &state, &Input::of(&sources))?)))
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
