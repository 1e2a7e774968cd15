//! What a built graph promises, on friendly and hostile data; what its bytes promise, on any bytes.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use super::geometry::Geometry;
use super::{BuildParams, FrozenGraph, build, prune, repair};
use crate::codec::DecodeError;
use crate::metric::Metric;
use crate::quantize::Space;
use crate::samples::{clusters, codes, order, shapes};
use proptest::prelude::*;

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];

fn params() -> BuildParams {
    BuildParams { degree: 16, ef_construction: 40, ..BuildParams::default() }
}

fn build_serially(space: &Space, vectors: &[Vec<f32>], params: &BuildParams) -> FrozenGraph {
    build_with(1, space, vectors, params)
}

fn build_with(threads: usize, space: &Space, vectors: &[Vec<f32>], params: &BuildParams) -> FrozenGraph {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| build(space, &codes(space, vectors), &order(vectors.len()), params))
}

/// How many rows a walk from the entry reaches.
fn reached(graph: &FrozenGraph) -> usize {
    let mut seen = vec![false; graph.len()];
    let mut open = vec![graph.entry()];
    seen[graph.entry() as usize] = true;
    while let Some(row) = open.pop() {
        for &to in graph.neighbours(row) {
            if !std::mem::replace(&mut seen[to as usize], true) {
                open.push(to);
            }
        }
    }
    seen.into_iter().filter(|&seen| seen).count()
}

/// Checks everything but reachability, which decoded graphs need not have.
fn assert_well_formed(graph: &FrozenGraph, space: &Space, vectors: &[Vec<f32>]) {
    let codes = codes(space, vectors);
    let geometry = Geometry::new(space, &codes);
    assert_eq!(graph.len(), vectors.len());
    for row in 0..graph.len() as u32 {
        let slots = graph.neighbours(row);
        assert_eq!(slots.len(), graph.degree());
        let list = &slots[..slots.iter().position(|&to| to == row).unwrap_or(slots.len())];
        assert!(slots[list.len()..].iter().all(|&to| to == row), "padding comes last");
        let near: Vec<prune::Near> = list.iter().map(|&to| (geometry.distance(row, to), to)).collect();
        assert!(near.is_sorted_by(|a, b| prune::order(a, b).is_lt()), "sorted, and without duplicates");
    }
    let mut lower = None;
    for layer in graph.layers() {
        for (rank, &row) in (0..).zip(layer.rows.iter()) {
            assert!(layer.neighbours(rank).iter().all(|&to| (to as usize) < layer.rows.len()));
            let below = layer.below(rank).unwrap();
            assert_eq!(lower.map_or(Some(below), |lower: &super::frozen::Layer| lower.row(below)), Some(row));
        }
        lower = Some(layer);
    }
    assert!(lower.is_none_or(|top| top.rank(graph.entry()).is_some()), "the entry is in the top layer");
}

#[test]
fn every_shape_gives_a_connected_bounded_sorted_graph() {
    for metric in METRICS {
        for n in [1, 2, 16, 17, 200] {
            for vectors in shapes(n, 9) {
                let space = Space::new(metric, 9, &[1; 32]);
                let graph = build_serially(&space, &vectors, &params());
                assert_well_formed(&graph, &space, &vectors);
                assert_eq!(reached(&graph), n, "{metric} {n}");
            }
        }
    }
}

#[test]
fn a_larger_graph_is_connected_on_one_thread_and_on_two() {
    let space = Space::new(Metric::L2, 24, &[1; 32]);
    let vectors = clusters(3000, 24, 2);
    for threads in [1, 2] {
        let graph = build_with(threads, &space, &vectors, &params());
        assert_well_formed(&graph, &space, &vectors);
        assert_eq!(reached(&graph), 3000);
        assert!(!graph.layers().is_empty());
    }
}

#[test]
fn on_one_thread_equal_inputs_give_equal_bytes() {
    let space = Space::new(Metric::Dot, 16, &[1; 32]);
    let vectors = clusters(700, 16, 3);
    let bytes = || build_serially(&space, &vectors, &params()).encode();
    assert_eq!(bytes(), bytes());
    let other_order = build(&space, &codes(&space, &vectors), &[], &params()).encode();
    assert_ne!(bytes(), other_order, "the order of insertion must matter, or this test shows nothing");
}

#[test]
fn any_parameters_are_usable() {
    let space = Space::new(Metric::Cosine, 8, &[1; 32]);
    let vectors = clusters(60, 8, 4);
    for (degree, ef_construction) in [(0, 0), (5, 1), (1000, 10)] {
        let params = BuildParams { degree, ef_construction, ..BuildParams::default() };
        let graph = build_serially(&space, &vectors, &params);
        assert_well_formed(&graph, &space, &vectors);
        assert_eq!(reached(&graph), 60);
        assert_eq!(FrozenGraph::decode(&graph.encode(), 60).map(|graph| graph.degree()), Ok(params.degree()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Repair alone, on lists no builder would make: islands, chains, full lists that all point the
    /// same way.
    #[test]
    fn repair_connects_any_lists(
        edges in proptest::collection::vec(proptest::collection::vec(0_u32..40, 0..4), 1..40),
        entry in any::<prop::sample::Index>(),
    ) {
        let n = edges.len();
        let space = Space::new(Metric::L2, 4, &[1; 32]);
        let codes = codes(&space, &clusters(n, 4, 6));
        let geometry = Geometry::new(&space, &codes);
        let mut lists: Vec<Vec<prune::Near>> = (0..).zip(&edges).map(|(row, list)| {
            let mut list: Vec<u32> = list.iter().map(|to| to % n as u32).filter(|&to| to != row).collect();
            list.sort_unstable();
            list.dedup();
            let mut list: Vec<prune::Near> = list.into_iter().map(|to| (geometry.distance(row, to), to)).collect();
            list.sort_unstable_by(prune::order);
            list
        }).collect();
        let entry = entry.index(n) as u32;
        repair::connect(&geometry, &mut lists, entry, 4);
        prop_assert!(lists.iter().all(|list| list.len() <= 4 && list.is_sorted_by(|a, b| prune::order(a, b).is_lt())));
        prop_assert_eq!(reached(&FrozenGraph::new(&lists, Vec::new(), entry, 4)), n);
    }
}

fn sample() -> (FrozenGraph, usize) {
    let space = Space::new(Metric::Cosine, 8, &[1; 32]);
    (build_serially(&space, &clusters(150, 8, 7), &params()), 150)
}

#[test]
fn bytes_round_trip_and_say_what_is_wrong() {
    let (graph, n) = sample();
    let bytes = graph.encode();
    assert!(!graph.layers().is_empty(), "the sample must have an upper layer");
    assert_eq!(FrozenGraph::decode(&bytes, n).unwrap().encode(), bytes);
    let decode = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.to_vec();
        change(&mut bytes);
        FrozenGraph::decode(&bytes, n).map(|_| ()).unwrap_err()
    };
    assert_eq!(decode(&|bytes| bytes[0] = 2), DecodeError::NewerFormat { found: 2, newest: 1 });
    assert_eq!(decode(&|bytes| bytes[1] = 2), DecodeError::Range { what: "degree" });
    assert_eq!(decode(&|bytes| bytes[8] = 200), DecodeError::Range { what: "entry" });
    assert_eq!(decode(&|bytes| bytes[12] = 200), DecodeError::Range { what: "neighbour" });
    assert_eq!(decode(&|bytes| bytes.push(0)), DecodeError::Length);
    assert_eq!(decode(&|bytes| bytes.truncate(100)), DecodeError::Length);
    assert_eq!(decode(&|bytes| bytes[2] += 1), DecodeError::Length);
    let first_layer_row = 12 + 4 * n * graph.degree() + 4;
    assert_eq!(decode(&|bytes| bytes[first_layer_row] = 199), DecodeError::Range { what: "layer" });
    let last = bytes.len() - 1;
    assert_eq!(decode(&|bytes| bytes[last] = 1), DecodeError::Range { what: "layer" });
    assert!(matches!(FrozenGraph::decode(&bytes, n + 1), Err(DecodeError::Length)));
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..400), rows in 0_usize..9) {
        let mut bytes = bytes;
        let _ = FrozenGraph::decode(&bytes, rows);
        // Let more of them pass the header.
        if let [version, degree, layers, zero, r0, r1, r2, r3, e0, e1, e2, e3, ..] = bytes.as_mut_slice() {
            (*version, *degree, *layers, *zero) = (1, 4 + *degree % 4, *layers % 4, 0);
            [*r0, *r1, *r2, *r3] = (rows as u32).to_le_bytes();
            (*e1, *e2, *e3) = (0, 0, 0);
            *e0 %= 8;
            bytes.iter_mut().skip(12).for_each(|byte| *byte = byte.saturating_sub(250));
        }
        let _ = FrozenGraph::decode(&bytes, rows);
    }
}
