//! Carves the rows of a segment into leaves that overlap: rows that lie near each other share one or more.
//!
//! Some rows are pivots, and every row goes to the nearest few of them (ball carving: Rubel et al., "PiPNN:
//! Ultra-Scalable Graph-Based Nearest Neighbor Indexing", 2026); what is too large for a leaf is carved again. Pivots are
//! the first rows, which are a random sample, since positions follow a keyed order.
//!
//! Invariant: every row is in at least one leaf and in none twice; leaves hold at most [`LEAF`] rows, rising. A pure
//! function of codes.

use super::geometry::Geometry;
use super::nearest::among;
use super::params::Stop;

/// Rows that a leaf holds at most: packed, they still fit the second cache.
const LEAF: usize = 2048;

/// Rows that a ball holds on average.
const BALL: usize = 512;

/// Balls that every row is in. What is too large is carved into balls that do not overlap: it is in several already.
const BALLS: usize = 12;

/// Pivots that a row is compared with at most; with more rows than these make small balls of, balls are carved again.
const PIVOTS: usize = 1 << 14;

/// Ways to deal out rows: by runs of up to 2^7.
const RUNS: u32 = 8;

/// Carves the first `rows` rows; `None` once told to `stop`.
pub(super) fn carve(geometry: &Geometry, rows: usize, stop: Stop<'_>) -> Option<Vec<Vec<u32>>> {
    let (mut leaves, mut dealt) = (Vec::new(), 0);
    let mut parts: Vec<(Vec<u32>, usize)> = vec![((0..rows as u32).collect(), BALLS)];
    while let Some((part, times)) = parts.pop() {
        if part.len() <= LEAF {
            leaves.push(part);
            continue;
        }
        for ball in balls(geometry, &part, times, stop)? {
            // Rows that pivots do not tell apart: dealt out, in another way each time, so that the pieces overlap.
            if times == 1 && ball.len() > part.len() / 2 {
                dealt += 1;
                leaves.append(&mut deal(&ball, dealt));
            } else if !ball.is_empty() {
                parts.push((ball, 1));
            }
        }
    }
    Some(leaves)
}

/// Pieces of a ball, nearly equal, by runs of rows that are longer with every turn up to a limit.
fn deal(ball: &[u32], turn: u32) -> Vec<Vec<u32>> {
    let run = 1 << (turn % RUNS);
    // Pieces differ by two runs at most.
    let mut pieces = vec![Vec::new(); ball.len().div_ceil(LEAF - 2 * run)];
    let count = pieces.len();
    for (at, rows) in ball.chunks(run).enumerate() {
        pieces[at % count].extend_from_slice(rows);
    }
    pieces
}

/// Balls around the first of `rows`; each row is in the nearest few, `times`.
fn balls(geometry: &Geometry, rows: &[u32], times: usize, stop: Stop<'_>) -> Option<Vec<Vec<u32>>> {
    let pivots = (rows.len() * times).div_ceil(BALL).min(PIVOTS);
    let pivots = rows.get(..pivots).unwrap_or(rows);
    let mut balls = vec![Vec::new(); pivots.len()];
    for (&row, nearest) in rows.iter().zip(among(geometry, rows, pivots, times, stop)?) {
        for pivot in nearest {
            if let Some(ball) = pivots.binary_search(&pivot).ok().and_then(|at| balls.get_mut(at)) {
                ball.push(row);
            }
        }
    }
    Some(balls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Metric;
    use crate::quantize::Space;
    use crate::samples::{clusters, codes};

    #[test]
    fn whatever_is_dealt_fits_leaves() {
        for rows in (1..9 * LEAF).step_by(37).chain([LEAF, LEAF + 1, 2 * LEAF]) {
            for turn in 0..RUNS {
                let mut pieces = deal(&Vec::from_iter(0..rows as u32), turn);
                assert!(pieces.iter().all(|piece| piece.len() <= LEAF && piece.is_sorted()), "{rows} {turn}");
                let all: std::collections::BTreeSet<u32> = pieces.drain(..).flatten().collect();
                assert_eq!(all.len(), rows);
            }
        }
    }

    #[test]
    fn every_row_is_in_leaves_that_are_small_enough() {
        let space = Space::new(Metric::L2, 8, &[1; 32]);
        // Rows in clusters, and rows that are all alike, which no pivots tell apart.
        for vectors in [clusters(6000, 8, 2), vec![vec![1.0; 8]; 5000], clusters(LEAF, 8, 2), Vec::new()] {
            let geometry = Geometry::new(&space, &codes(&space, &vectors));
            let leaves = carve(&geometry, vectors.len(), &|| false).unwrap();
            let mut times = vec![0; vectors.len()];
            for leaf in &leaves {
                assert!(leaf.len() <= LEAF && leaf.is_sorted_by(|a, b| a < b));
                leaf.iter().for_each(|&row| times[row as usize] += 1);
            }
            let expected = if vectors.len() > LEAF { BALLS } else { 1 };
            assert!(times.iter().all(|&times| times == expected));
        }
    }
}
