//! What the door of the crate promises: neighbours, whole answers, bytes that depend on nothing but
//! the rows.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use super::*;
use crate::metric::Metric;
use crate::samples::{clusters, codes, shapes};
use proptest::prelude::*;

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];

fn index(space: &Space, vectors: &[Vec<f32>]) -> Ann {
    let params = BuildParams { flat_below: 64, ..BuildParams::default() };
    Ann::build(space, codes(space, vectors), &params, &|| false).unwrap()
}

/// The share of the exact ten nearest that are first after ranking the candidates again by
/// exact distance.
fn recall(space: &Space, ann: &Ann, vectors: &[Vec<f32>], queries: &[Vec<f32>], ef: usize) -> f64 {
    let mut scratch = Scratch::new();
    let mut hits = 0;
    for vector in queries {
        let exact = |positions: &mut dyn Iterator<Item = u32>| {
            let distance = |position| space.metric().distance(vector, &vectors[position as usize]);
            let mut all: Vec<(f32, u32)> = positions.map(|position| (distance(position), position)).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            all.into_iter().take(10).map(|(_, position)| position).collect::<Vec<_>>()
        };
        let truth = exact(&mut (0..vectors.len() as u32));
        let found = ann.search(&space.query(vector), Reach { limit: 10, ef }, Allow::All, &mut scratch);
        let found = exact(&mut found.iter().map(|candidate| candidate.position));
        hits += found.iter().filter(|position| truth.contains(position)).count();
    }
    hits as f64 / (10 * queries.len()) as f64
}

#[test]
fn codes_and_graph_find_the_exact_neighbours() {
    for metric in METRICS {
        let space = Space::new(metric, 48, &[4; 32]);
        let mut vectors = clusters(3040, 48, 10);
        let queries = vectors.split_off(3000);
        let graph = index(&space, &vectors);
        assert!(graph.graph().is_some());
        let flat = Ann::Flat(codes(&space, &vectors));
        let by_codes = recall(&space, &flat, &vectors, &queries, 32);
        let by_graph = recall(&space, &graph, &vectors, &queries, 64);
        assert!(by_codes >= 0.99 && by_graph >= 0.98, "{metric}: codes {by_codes}, graph {by_graph}");
    }
}

#[test]
fn every_filter_gives_enough_allowed_sorted_candidates() {
    let space = Space::new(Metric::L2, 16, &[4; 32]);
    let vectors = clusters(1500, 16, 11);
    let ann = index(&space, &vectors);
    let mut scratch = Scratch::new();
    for every in [1, 2, 3, 100, 1499] {
        let chosen: RoaringBitmap = (0..1500).step_by(every).chain(5000..5100).collect();
        for (allow, matching) in [
            (Allow::All, 1500),
            (Allow::Only(&chosen), chosen.range_cardinality(..1500) as usize),
            (Allow::Except(&chosen), 1500 - chosen.range_cardinality(..1500) as usize),
        ] {
            for (limit, ef) in [(0, 0), (0, 9), (1, 0), (1, 10), (10, 10), (10, 400), (400, 10), (2000, 2000)] {
                let found = ann.search(&space.query(&vectors[3]), Reach { limit, ef }, allow, &mut scratch);
                assert!(found.len() >= limit.min(matching), "{every} {limit} {ef}: {} of {matching}", found.len());
                assert!(found.iter().all(|c| c.position < 1500 && allow.contains(c.position)));
                let key = |c: &Candidate| (c.distance, c.position);
                assert!(found.is_sorted_by(|a, b| key(a) < key(b)));
            }
        }
    }
}

/// Matches that lie away from the query, in clusters that do not touch: whoever begins a walk anywhere among them stays there.
#[test]
fn a_walk_among_others_begins_where_the_nearest_matches_are() {
    const ROWS: usize = 12_000;
    for metric in METRICS {
        let space = Space::new(metric, 16, &[4; 32]);
        let mut vectors = clusters(ROWS + 60, 16, 21);
        let queries = vectors.split_off(ROWS);
        let ann = index(&space, &vectors);
        let (mut scratch, mut right, mut walked) = (Scratch::new(), 0, 0);
        let by_distance = |from: &[f32], rows: &mut dyn Iterator<Item = u32>| {
            let mut rows: Vec<(f32, u32)> =
                rows.map(|row| (metric.distance(from, &vectors[row as usize]), row)).collect();
            rows.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>()
        };
        for query in &queries {
            let viewpoint = by_distance(query, &mut (0..8))[0];
            let matching: RoaringBitmap =
                by_distance(&vectors[viewpoint as usize], &mut (0..ROWS as u32))[ROWS / 2..].iter().collect();
            let nearest = by_distance(query, &mut matching.iter());
            let found =
                ann.search(&space.query(query), Reach { limit: 10, ef: 48 }, Allow::Only(&matching), &mut scratch);
            right += nearest[..10].iter().filter(|row| found.iter().any(|found| found.position == **row)).count();
            walked += u64::from(scratch.counters().hops > 0 && scratch.counters().compared < matching.len());
        }
        assert!(right * 100 >= 92 * 10 * queries.len(), "{metric}: {right}");
        assert!(walked > 50, "{metric}: {walked}");
    }
}

#[test]
fn small_segments_are_flat_and_empty_ones_answer() {
    let space = Space::new(Metric::Dot, 5, &[4; 32]);
    for n in [0, 1, 63] {
        let ann = index(&space, &clusters(n, 5, 12));
        assert!(matches!(ann, Ann::Flat(_)) && ann.encode_graph().is_empty());
        let found = ann.search(&space.query(&[1.0; 5]), Reach { limit: 10, ef: 10 }, Allow::All, &mut Scratch::new());
        assert_eq!(found.len(), n.min(10));
        assert!(found.iter().all(|c| c.error > 0.0 && c.error < 1.0));
    }
}

/// What a search says it read is what the rows and lists that it counts take.
#[test]
fn bytes_read_are_those_of_what_was_looked_at() {
    let (reach, mut scratch) = (Reach { limit: 10, ef: 40 }, Scratch::new());
    // Where the first look reads whole codes and their lengths, there is nothing to read again.
    for (metric, dimension, walked, again) in [
        (Metric::Cosine, 48, 64, 64 + 16),
        (Metric::L2, 48, 64 + 8, 0),
        (Metric::Cosine, 300, 160, 320 + 16),
        (Metric::Dot, 300, 160 + 8, 320 + 16),
    ] {
        let space = Space::new(metric, dimension, &[4; 32]);
        let vectors = clusters(2000, dimension, 17);
        let ann = index(&space, &vectors);
        let query = space.query(&vectors[0]);
        ann.search(&query, reach, Allow::All, &mut scratch);
        let Counters { hops, compared, bytes } = scratch.counters();
        let list = 4 * BuildParams::default().degree as u64;
        let kept = scratch.found().len() as u64;
        assert_eq!(bytes, compared * walked + hops * list + kept * again, "{metric} {dimension}");

        let few: RoaringBitmap = (0..50).collect();
        ann.search(&query, reach, Allow::Only(&few), &mut scratch);
        let bytes = 50 * walked + scratch.found().len() as u64 * again;
        assert_eq!(scratch.counters(), Counters { hops: 0, compared: 50, bytes }, "{metric} {dimension}");
    }
}

fn encoded() -> (Space, Vec<u8>, Vec<u8>) {
    let space = Space::new(Metric::Cosine, 8, &[4; 32]);
    let ann = index(&space, &clusters(100, 8, 13));
    let (codes, graph) = (ann.encode_codes().to_vec(), ann.encode_graph().to_vec());
    (space, codes, graph)
}

#[test]
fn bytes_round_trip_and_belong_to_their_space() {
    let (space, codes, graph) = encoded();
    let ann = Ann::decode(&space, &codes, &graph).unwrap();
    assert_eq!((&*ann.encode_codes(), &*ann.encode_graph()), (&codes, &graph));
    let other = |space: Space| Ann::decode(&space, &codes, &graph).err();
    assert_eq!(other(Space::new(Metric::Dot, 8, &[4; 32])), Some(DecodeError::OtherSpace));
    assert_eq!(other(Space::new(Metric::Cosine, 9, &[4; 32])), Some(DecodeError::OtherSpace));
    let (body, trailer) = codes.split_at(codes.len() - 8);
    let no_version = [body, &[0], &trailer[1..]].concat();
    assert_eq!(Ann::decode(&space, &no_version, &[]).err(), Some(DecodeError::Range { what: "version" }));
    let mut bad_length = codes.clone();
    let scales = bad_length.len() - 808;
    bad_length[scales..scales + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(Ann::decode(&space, &bad_length, &[]).err(), Some(DecodeError::Range { what: "length" }));
    for dimension in [40, 300] {
        let space = Space::new(Metric::L2, dimension, &[4; 32]);
        let mut bytes = codes_of(&space, 700);
        assert_eq!(*Ann::decode(&space, &bytes, &[]).unwrap().encode_codes(), bytes);
        // Of the last row, one component is less than any code's: packed, the half of one is 0 here.
        let last = 700 * space.stride() - 1;
        let halves: &[usize] = if dimension < 256 { &[last] } else { &[last, last - space.stride() / 2] };
        halves.iter().for_each(|&at| bytes[at] = if halves.len() == 1 { 128 } else { bytes[at] & 15 });
        assert_eq!(Ann::decode(&space, &bytes, &[]).err(), Some(DecodeError::Range { what: "code" }), "{dimension}");
    }
}

fn codes_of(space: &Space, rows: usize) -> Vec<u8> {
    codes(space, &clusters(rows, space.dimension(), 13)).encode().to_vec()
}

#[test]
fn a_copied_code_is_the_code() {
    for dimension in [40, 300] {
        let space = Space::new(Metric::L2, dimension, &[4; 32]);
        // One-hot vectors of few components have clipped codes.
        let vectors = shapes(9, dimension).concat();
        let others = codes(&space, &vectors);
        let (mut copies, mut expected) = (Codes::with_capacity(&space, 0), Codes::with_capacity(&space, 0));
        for position in (0..vectors.len()).rev().step_by(2) {
            copies.push_copy(&others, position as u32);
            expected.push(&space, &vectors[position]);
        }
        copies.push_copy(&others, vectors.len() as u32);
        expected.push(&space, &vec![0.0; dimension]);
        let query = space.query(&vectors[3]);
        for position in 0..expected.len() as u32 {
            assert_eq!(copies.distance(&query, position), expected.distance(&query, position));
        }
        assert_eq!(copies.encode(), expected.encode());
    }
}

/// Every instruction set of this processor gives the bytes that the reference gives.
#[test]
fn bytes_do_not_depend_on_the_instruction_set() {
    for metric in METRICS {
        for dimension in [40, 300] {
            let vectors = clusters(700, dimension, 14);
            let bytes = Space::instruction_sets().into_iter().map(|instruction_set| {
                let space = Space::new(metric, dimension, &[4; 32]).on(instruction_set).unwrap();
                let ann = index(&space, &vectors);
                let found =
                    ann.search(&space.query(&vectors[5]), Reach { limit: 10, ef: 40 }, Allow::All, &mut Scratch::new());
                (ann.encode_codes(), ann.encode_graph(), found)
            });
            let bytes: Vec<_> = bytes.collect();
            assert!(bytes.len() > 1 && bytes.windows(2).all(|pair| pair[0] == pair[1]), "{metric} {dimension}");
        }
    }
    assert!(Space::new(Metric::Dot, 3, &[4; 32]).on("abacus").is_none());
}

/// A row that is far longer than the others changes neither how far walks go nor what they find.
#[test]
fn one_long_vector_does_not_decide_for_all() {
    let space = Space::new(Metric::Dot, 32, &[4; 32]);
    let mut vectors = clusters(3000, 32, 21);
    let queries = clusters(30, 32, 22);
    let mut scratch = Scratch::new();
    let mut hops = |ann: &Ann| -> u64 {
        let search = |query: &Vec<f32>| {
            ann.search(&space.query(query), Reach { limit: 10, ef: 40 }, Allow::All, &mut scratch);
            scratch.counters().hops
        };
        queries.iter().map(search).sum()
    };
    let (before, recall_before) = (hops(&index(&space, &vectors)), {
        let ann = index(&space, &vectors);
        recall(&space, &ann, &vectors, &queries, 40)
    });
    vectors[17].iter_mut().for_each(|x| *x *= 1e6);
    let ann = index(&space, &vectors);
    let (after, recall_after) = (hops(&ann), recall(&space, &ann, &vectors, &queries, 40));
    assert!(after <= 2 * before && before <= 2 * after, "{before} {after}");
    assert!(recall_before > 0.9 && recall_after > 0.9, "{recall_before} {recall_after}");
}

/// Searching for a stored row finds it, or one that equals it.
fn self_recall(space: &Space, ann: &Ann, vectors: &[Vec<f32>]) -> f64 {
    let mut scratch = Scratch::new();
    let finds = |vector: &&Vec<f32>| {
        let found = ann.search(&space.query(vector), Reach { limit: 10, ef: 64 }, Allow::All, &mut scratch);
        found.iter().any(|candidate| &vectors[candidate.position as usize] == *vector)
    };
    vectors.iter().filter(finds).count() as f64 / vectors.len() as f64
}

#[test]
fn rows_find_themselves_after_removals_too() {
    for metric in [Metric::Cosine, Metric::L2] {
        let space = Space::new(metric, 48, &[4; 32]);
        let vectors = clusters(4000, 48, 15);
        let ann = index(&space, &vectors);
        let params = BuildParams { flat_below: 64, ..BuildParams::default() };
        assert!(self_recall(&space, &ann, &vectors) >= 0.9995, "{metric}");
        // A third of all, and whole clusters, which repeat every 80 rows.
        let thirds: RoaringBitmap = (0..4000).step_by(3).collect();
        let whole_clusters: RoaringBitmap = (0..4000).filter(|row| row % 80 < 24).collect();
        for removed in [thirds, whole_clusters] {
            let kept: Vec<Vec<f32>> = survivors(&vectors, &removed);
            let recall = self_recall(&space, &ann.without(&space, &removed, &params, &|| false).unwrap(), &kept);
            assert!(recall >= 0.9995, "{metric} {recall}");
        }
    }
}

/// Clusters of more rows than a row considers, and more of them than a walk begins in: only edges between rows of a sample
/// lead from one to the other.
#[test]
fn walks_find_their_way_from_cluster_to_cluster() {
    let space = Space::new(Metric::L2, 24, &[4; 32]);
    let centres = clusters(80 * 50, 24, 31);
    // Each of 80 clusters has 150 rows, all far nearer to each other than to any other cluster.
    let beside = |at: usize| -> Vec<f32> {
        let jitter = clusters(1, 24, at as u64);
        centres[at % 80].iter().zip(&jitter[0]).map(|(x, jitter)| x + 0.01 * jitter).collect()
    };
    let mut vectors: Vec<Vec<f32>> = (0..80 * 150).map(beside).collect();
    let queries = vectors.split_off(80 * 149);
    let ann = index(&space, &vectors);
    let whole = recall(&space, &ann, &vectors, &queries, 64);
    // A graph that is repaired keeps those edges.
    let thirds: RoaringBitmap = (0..vectors.len() as u32).step_by(3).collect();
    let params = BuildParams { flat_below: 64, ..BuildParams::default() };
    let repaired = ann.without(&space, &thirds, &params, &|| false).unwrap();
    let repaired = recall(&space, &repaired, &survivors(&vectors, &thirds), &queries, 64);
    assert!(whole >= 0.98 && repaired >= 0.975, "{whole} {repaired}");
}

/// In so many rows a walk begins in the nearest of a sample: from 32 rows anywhere it would find .885 of the nearest.
#[test]
fn walks_of_many_rows_begin_near() {
    const CLUSTERS: usize = 700;
    let space = Space::new(Metric::L2, 8, &[4; 32]);
    let centres = clusters(50 * CLUSTERS, 8, 3).split_off(49 * CLUSTERS);
    let jitter = clusters(1000, 8, 4);
    let beside = |at: usize| -> Vec<f32> {
        let (centre, jitter) = (&centres[at % CLUSTERS], &jitter[at * 7 % 997]);
        centre.iter().zip(jitter).map(|(x, jitter)| x + 0.05 * jitter).collect()
    };
    let mut vectors: Vec<Vec<f32>> = (0..132_000).map(beside).collect();
    let queries = vectors.split_off(131_900);
    let ann = index(&space, &vectors);
    let found = recall(&space, &ann, &vectors, &queries, 4);
    assert!(found >= 0.94, "{found}");
}

fn survivors(vectors: &[Vec<f32>], removed: &RoaringBitmap) -> Vec<Vec<f32>> {
    let kept = (0..).zip(vectors).filter(|(row, _)| !removed.contains(*row));
    kept.map(|(_, vector)| vector.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Unlearning: what is built of the rows that an erasure left is, byte for byte, what would have
    /// been built had the others never been there.
    #[test]
    fn a_rebuilt_index_never_knew_the_erased(
        n in 250_usize..270, removed in proptest::collection::btree_set(0_u32..270, 0..140), which in 0..3_usize,
        copies in proptest::collection::vec((0_usize..250, 0_usize..250), 0..20), first: bool, wide: bool
    ) {
        let space = Space::new(METRICS[which], if wide { 260 } else { 20 }, &[4; 32]);
        let mut vectors = clusters(n, space.dimension(), 16);
        copies.into_iter().for_each(|(from, to)| vectors[to] = vectors[from].clone());
        let mut removed: RoaringBitmap = removed.into_iter().collect();
        if first { removed.insert(0); }
        let params = BuildParams { flat_below: 64, degree: 16, ..BuildParams::default() };
        let build = |vectors: &[Vec<f32>]| Ann::build(&space, codes(&space, vectors), &params, &|| false).unwrap();
        let never_knew = build(&survivors(&vectors, &removed));
        let repaired = build(&vectors).without(&space, &removed, &params, &|| false).unwrap();
        prop_assert_eq!(repaired.encode_codes(), never_knew.encode_codes());
        let rebuilt = repaired.rebuilt(&space, &params, &|| false).unwrap();
        prop_assert_eq!(rebuilt.encode_graph(), never_knew.encode_graph());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// One changed byte or a cut: an error, or an index that still answers in full.
    #[test]
    fn damage_gives_an_error_or_a_usable_index(
        at in any::<prop::sample::Index>(), flip in 1_u8.., of_graph: bool, cut: bool
    ) {
        let (space, mut codes, mut graph) = encoded();
        let bytes = if of_graph { &mut graph } else { &mut codes };
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        if let Ok(ann) = Ann::decode(&space, &codes, &graph) {
            let found = ann.search(&space.query(&[1.0; 8]), Reach { limit: 20, ef: 20 }, Allow::All, &mut Scratch::new());
            prop_assert!(found.len() >= 20.min(ann.codes().len()));
        }
    }
}
