//! Chooses each row's neighbours from candidates: near ones that lie in different directions.
//!
//! Invariant: a chosen list has no duplicates, never the row itself, at most `degree` entries, and
//! is sorted by (distance, position).

use super::geometry::{Geometry, Near};

/// Chosen neighbours that a candidate is compared with at once.
const AT_ONCE: usize = 8;

pub(crate) fn order(a: &Near, b: &Near) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

/// The neighbours of `row` among `candidates`, which are near it in any order.
///
/// A candidate is passed over if one chosen before is nearer to it than the row is (Malkov and
/// Yashunin, 2016, algorithm 4; the relative neighbourhood rule). The layout has room for `degree`
/// neighbours in any case; the nearest of those passed over fill it, which measures better than
/// leaving it empty or than relaxing the rule (`benches/LOG.md`).
pub(crate) fn choose(geometry: &Geometry, row: u32, mut candidates: Vec<Near>, degree: usize) -> Vec<Near> {
    candidates.sort_unstable_by(order);
    candidates.dedup_by_key(|near| near.1);
    candidates.retain(|near| near.1 != row);
    if candidates.len() <= degree {
        return candidates;
    }
    let mut chosen: Vec<u32> = Vec::with_capacity(degree);
    let mut distances = Vec::with_capacity(AT_ONCE);
    let mut is_hidden = |candidate: &Near, chosen: &[u32]| {
        chosen.chunks(AT_ONCE).any(|chosen| {
            distances.clear();
            geometry.distances(candidate.1, chosen, &mut distances);
            distances.iter().any(|between| between.0 <= candidate.0)
        })
    };
    let mut passed_over = Vec::new();
    let mut kept = Vec::with_capacity(degree);
    for candidate in candidates {
        if chosen.len() == degree {
            break;
        }
        if is_hidden(&candidate, &chosen) {
            passed_over.push(candidate);
        } else {
            chosen.push(candidate.1);
            kept.push(candidate);
        }
    }
    let room = degree - kept.len();
    kept.extend(passed_over.into_iter().take(room));
    kept.sort_unstable_by(order);
    kept
}
