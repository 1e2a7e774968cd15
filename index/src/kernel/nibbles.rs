//! Two numbers of four bits in a byte, in the order that vector kernels take apart cheaply.
//!
//! Invariant: of each [`GROUP`] numbers, the first half lies in the low halves of that many bytes
//! and the second half in their high halves.

/// Numbers that are packed together.
pub const GROUP: usize = 64;

/// Bytes that a group takes.
pub const PACKED: usize = GROUP / 2;

/// Packs numbers, of which the lower four bits count.
pub fn pack(numbers: &[u8; GROUP]) -> [u8; PACKED] {
    std::array::from_fn(|at| numbers[at] & 15 | numbers[at + PACKED] << 4)
}

/// The numbers in a packed group.
pub fn unpack(packed: &[u8; PACKED]) -> [u8; GROUP] {
    let mut numbers = [0; GROUP];
    let (low, high) = numbers.split_at_mut(PACKED);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(packed) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
    numbers
}
