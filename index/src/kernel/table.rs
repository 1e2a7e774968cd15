//! The table of kernels that one processor runs: plain functions behind pointers, chosen once.
//!
//! Invariant: each entry is safe to call with any slices; a tail beyond the shortest slice is
//! ignored. A leaf, so that every kernel file can fill it.

/// Inner products of rows of 8-bit codes.
pub struct Kernels {
    /// The instruction set, for reports.
    pub name: &'static str,
    /// Inner product of two rows.
    pub dot: fn(&[i8], &[i8]) -> i32,
    /// Inner products of one row with four others, which shares the loads of the first.
    pub dot4: fn(&[i8], [&[i8]; 4]) -> [i32; 4],
}
