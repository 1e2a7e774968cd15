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

/// What [`squares`] tells: of all of a code, and of its high halves.
pub const HALVES: usize = 2;

/// The inner products of a code, given as its packed high and low halves, with itself and with twice what its high halves
/// say, each with the middle of the range of a low one: z and 2·(z - low) + 15. `None` if a component is -128.
pub fn squares(high: &[u8], low: &[u8]) -> Option<[i32; HALVES]> {
    let mut sums = [0; HALVES];
    for (high, low) in high.as_chunks().0.iter().zip(low.as_chunks().0) {
        for (high, low) in nibbles::unpack(high).into_iter().zip(nibbles::unpack(low)) {
            let (high, low) = (i32::from(high), i32::from(low));
            let z = 16 * high + low - 128;
            if z == i32::from(i8::MIN) {
                return None;
            }
            sums[0] += z * z;
            sums[1] += z * (2 * (z - low) + 15);
        }
    }
    Some(sums)
}

/// Takes numbers of `bits` bits, 1..=32, out of bytes in which they lie one after the other, lowest bits first; zeros
/// beyond the end. Returns the greatest.
pub fn unpack(packed: &[u8], bits: u32, out: &mut [u32]) -> u32 {
    let mask = u32::MAX.checked_shr(u32::BITS.saturating_sub(bits)).unwrap_or(0);
    let mut greatest = 0;
    for (at, out) in out.iter_mut().enumerate() {
        let first = at * bits as usize;
        let rest = packed.get(first / 8..).unwrap_or_default();
        let bytes = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut bytes = [0; 8];
            bytes.iter_mut().zip(rest).for_each(|(to, &byte)| *to = byte);
            bytes
        });
        *out = (u64::from_le_bytes(bytes) >> (first % 8)) as u32 & mask;
        greatest = greatest.max(*out);
    }
    greatest
}

/// The unnormalised Hadamard transform of a power of two of values (at least 64), in place: two
/// levels a pass, which halves the traffic and leaves the processor more to do at once.
pub fn hadamard(values: &mut [f32]) {
    for four in values.as_chunks_mut::<4>().0 {
        *four = butterfly(*four);
    }
    let mut quarter = 4;
    while 4 * quarter <= values.len() {
        for block in values.chunks_exact_mut(4 * quarter) {
            let (low, high) = block.split_at_mut(2 * quarter);
            let ((a, b), (c, d)) = (low.split_at_mut(quarter), high.split_at_mut(quarter));
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                [*a, *b, *c, *d] = butterfly([*a, *b, *c, *d]);
            }
        }
        quarter *= 4;
    }
    if 2 * quarter == values.len() {
        let (low, high) = values.split_at_mut(quarter);
        for (a, b) in low.iter_mut().zip(high) {
            (*a, *b) = (*a + *b, *a - *b);
        }
    }
}

/// The transform of four values.
#[inline(always)]
pub(super) fn butterfly([a, b, c, d]: [f32; 4]) -> [f32; 4] {
    let (ab, ba, cd, dc) = (a + b, a - b, c + d, c - d);
    [ab + cd, ba + dc, ab - cd, ba - dc]
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
