//! The values of one kind that a field has, in their order, each with its rows.
//!
//! What a number means is the engine's affair; here they are ordered as numbers, and texts by their bytes. Values are
//! people's data: they are wiped when dropped, and nothing here prints.

use std::ops::Range;

use roaring::RoaringBitmap;
use zeroize::Zeroizing;

use super::postings::Postings;
use crate::codec::{Malformed, Reader, VARINT_MAX, make_room, put_sized, put_varint};

const WHAT: Malformed = Malformed("column");
const NUMBERS: u8 = 0;
const TEXTS: u8 = 1;

/// Sorted values with their rows.
pub struct Column {
    keys: Keys,
    postings: Postings,
}

enum Keys {
    Numbers(Zeroizing<Vec<u64>>),
    Texts {
        /// All of them, one after the other.
        text: Zeroizing<String>,
        /// Where each ends.
        ends: Vec<u32>,
    },
}

impl Column {
    /// The column of ascending numbers, each with its rows, ascending and at least one.
    ///
    /// # Errors
    /// [`Malformed`] if they are not.
    pub fn of_numbers<'a>(values: impl ExactSizeIterator<Item = (u64, &'a [u32])> + Clone) -> Result<Self, Malformed> {
        let postings = Postings::build(values.clone().map(|(_, rows)| rows))?;
        // Room for everything at once: what grows leaves copies of people's data behind.
        let mut numbers = Zeroizing::new(Vec::with_capacity(values.len()));
        numbers.extend(values.map(|(number, _)| number));
        if numbers.is_sorted_by(|a, b| a < b) { Ok(Self { keys: Keys::Numbers(numbers), postings }) } else { Err(WHAT) }
    }

    /// The column of ascending texts, each with its rows, ascending and at least one.
    ///
    /// # Errors
    /// [`Malformed`] if they are not, or the texts are longer than 4 GiB together.
    pub fn of_texts<'a>(
        values: impl ExactSizeIterator<Item = (&'a str, &'a [u32])> + Clone,
    ) -> Result<Self, Malformed> {
        let postings = Postings::build(values.clone().map(|(_, rows)| rows))?;
        let mut text = Zeroizing::new(String::with_capacity(values.clone().map(|(text, _)| text.len()).sum()));
        let (mut ends, mut last) = (Vec::with_capacity(values.len()), None);
        for (value, _) in values {
            if last.is_some_and(|last| last >= value) {
                return Err(WHAT);
            }
            text.push_str(value);
            ends.push(u32::try_from(text.len()).map_err(|_| WHAT)?);
            last = Some(value);
        }
        Ok(Self { keys: Keys::Texts { text, ends }, postings })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.postings.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.postings.is_empty()
    }

    /// The values, if they are numbers.
    pub fn numbers(&self) -> &[u64] {
        match &self.keys {
            Keys::Numbers(numbers) => numbers,
            Keys::Texts { .. } => &[],
        }
    }

    /// The value at this place, if it is a text.
    pub fn text(&self, at: usize) -> Option<&str> {
        let Keys::Texts { text, ends } = &self.keys else { return None };
        let start = at.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied())?;
        text.get(start as usize..*ends.get(at)? as usize)
    }

    /// How many texts come before the first that is not `below`, which must divide them.
    pub fn texts_below(&self, below: impl Fn(&str) -> bool) -> usize {
        let Keys::Texts { ends, .. } = &self.keys else { return 0 };
        let (mut first, mut end) = (0, ends.len());
        while first < end {
            let middle = first + (end - first) / 2;
            if self.text(middle).is_some_and(&below) {
                first = middle + 1;
            } else {
                end = middle;
            }
        }
        first
    }

    /// The rows that have any of the values at these places.
    pub fn rows(&self, places: Range<usize>) -> RoaringBitmap {
        self.postings.any(places)
    }

    /// How many of `rows` have the value at this place.
    pub fn count(&self, at: usize, rows: &RoaringBitmap) -> u64 {
        self.postings.count(at, rows)
    }

    /// Bytes held in memory.
    pub fn resident_bytes(&self) -> usize {
        let keys = match &self.keys {
            Keys::Numbers(numbers) => size_of_val(numbers.as_slice()),
            Keys::Texts { text, ends } => text.len() + size_of_val(ends.as_slice()),
        };
        keys + self.postings.resident_bytes()
    }

    /// Appends kind, count, values and postings. Numbers are written as how far they lie behind the one before.
    pub fn encode(&self, out: &mut Zeroizing<Vec<u8>>) {
        match &self.keys {
            Keys::Numbers(numbers) => {
                make_room(out, 1 + (numbers.len() + 1) * VARINT_MAX);
                out.push(NUMBERS);
                put_varint(out, numbers.len() as u64);
                let mut least = 0;
                for number in numbers.iter() {
                    put_varint(out, number.wrapping_sub(least));
                    least = number.wrapping_add(1);
                }
            }
            Keys::Texts { ends, .. } => {
                let text = |at| self.text(at).unwrap_or_default();
                let bytes: usize = (0..ends.len()).map(|at| text(at).len() + VARINT_MAX).sum();
                make_room(out, 1 + VARINT_MAX + bytes);
                out.push(TEXTS);
                put_varint(out, ends.len() as u64);
                (0..ends.len()).for_each(|at| put_sized(out, text(at).as_bytes()));
            }
        }
        self.postings.encode(out);
    }

    /// Reads a column over so many rows, as [`Column::encode`] wrote it.
    ///
    /// # Errors
    /// [`Malformed`] for anything else.
    pub fn decode(reader: &mut Reader<'_>, rows: u32) -> Result<Self, Malformed> {
        let kind = reader.u8(WHAT.0)?;
        let count = reader.count(WHAT.0)?;
        let keys = match kind {
            NUMBERS => Keys::Numbers(read_numbers(reader, count)?),
            TEXTS => read_texts(reader, count)?,
            _ => return Err(WHAT),
        };
        Ok(Self { keys, postings: Postings::decode(reader, count, rows)? })
    }
}

fn read_numbers(reader: &mut Reader<'_>, count: usize) -> Result<Zeroizing<Vec<u64>>, Malformed> {
    let (mut numbers, mut least) = (Zeroizing::new(Vec::with_capacity(count)), Some(0_u64));
    for _ in 0..count {
        let gap = reader.varint(WHAT.0)?;
        let number = least.and_then(|least| least.checked_add(gap)).ok_or(WHAT)?;
        numbers.push(number);
        least = number.checked_add(1);
    }
    Ok(numbers)
}

fn read_texts(reader: &mut Reader<'_>, count: usize) -> Result<Keys, Malformed> {
    // As in building, room for everything at once, and no more.
    let (mut ahead, mut len) = (Reader::new(reader.rest()), 0_usize);
    for _ in 0..count {
        len = len.saturating_add(ahead.sized(WHAT.0)?.len());
    }
    let mut text = Zeroizing::new(String::with_capacity(len));
    let (mut ends, mut last) = (Vec::with_capacity(count), None);
    for _ in 0..count {
        let key = std::str::from_utf8(reader.sized(WHAT.0)?).map_err(|_| WHAT)?;
        if last.is_some_and(|last| last >= key) {
            return Err(WHAT);
        }
        text.push_str(key);
        ends.push(u32::try_from(text.len()).map_err(|_| WHAT)?);
        last = Some(key);
    }
    Ok(Keys::Texts { text, ends })
}
