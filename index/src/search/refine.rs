//! The second look at what a walk by rough keys found.

use super::scratch::Scratch;
use super::walkable::Goal;

/// Orders the positions found last anew, by the keys of `goal`.
pub(crate) fn refine(goal: &impl Goal, scratch: &mut Scratch) {
    let Scratch { found, positions, keys, .. } = scratch;
    positions.clear();
    positions.extend(found.iter().map(|(position, _)| position));
    if keys.len() < positions.len() {
        keys.resize(positions.len(), 0);
    }
    goal.prefetch(positions);
    goal.keys(positions, keys);
    found.replace(keys.iter().copied().zip(positions.iter().copied()));
}
