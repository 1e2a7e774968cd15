//! SCRUB: one segment at a time is authenticated from its files, the one first whose last time is longest ago.
//!
//! Invariant: `maintenance` is held while files are opened, not while they are read, so that nobody waits for a scrub.

use serde::Serialize;
use storage::manifest::SegmentEntry;

use crate::error::Result;
use crate::inspect::Inspection;
use crate::snapshot::SegmentView;
use crate::state::EnvironmentState;

/// What one step of the scrub found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scrub {
    /// There was no segment to check.
    Idle,
    /// This segment is what was written, to the last byte.
    Sound(String),
    /// The index or the tombstones of this segment are damaged on disk; upkeep writes them anew from memory.
    Stale(String),
    /// The rows of this segment are damaged; it is left out of every answer from now on.
    Quarantined(String),
}

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// Checks the segment that was checked longest ago, if that was before `since`, until told to `stop`.
pub(crate) fn scrub(env: &EnvironmentState, since: u64, stop: &dyn Fn() -> bool) -> Result<Scrub> {
    let opened = {
        let _one = env.maintenance.lock();
        env.check_open()?;
        oldest(env, since).map(|(view, entry)| (Inspection::open(env, &view, &entry), view))
    };
    let Some((mut inspection, view)) = opened else { return Ok(Scrub::Idle) };
    if !inspection.authenticate(env, stop) {
        return Ok(Scrub::Idle);
    }
    let condition = view.segment.condition();
    condition.mark_checked(env.shared.clock.now_ms());
    let name = view.segment.path();
    Ok(match (condition.is_damaged(), inspection.problems.is_empty()) {
        (true, _) => Scrub::Quarantined(name),
        (false, true) => Scrub::Sound(name),
        (false, false) => Scrub::Stale(name),
    })
}

/// [`scrub`] as the background thread calls it: what was checked within the days of the settings can wait.
pub(crate) fn scrub_due(env: &EnvironmentState, stop: &dyn Fn() -> bool) -> Result<Scrub> {
    match env.shared.settings.scrub_days {
        0 => Ok(Scrub::Idle),
        days => scrub(env, env.shared.clock.now_ms().saturating_sub(days.saturating_mul(MS_PER_DAY)), stop),
    }
}

/// The segment that was checked longest ago, at `since` or before; those in quarantine are known to be damaged.
fn oldest(env: &EnvironmentState, since: u64) -> Option<(SegmentView, SegmentEntry)> {
    let states = env.all();
    let views = states.iter().flat_map(|state| state.view().served().0.segments.clone());
    let due = views.filter(|view| view.segment.condition().checked() <= since);
    let view = due.min_by_key(|view| (view.segment.condition().checked(), view.segment.id))?;
    let manifest = env.manifest.lock();
    let entry = manifest.segments().find(|(_, entry)| entry.id == view.segment.id)?.1.clone();
    Some((view, entry))
}
