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
    std::array::from_fn(|at| if at < PACKED { packed[at] & 15 } else { packed[at - PACKED] >> 4 })
}
