//! How the components of a code lie in its row.
//!
//! Invariant: a component z of a long code is taken apart, z + 128 = 16·high + low, and the row holds
//! the packed high halves of all components before their low halves; of a short code it holds the
//! components. Below `codes`, which knows rows by position, and above the kernels, which compare them.

use crate::kernel::nibbles::{self, GROUP, PACKED};
use crate::metric::MAX_DIMENSION;
use zeroize::Zeroize;

/// Codes at least this long are packed. Shorter ones are two or three cache lines anyway, which take no
/// longer to come than one, and four bits of few components say too little.
const PACKED_FROM: usize = 256;

/// Whether codes of this length hold high and low halves; otherwise they hold the components.
#[inline]
pub(crate) fn is_packed(stride: usize) -> bool {
    stride >= PACKED_FROM
}

/// Takes the components of a row apart: the packed high halves of all before the low halves.
pub(crate) fn pack(row: &mut [u8]) {
    let mut components = [0; MAX_DIMENSION];
    let components = &mut components[..row.len()];
    components.copy_from_slice(row);
    let (high, low) = row.split_at_mut(components.len() / 2);
    let halves = high.as_chunks_mut().0.iter_mut().zip(low.as_chunks_mut().0);
    for (group, (high, low)) in components.as_chunks::<GROUP>().0.iter().zip(halves) {
        *high = nibbles::pack(&group.map(|z| (z ^ 128) >> 4));
        *low = nibbles::pack(&group.map(|z| z ^ 128));
    }
    components.zeroize();
}

/// Writes the components of a row to the front of `code`.
pub(crate) fn unpack(row: &[u8], code: &mut [i8]) {
    if !is_packed(row.len()) {
        code.iter_mut().zip(row).for_each(|(to, &z)| *to = z as i8);
        return;
    }
    let (high, low) = row.split_at(row.len() / 2);
    let halves = high.as_chunks().0.iter().zip(low.as_chunks().0);
    for (group, (high, low)) in code.as_chunks_mut().0.iter_mut().zip(halves) {
        *group = joined(high, low);
    }
}

/// A group of components from its halves.
#[inline]
fn joined(high: &[u8; PACKED], low: &[u8; PACKED]) -> [i8; GROUP] {
    let (high, low) = (nibbles::unpack(high), nibbles::unpack(low));
    std::array::from_fn(|at| ((high[at] << 4 | low[at]) ^ 128) as i8)
}
