//! The walk along the graph: outwards from the nearest row not yet expanded, until none is left
//! among the best (Malkov and Yashunin, 2016, algorithm 2) or near enough.
//!
//! Invariant: a row enters the pool once. Row 0 is always among the first, so that a graph in which
//! it reaches everything yields `min(limit, rows)` results when everything is allowed.

use super::allow::Allow;
use super::pool::Pool;
use super::reach::Reach;
use super::scratch::Scratch;
use super::visited::Visited;
use super::walkable::{Goal, Horizon, Links};
use std::ops::Range;

/// Where a walk ends.
pub(crate) struct Extent {
    pub reach: Reach,
    /// Rows that the frontier holds at most.
    pub width: usize,
    /// Rows in whose scan's time it is given up, with what was found so far.
    pub most: u64,
}

/// How many rows are scanned in the time that a walk takes for a list of neighbours, without the rows in it: measured
/// at 15 ns a row, on vectors of 128 and 384 dimensions.
const SCANNED_PER_LIST: u64 = 6;

/// The same for a row that it compares. It comes from anywhere in memory, and takes part in what comes next.
const SCANNED_PER_ROW: u64 = 2;

/// Lists that a walk reads one after the other: on its way to where the nearest are, each row may lead to a better one. From
/// then on the next list is chosen before the rows of the last are compared, and its rows come from memory meanwhile.
const DESCENT: u64 = 6;

/// Walks as far as `extent` says, unless that takes too long; leaves the best allowed ones of what it saw in `scratch`
/// and says whether it came to its end.
pub(crate) fn walk(
    graph: &impl Links,
    goal: &impl Horizon,
    &Extent { reach, width, most }: &Extent,
    allow: Allow<'_>,
    scratch: &mut Scratch,
) -> bool {
    let filtered = !matches!(allow, Allow::All);
    let Scratch { visited, frontier, found, keys, links, counters, .. } = scratch;
    let (rows, slack) = (graph.rows(), reach.slack());
    visited.reset(rows);
    frontier.reset(reach.rank(), width.min(rows));
    found.reset(reach.rank(), reach.width().min(rows));
    let mut admitted = visited.admit(graph.starts(goal, (links, keys)), |rows| goal.prefetch(rows));
    counters.compared += graph.sampled();
    // Rows with greater keys are not expanded, and not kept.
    let (mut last, mut kept, mut hops) = (i32::MAX, i32::MAX, 0);
    let mut farthest = None;
    let is_whole = loop {
        let mut next = None;
        if hops >= DESCENT {
            next = expand(graph, goal, (frontier, visited, links), last);
        }
        let fresh = visited.members(admitted);
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
        let spent = counters.compared * SCANNED_PER_ROW + (hops + graph.lists_between()) * SCANNED_PER_LIST;
        if spent >= most {
            break false;
        }
        let Some(rows) = next.or_else(|| expand(graph, goal, (frontier, visited, links), last)) else {
            break true;
        };
        (admitted, hops) = (rows, hops + 1);
    };
    counters.hops += hops + graph.lists_between();
    if !filtered {
        std::mem::swap(frontier, found);
    }
    let wanted = found.last_of_nearest();
    found.settle(wanted.map_or(i32::MAX, |key| goal.doubtful(key)));
    is_whole
}

/// Expands the nearest row of the frontier that is not beyond `last`: the neighbours that were not met before are admitted,
/// and on their way from memory.
fn expand(
    graph: &impl Links,
    goal: &impl Goal,
    (frontier, visited, links): (&mut Pool, &mut Visited, &mut Vec<u32>),
    last: i32,
) -> Option<Range<usize>> {
    let row = frontier.expand(last)?;
    if let Some(next) = frontier.peek() {
        graph.prefetch(next);
    }
    Some(visited.admit(graph.neighbours(row, links), |rows| goal.prefetch(rows)))
}
