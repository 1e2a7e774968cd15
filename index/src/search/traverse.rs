//! The walk along the graph: outwards from the nearest row not yet expanded, until none is left
//! among the best (Malkov and Yashunin, 2016, algorithm 2) or near enough.
//!
//! It starts from the first rows, all at once. Positions follow a keyed order, so these rows are a
//! random sample, and they lie side by side in memory: comparing them costs less than one layer of
//! a hierarchy would.
//!
//! Invariant: a row enters the pool once. Row 0 is always among the first, so that a graph in which
//! it reaches everything yields `min(limit, rows)` results when everything is allowed.

use super::allow::Allow;
use super::reach::Reach;
use super::scratch::Scratch;
use super::walkable::{Horizon, Links};

/// Rows that a walk starts from.
const STARTS: usize = 32;

/// Walks as far as `reach` says, with a frontier of `width` rows; leaves the best allowed ones of what
/// it saw in `scratch`.
pub(crate) fn walk(
    graph: &impl Links,
    goal: &impl Horizon,
    (reach, width): (Reach, usize),
    allow: Allow<'_>,
    scratch: &mut Scratch,
) {
    let filtered = !matches!(allow, Allow::All);
    let Scratch { visited, frontier, found, keys, counters, .. } = scratch;
    let (rows, slack) = (graph.rows(), reach.slack());
    visited.reset(rows);
    frontier.reset(reach.rank(), width.min(rows));
    found.reset(reach.rank(), reach.width().min(rows));
    let starts: [u32; STARTS] = std::array::from_fn(|at| at as u32);
    let mut fresh = visited.admit(&starts[..STARTS.min(rows)]);
    // Rows with greater keys are not expanded, and not kept.
    let (mut last, mut kept, mut hops) = (i32::MAX, i32::MAX, 0);
    let mut farthest = None;
    loop {
        if keys.len() < fresh.len() {
            keys.resize(fresh.len(), 0);
        }
        goal.keys(fresh, keys);
        counters.compared += fresh.len() as u64;
        frontier.insert_up_to(kept, fresh, keys);
        if filtered {
            for (&position, &key) in fresh.iter().zip(keys.iter()).filter(|(position, _)| allow.contains(**position)) {
                found.insert(key, position);
            }
        }
        let wanted = if filtered { &*found } else { &*frontier }.last_of_nearest();
        if hops >= reach.least() && wanted != farthest {
            farthest = wanted;
            last = wanted.map_or(i32::MAX, |key| goal.beyond(key, slack));
            kept = wanted.map_or(i32::MAX, |key| last.max(key));
        }
        let Some(row) = frontier.expand(last) else {
            break;
        };
        if let Some(next) = frontier.peek() {
            graph.prefetch(next);
        }
        hops += 1;
        fresh = visited.admit(graph.neighbours(row));
    }
    counters.hops += hops;
    if !filtered {
        std::mem::swap(frontier, found);
    }
    found.settle(found.last_of_nearest().map_or(i32::MAX, |key| goal.doubtful(key)));
}
