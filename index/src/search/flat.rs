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
    scratch.found.reset(ef.min(rows as usize));
    match allow {
        Allow::All => each_batch(goal, 0..rows, scratch),
        Allow::Except(bitmap) => {
            let mut excluded = bitmap.iter().peekable();
            let kept = (0..rows).filter(move |position| {
                while excluded.next_if(|next| next < position).is_some() {}
                excluded.peek() != Some(position)
            });
            each_batch(goal, kept, scratch);
        }
        Allow::Only(bitmap) => each_batch(goal, bitmap.range(..rows), scratch),
    }
    scratch.found.settle();
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
        goal.keys(&scratch.positions, &mut scratch.keys);
        scratch.counters.compared += scratch.positions.len() as u64;
        for (&position, &key) in scratch.positions.iter().zip(&scratch.keys) {
            scratch.found.gather(key, position);
        }
    }
}
