//! The walk along the graph: down through the layers to a near row, then outwards from the nearest
//! row not yet expanded, until none is left among the best (Malkov and Yashunin, 2016, algorithms 2
//! and 5).
//!
//! Invariant: a row enters the pool once. The bottom layer's entry is always among the first rows,
//! so that a graph in which it reaches everything yields `min(ef, rows)` results when everything is
//! allowed.

use super::allow::Allow;
use super::pool::Pool;
use super::scratch::Scratch;
use crate::codes::Codes;
use crate::graph::FrozenGraph;
use crate::quantize::Query;

/// Walks with a pool of `width` rows and returns the pool of the best `ef` allowed ones (with
/// everything allowed, of the best `width`).
pub(crate) fn walk<'s>(
    graph: &FrozenGraph,
    codes: &Codes,
    query: &Query,
    (ef, width): (usize, usize),
    allow: Allow<'_>,
    scratch: &'s mut Scratch,
) -> &'s Pool {
    let filtered = !matches!(allow, Allow::All);
    scratch.visited.reset(codes.len());
    scratch.walk.reset(width.min(codes.len()));
    scratch.allowed.reset(ef.min(codes.len()));
    let near = descend(graph, codes, query, scratch);
    scratch.positions.clear();
    scratch.positions.extend([near, graph.entry()]);
    scratch.positions.retain(|&position| scratch.visited.insert(position));
    loop {
        compare(codes, query, scratch);
        for (&position, &distance) in scratch.positions.iter().zip(&scratch.distances) {
            if distance <= scratch.walk.bound() {
                scratch.walk.insert(distance, position);
            }
            if filtered && distance <= scratch.allowed.bound() && allow.contains(position) {
                scratch.allowed.insert(distance, position);
            }
        }
        let Some(row) = scratch.walk.expand() else {
            break;
        };
        if let Some(next) = scratch.walk.peek() {
            graph.prefetch(next);
        }
        scratch.counters.hops += 1;
        scratch.positions.clear();
        let (visited, neighbours) = (&mut scratch.visited, graph.neighbours(row));
        scratch.positions.extend(neighbours.iter().filter(|&&to| visited.insert(to)));
    }
    if filtered { &scratch.allowed } else { &scratch.walk }
}

/// Steps to the nearest neighbour in each layer above the bottom until none is nearer; returns the
/// row it ends at.
fn descend(graph: &FrozenGraph, codes: &Codes, query: &Query, scratch: &mut Scratch) -> u32 {
    let entry = graph.entry();
    let Some(mut rank) = graph.layers().last().map_or(Some(entry), |top| top.rank(entry)) else {
        return entry;
    };
    let mut best = codes.distance(query, entry).0;
    for layer in graph.layers().iter().rev() {
        loop {
            let neighbours = layer.neighbours(rank);
            scratch.positions.clear();
            let rows = neighbours.iter().take_while(|&&to| to != rank).filter_map(|&to| layer.row(to));
            scratch.positions.extend(rows);
            compare(codes, query, scratch);
            scratch.counters.hops += 1;
            let distances = neighbours.iter().zip(&scratch.distances);
            match distances.min_by(|(_, a), (_, b)| a.total_cmp(b)) {
                Some((&to, &distance)) if distance < best => (rank, best) = (to, distance),
                _ => break,
            }
        }
        let Some(below) = layer.below(rank) else {
            return entry;
        };
        rank = below;
    }
    rank
}

/// Distances of the positions gathered.
#[inline]
fn compare(codes: &Codes, query: &Query, scratch: &mut Scratch) {
    for &position in scratch.positions.iter().take(8) {
        codes.prefetch(position);
    }
    scratch.distances.resize(scratch.positions.len(), 0.0);
    codes.distances(query, &scratch.positions, &mut scratch.distances);
    scratch.counters.compared += scratch.positions.len() as u64;
}
