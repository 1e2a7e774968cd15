//! The reference: what an inner product of codes is. Every other kernel equals it bit for bit.
//!
//! Invariant: exact for rows of up to 131,072 components (128·128 each fits `i32` that often); ours
//! have at most 4096. It also computes the tails that the vector kernels leave over.

use super::nibbles;
#[cfg(test)]
use super::rows::Rows;

/// Inner product of two rows; a tail beyond the shorter one is ignored.
pub fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum()
}

/// Inner product of a row with one of packed numbers of four bits.
pub fn nibble_dot(query: &[i8], row: &[u8]) -> i32 {
    let numbers = row.as_chunks().0.iter().flat_map(nibbles::unpack);
    query.iter().zip(numbers).map(|(&y, n)| i32::from(y) * i32::from(n)).sum()
}

/// Inner products of `query` with the rows at `positions`.
#[cfg(test)]
pub fn dots(query: &[i8], rows: Rows<'_, i8>, positions: &[u32], out: &mut [i32]) {
    for (out, &position) in out.iter_mut().zip(positions) {
        *out = dot(query, rows.row(position));
    }
}

/// Splits a row at `at` and takes the rest; empty if the row is shorter.
#[cfg(target_arch = "x86_64")]
pub(super) fn tail(row: &[i8], at: usize) -> &[i8] {
    row.get(at..).unwrap_or_default()
}
