//! The table of kernels that one processor runs: plain functions behind pointers, chosen once.
//!
//! Invariant: each entry is safe to call with any slices; a tail beyond the shortest slice is
//! ignored. A leaf, so that every kernel file can fill it.

use super::panel::{Few, HEIGHT, Points, Tile};
use super::rows::Rows;
use super::scalar::HALVES;

/// Writes the inner products of the first row with the rows at the given positions into the front of
/// the last slice. Who has rows compared that are not in the cache starts loading them before.
pub type Dots<T> = fn(&[i8], Rows<'_, T>, &[u32], &mut [i32]);

/// Compares a few rows with panels of rows: writes the tiles of each whole panel that has its points.
pub type Tiles = fn(&Few<'_>, &[i8], &[Points], &mut [[Tile; HEIGHT]]);

/// Inner products of rows of 8-bit codes. Codes are -127..=127.
pub struct Kernels {
    /// The instruction set, for reports.
    pub name: &'static str,
    /// Inner product of two rows.
    pub dot: fn(&[i8], &[i8]) -> i32,
    /// Inner products of one row with many.
    pub dots: Dots<i8>,
    /// Distances of a few rows from panels of many.
    pub tiles: Tiles,
    /// Inner products of one row with many of four bits a component, 0..=15, packed as
    /// [`nibbles`](super::nibbles) says.
    pub nibble_dots: Dots<u8>,
    /// Of the packed high and low halves of a row, the inner products of its code with itself and with twice what
    /// the high halves say, each with the middle of the range of a low one; `None` if a component is -128.
    pub squares: fn(&[u8], &[u8]) -> Option<[i32; HALVES]>,
    /// Takes numbers of so many bits, 1..=32, out of bytes in which they lie one after the other, lowest bits first,
    /// as many as the last slice holds; zeros beyond the end. Returns the greatest.
    pub unpack: fn(&[u8], u32, &mut [u32]) -> u32,
    /// The unnormalised Hadamard transform of a power of two of values (at least 64), in place. Additions in one order
    /// give the same floats on every processor.
    pub hadamard: fn(&mut [f32]),
}
