//! Speed at a given recall, read off points that lie elsewhere.
//!
//! Invariant: a point counts only while none is better in both, so an engine is judged by its best settings; between two
//! of them speed falls exponentially, beyond them nothing is claimed.

/// Recall and queries a second.
pub type Spot = (f64, f64);

/// How much slower than the best a point may look in a single pass and still be measured again.
const DOUBT: f64 = 1.15;

/// Positions of the points that no other beats in recall and speed at once, by ascending recall.
pub fn front(spots: &[Spot]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..spots.len()).collect();
    order.sort_by(|a, b| {
        let ((recall_a, qps_a), (recall_b, qps_b)) = (spots[*a], spots[*b]);
        recall_b.total_cmp(&recall_a).then(qps_b.total_cmp(&qps_a))
    });
    let mut fastest = 0.0;
    order.retain(|at| {
        let is_faster = spots[*at].1 > fastest;
        fastest = spots[*at].1.max(fastest);
        is_faster
    });
    order.reverse();
    order
}

/// The last point of the front below `recall` and the first that reaches it.
fn bracket(spots: &[Spot], recall: f64) -> (Option<usize>, Option<usize>) {
    let front = front(spots);
    let split = front.partition_point(|at| spots[*at].0 < recall);
    (split.checked_sub(1).map(|below| front[below]), front.get(split).copied())
}

/// The point of the front that reaches `recall` fastest; `None` if none does.
pub fn reaching(spots: &[Spot], recall: f64) -> Option<usize> {
    bracket(spots, recall).1
}

/// Queries a second at `recall`: between two points their logarithm is interpolated; an engine whose fastest point is
/// already better gets that point's; one that never gets there gets `None`.
pub fn qps_at(spots: &[Spot], recall: f64) -> Option<f64> {
    let (below, above) = bracket(spots, recall);
    let (high_recall, high_qps) = spots[above?];
    let Some((low_recall, low_qps)) = below.map(|at| spots[at]).filter(|_| high_recall > recall) else {
        return Some(high_qps);
    };
    let share = (recall - low_recall) / (high_recall - low_recall);
    Some((low_qps.ln() + share * (high_qps.ln() - low_qps.ln())).exp())
}

/// The points that could decide about speed at `recall`: the two that bracket it, and between them all whose single pass
/// may have been disturbed.
pub fn contenders(spots: &[Spot], recall: f64) -> Vec<usize> {
    let (below, above) = bracket(spots, recall);
    let Some(last) = above.or(below) else {
        return Vec::new();
    };
    let range = spots[below.unwrap_or(last)].0..=spots[last].0;
    let is_close = |at: &usize| {
        let (recall, qps) = spots[*at];
        range.contains(&recall) && !spots.iter().any(|other| other.0 >= recall && other.1 > qps * DOUBT)
    };
    (0..spots.len()).filter(is_close).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unbeaten_points_count() {
        let spots = [(0.9, 100.0), (0.8, 90.0), (0.99, 10.0), (0.95, 50.0), (0.95, 40.0), (0.5, 400.0)];
        assert_eq!(front(&spots), [5, 0, 3, 2]);
        assert_eq!(front(&[(0.9, 7.0), (0.9, 7.0)]).len(), 1, "of two equal points one is enough");
        assert_eq!(front(&[]), [0; 0]);
    }

    #[test]
    fn speed_between_two_points_is_interpolated_by_its_logarithm() {
        let spots = [(0.9, 1000.0), (1.0, 10.0), (0.94, 5.0)];
        assert!((qps_at(&spots, 0.95).unwrap() - 100.0).abs() < 1e-6);
        assert_eq!(qps_at(&spots, 0.9), Some(1000.0));
        assert_eq!(qps_at(&spots, 1.0), Some(10.0));
    }

    #[test]
    fn nothing_is_claimed_beyond_the_points() {
        let perfect = [(1.0, 50.0), (1.0, 70.0)];
        assert_eq!(qps_at(&perfect, 0.9), Some(70.0), "who finds everything is as fast as measured");
        assert_eq!(qps_at(&[(0.0, 1e6)], 0.9), None, "who finds nothing has no speed");
        assert_eq!(qps_at(&[(0.8, 10.0), (0.89, 1.0)], 0.9), None);
        assert_eq!(qps_at(&[], 0.9), None);
        assert_eq!(reaching(&[(0.8, 10.0), (0.93, 3.0), (0.97, 1.0)], 0.9), Some(1));
    }

    #[test]
    fn what_may_decide_is_measured_again() {
        let spots = [(0.80, 400.0), (0.89, 200.0), (0.90, 90.0), (0.91, 100.0), (0.92, 60.0), (0.93, 50.0)];
        assert_eq!(contenders(&spots, 0.9), [1, 2, 3], "a near miss between the two, nothing farther off");
        let slow = [(0.89, 200.0), (0.90, 80.0), (0.91, 100.0)];
        assert_eq!(contenders(&slow, 0.9), [0, 2], "80 is too slow for a disturbance of 100");
        assert_eq!(contenders(&spots, 0.99), [5], "the closest, where none arrives");
        assert_eq!(contenders(&spots, 0.5), [0], "the fastest, where all arrive");
        assert_eq!(contenders(&[], 0.5), [0; 0]);
    }
}
