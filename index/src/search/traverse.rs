//! The walk along the graph: outwards from the nearest row not yet expanded, until none is left
//! among the best (Malkov and Yashunin, 2016, algorithm 2).
//!
//! It starts from the first rows, all at once. Positions follow a keyed order, so these rows are a
//! random sample, and they lie side by side in memory: comparing them costs less than one layer of
//! a hierarchy would.
//!
//! Invariant: a row enters the pool once. Row 0 is always among the first, so that a graph in which
//! it reaches everything yields `min(ef, rows)` results when everything is allowed.

use super::allow::Allow;
use super::scratch::Scratch;
use super::walkable::{Goal, Links};

/// Rows that a walk starts from.
const STARTS: usize = 32;

/// Walks with a frontier of `width` rows; leaves the best `ef` allowed ones of what it saw in
/// `scratch` (with everything allowed, the best `width`).
pub(crate) fn walk(
    graph: &impl Links,
    goal: &impl Goal,
    (ef, width): (usize, usize),
    allow: Allow<'_>,
    scratch: &mut Scratch,
) {
    let filtered = !matches!(allow, Allow::All);
    let Scratch { visited, frontier, found, keys, counters, .. } = scratch;
    let rows = graph.rows();
    visited.reset(rows);
    frontier.reset(width.min(rows));
    found.reset(ef.min(rows));
    let starts: [u32; STARTS] = std::array::from_fn(|at| at as u32);
    let mut fresh = visited.admit(&starts[..STARTS.min(rows)]);
    loop {
        if keys.len() < fresh.len() {
            keys.resize(fresh.len(), 0);
        }
        goal.keys(fresh, keys);
        counters.compared += fresh.len() as u64;
        for (&position, &key) in fresh.iter().zip(keys.iter()) {
            frontier.insert(key, position);
            if filtered && allow.contains(position) {
                found.insert(key, position);
            }
        }
        let Some(row) = frontier.expand() else {
            break;
        };
        if let Some(next) = frontier.peek() {
            graph.prefetch(next);
        }
        counters.hops += 1;
        fresh = visited.admit(graph.neighbours(row));
    }
    if !filtered {
        std::mem::swap(frontier, found);
    }
}
