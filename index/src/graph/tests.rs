//! What a built graph promises, on friendly and hostile data; what its bytes promise, on any bytes.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use super::geometry::Geometry;
use super::{BuildParams, Builder, FrozenGraph, Stop, build, prune, removal, repair};
use crate::decode_error::DecodeError;
use crate::metric::Metric;
use crate::quantize::Space;
use crate::samples::{clusters, codes, shapes};
use proptest::prelude::*;
use roaring::RoaringBitmap;
use std::sync::atomic::{AtomicUsize, Ordering};

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];

fn params() -> BuildParams {
    BuildParams { degree: 16, ef_construction: 40, ..BuildParams::default() }
}

fn build_serially(space: &Space, vectors: &[Vec<f32>], params: &BuildParams) -> FrozenGraph {
    build_with(1, space, vectors, params)
}

fn build_with(threads: usize, space: &Space, vectors: &[Vec<f32>], params: &BuildParams) -> FrozenGraph {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| build(space, &codes(space, vectors), params, &|| false)).unwrap()
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
        let mut near = Vec::new();
        geometry.distances(row, list, &mut near);
        assert!(near.is_sorted_by(|a, b| prune::rank(a) < prune::rank(b)), "sorted, and without duplicates");
    }
}

#[test]
fn every_shape_gives_a_connected_bounded_sorted_graph() {
    for metric in METRICS {
        for n in [1, 2, 16, 17, 200] {
            for vectors in shapes(n, 9) {
                let space = Space::new(metric, 9, &[1; 32]);
                let graph = build_serially(&space, &vectors, &params());
                assert_well_formed(&graph, &space, &vectors);
                assert_eq!(graph.reached(), n, "{metric} {n}");
            }
        }
    }
}

#[test]
fn equal_rows_give_equal_bytes_on_any_number_of_threads() {
    for metric in METRICS {
        let space = Space::new(metric, 24, &[1; 32]);
        let mut vectors = clusters(2100, 24, 2);
        // Ties of every kind: copies of rows, and rows far from all others.
        for at in 0..300 {
            vectors[at * 7] = vectors[at].clone();
        }
        let graph = build_with(1, &space, &vectors, &params());
        assert_well_formed(&graph, &space, &vectors);
        assert_eq!(graph.reached(), 2100);
        for threads in [2, 8] {
            assert!(build_with(threads, &space, &vectors, &params()).encode() == graph.encode(), "{metric} {threads}");
        }
        for name in Space::instruction_sets() {
            let space = Space::new(metric, 24, &[1; 32]).on(name).unwrap();
            assert!(build_with(2, &space, &vectors, &params()).encode() == graph.encode(), "{metric} {name}");
        }
        vectors.swap(3, 2000);
        assert!(build_with(2, &space, &vectors, &params()).encode() != graph.encode(), "or this test shows nothing");
    }
}

/// Rows that nothing tells apart, alone or beside others, hold neither the builder nor the repair up.
#[test]
fn copies_are_reached_and_so_is_what_lies_beside_them() {
    let space = Space::new(Metric::L2, 8, &[1; 32]);
    for (copies, others) in [(2049, 0), (9000, 0), (6000, 1500)] {
        let vectors = [vec![vec![0.5; 8]; copies], clusters(others, 8, 6)].concat();
        for degree in [4, 16, 48] {
            let graph = build_with(2, &space, &vectors, &BuildParams { degree, ..params() });
            assert_well_formed(&graph, &space, &vectors);
            assert_eq!(graph.reached(), copies + others, "{degree}");
        }
    }
}

#[test]
fn hnsw_rs_builds_the_same_kind_of_graph() {
    let space = Space::new(Metric::L2, 24, &[1; 32]);
    let vectors = clusters(3000, 24, 2);
    let params = BuildParams { builder: Builder::HnswRs, ..params() };
    for threads in [1, 2] {
        let graph = build_with(threads, &space, &vectors, &params);
        assert_well_formed(&graph, &space, &vectors);
        assert_eq!(graph.reached(), 3000);
    }
}

#[test]
fn a_graph_without_some_rows_is_whole() {
    for metric in METRICS {
        let space = Space::new(metric, 16, &[1; 32]);
        let vectors = clusters(600, 16, 3);
        let graph = build_serially(&space, &vectors, &params());
        let nobody = RoaringBitmap::new();
        let without = |kept: &[Vec<f32>], removed: &RoaringBitmap| {
            removal::without(&space, &codes(&space, kept), &graph, removed, &|| false).unwrap()
        };
        assert_eq!(without(&vectors, &nobody).encode(), graph.encode());
        let thirds: RoaringBitmap = (0..600).step_by(3).collect();
        // Clusters repeat every twelve rows.
        let whole_clusters: RoaringBitmap = (0..600).filter(|row| row % 12 < 5).collect();
        for removed in [RoaringBitmap::from([0]), thirds, whole_clusters, (1..600).collect()] {
            let kept: Vec<Vec<f32>> =
                (0_u32..).zip(&vectors).filter(|(row, _)| !removed.contains(*row)).map(|(_, v)| v.clone()).collect();
            let repaired = without(&kept, &removed);
            assert_well_formed(&repaired, &space, &kept);
            assert_eq!(repaired.reached(), kept.len(), "{metric}");
        }
    }
}

/// Wherever a build is told to stop, no thread begins another row.
#[test]
fn a_build_ends_where_it_is_told_to_stop() {
    let space = Space::new(Metric::Cosine, 8, &[1; 32]);
    let codes = codes(&space, &clusters(120, 8, 4));
    for builder in [Builder::Canonical, Builder::HnswRs] {
        let params = BuildParams { builder, ..params() };
        let whole = build(&space, &codes, &params, &|| false).unwrap();
        let removed = RoaringBitmap::from([1]);
        let builds: [&(dyn Fn(Stop<'_>) -> bool + Sync); 2] =
            [&|stop| build(&space, &codes, &params, stop).is_some(), &|stop| {
                removal::without(&space, &codes, &whole, &removed, stop).is_some()
            }];
        for build in builds {
            let mut last = 0;
            for told_at in 0.. {
                let asked = AtomicUsize::new(0);
                let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
                let built = pool.install(|| build(&|| asked.fetch_add(1, Ordering::Relaxed) >= told_at));
                let later = asked.into_inner().saturating_sub(told_at);
                assert!(later <= 2, "{later} more were begun");
                assert_eq!(built, later == 0);
                if built {
                    break;
                }
                last = told_at;
            }
            assert!(last >= 100, "asked {last} times about 120 rows");
        }
    }
}

#[test]
fn any_parameters_are_usable() {
    let space = Space::new(Metric::Cosine, 8, &[1; 32]);
    let vectors = clusters(60, 8, 4);
    for (degree, ef_construction) in [(0, 0), (5, 1), (1000, 10)] {
        let params = BuildParams { degree, ef_construction, ..BuildParams::default() };
        let graph = build_serially(&space, &vectors, &params);
        assert_well_formed(&graph, &space, &vectors);
        assert_eq!(graph.reached(), 60);
        assert_eq!(decode(&graph.encode(), 60).map(|graph| graph.degree()), Ok(params.degree()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Repair alone, on lists no builder would make: islands, chains, full lists that all point the
    /// same way.
    #[test]
    fn repair_connects_any_lists(
        edges in proptest::collection::vec(proptest::collection::vec(0_u32..40, 0..4), 1..40),
    ) {
        let n = edges.len();
        let space = Space::new(Metric::L2, 4, &[1; 32]);
        let vectors = clusters(n, 4, 6);
        let codes = codes(&space, &vectors);
        let geometry = Geometry::new(&space, &codes);
        let mut graph = FrozenGraph::unconnected(n, 4);
        for (row, list) in (0..).zip(&edges) {
            let mut list: Vec<u32> = list.iter().map(|to| to % n as u32).filter(|&to| to != row).collect();
            list.sort_unstable();
            list.dedup();
            let mut near = Vec::new();
            geometry.distances(row, &list, &mut near);
            near.sort_unstable_by_key(prune::rank);
            graph.set(row, near.into_iter().map(|near| near.1));
        }
        repair::connect(&geometry, &mut graph, &|| false).unwrap();
        assert_well_formed(&graph, &space, &vectors);
        prop_assert_eq!(graph.reached(), n);
    }
}

fn decode(bytes: &[u8], rows: usize) -> Result<FrozenGraph, DecodeError> {
    FrozenGraph::decode(bytes, rows)
}

fn sample() -> (FrozenGraph, usize) {
    let space = Space::new(Metric::Cosine, 8, &[1; 32]);
    (build_serially(&space, &clusters(150, 8, 7), &params()), 150)
}

#[test]
fn bytes_round_trip_and_say_what_is_wrong() {
    let (graph, n) = sample();
    let bytes = graph.encode();
    // Eight bits a number.
    let trailer = bytes.len() - 8;
    assert_eq!(trailer, 150 * 16);
    assert_eq!(decode(&bytes, n).unwrap().encode(), bytes);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.to_vec();
        change(&mut bytes);
        decode(&bytes, n).map(|_| ()).unwrap_err()
    };
    assert_eq!(changed(&|bytes| bytes[trailer] = 5), DecodeError::NewerFormat { found: 5, newest: 4 });
    assert_eq!(changed(&|bytes| bytes[trailer] = 3), DecodeError::Range { what: "version" });
    assert_eq!(changed(&|bytes| bytes[trailer + 1] = 2), DecodeError::Range { what: "degree" });
    assert_eq!(changed(&|bytes| bytes[trailer + 2] = 2), DecodeError::Range { what: "reserved bytes" });
    assert_eq!(changed(&|bytes| bytes[trailer + 4] = 151), DecodeError::Length);
    assert_eq!(changed(&|bytes| bytes[64] = 150), DecodeError::Range { what: "neighbour" });
    assert_eq!(changed(&|bytes| bytes.insert(0, 0)), DecodeError::Length);
    assert_eq!(changed(&|bytes| drop(bytes.drain(..100))), DecodeError::Length);
    assert_eq!(changed(&|bytes| bytes.truncate(7)), DecodeError::Length);
    assert_eq!(decode(&bytes, n + 1).err(), Some(DecodeError::Length));
}

/// A graph of these lists, which need not be near one another.
fn listed(degree: usize, lists: &[Vec<u32>]) -> FrozenGraph {
    let mut graph = FrozenGraph::unconnected(lists.len(), degree);
    for (row, list) in (0..).zip(lists) {
        graph.set(row, list.iter().copied());
    }
    graph
}

/// What the form is, said without pages or words: the bits of all slots, a page at a time.
fn packed(graph: &FrozenGraph, bits: usize) -> Vec<u8> {
    const PAGE_BITS: usize = 8 * crate::PAGE;
    let mut found: Vec<bool> = Vec::new();
    for row in 0..graph.len() as u32 {
        if found.len() % PAGE_BITS + bits * graph.degree() > PAGE_BITS {
            found.resize(found.len().next_multiple_of(PAGE_BITS), false);
        }
        found.extend(graph.neighbours(row).iter().flat_map(|to| (0..bits).map(move |bit| to >> bit & 1 == 1)));
    }
    let bytes = found.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit)));
    let (degree, rows) = (graph.degree() as u8, (graph.len() as u32).to_le_bytes());
    bytes.chain([4, degree, 0, 0]).chain(rows).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Lists over one page and over many, of numbers of two to sixteen bits.
    #[test]
    fn any_lists_round_trip(
        n in prop_oneof![1_usize..70, 250..260_usize, 2000..2200_usize, 65_534..65_540_usize], degree in 2_usize..20, seed: u64
    ) {
        let degree = if n > 10_000 { 4 } else { 2 * degree };
        let next = |at: usize| (seed ^ at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_mul(at as u64 | 1);
        let lists: Vec<Vec<u32>> =
            (0..n).map(|row| (0..degree).map(|at| (next(row * degree + at) % n as u64) as u32).collect()).collect();
        let graph = listed(degree, &lists);
        let bytes = graph.encode();
        let bits = (1..).find(|&bits| n <= 1 << bits).unwrap();
        prop_assert!(packed(&graph, bits)[..] == bytes[..]);
        let decoded = decode(&bytes, n).unwrap();
        prop_assert!((0..n as u32).all(|row| decoded.neighbours(row) == graph.neighbours(row)));
    }

    /// Whatever is changed, what decodes has no row that is not there and encodes to the same bytes.
    #[test]
    fn any_damage_is_refused_or_is_another_graph(
        n in prop_oneof![1_usize..70, 2000..2200_usize], at: prop::sample::Index, flip in 1_u8.., from_end: bool
    ) {
        let lists: Vec<Vec<u32>> = (0..n as u32).map(|row| (0..9).map(|to| (row * 7 + to) % n as u32).collect()).collect();
        let mut bytes = listed(10, &lists).encode().to_vec();
        let at = at.index(bytes.len());
        let at = if from_end { bytes.len() - 1 - at % 40.min(bytes.len()) } else { at };
        bytes[at] ^= flip;
        if let Ok(graph) = decode(&bytes, n) {
            prop_assert!((0..n as u32).all(|row| graph.neighbours(row).iter().all(|&to| (to as usize) < n)));
            prop_assert!(graph.encode()[..] == bytes[..]);
        }
    }

    #[test]
    fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..400), rows in 0_usize..9) {
        let mut bytes = bytes;
        let _ = decode(&bytes, rows);
        // Let more of them pass the trailer.
        let bits = (1..).find(|&bits| rows <= 1 << bits).unwrap();
        bytes.truncate((rows * 4 * bits).div_ceil(8));
        bytes.extend([4, 4, 0, 0]);
        bytes.extend((rows as u32).to_le_bytes());
        if let Ok(graph) = decode(&bytes, rows) {
            prop_assert!(graph.encode()[..] == bytes[..]);
        }
    }
}
