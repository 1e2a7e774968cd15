//! The exact nearest neighbours, and the recall of answers measured against them.
//!
//! Invariant: equal distances are ordered by position, so the truth is one fixed answer. It is computed by comparing
//! everything with everything, the one method too plain to be wrong.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use crate::{Distance, Matrix};

/// How many queries share one pass over the stored rows, which memory delivers more slowly than cores compare.
const QUERIES_PER_PASS: usize = 16;

/// A stored row and how far it lies from the query.
#[derive(Clone, Copy, Debug)]
pub struct Neighbor {
    /// The row of `train`.
    pub position: u32,
    /// [`Distance::between`] query and row.
    pub distance: f32,
}

impl Ord for Neighbor {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance).then(self.position.cmp(&other.position))
    }
}

impl PartialOrd for Neighbor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Neighbor {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Neighbor {}

/// Per row of `test` its `k` nearest rows of `train` (all of them if there are fewer), nearest first, ties by position.
///
/// Runs on the current rayon pool and takes `train.len() × test.len()` comparisons.
pub fn neighbors(metric: Distance, train: &Matrix, test: &Matrix, k: usize) -> Vec<Vec<Neighbor>> {
    test.as_slice()
        .par_chunks(QUERIES_PER_PASS * test.dimension())
        .flat_map_iter(|queries| {
            let mut nearest: Vec<_> =
                queries.chunks_exact(test.dimension()).map(|query| (query, BinaryHeap::new())).collect();
            for (position, row) in (0..=u32::MAX).zip(train.rows()) {
                for (query, heap) in &mut nearest {
                    let distance = metric.between(query, row);
                    keep_nearest(heap, Neighbor { position, distance }, k);
                }
            }
            nearest.into_iter().map(|(_, heap)| heap.into_sorted_vec())
        })
        .collect()
}

/// Adds `found` to the `k` nearest seen so far, the farthest of which tops the heap.
fn keep_nearest(heap: &mut BinaryHeap<Neighbor>, found: Neighbor, k: usize) {
    if heap.len() < k {
        heap.push(found);
    } else if let Some(mut farthest) = heap.peek_mut()
        && found < *farthest
    {
        *farthest = found;
    }
}

/// How much farther than the k-th true neighbour an answer may lie and still count: the absolute 1e-3 of
/// ann-benchmarks' `knn` metric, in the units of [`Distance::between`].
pub const TOLERANCE: f32 = 1e-3;

/// The recall@k of `found`, from 0 to 1, as ann-benchmarks counts it: the share of the first `k` answers that lie no
/// farther than the k-th true neighbour plus `tolerance` (usually [`TOLERANCE`]), so that any of several equal rows is
/// right. Distances are computed here from the vectors, never taken from the caller.
///
/// `truth` and `found` hold positions in `train`, one list per row of `test`, `truth` nearest first. Where the truth
/// holds fewer than `k`, that many are asked for. Unlike ann-benchmarks, a row returned twice counts once, and a
/// position outside `train` counts as missed. Without queries nothing was missed: the recall is 1.
pub fn recall(
    metric: Distance,
    train: &Matrix,
    test: &Matrix,
    truth: &[Vec<u32>],
    found: &[Vec<u32>],
    k: usize,
    tolerance: f32,
) -> f64 {
    let (mut right, mut wanted) = (0, 0);
    for (position, (query, truth)) in test.rows().zip(truth).enumerate() {
        let distance = |row: &u32| {
            let row = usize::try_from(*row).ok().filter(|row| *row < train.len())?;
            Some(metric.between(query, train.row(row)))
        };
        let k = k.min(truth.len());
        let Some(farthest) = truth.iter().take(k).next_back().and_then(distance) else {
            continue;
        };
        let mut answers: Vec<u32> = found.get(position).into_iter().flatten().take(k).copied().collect();
        answers.sort_unstable();
        answers.dedup();
        wanted += k;
        right += answers.iter().filter_map(distance).filter(|answer| *answer <= farthest + tolerance).count();
    }
    if wanted == 0 { 1.0 } else { right as f64 / wanted as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Mixture;

    fn positions(neighbors: Vec<Vec<Neighbor>>) -> Vec<Vec<u32>> {
        neighbors.into_iter().map(|row| row.iter().map(|neighbor| neighbor.position).collect()).collect()
    }

    /// Sorts everything by a distance written out in f64.
    fn by_hand(metric: Distance, train: &Matrix, query: &[f32], k: usize) -> Vec<u32> {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let far = |row: &[f32]| match metric {
            Distance::Cosine => -dot(query, row) / (dot(row, row) * dot(query, query)).sqrt(),
            Distance::Dot => -dot(query, row),
            Distance::L2 => dot(query, query) + dot(row, row) - 2.0 * dot(query, row),
        };
        let mut all: Vec<_> = (0..).zip(train.rows().map(far)).collect();
        all.sort_by(|a: &(u32, f64), b| a.1.total_cmp(&b.1));
        all.into_iter().take(k).map(|(position, _)| position).collect()
    }

    #[test]
    fn truth_agrees_with_a_full_sort() {
        let mixture = Mixture::new(24, 5, 0.5, 1);
        let (train, test) = (mixture.sample(500, 2), mixture.sample(40, 3));
        for metric in [Distance::Cosine, Distance::Dot, Distance::L2] {
            let truth = positions(neighbors(metric, &train, &test, 10));
            let expected: Vec<_> = test.rows().map(|query| by_hand(metric, &train, query, 10)).collect();
            assert_eq!(truth, expected, "{metric}");
        }
    }

    #[test]
    fn ties_go_to_the_lower_position_and_all_rows_are_enough() {
        let train = Matrix::new(1, vec![5.0, 1.0, 1.0, 1.0]).unwrap();
        let test = Matrix::new(1, vec![1.0]).unwrap();
        assert_eq!(positions(neighbors(Distance::L2, &train, &test, 2)), [[1, 2]]);
        assert_eq!(positions(neighbors(Distance::L2, &train, &test, 9)), [[1, 2, 3, 0]]);
        assert_eq!(positions(neighbors(Distance::L2, &train, &test, 0)), [[0; 0]]);
    }

    #[test]
    fn recall_counts_ties_but_neither_doubles_nor_strangers() {
        let train = Matrix::new(1, vec![0.0, 1.0, 1.0, 2.0]).unwrap();
        let test = Matrix::new(1, vec![0.0]).unwrap();
        let recall =
            |found: &[u32]| recall(Distance::L2, &train, &test, &[vec![0, 1, 2]], &[found.to_vec()], 2, TOLERANCE);
        assert_eq!(recall(&[0, 1]), 1.0);
        assert_eq!(recall(&[2, 0]), 1.0, "row 2 ties with row 1");
        assert_eq!(recall(&[0, 3]), 0.5);
        assert_eq!(recall(&[0, 0]), 0.5);
        assert_eq!(recall(&[0, 9]), 0.5);
        assert_eq!(recall(&[3, 3, 0, 1]), 0.0, "only the first k answers count");
        assert_eq!(recall(&[]), 0.0);
    }
}
