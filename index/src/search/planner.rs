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
    /// Walk the whole graph with a frontier wider by this many rows, and keep what may be found.
    Along { more: usize },
}

/// Rows that are scanned in the time that one is expanded. A width of this part of all rows is better spent on
/// looking at each.
const SCANNED: usize = 32;

/// The same where the rows that may be found are walked among others, if these are none: that expands more rows, and each costs
/// more, about with this power of how many rows there are for each (`benches/LOG.md`).
const SCANNED_AMONG_OTHERS: f64 = 40.0;
const POWER: f64 = 0.75;

/// From this share on, rows that may be found are near enough to each other.
const DENSE: f64 = 0.1;

/// Below this share, too few of them have another near.
const FEWEST: f64 = 0.01;

/// The way to search `rows` of which `matching`, more than none, may be found.
pub(crate) fn way(rows: u64, matching: u64, reach: Reach) -> Way {
    let width = reach.ef.max(reach.limit);
    if width.saturating_mul(SCANNED) as u64 >= rows {
        return Way::Scan;
    }
    let others = rows.saturating_sub(matching);
    if others <= width as u64 {
        // Even if these are the nearest of all, there is room beside them.
        return Way::Along { more: others as usize };
    }
    let share = matching as f64 / rows as f64;
    if matching as f64 * share.powf(POWER) <= SCANNED_AMONG_OTHERS * width as f64 || share < FEWEST {
        return Way::Scan;
    }
    // Those that lead to each other are farther apart than neighbours are.
    Way::Through { ef: (reach.ef as f64 * (1.0 - 0.5 * (share / DENSE).log10()).clamp(1.0, 2.0)) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_scanned_others_walked_and_nearly_all_met() {
        let reach = Reach { limit: 10, ef: 100 };
        assert_eq!(way(1_000_000, 1_000_000, reach), Way::Along { more: 0 });
        assert_eq!(way(1_000_000, 999_900, reach), Way::Along { more: 100 });
        assert_eq!(way(1_000_000, 999_899, reach), Way::Through { ef: 100 });
        assert_eq!(way(1_000_000, 100_000, reach), Way::Through { ef: 100 });
        assert_eq!(way(1_000_000, 42_600, reach), Way::Scan);
        assert_eq!(way(1_000_000, 42_700, reach), Way::Through { ef: 118 });
        assert_eq!(way(100_000, 15_900, reach), Way::Through { ef: 100 });
        assert_eq!(way(100_000, 15_800, reach), Way::Scan);
        let narrow = Reach { limit: 10, ef: 10 };
        assert_eq!(way(10_000_000, 100_000, narrow), Way::Through { ef: 15 });
        assert_eq!(way(10_000_000, 99_999, narrow), Way::Scan);
        assert_eq!(way(3_200, 3_200, reach), Way::Scan);
        assert_eq!(way(3_201, 3_201, reach), Way::Along { more: 0 });
    }
}
