//! The rows that may be found, one bit each.
//!
//! A walk asks for tens of thousands of rows whether they match. In a bitmap made for storing sets that takes a search
//! for the part that would hold the row; here it takes one load, and the bits of a million rows fit a core's own cache.
//!
//! Invariant: a row's bit is set exactly if it is allowed, and there are no bits behind the last row's word.

use super::allow::Allow;
use roaring::RoaringBitmap;

/// Rows of one word.
const WORD: u32 = u64::BITS;

/// Rows of one part of a stored bitmap, in words.
const PART: usize = (1 << 16) / WORD as usize;

/// Parts of at most so many rows store these, others store bits.
const FEW: usize = 4096;

/// What a stored bitmap begins with if it has parts that store runs of rows, and if it has none.
const WITH_RUNS: u16 = 12347;
const WITHOUT_RUNS: u16 = 12346;

/// Bitmaps of that many parts say where each part begins, even beside parts of runs.
const OFFSETS_FROM: usize = 4;

/// Sets of rows below some number.
#[derive(Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    /// Memory for the stored form of a bitmap.
    stored: Vec<u8>,
}

impl Bits {
    /// The bits.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The rows in the set, rising.
    pub fn rows(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().zip((0_u32..).step_by(WORD as usize)).flat_map(|(&word, first)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let row = (left != 0).then(|| first + left.trailing_zeros());
                left &= left.wrapping_sub(1);
                row
            })
        })
    }

    /// Whether `row` is in the set.
    #[inline]
    pub fn contains(&self, row: u32) -> bool {
        self.words.get((row / WORD) as usize).is_some_and(|word| word >> (row % WORD) & 1 == 1)
    }

    /// The bits, for whoever changes them until the next filling.
    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Becomes a set of rows below `rows` that has none of them.
    pub fn clear(&mut self, rows: u32) {
        self.words.clear();
        self.words.resize(rows.div_ceil(WORD) as usize, 0);
    }

    /// Becomes the same set as `other`.
    pub fn copy(&mut self, other: &Self) {
        self.words.clone_from(&other.words);
    }

    /// Becomes the allowed ones of the first `rows` rows.
    pub fn fill(&mut self, allow: Allow<'_>, rows: u32) {
        self.clear(rows);
        match allow {
            Allow::All => self.words.fill(u64::MAX),
            Allow::Only(bitmap) => self.read(bitmap),
            Allow::Except(bitmap) => {
                self.read(bitmap);
                self.words.iter_mut().for_each(|word| *word = !*word);
            }
        }
        if let Some(last) = self.words.last_mut()
            && !rows.is_multiple_of(WORD)
        {
            *last &= (1 << (rows % WORD)) - 1;
        }
    }

    /// Adds what is in `bitmap`. Its parts tell nobody what they hold but in their stored form, which copies them as they
    /// are; to ask for row after row would take as long as a search.
    fn read(&mut self, bitmap: &RoaringBitmap) {
        self.stored.clear();
        let is_read = bitmap.serialize_into(&mut self.stored).is_ok() && read(&self.stored, &mut self.words).is_some();
        debug_assert!(is_read, "a bitmap stored just now is whole");
        if !is_read {
            let end = self.words.len() as u32 * WORD;
            bitmap.range(..end).for_each(|row| set(&mut self.words, row as usize..row as usize + 1));
        }
    }
}

/// Adds the rows of a stored bitmap (the portable form of roaring bitmaps); `None` if it is none.
fn read(mut stored: &[u8], words: &mut [u64]) -> Option<()> {
    let (cookie, more) = (take(&mut stored)?, take(&mut stored)?);
    let (parts, runs) = match cookie {
        WITH_RUNS => {
            let parts = usize::from(more) + 1;
            (parts, stored.split_off(..parts.div_ceil(8))?)
        }
        WITHOUT_RUNS => {
            (stored.split_off(..4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))? as usize, &[][..])
        }
        _ => return None,
    };
    let mut heads = stored.split_off(..parts.checked_mul(4)?)?;
    if runs.is_empty() || parts >= OFFSETS_FROM {
        stored.split_off(..parts.checked_mul(4)?)?;
    }
    for part in 0..parts {
        let (first, len) = (usize::from(take(&mut heads)?) * PART, usize::from(take(&mut heads)?) + 1);
        let mut none = [];
        let words = words.get_mut(first..).unwrap_or(&mut none);
        let words = words.split_at_mut(words.len().min(PART)).0;
        if runs.get(part / 8).is_some_and(|byte| byte >> (part % 8) & 1 == 1) {
            for _ in 0..take(&mut stored)? {
                let (start, more) = (usize::from(take(&mut stored)?), usize::from(take(&mut stored)?));
                set(words, start..start + more + 1);
            }
        } else if len <= FEW {
            let rows = stored.split_off(..2 * len)?.as_chunks().0.iter();
            rows.map(|bytes| usize::from(u16::from_le_bytes(*bytes))).for_each(|row| set(words, row..row + 1));
        } else {
            let bits = stored.split_off(..8 * PART)?.as_chunks().0;
            words.iter_mut().zip(bits).for_each(|(word, bits)| *word |= u64::from_le_bytes(*bits));
        }
    }
    Some(())
}

fn take(bytes: &mut &[u8]) -> Option<u16> {
    bytes.split_off(..2)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

/// Sets the bits of `rows` as far as there are words for them.
fn set(words: &mut [u64], rows: std::ops::Range<usize>) {
    const BITS: usize = WORD as usize;
    let mut at = rows.start;
    while at < rows.end {
        let Some(word) = words.get_mut(at / BITS) else { return };
        let end = rows.end.min((at / BITS + 1) * BITS);
        *word |= (u64::MAX >> (BITS - (end - at))) << (at % BITS);
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows of all three kinds of parts: few, many, and in runs.
    fn bitmaps() -> impl Strategy<Value = RoaringBitmap> {
        let few = proptest::collection::vec(0_u32..400_000, 0..50).prop_map(RoaringBitmap::from_iter);
        let many = (0_u32..300_000, 1_usize..12).prop_map(|(from, step)| (from..from + 90_000).step_by(step).collect());
        let runs = proptest::collection::vec((0_u32..400_000, 1_u32..70_000), 1..6);
        let runs = runs.prop_map(|runs| {
            let mut bitmap = RoaringBitmap::new();
            runs.into_iter().for_each(|(from, len)| {
                bitmap.insert_range(from..from + len);
            });
            bitmap
        });
        let bitmap = prop_oneof![few, many, runs];
        (proptest::collection::vec(bitmap, 0..4), any::<bool>()).prop_map(|(bitmaps, packed)| {
            let mut all = bitmaps.into_iter().fold(RoaringBitmap::new(), |all, some| all | some);
            if packed {
                all.optimize();
            }
            all
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn a_bit_is_set_exactly_if_its_row_is_allowed(bitmap in bitmaps(), rows in 0_u32..450_000, short in 1_u32..130) {
            let mut bits = Bits::default();
            for rows in [rows, short] {
                for allow in [Allow::Only(&bitmap), Allow::Except(&bitmap), Allow::All] {
                    bits.fill(allow, rows);
                    let mut expected = vec![0_u64; rows.div_ceil(WORD) as usize];
                    let allowed: Vec<u32> = (0..rows).filter(|row| allow.contains(*row)).collect();
                    allowed.iter().for_each(|row| expected[(row / WORD) as usize] |= 1 << (row % WORD));
                    prop_assert!(bits.words() == expected);
                    prop_assert!(bits.rows().eq(allowed));
                }
            }
        }

        #[test]
        fn bytes_that_are_no_bitmap_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..99) {
            let mut words = vec![0; 2000];
            let _ = read(&bytes, &mut words);
            let mut stored = Vec::new();
            (0..9_u32).map(|row| row * 7_000).collect::<RoaringBitmap>().serialize_into(&mut stored).unwrap();
            stored.truncate(cut.min(stored.len() - 1));
            prop_assert!(read(&stored, &mut words).is_none());
        }
    }
}
