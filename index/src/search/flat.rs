//! Looking at the code of every allowed position.
//!
//! Invariant: finds exactly the `ef` smallest estimates. It is the answer for small segments and
//! selective filters, and the fallback when a walk finds too little.

use super::allow::Allow;
use super::pool::Pool;
use super::scratch::Scratch;
use crate::codes::Codes;
use crate::quantize::Query;

/// Positions compared at a time.
const BATCH: usize = 64;

/// Scans the allowed positions and returns the pool of the `ef` nearest.
pub(crate) fn scan<'s>(
    codes: &Codes,
    query: &Query,
    ef: usize,
    allow: Allow<'_>,
    scratch: &'s mut Scratch,
) -> &'s Pool {
    let rows = codes.len() as u32;
    scratch.allowed.reset(ef.min(codes.len()));
    match allow {
        Allow::All => each_batch(codes, query, 0..rows, scratch),
        Allow::Except(bitmap) => {
            let mut excluded = bitmap.iter().peekable();
            let kept = (0..rows).filter(move |position| {
                while excluded.next_if(|next| next < position).is_some() {}
                excluded.peek() != Some(position)
            });
            each_batch(codes, query, kept, scratch);
        }
        Allow::Only(bitmap) => each_batch(codes, query, bitmap.range(..rows), scratch),
    }
    &scratch.allowed
}

/// Compares the positions in batches and keeps the nearest.
fn each_batch(codes: &Codes, query: &Query, mut positions: impl Iterator<Item = u32>, scratch: &mut Scratch) {
    loop {
        scratch.positions.clear();
        scratch.positions.extend(positions.by_ref().take(BATCH));
        if scratch.positions.is_empty() {
            return;
        }
        scratch.distances.resize(scratch.positions.len(), 0.0);
        codes.distances(query, &scratch.positions, &mut scratch.distances);
        scratch.counters.compared += scratch.positions.len() as u64;
        for (&position, &distance) in scratch.positions.iter().zip(&scratch.distances) {
            if distance <= scratch.allowed.bound() {
                scratch.allowed.insert(distance, position);
            }
        }
    }
}
