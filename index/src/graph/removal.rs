//! Closes the holes that removed rows leave in a graph.
//!
//! Invariant: no list names a removed row, and row 0 reaches every row. What remains of the removed
//! rows is where their neighbours' edges now lead; only a new build forgets that too.

use super::build::{Draft, finish};
use super::frozen::FrozenGraph;
use super::geometry::Geometry;
use super::params::Stop;
use crate::codes::Codes;
use crate::quantize::Space;
use roaring::RoaringBitmap;

/// The graph over `codes`, which are those of `old` without the rows in `removed`: lists that named
/// a removed row keep what is left of them, and choose the rest among what the removed rows led to (after Singh et
/// al., "FreshDiskANN", 2021, algorithm 4, which chooses among both: edges that lead far would go). `None` once told to
/// `stop`.
pub fn without(
    space: &Space,
    codes: &Codes,
    old: &FrozenGraph,
    removed: &RoaringBitmap,
    stop: Stop<'_>,
) -> Option<FrozenGraph> {
    let geometry = Geometry::new(space, codes);
    let kept: Vec<u32> = (0..old.len() as u32).filter(|row| !removed.contains(*row)).collect();
    let mut new_position = vec![u32::MAX; old.len()];
    for (new, &row) in (0..).zip(&kept) {
        new_position[row as usize] = new;
    }
    let position = |&row: &u32| new_position.get(row as usize).copied().filter(|&new| new != u32::MAX);
    let draft = |row: u32| {
        let list = kept.get(row as usize).map_or(&[][..], |&row| old.list(row));
        let beyond = list.iter().filter(|to| position(to).is_none()).flat_map(|&gone| old.list(gone));
        Draft { kept: list.iter().filter_map(position).collect(), candidates: beyond.filter_map(position).collect() }
    };
    finish(&geometry, old.degree(), draft, stop)
}
