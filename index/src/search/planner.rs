//! Which way a search goes, from how many rows it may find.
//!
//! Invariant: pure. What a walk finds too little of, or too slowly, is scanned after it.

use super::reach::Reach;

/// A way to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    /// Compare every row that may be found.
    Scan,
    /// Walk the graph of the rows that may be found, with this `ef`.
    Through { ef: usize },
    /// Walk the whole graph with a frontier this many times as wide, and keep what may be found.
    Along { times: f64 },
}

/// Rows that are scanned in the time that one is expanded. A width of this part of all rows is better spent on
/// looking at each.
const SCANNED: usize = 8;

/// So few rows are scanned.
const SCAN_UP_TO: u64 = 16_384;

/// From this share on, rows that may be found are met often enough on the way.
const MOST: f64 = 0.4;

/// Below this share, too few of them have another near.
const FEWEST: f64 = 0.01;

/// The way to search `rows` of which `matching`, more than none, may be found.
pub(crate) fn way(rows: u64, matching: u64, reach: Reach) -> Way {
    if reach.ef.max(reach.limit).saturating_mul(SCANNED) as u64 >= rows {
        return Way::Scan;
    }
    let share = matching as f64 / rows as f64;
    if share >= MOST {
        // Among the nearest rows, they are as rare as elsewhere or rarer; a wider pool makes up for it.
        return Way::Along { times: share.sqrt().recip() };
    }
    if matching <= SCAN_UP_TO || share < FEWEST {
        return Way::Scan;
    }
    // Those that lead to each other are farther apart than neighbours are.
    Way::Through { ef: (reach.ef as f64 * (1.0 - 0.5 * share.log10()).min(2.0)) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_scanned_some_bridged_and_most_met() {
        let reach = Reach { limit: 10, ef: 100 };
        let ways = [(1_000_000, 1.0), (640_000, 1.25)];
        for (matching, times) in ways {
            assert_eq!(way(1_000_000, matching, reach), Way::Along { times });
        }
        assert_eq!(way(1_000_000, 100_000, reach), Way::Through { ef: 150 });
        assert_eq!(way(1_000_000, 10_000, reach), Way::Scan);
        assert_eq!(way(10_000_000, 100_000, reach), Way::Through { ef: 200 });
        assert_eq!(way(10_000_000, 99_999, reach), Way::Scan);
        assert_eq!(way(100_000, 16_384, reach), Way::Scan);
        assert_eq!(way(800, 800, reach), Way::Scan);
    }
}
