//! Both ways of searching against brute force over the same estimates.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use super::filtered::Room;
use super::{Allow, Cells, Extent, Goal, Horizon, Reach, Scratch, Through, refine, scan, walk};
use crate::Codes;
use crate::graph::{self, BuildParams, FrozenGraph};
use crate::metric::Metric;
use crate::quantize::{Query, Space};
use crate::samples::{clusters, codes};
use proptest::prelude::*;
use roaring::RoaringBitmap;

/// Nearness to a query, by rough keys or by fine ones.
struct Sought<'a>(&'a Codes, &'a Query, bool);

impl Goal for Sought<'_> {
    fn keys(&self, positions: &[u32], keys: &mut [i32]) {
        let Self(codes, query, is_rough) = self;
        if *is_rough { codes.rough_keys(query, positions, keys) } else { codes.keys(query, positions, keys) }
    }

    fn prefetch(&self, _: &[u32]) {}
}

impl Horizon for Sought<'_> {
    fn beyond(&self, key: i32, slack: f32) -> i32 {
        let Self(codes, query, is_rough) = self;
        let longest = codes.long();
        if *is_rough { query.beyond_roughly(key, slack, longest) } else { query.beyond(key, slack, longest) }
    }

    fn doubtful(&self, _: i32) -> i32 {
        i32::MAX
    }
}

/// Nearness to a query, by keys that leave no doubt.
struct Certain<'a>(Sought<'a>);

impl Goal for Certain<'_> {
    fn keys(&self, positions: &[u32], keys: &mut [i32]) {
        self.0.keys(positions, keys);
    }

    fn prefetch(&self, _: &[u32]) {}
}

impl Horizon for Certain<'_> {
    fn beyond(&self, key: i32, slack: f32) -> i32 {
        self.0.beyond(key, slack)
    }

    fn doubtful(&self, key: i32) -> i32 {
        key
    }
}

fn build(space: &Space, codes: &Codes, params: &BuildParams) -> FrozenGraph {
    graph::build(space, codes, params, &|| false).unwrap()
}

fn found(scratch: &Scratch) -> Vec<u32> {
    scratch.found().iter().map(|(position, _)| position).collect()
}

/// Allowed positions by (estimate, position).
fn brute_force(codes: &Codes, query: &Query, allow: Allow<'_>) -> Vec<u32> {
    let mut all: Vec<(f32, u32)> = (0..codes.len() as u32)
        .filter(|&position| allow.contains(position))
        .map(|position| (codes.distance(query, position).0, position))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all.into_iter().map(|(_, position)| position).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_scan_finds_exactly_the_nearest(
        n in 0_usize..300,
        width in 10_usize..60,
        limit in 1_usize..50,
        members in proptest::collection::vec(0_u32..400, 0..80),
        seed in 0_u64..50,
    ) {
        let space = Space::new(Metric::L2, 12, &[2; 32]);
        let vectors = clusters(n, 12, seed);
        let codes = codes(&space, &vectors);
        let query = space.query(&clusters(1, 12, seed + 1000)[0]);
        let bitmap: RoaringBitmap = members.into_iter().collect();
        let mut scratch = Scratch::new();
        for allow in [Allow::All, Allow::Except(&bitmap), Allow::Only(&bitmap)] {
            let mut expected = brute_force(&codes, &query, allow);
            prop_assert_eq!(allow.count(n as u32), expected.len() as u64);
            let reach = Reach { limit, ef: 1 };
            // With no doubt, the nearest are enough, with ties.
            scan(n as u32, &Certain(Sought(&codes, &query, false)), (reach, n), allow, &mut scratch);
            scratch.found.sort();
            let last = expected.get(limit.max(10) - 1).map_or(f32::MAX, |&last| codes.distance(&query, last).0);
            let near = expected.iter().take_while(|&&row| codes.distance(&query, row).0 <= last).copied();
            prop_assert_eq!(found(&scratch), near.collect::<Vec<_>>());
            // Where everything is in doubt, the width decides.
            scan(n as u32, &Sought(&codes, &query, false), (reach, width), allow, &mut scratch);
            scratch.found.sort();
            expected.truncate(width);
            prop_assert_eq!(found(&scratch), expected);
        }
    }
}

/// A walk that is not given up.
fn whole(reach: Reach, width: usize) -> Extent {
    Extent { reach, width, most: u64::MAX }
}

#[test]
fn a_walk_as_wide_as_the_segment_finds_everything_in_order() {
    for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
        let space = Space::new(metric, 20, &[2; 32]);
        let codes = codes(&space, &clusters(800, 20, 8));
        let params = BuildParams { degree: 12, ef_construction: 30, ..BuildParams::default() };
        let graph = build(&space, &codes, &params);
        let odd: RoaringBitmap = (0..800).filter(|position| position % 2 == 1).collect();
        let mut scratch = Scratch::new();
        for vector in clusters(20, 20, 9) {
            let query = space.query(&vector);
            for allow in [Allow::All, Allow::Only(&odd), Allow::Except(&odd)] {
                walk(
                    &graph,
                    &Sought(&codes, &query, false),
                    &whole(Reach { limit: 800, ef: 800 }, 800),
                    allow,
                    &mut scratch,
                );
                scratch.found.sort();
                assert_eq!(found(&scratch), brute_force(&codes, &query, allow));
            }
        }
    }
}

#[test]
fn a_rough_walk_refined_is_a_fine_walk() {
    for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
        for dimension in [40, 300] {
            let space = Space::new(metric, dimension, &[2; 32]);
            let codes = codes(&space, &clusters(500, dimension, 8));
            let graph = build(&space, &codes, &BuildParams { degree: 16, ..BuildParams::default() });
            let mut scratch = Scratch::new();
            let (mut right, mut rough_right) = (0, 0);
            for vector in clusters(50, dimension, 9) {
                let query = space.query(&vector);
                let expected = brute_force(&codes, &query, Allow::All);
                walk(
                    &graph,
                    &Sought(&codes, &query, true),
                    &whole(Reach { limit: 60, ef: 60 }, 60),
                    Allow::All,
                    &mut scratch,
                );
                scratch.found.sort();
                let hits = |found: Vec<u32>| found[..10].iter().filter(|row| expected[..10].contains(row)).count();
                rough_right += hits(found(&scratch));
                refine(&Sought(&codes, &query, false), &mut scratch);
                scratch.found.sort();
                right += hits(found(&scratch));
                assert_eq!(found(&scratch).len(), 60);
            }
            assert!(right >= 475 && rough_right > 350, "{metric} {dimension}: {rough_right}, refined {right}");
            assert!(
                rough_right <= right && (dimension < 256 || rough_right < right),
                "{metric} {dimension}: {rough_right}, refined {right}"
            );
        }
    }
}

#[test]
fn a_walk_compares_few_and_counts_them() {
    let space = Space::new(Metric::Cosine, 16, &[2; 32]);
    let codes = codes(&space, &clusters(3000, 16, 8));
    let graph = build(&space, &codes, &BuildParams::default());
    let mut scratch = Scratch::new();
    let query = space.query(&clusters(1, 16, 77)[0]);
    walk(&graph, &Sought(&codes, &query, true), &whole(Reach { limit: 20, ef: 20 }, 20), Allow::All, &mut scratch);
    let counters = scratch.counters();
    assert!((20..200).contains(&counters.hops) && (20..1500).contains(&counters.compared), "{counters:?}");
}

/// Of a query whose neighbours stand out, a walk expands fewer rows than of one whose neighbours do not.
#[test]
fn easy_queries_are_answered_sooner() {
    const DIMENSION: usize = 64;
    let space = Space::new(Metric::L2, DIMENSION, &[2; 32]);
    let mut vectors = clusters(3000, DIMENSION, 8);
    let near = |at: usize| vectors[5].iter().map(|x| x * (1.0 + 0.001 * at as f32)).collect::<Vec<f32>>();
    let beside: Vec<Vec<f32>> = (0..10).map(near).collect();
    vectors.splice(2000..2010, beside);
    let codes = codes(&space, &vectors);
    let graph = build(&space, &codes, &BuildParams::default());
    let mut scratch = Scratch::new();
    let mut hops = |vector: &[f32], limit| {
        let query = space.query(vector);
        scratch.reset_counters();
        walk(&graph, &Sought(&codes, &query, true), &whole(Reach { limit, ef: 60 }, 240), Allow::All, &mut scratch);
        scratch.counters().hops
    };
    // Half of the width is walked in any case, and the list that was chosen ahead; a walk that wants as many as it is wide expands them all, and one that
    // wants more does not.
    let (narrow, as_wide, wider) = (hops(&vectors[5], 10), hops(&vectors[5], 60), hops(&vectors[5], 240));
    assert!(narrow == 31 && (60..90).contains(&as_wide) && (60..200).contains(&wider), "{narrow} {as_wide} {wider}");
    let hard = hops(&[0.0; DIMENSION], 10);
    assert!(hard > 40, "{hard}");
}

/// The memory a warm scratch holds does not grow or move with further queries.
#[test]
fn warm_searches_reuse_their_memory() {
    let space = Space::new(Metric::Cosine, 16, &[2; 32]);
    let codes = codes(&space, &clusters(2000, 16, 8));
    let graph = build(&space, &codes, &BuildParams::default());
    let some: RoaringBitmap = (0..1500).collect();
    let mut scratch = Scratch::new();
    let mut held = Vec::new();
    for round in 0..30 {
        let query = space.query(&clusters(1, 16, 100 + round % 10)[0]);
        for allow in [Allow::All, Allow::Only(&some)] {
            walk(&graph, &Sought(&codes, &query, true), &whole(Reach { limit: 10, ef: 50 }, 80), allow, &mut scratch);
            scan(2000, &Sought(&codes, &query, false), (Reach { limit: 10, ef: 50 }, 50), allow, &mut scratch);
        }
        held.push((scratch.positions.as_ptr(), scratch.keys.as_ptr(), scratch.positions.capacity()));
    }
    assert!(held[10..].iter().all(|memory| *memory == held[10]));
}

/// Seen through the rows that do not match, the graph leads to those that do, and to no others.
#[test]
fn a_walk_through_other_rows_finds_the_nearest_that_match() {
    const ROWS: u32 = 4000;
    let space = Space::new(Metric::L2, 24, &[2; 32]);
    let codes = codes(&space, &clusters(ROWS as usize, 24, 8));
    let graph = build(&space, &codes, &BuildParams::default());
    let cells = Cells::new(&graph, codes.between_rows(&space.query(&[0.0; 24])));
    let (mut scratch, mut room) = (Scratch::new(), Room::default());
    for every in [3, 10, 30] {
        let some: RoaringBitmap = (0..ROWS).filter(|row| (row / 7) % every == 0).collect();
        let (mut right, mut wanted) = (0, 0);
        let others = RoaringBitmap::from_iter(0..ROWS) - &some;
        for (number, vector) in clusters(40, 24, 9).into_iter().enumerate() {
            let query = space.query(&vector);
            let allow = if number % 2 == 0 { Allow::Only(&some) } else { Allow::Except(&others) };
            let share = some.len() as f64 / f64::from(ROWS);
            let goal = Sought(&codes, &query, false);
            let through = Through::new((&graph, graph.degree(), &cells), &goal, (allow, share), &mut room);
            let ef = 80 + 20 * every.ilog2() as usize;
            let extent = whole(Reach { limit: 10, ef }, 4 * ef);
            scratch.reset_counters();
            walk(&through, &goal, &extent, Allow::All, &mut scratch);
            scratch.found.sort();
            let near = found(&scratch);
            assert!(near.iter().all(|&row| some.contains(row)));
            assert!(scratch.counters().compared < some.len());
            let expected = brute_force(&codes, &query, allow);
            right += near.iter().take(10).filter(|row| expected[..10].contains(row)).count();
            wanted += 10;
        }
        assert!(right * 100 >= wanted * 95, "one in {every}: {right} of {wanted}");
    }
}
