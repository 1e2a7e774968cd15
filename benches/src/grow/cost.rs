//! What a query costs on average, and what it would cost at a recall between two measured ones.
//!
//! Invariant: nothing is claimed beyond what was measured.

use serde::Serialize;

use engine::Counters;

/// The mean of one query.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Width of the graph search.
    pub ef: f64,
    /// Share of the true neighbours found.
    pub recall: f64,
    /// Codes compared: distance evaluations.
    pub compared: f64,
    /// Lists of neighbours read.
    pub hops: f64,
    /// Sealed rows opened for exact distances.
    pub opened: f64,
    /// Bytes of codes, lists and opened vectors, as the engine counts them.
    pub bytes: f64,
    /// Microseconds from question to answer.
    pub us: f64,
}

impl Cost {
    /// The mean of `queries` queries that together did what `counters` say.
    pub fn mean(ef: usize, recall: f64, counters: &Counters, queries: usize, us: f64) -> Self {
        let mean = |total: u64| total as f64 / queries.max(1) as f64;
        Self {
            ef: ef as f64,
            recall,
            compared: mean(counters.compared),
            hops: mean(counters.hops),
            opened: mean(counters.reranked),
            bytes: mean(counters.bytes),
            us,
        }
    }

    /// What it would cost at `recall`, which this misses and `better` reaches: each figure by how far `recall` lies
    /// between the two.
    pub fn up_to(&self, better: &Self, recall: f64) -> Self {
        let share = (recall - self.recall) / (better.recall - self.recall);
        // Of two equal recalls, or one that is no number, the measured one that reaches it stands.
        if !(0.0..1.0).contains(&share) {
            return *better;
        }
        let between = |low: f64, high: f64| low + share * (high - low);
        Self {
            ef: between(self.ef, better.ef),
            recall,
            compared: between(self.compared, better.compared),
            hops: between(self.hops, better.hops),
            opened: between(self.opened, better.opened),
            bytes: between(self.bytes, better.bytes),
            us: between(self.us, better.us),
        }
    }

    /// Which part of the time it would take to read the bytes at `gb_per_second`: 1 is the limit of the machine where
    /// the bytes come from memory, and of those in its caches nothing is said.
    pub fn roof(&self, gb_per_second: f64) -> f64 {
        self.bytes / (gb_per_second * 1e3) / self.us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Cost = Cost { ef: 10.0, recall: 0.9, compared: 100.0, hops: 4.0, opened: 1.0, bytes: 1000.0, us: 2.0 };
    const HIGH: Cost = Cost { ef: 20.0, recall: 1.0, compared: 300.0, hops: 8.0, opened: 0.0, bytes: 5000.0, us: 6.0 };

    #[test]
    fn figures_between_two_widths_lie_where_the_recall_does() {
        let cost = LOW.up_to(&HIGH, 0.925);
        let expected =
            Cost { ef: 12.5, recall: 0.925, compared: 150.0, hops: 5.0, opened: 0.75, bytes: 2000.0, us: 3.0 };
        for (found, expected) in [
            (cost.ef, expected.ef),
            (cost.recall, expected.recall),
            (cost.compared, expected.compared),
            (cost.hops, expected.hops),
            (cost.opened, expected.opened),
            (cost.bytes, expected.bytes),
            (cost.us, expected.us),
        ] {
            assert!((found - expected).abs() < 1e-6 * expected, "{cost:?}");
        }
    }

    #[test]
    fn nothing_is_claimed_beyond_the_two() {
        assert_eq!(LOW.up_to(&HIGH, 1.0), HIGH);
        assert_eq!(LOW.up_to(&HIGH, 0.8), HIGH);
        assert_eq!(LOW.up_to(&Cost { recall: 0.9, ..HIGH }, 0.9), Cost { recall: 0.9, ..HIGH });
        assert_eq!(LOW.up_to(&HIGH, f64::NAN), HIGH);
    }

    #[test]
    fn a_query_at_the_roof_takes_as_long_as_its_bytes() {
        // 1000 bytes at 10 GB/s take 0.1 µs of the 2.
        assert!((LOW.roof(10.0) - 0.05).abs() < 1e-12);
    }

    #[test]
    fn means_are_of_all_queries() {
        let counters =
            Counters { hops: 8, compared: 100, reranked: 2, bytes: 4000, segments: 4, ..Counters::default() };
        let cost = Cost::mean(16, 0.5, &counters, 4, 7.0);
        let expected = Cost { ef: 16.0, recall: 0.5, compared: 25.0, hops: 2.0, opened: 0.5, bytes: 1000.0, us: 7.0 };
        assert_eq!(cost, expected);
    }
}
