//! Which candidates of a search must be opened to know the answer, and which are known without.
//!
//! A code gives a distance and how far off it can be. A candidate whose whole interval lies before those
//! of all others but `limit - 1` is in the answer, whatever its exact distance; one whose interval lies
//! behind those of `limit` others is not. Only the candidates in between can change the answer.
//!
//! A distance by codes is off by three standard deviations at most, as good as always; two that are both off by as
//! much, towards each other, are far rarer. So an interval is [`DOUBT`] times as wide: candidates whose distances by
//! codes are three standard deviations of either apart are told apart without being opened. It opens half as many,
//! and changes one hit in a thousand (`benches/LOG.md`).
//!
//! Invariant: pure, and as exact as the intervals: if these hold the distances, then the answer holds the
//! nearest.

use serde::{Deserialize, Serialize};

/// Which hits of a search get exact distances from their sealed vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rerank {
    /// Those that decide who is in the answer. Of the others it is known by codes, but for one in a thousand or so;
    /// their scores and the order among them are as near as [`Hit::score_error`](crate::Hit::score_error) says.
    #[default]
    Auto,
    /// All: every score is exact, and so is the order.
    All,
    /// None: the answer is as good as codes are.
    None,
}

/// Part of the error of a distance that its interval reaches to either side.
const DOUBT: f32 = 0.5;

/// Where the exact distance of a candidate lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    pub lower: f32,
    pub upper: f32,
}

impl Interval {
    /// Around a distance that can be off by `error`.
    pub fn around(distance: f32, error: f32) -> Self {
        Self { lower: distance - DOUBT * error, upper: distance + DOUBT * error }
    }
}

/// What is known of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    In,
    Open,
    Out,
}

/// Sets apart the candidates for an answer of `limit`.
pub(crate) struct Judge {
    /// An interval that ends before this is in: fewer than `limit` others begin before it.
    first_rival: f32,
    /// An interval that begins behind this is out: `limit` others end before it.
    last_chance: f32,
}

impl Judge {
    pub fn new(limit: usize, intervals: impl Iterator<Item = Interval> + Clone) -> Self {
        let mut lowers: Vec<f32> = intervals.clone().map(|interval| interval.lower).collect();
        let mut uppers: Vec<f32> = intervals.map(|interval| interval.upper).collect();
        let number = |values: &mut Vec<f32>, at: usize| {
            if at < values.len() { *values.select_nth_unstable_by(at, f32::total_cmp).1 } else { f32::INFINITY }
        };
        Self {
            first_rival: number(&mut lowers, limit),
            last_chance: limit.checked_sub(1).map_or(f32::NEG_INFINITY, |at| number(&mut uppers, at)),
        }
    }

    pub fn verdict(&self, interval: Interval) -> Verdict {
        if interval.upper < self.first_rival {
            Verdict::In
        } else if interval.lower > self.last_chance {
            Verdict::Out
        } else {
            Verdict::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Wherever in their intervals the distances are, verdicts agree with a full sort.
        #[test]
        fn verdicts_hold_for_all_distances(
            candidates in proptest::collection::vec((0_u8..50, 0_u8..9, 0.0_f32..=1.0), 0..30),
            limit in 0_usize..8,
        ) {
            let interval = |&(lower, width, _): &(u8, u8, f32)| {
                Interval { lower: f32::from(lower), upper: f32::from(lower) + f32::from(width) }
            };
            let judge = Judge::new(limit, candidates.iter().map(interval));
            let exact = |candidate: &(u8, u8, f32)| f32::from(candidate.0) + f32::from(candidate.1) * candidate.2;
            let mut opened = 0;
            for candidate in &candidates {
                let nearer = candidates.iter().filter(|other| exact(other) < exact(candidate)).count();
                let no_farther = candidates.iter().filter(|other| exact(other) <= exact(candidate)).count();
                match judge.verdict(interval(candidate)) {
                    Verdict::In => prop_assert!(no_farther <= limit),
                    Verdict::Out => prop_assert!(nearer >= limit),
                    Verdict::Open => opened += 1,
                }
            }
            // Somebody must be left to fill the answer, and nobody is opened where nothing is at stake.
            prop_assert!(candidates.len() > limit || opened == 0);
        }
    }
}
