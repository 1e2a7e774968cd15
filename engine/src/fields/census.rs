//! Which paths of some payloads are the commonest, found in memory that does not grow with the payloads.
//!
//! Invariant: it is a function of the set of payloads, in whatever order they come. As long as they have no more
//! different paths than may be held, each is counted. If they have more (a payload that uses its keys as data is enough),
//! a count-min sketch (Cormode and Muthukrishnan, "An improved data stream summary", 2005) says how many payloads have a
//! path, now and then too many and never too few; it is a table of sums, so that no order changes it. Then a second walk
//! counts those paths exactly that it puts first. One that is in more payloads than the error of the sketch, about
//! 1/24,000 of all paths of all payloads, is always among them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::wiped::Wiped;

/// So many different paths are counted; with the longest names they take a few megabytes.
pub const PATHS_MAX: usize = 1 << 14;

/// Paths and how many payloads have each.
pub struct Census {
    max: usize,
    sketch: Sketch,
    is_second: bool,
    /// The first by what the sketch estimated, ties by their bytes. In the first walk nothing is estimated.
    held: BTreeMap<(Reverse<u32>, Wiped), u32>,
    has_more: bool,
}

impl Census {
    /// A census that holds no more than so many paths.
    pub fn new(max: usize) -> Self {
        Self { max, sketch: Sketch::default(), is_second: false, held: BTreeMap::new(), has_more: false }
    }

    /// Counts a path of one more payload.
    pub fn add(&mut self, path: Wiped) {
        let estimate = if self.is_second { self.sketch.estimate(&path) } else { self.sketch.add(&path) };
        let key = (Reverse(estimate), path);
        if let Some(count) = self.held.get_mut(&key) {
            *count += 1;
            return;
        }
        if self.held.len() == self.max {
            self.has_more = true;
            // What is among the first in the end was so from when it was first met, so that no count lacks anything.
            if self.held.last_key_value().is_none_or(|(last, _)| *last < key) {
                return;
            }
            self.held.pop_last();
        }
        self.held.insert(key, 1);
    }

    /// Whether all payloads must be walked once more, from now on.
    pub fn starts_over(&mut self) -> bool {
        let is_needed = self.has_more && !self.is_second;
        if is_needed {
            self.is_second = true;
            self.held.clear();
        }
        is_needed
    }

    /// The commonest paths first, ties by their bytes, and whether they are all there are.
    pub fn ranking(self) -> (Vec<Wiped>, bool) {
        let mut ranking: Vec<(u32, Wiped)> = self.held.into_iter().map(|((_, path), count)| (count, path)).collect();
        ranking.sort_unstable_by(|(a, a_path), (b, b_path)| b.cmp(a).then(a_path.cmp(b_path)));
        (ranking.into_iter().map(|(_, path)| path).collect(), !self.has_more)
    }
}

/// Sums by hash, each path in one cell of every lane.
struct Sketch(Vec<u32>);

const LANES: usize = 4;
const LANE_BITS: usize = 16;

impl Default for Sketch {
    fn default() -> Self {
        Self(vec![0; LANES << LANE_BITS])
    }
}

impl Sketch {
    /// Counts a path. In the first walk no estimate is asked for, and this is its place.
    fn add(&mut self, path: &str) -> u32 {
        for cell in cells(path) {
            if let Some(sum) = self.0.get_mut(cell) {
                *sum = sum.saturating_add(1);
            }
        }
        0
    }

    /// No fewer than the payloads that have the path.
    fn estimate(&self, path: &str) -> u32 {
        cells(path).filter_map(|cell| self.0.get(cell).copied()).min().unwrap_or_default()
    }
}

/// One cell in each lane, by 16 bits each of the hash of a path.
fn cells(path: &str) -> impl Iterator<Item = usize> {
    let hash = hash(path.as_bytes());
    let cell = move |lane| (lane << LANE_BITS) | ((hash >> (lane * LANE_BITS)) as usize & ((1 << LANE_BITS) - 1));
    (0..LANES).map(cell)
}

/// FNV-1a with the last step of SplitMix64: one result on every machine and for all time. Whoever aims at it makes
/// fields be indexed that are rare, which changes no answer.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, step);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;

    use super::*;

    /// What comes out, and that no more was ever held than may be.
    fn take(paths: &[u32], max: usize) -> (Vec<String>, bool) {
        let mut census = Census::new(max);
        loop {
            for path in paths {
                census.add(format!("p{path}").into());
                assert!(census.held.len() <= max);
            }
            if !census.starts_over() {
                break;
            }
        }
        let (ranking, is_all) = census.ranking();
        (ranking.iter().map(|path| path.to_string()).collect(), is_all)
    }

    fn naive(paths: &[u32]) -> Vec<String> {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        paths.iter().for_each(|path| *counts.entry(format!("p{path}")).or_default() += 1);
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| Reverse(*count));
        counts.into_iter().map(|(path, _)| path).collect()
    }

    proptest! {
        /// So few paths do not meet in a sketch, hence what is held is exactly the commonest.
        #[test]
        fn the_commonest_come_first_in_any_order(
            paths in prop::collection::vec(prop_oneof![0..6_u32, 0..200_u32], 0..400), max in 1..80_usize, seed: u64,
        ) {
            let mut expected = naive(&paths);
            let is_all = expected.len() <= max;
            expected.truncate(max);
            let found = take(&paths, max);
            prop_assert_eq!(&found, &(expected, is_all));
            let mut shuffled = paths;
            shuffled.shuffle(&mut StdRng::seed_from_u64(seed));
            prop_assert_eq!(take(&shuffled, max), found);
        }
    }

    /// Far more paths than cells, each but a few of them once: the few are found and counted, in any order.
    #[test]
    fn keys_that_are_data_displace_no_field() {
        let common = (0..50_u32).flat_map(|path| (0..100 + path).map(move |_| path));
        let mut paths: Vec<u32> = common.chain(1000..301_000).collect();
        let expected = naive(&paths)[..50].to_vec();
        for seed in 0..2 {
            paths.shuffle(&mut StdRng::seed_from_u64(seed));
            let (found, is_all) = take(&paths, 256);
            assert!(found.starts_with(&expected) && found.len() == 256 && !is_all);
        }
    }
}
