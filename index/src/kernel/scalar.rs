//! The reference: what an inner product of codes is. Every other kernel equals it bit for bit.
//!
//! Invariant: exact for rows of up to 131,072 components (128·128 each fits `i32` that often); ours
//! have at most 4096. It also computes the tails that the vector kernels leave over.

/// Inner product of two rows; a tail beyond the shorter one is ignored.
pub fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum()
}

/// Splits a row at `at` and takes the rest; empty if the row is shorter.
#[cfg(target_arch = "x86_64")]
pub(super) fn tail(row: &[i8], at: usize) -> &[i8] {
    row.get(at..).unwrap_or_default()
}
