//! The table of kernels that one processor runs: plain functions behind pointers, chosen once.
//!
//! Invariant: each entry is safe to call with any slices; a tail beyond the shortest slice is
//! ignored. A leaf, so that every kernel file can fill it.

use super::rows::Rows;

/// Rows whose loading starts before the first of them is compared, and those that are loaded while
/// their predecessors are compared.
pub(super) const AHEAD: usize = 8;

/// Writes the inner products of the first row with the rows at the given positions into the front of
/// the last slice; rows that are not in the cache are loaded ahead.
pub type Dots<T> = fn(&[i8], Rows<'_, T>, &[u32], &mut [i32]);

/// Inner products of rows of 8-bit codes. Codes are -127..=127.
pub struct Kernels {
    /// The instruction set, for reports.
    pub name: &'static str,
    /// Inner product of two rows.
    pub dot: fn(&[i8], &[i8]) -> i32,
    /// Inner products of one row with many.
    pub dots: Dots<i8>,
    /// Inner products of one row with many of four bits a component, 0..=15, packed as
    /// [`nibbles`](super::nibbles) says.
    pub nibble_dots: Dots<u8>,
}
