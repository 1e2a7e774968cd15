//! Lists of numbers in as few bits as they differ by.
//!
//! Numbers go in blocks of [`BLOCK`]: the least of the block as varint, a byte that says in how many bits the greatest
//! lies above it, and what each lies above it by in so many bits, lowest bits first. Equal numbers take next to nothing,
//! and one that is far from the others costs its block alone.
//!
//! Invariant: a list has one encoding, and reading is total: a block whose bits are more than it needs, or that passes
//! the greatest number there is, is malformed.

use zeroize::Zeroizing;

use crate::codec::{Malformed, Reader, put_varint};

/// Numbers of a block.
const BLOCK: usize = 128;

/// Appends numbers.
pub fn put_packed(out: &mut Vec<u8>, numbers: &[u64]) {
    for block in numbers.chunks(BLOCK) {
        let least = block.iter().copied().min().unwrap_or_default();
        let spread = block.iter().fold(0, |spread, number| spread | (number - least));
        let width = u64::BITS - spread.leading_zeros();
        put_varint(out, least);
        out.push(width as u8);
        let (mut held, mut count) = (0_u128, 0);
        for number in block {
            held |= u128::from(number - least) << count;
            count += width;
            while count >= 8 {
                out.push(held as u8);
                (held, count) = (held >> 8, count - 8);
            }
        }
        if count > 0 {
            out.push(held as u8);
        }
    }
}

impl Reader<'_> {
    /// So many numbers as [`put_packed`] wrote them. Of them 64 may come from one byte: the caller knows that there are
    /// not more than there can be.
    pub fn packed(&mut self, count: usize, what: &'static str) -> Result<Zeroizing<Vec<u64>>, Malformed> {
        let room = count.min(self.rest().len().saturating_mul(BLOCK / 2));
        let mut numbers = Zeroizing::new(Vec::with_capacity(room));
        while numbers.len() < count {
            let len = BLOCK.min(count - numbers.len());
            let least = self.varint(what)?;
            let width = u32::from(self.u8(what)?);
            if width > u64::BITS {
                return Err(Malformed(what));
            }
            let bytes = self.bytes((len * width as usize).div_ceil(8), what)?;
            unpack(bytes, (least, width), len, &mut numbers).ok_or(Malformed(what))?;
        }
        Ok(numbers)
    }
}

/// Appends the numbers of one block; `None` if its bits are more than it needs, or say more than a number can be.
fn unpack(bytes: &[u8], (least, width): (u64, u32), len: usize, numbers: &mut Vec<u64>) -> Option<()> {
    let greatest = u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0);
    let bits = len * width as usize;
    let start = numbers.len();
    let (mut spread, mut has_least) = (0, false);
    // Of bits that no number takes, the first eight are all there can be.
    let unused = bits_at(bytes, bits, u64::BITS);
    let note = |above: u64| {
        (spread, has_least) = (spread | above, has_least | (above == 0));
        least.wrapping_add(above)
    };
    numbers.extend((0..len).map(|at| bits_at(bytes, at * width as usize, width) & greatest).map(note));
    let is_shortest = u64::BITS - spread.leading_zeros() == width && has_least && unused == 0;
    // What passed the greatest number that there is has come out below the least.
    let fits = least.checked_add(greatest).is_some() || numbers[start..].iter().all(|&number| number >= least);
    (is_shortest && fits).then_some(())
}

/// The bits from bit `first` on, of which at least `width` count; zeros beyond the end.
fn bits_at(bytes: &[u8], first: usize, width: u32) -> u64 {
    let (rest, shift) = (bytes.get(first / 8..).unwrap_or_default(), first as u32 % 8);
    match rest.first_chunk() {
        Some(window) if shift + width <= u64::BITS => u64::from_le_bytes(*window) >> shift,
        _ => {
            let mut window = [0; 16];
            window.iter_mut().zip(rest).for_each(|(to, &byte)| *to = byte);
            (u128::from_le_bytes(window) >> shift) as u64
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers that are near one another, far apart, or both.
    fn lists() -> impl Strategy<Value = Vec<u64>> {
        let number = prop_oneof![Just(7), 0..300_u64, (0..64_u32).prop_map(|bits| u64::MAX >> bits), any::<u64>()];
        prop_oneof![
            prop::collection::vec(number, 0..400),
            (any::<u64>(), 0..700_usize).prop_map(|(number, count)| vec![number; count]),
            (0..1_u64 << 40, 0..700_u64).prop_map(|(start, count)| (start..start + count).collect()),
        ]
    }

    proptest! {
        #[test]
        fn numbers_round_trip(numbers in lists(), more: Vec<u8>) {
            let mut out = Vec::new();
            put_packed(&mut out, &numbers);
            let len = out.len();
            // What the form is: the spread of each block, and up to ten bytes that say how to read it.
            let bits = |block: &[u64]| {
                let spread = block.iter().max().unwrap() - block.iter().min().unwrap();
                block.len() * (1..).find(|&bits| spread.checked_shr(bits).unwrap_or(0) == 0).unwrap() as usize
            };
            let most: usize = numbers.chunks(BLOCK).map(|block| bits(block).div_ceil(8) + 11).sum();
            prop_assert!(len <= most);
            out.extend(&more);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(&*reader.packed(numbers.len(), "n").unwrap(), &numbers);
            prop_assert_eq!(reader.rest(), &more[..]);
        }

        #[test]
        fn a_list_has_one_encoding(numbers in lists(), at: prop::sample::Index, bit in 0..8, count in 0..300_usize, bytes: Vec<u8>) {
            let mut out = Vec::new();
            put_packed(&mut out, &numbers);
            if !out.is_empty() {
                prop_assert!(Reader::new(&out[..at.index(out.len())]).packed(numbers.len(), "n").is_err());
                let at = at.index(out.len());
                out[at] ^= 1_u8 << bit;
            }
            for (bytes, count) in [(out, numbers.len()), (bytes, count)] {
                let mut reader = Reader::new(&bytes);
                if let Ok(numbers) = reader.packed(count, "n") {
                    let mut again = Vec::new();
                    put_packed(&mut again, &numbers);
                    prop_assert_eq!(&again[..], &bytes[..bytes.len() - reader.rest().len()]);
                }
            }
        }
    }

    #[test]
    fn equal_numbers_take_nothing() {
        let mut out = Vec::new();
        put_packed(&mut out, &[552; 100_000]);
        assert_eq!(out.len(), 100_000_usize.div_ceil(BLOCK) * 3);
        // Nobody can say that there are more of them than there are bytes for.
        assert_eq!(Reader::new(&out).packed(usize::MAX, "n"), Err(Malformed("n")));
    }
}
