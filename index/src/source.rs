//! Where the bytes of an index are read from: any part of them, by any thread.
//!
//! Invariant: a source gives the same bytes whoever asks and in whatever order, or an error. So an index is decoded by all
//! threads at once, each of which takes apart what it has just read while that is in its cache, and nothing is in
//! memory in the form that it has on disk but the page being read.

use crate::decode_error::DecodeError;
use rayon::prelude::*;
use std::ops::Range;
use zeroize::Zeroizing;

/// Bytes that a source may have to read at once: whole pages, counted from its start, are the cheapest to ask for.
pub const PAGE: usize = 16 << 10;

/// Bytes to be read in parts.
pub trait Source: Sync {
    /// How reading fails, and how it tells of bytes that were read and make no sense.
    type Error: From<DecodeError> + Send;

    /// How many bytes there are.
    fn length(&self) -> usize;

    /// Fills `room` with the bytes from `start` on.
    ///
    /// # Errors
    /// If they cannot be read, or end before `room` does.
    fn read(&self, start: usize, room: &mut [u8]) -> Result<(), Self::Error>;
}

impl Source for [u8] {
    type Error = DecodeError;

    fn length(&self) -> usize {
        self.len()
    }

    fn read(&self, start: usize, room: &mut [u8]) -> Result<(), DecodeError> {
        let bytes = self.get(start..).and_then(|rest| rest.get(..room.len())).ok_or(DecodeError::Length)?;
        room.copy_from_slice(bytes);
        Ok(())
    }
}

/// Reads a range into memory, in the current `rayon` pool.
pub(crate) fn read<S: Source + ?Sized>(source: &S, range: Range<usize>) -> Result<Zeroizing<Vec<u8>>, S::Error> {
    let mut bytes = Zeroizing::new(vec![0; range.len()]);
    let first_page = range.start.next_multiple_of(PAGE).min(range.end);
    let (before, pages) = bytes.split_at_mut(first_page - range.start);
    source.read(range.start, before)?;
    let pages = pages.par_chunks_mut(PAGE).enumerate();
    pages.try_for_each(|(number, page)| source.read(first_page + number * PAGE, page))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn every_range_is_read_as_it_is() {
        let bytes: Vec<u8> = (0..3 * PAGE + 5).map(|at| (at % 251) as u8).collect();
        let len = bytes.len();
        for start in [0, 1, PAGE - 1, PAGE, 2 * PAGE + 7, len] {
            for end in [0, 1, PAGE, PAGE + 1, 3 * PAGE, len] {
                if start <= end {
                    assert_eq!(read(&bytes[..], start..end).unwrap()[..], bytes[start..end]);
                }
            }
        }
        assert_eq!(read(&bytes[..], 3..len + 1).err(), Some(DecodeError::Length));
    }
}
