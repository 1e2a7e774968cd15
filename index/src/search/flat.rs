//! Looking at the code of every allowed position.
//!
//! Invariant: finds exactly the rows of the smallest keys, as far as keys can tell which are nearest. It is the answer
//! for small segments and selective filters, and the fallback when a walk finds too little.

use super::allow::Allow;
use super::reach::Reach;
use super::scratch::Scratch;
use super::walkable::Horizon;

/// Positions compared at a time, while the next as many are on their way from memory.
const BATCH: usize = 32;

/// Scans the allowed ones of `rows` positions and leaves at most `width` of them in `scratch`: of these the nearest
/// that are wanted, and what may be as near.
pub(crate) fn scan(
    rows: u32,
    goal: &impl Horizon,
    (reach, width): (Reach, usize),
    allow: Allow<'_>,
    scratch: &mut Scratch,
) {
    let Scratch { found, positions, keys, room, counters, .. } = scratch;
    found.reset(reach.rank(), width.min(rows as usize));
    if keys.len() < BATCH {
        keys.resize(BATCH, 0);
    }
    positions.clear();
    let mut allowed = room.matching(allow, rows).rows();
    let (mut farthest, mut last) = (None, i32::MAX);
    loop {
        let loaded = positions.len();
        positions.extend(allowed.by_ref().take(BATCH));
        let (batch, next) = positions.split_at(loaded);
        goal.prefetch(next);
        goal.keys(batch, keys);
        found.insert_up_to(last, batch, keys);
        counters.compared += loaded as u64;
        let wanted = found.last_of_nearest();
        if wanted != farthest {
            farthest = wanted;
            last = wanted.map_or(i32::MAX, |key| goal.doubtful(key));
        }
        if next.is_empty() {
            break;
        }
        positions.drain(..loaded);
    }
    found.settle(last);
}
