//! Looking at the code of every allowed position.
//!
//! Invariant: finds exactly the `ef` smallest estimates. It is the answer for small segments and
//! selective filters, and the fallback when a walk finds too little.

use super::allow::Allow;
use super::scratch::Scratch;
use super::walkable::Goal;

/// Positions compared at a time.
const BATCH: usize = 64;

/// Scans the allowed ones of `rows` positions and leaves the `ef` nearest in `scratch`.
pub(crate) fn scan(rows: u32, goal: &impl Goal, ef: usize, allow: Allow<'_>, scratch: &mut Scratch) {
    scratch.found.reset(1, ef.min(rows as usize));
    each_batch(goal, allow.positions(rows), scratch);
    scratch.found.settle(i32::MAX);
}

/// Compares the positions in batches and keeps the nearest.
fn each_batch(goal: &impl Goal, mut positions: impl Iterator<Item = u32>, scratch: &mut Scratch) {
    loop {
        scratch.positions.clear();
        scratch.positions.extend(positions.by_ref().take(BATCH));
        if scratch.positions.is_empty() {
            return;
        }
        if scratch.keys.len() < BATCH {
            scratch.keys.resize(BATCH, 0);
        }
        goal.prefetch(&scratch.positions);
        goal.keys(&scratch.positions, &mut scratch.keys);
        scratch.counters.compared += scratch.positions.len() as u64;
        scratch.found.insert_up_to(i32::MAX, &scratch.positions, &scratch.keys);
    }
}
