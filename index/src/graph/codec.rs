//! The graph as bytes and back.
//!
//! Form: the slots of all lists, each number in as many bits as the number of rows needs, lowest bits first, as many
//! whole lists in a page as fit, and zeros to the end of a page that others follow; then version and degree (one byte
//! each), two zero bytes, and rows (4 bytes, little-endian). A page is a task's: whoever reads it unpacks it, from the
//! cache, to where it is searched.
//!
//! Invariant: whatever decodes is safe to walk: ids exist. A list need not be good or connected;
//! search falls back to scanning when a walk finds too little. A graph has one encoding.

use super::frozen::FrozenGraph;
use super::params::DEGREES;
use crate::arena::Arena;
use crate::decode_error::DecodeError;
use crate::kernel::kernels;
use crate::source::{PAGE, Source};
use crate::trailer::{TRAILER, Trailer};
use rayon::prelude::*;
use std::sync::OnceLock;
use zeroize::Zeroizing;

/// The newest byte form of a graph.
const VERSION: u8 = 4;

/// How lists lie in pages.
#[derive(Clone, Copy)]
struct Packing {
    /// Bits of a number.
    bits: usize,
    degree: usize,
    /// Lists in a full page.
    lists: usize,
}

impl Packing {
    fn new(rows: usize, degree: usize) -> Self {
        let greatest = rows.saturating_sub(1) as u32;
        let bits = (u32::BITS - greatest.leading_zeros()).max(1) as usize;
        // A list of 128 numbers of 32 bits is far shorter than a page.
        Self { bits, degree, lists: PAGE * 8 / (bits * degree) }
    }

    /// Bytes of so many lists in one page.
    fn page(self, lists: usize) -> usize {
        (lists * self.degree * self.bits).div_ceil(8)
    }

    /// Bytes of so many lists in pages, of which all but the last are full.
    fn bytes(self, rows: usize) -> usize {
        let full = rows.saturating_sub(1) / self.lists;
        full * PAGE + self.page(rows - full * self.lists)
    }
}

impl FrozenGraph {
    /// The graph as bytes; a pure function of the graph.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let packing = Packing::new(self.len(), self.degree);
        let mut bytes = Zeroizing::new(Vec::with_capacity(packing.bytes(self.len()) + TRAILER));
        for (number, slots) in self.adjacency.chunks(packing.lists * self.degree).enumerate() {
            bytes.resize(number * PAGE, 0);
            pack(slots, packing.bits, &mut bytes);
        }
        bytes.extend(Trailer::encode([VERSION, self.degree as u8, 0, 0], self.len()));
        bytes
    }

    /// Reads a graph over `rows` rows out of its bytes, in the current `rayon` pool.
    ///
    /// # Errors
    /// If the bytes are not such a graph, and those of the source.
    pub(crate) fn decode<S: Source + ?Sized>(source: &S, rows: usize) -> Result<Self, S::Error> {
        let Trailer { fields: [_, degree, reserved @ ..], rows: listed, body } = Trailer::read(source, VERSION)?;
        let degree = usize::from(degree);
        if !DEGREES.contains(&degree) {
            return Err(DecodeError::Range { what: "degree" }.into());
        }
        if reserved != [0, 0] {
            return Err(DecodeError::Range { what: "reserved bytes" }.into());
        }
        let packing = Packing::new(rows, degree);
        if listed != rows || packing.bytes(rows) != body {
            return Err(DecodeError::Length.into());
        }
        let mut adjacency = Arena::zeroed(rows * degree);
        let pages = adjacency.par_chunks_mut(packing.lists * degree).enumerate();
        let room = || Zeroizing::new([0; PAGE]);
        pages.try_for_each_init(room, |page, (number, slots)| {
            let start = number * PAGE;
            let page = &mut page[..PAGE.min(body - start)];
            source.read(start, page)?;
            let used = packing.page(slots.len() / degree);
            unpack(page, used, packing.bits, slots, rows).map_err(S::Error::from)
        })?;
        Ok(Self { degree, adjacency, cells: OnceLock::new() })
    }
}

/// Reads the numbers in the first `used` bytes of a page.
fn unpack(page: &[u8], used: usize, bits: usize, slots: &mut [u32], rows: usize) -> Result<(), DecodeError> {
    let greatest = (kernels().unpack)(page, bits as u32, slots);
    if greatest as usize >= rows {
        return Err(DecodeError::Range { what: "neighbour" });
    }
    // What no number takes is zero: the rest of the page, and the rest of the last number's byte.
    let (numbers, rest) = page.split_at(used.min(page.len()));
    let free = numbers.len() * 8 - slots.len() * bits;
    let last = numbers.last().map_or(0, |byte| u32::from(*byte) >> (8 - free));
    if last != 0 || rest.iter().any(|&byte| byte != 0) {
        return Err(DecodeError::Range { what: "reserved bytes" });
    }
    Ok(())
}

/// Appends numbers of so many bits each, lowest bits first, and zeros to the end of the last byte.
fn pack(numbers: &[u32], bits: usize, bytes: &mut Vec<u8>) {
    let (mut held, mut count) = (0_u64, 0);
    for &number in numbers {
        held |= u64::from(number) << count;
        count += bits;
        while count >= 8 {
            bytes.push(held as u8);
            (held, count) = (held >> 8, count - 8);
        }
    }
    if count > 0 {
        bytes.push(held as u8);
    }
}
