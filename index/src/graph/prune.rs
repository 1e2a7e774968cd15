//! Chooses each row's neighbours from candidates: near ones that lie in different directions.
//!
//! Invariant: a chosen list has no duplicates, never the row itself, at most `degree` entries, and
//! is sorted by (distance, position).

use super::geometry::Geometry;
use rayon::prelude::*;

/// A neighbour and its distance, ordered by (distance, position).
pub(crate) type Near = (f32, u32);

/// α: a candidate is dropped if one chosen before is nearer to it, by this factor on squared
/// distances, than the row is. Above 1 it keeps some long edges (Subramanya et al., "DiskANN",
/// 2019).
const ALPHA: f32 = 23.0 / 20.0;

pub(crate) fn order(a: &Near, b: &Near) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}

/// New lists for all rows, each chosen among the row's old neighbours and the rows that had it as a
/// neighbour.
pub(crate) fn both_ways(geometry: &Geometry<'_>, lists: &[Vec<u32>], degree: usize) -> Vec<Vec<Near>> {
    let mut candidates = lists.to_vec();
    for (from, list) in lists.iter().enumerate() {
        for &to in list {
            if let Some(back) = candidates.get_mut(to as usize) {
                back.push(from as u32);
            }
        }
    }
    candidates
        .into_par_iter()
        .enumerate()
        .map(|(row, candidates)| choose(geometry, row as u32, candidates, degree))
        .collect()
}

/// The neighbours of `row` among `candidates`.
fn choose(geometry: &Geometry<'_>, row: u32, mut candidates: Vec<u32>, degree: usize) -> Vec<Near> {
    candidates.sort_unstable();
    candidates.dedup();
    let mut near: Vec<Near> =
        candidates.into_iter().filter(|&to| to != row).map(|to| (geometry.distance(row, to), to)).collect();
    near.sort_unstable_by(order);
    if near.len() <= degree {
        return near;
    }
    let mut chosen: Vec<Near> = Vec::with_capacity(degree);
    let mut passed_over = Vec::new();
    for candidate in near {
        if chosen.len() == degree {
            break;
        }
        let hidden = chosen.iter().any(|&(_, other)| ALPHA * geometry.distance(candidate.1, other) <= candidate.0);
        if hidden { passed_over.push(candidate) } else { chosen.push(candidate) }
    }
    // The layout has room for `degree` neighbours in any case; the nearest of the others fill it.
    let room = degree - chosen.len();
    chosen.extend(passed_over.into_iter().take(room));
    chosen.sort_unstable_by(order);
    chosen
}
