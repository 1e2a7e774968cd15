//! PURGE: the segments that hold rows of destroyed keys found → each drafted from its survivors → what becomes of it noted in
//! the jobs → put in its place → the stage noted, the receipt issued, the job ended.
//!
//! Invariant: nothing is put in a segment's place before it is noted what, so what a receipt counts is the same whether or
//! not a crash came between.

use std::collections::BTreeSet;
use std::slice;
use std::sync::Arc;

use privacy::erasure::{self, Fate, Receipt, Stage, Stamp};
use storage::id::SegmentId;

use crate::draft::Input;
use crate::entropy::generator;
use crate::error::Result;
use crate::job;
use crate::permit::Permit;
use crate::rebuild;
use crate::receipt;
use crate::rewrite::{self, Outcome, sound};
use crate::snapshot::SegmentView;
use crate::state::{CollectionState, EnvironmentState};

/// Segments with the collections that they are of.
pub(crate) type Affected = Vec<(Arc<CollectionState>, SegmentView)>;

/// The segments in which something of an erased entity may be left.
pub(crate) fn left_over(env: &EnvironmentState) -> Result<Affected> {
    let mut affected = Vec::new();
    for state in env.all() {
        for view in &state.view().segments {
            if view.segment.is_quarantined() || !view.segment.has_index(&env.keys) || holds_destroyed(env, view)? {
                affected.push((Arc::clone(&state), view.clone()));
            }
        }
    }
    Ok(affected)
}

/// Rewrites every affected segment from its survivors, except those that are damaged.
pub(crate) fn purge(env: &EnvironmentState, affected: &Affected, jobs: &mut [erasure::Job]) -> Result<()> {
    for (state, old) in affected {
        // The view's bitmap may have grown since.
        let view = state.view();
        let Some(now) = view.segments.iter().find(|view| view.segment.id == old.segment.id) else { continue };
        let input = Input { may_repair: true, ..Input::of(slice::from_ref(now)) };
        sound(input.segments, || {
            rewrite::open(env, input.segments)?;
            let built = rewrite::build(env, state, &input)?;
            note(env, jobs, now.segment.id, built.outcome()).inspect_err(|_| rewrite::discard(env, built.id))?;
            rewrite::commit(env, state, &input, built)
        })?;
    }
    Ok(())
}

/// Notes in every job that purges a segment what is about to become of it.
fn note(env: &EnvironmentState, jobs: &mut [erasure::Job], segment: SegmentId, outcome: Outcome) -> Result<()> {
    let fate = match outcome {
        Outcome::Emptied => Fate::Emptied,
        Outcome::Built => Fate::Rebuilt,
        Outcome::Repaired => Fate::Repaired,
    };
    jobs.iter_mut().try_for_each(|job| if job.note(segment.0, fate) { save(env, job) } else { Ok(()) })
}

/// Takes a job that purged as far as it goes: signs what it reached, and removes it once no graph waits. Gives the receipt
/// with the place of the event that tells of it, if one was due.
pub(crate) fn finish(
    env: &EnvironmentState,
    permit: &Permit,
    progress: &mut erasure::Job,
) -> Result<Option<(Receipt, u64)>> {
    let now = || Stamp { time_ms: env.shared.clock.now_ms(), sequence: *env.apply.lock() };
    let before = progress.due();
    if before == Some(Stage::Shredded) {
        // The epoch was over when the process ended; that it is over now is what can be said.
        progress.shred(forward(progress, now())).map_err(job::out_of_turn)?;
    }
    if progress.due() == Some(Stage::Purged) {
        let left: BTreeSet<u64> = env.all().iter().flat_map(|state| segments(state)).collect();
        progress.purge(forward(progress, now()), |segment| left.contains(&segment)).map_err(job::out_of_turn)?;
    }
    if progress.due() == Some(Stage::Rebuilt) && is_rebuilt(env, progress) {
        progress.rebuild(forward(progress, now())).map_err(job::out_of_turn)?;
    }
    if progress.due() != before {
        save(env, progress)?;
        job::remove_ids(&env.dir, progress.number())?;
    }
    // What goes by the clock goes for nobody who asked.
    let is_due = progress.expired().is_none() && !receipt::is_stored(env, progress)?;
    let issued = if !is_due { None } else { Some(receipt::issue(env, permit, progress)?) };
    if progress.due().is_none() {
        {
            let _order = env.apply.lock();
            env.commit(|manifest| manifest.next_job = manifest.next_job.max(progress.number() + 1))?;
        }
        job::remove_all(&env.dir, progress.number())?;
    }
    Ok(issued)
}

/// Whether every index is one that never knew the entities. A graph that waits for the sake of others may know them too, by
/// rows that it lost before.
fn is_rebuilt(env: &EnvironmentState, progress: &erasure::Job) -> bool {
    let was_sound = progress.purging().is_some_and(|purging| purging.quarantined == 0);
    let is_sound = || env.all().iter().all(|state| state.view().quarantined().next().is_none());
    rebuild::waiting(env).is_empty() && (was_sound || is_sound())
}

fn segments(state: &CollectionState) -> Vec<u64> {
    state.view().segments.iter().map(|view| view.segment.id.0).collect()
}

/// A stamp that does not go back before what the job reached, however the sequences were counted since.
pub(crate) fn forward(progress: &erasure::Job, at: Stamp) -> Stamp {
    let stages = [Stage::Purged, Stage::Shredded, Stage::Hidden];
    let last = stages.into_iter().find_map(|stage| progress.reached(stage)).unwrap_or(progress.begun());
    Stamp { sequence: at.sequence.max(last.sequence), ..at }
}

/// Makes it durable how far a job has come.
pub(crate) fn save(env: &EnvironmentState, progress: &erasure::Job) -> Result<()> {
    job::save(&env.dir, &env.keys.read(), progress, &mut generator(&*env.shared.entropy)?)
}

fn holds_destroyed(env: &EnvironmentState, view: &SegmentView) -> Result<bool> {
    for position in 0..view.segment.len {
        if !view.segment.is_live(position, &env.keys)? {
            return Ok(true);
        }
    }
    Ok(false)
}
