//! Where a walk of a whole graph begins.
//!
//! Positions follow a keyed order, so the first rows are a random sample, and they lie side by side in memory: comparing them
//! costs less than the layers of a hierarchy would. Of more rows a larger sample is looked at, so that some of it are near to
//! where the nearest are; but whatever a walk begins in, it looks through at each step, so it begins in a few of them.
//!
//! Invariant: row 0, from which a graph reaches everything, is among them.

use super::walkable::Goal;

/// Rows of the sample that a walk begins in.
const STARTS: usize = 32;

/// Rows of which one is in the sample (`benches/LOG.md`).
const ROWS: usize = 512;

/// Rows of the sample for each to begin in, at most.
const MOST: usize = 64;

/// With fewer of them a walk is as soon near without.
const FEWEST: usize = 8;

/// How many rows of the sample there are for each to begin in.
fn run(rows: usize) -> usize {
    let run = (rows / (ROWS * STARTS)).min(MOST);
    if run < FEWEST { 1 } else { run }
}

/// Rows of the sample that are compared beside those that a walk begins in.
pub(crate) fn sampled(rows: usize) -> u64 {
    if run(rows) > 1 { (run(rows) * STARTS) as u64 } else { 0 }
}

/// The rows to begin in, of so many, in `room`: of each run of the sample the one that is nearest to `goal`, and row 0.
pub(crate) fn starts<'a>(rows: usize, goal: &impl Goal, (room, keys): (&'a mut Vec<u32>, &mut Vec<i32>)) -> &'a [u32] {
    let run = run(rows);
    room.clear();
    room.extend(0..rows.min(run * STARTS) as u32);
    if run > 1 {
        keys.resize(room.len().max(keys.len()), 0);
        goal.keys(room, keys);
        let runs = keys.chunks_exact(run).take(STARTS).zip((0..).step_by(run));
        let nearest =
            |(keys, first): (&[i32], u32)| (first..).zip(keys).min_by_key(|(_, key)| **key).map(|(row, _)| row);
        room.clear();
        room.push(0);
        room.extend(runs.filter_map(nearest).filter(|&row| row > 0));
    }
    room
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances from a row, but that every third is far.
    struct From(u32);

    impl Goal for From {
        fn keys(&self, positions: &[u32], keys: &mut [i32]) {
            for (key, &position) in keys.iter_mut().zip(positions) {
                *key = position.abs_diff(self.0) as i32 + if position % 3 == 0 { 1 << 20 } else { 0 };
            }
        }

        fn prefetch(&self, _: &[u32]) {}
    }

    #[test]
    fn of_each_run_the_nearest_and_row_0() {
        let (mut room, mut keys) = (vec![7; 3], vec![0; 99]);
        for rows in [0, 1, 31, 32, 33, 131_071] {
            let all: Vec<u32> = (0..rows.min(32) as u32).collect();
            assert_eq!((starts(rows, &From(5), (&mut room, &mut keys)), sampled(rows)), (&all[..], 0));
        }
        for (rows, run) in [(131_072, 8), (1_000_000, 61), (1 << 30, 64)] {
            assert_eq!(sampled(rows), 32 * u64::from(run));
            let found = starts(rows, &From(run + 1), (&mut room, &mut keys)).to_vec();
            let nearest =
                |at: u32| (at * run..(at + 1) * run).min_by_key(|row| (row % 3 == 0, row.abs_diff(run + 1), *row));
            let expected: Vec<u32> = (0..32).filter_map(nearest).filter(|&row| row > 0).collect();
            assert_eq!((found[0], &found[1..]), (0, &expected[..]));
        }
    }
}
