//! Which rows have which of some numbered keys: for each key its positions.
//!
//! Short lists of positions lie in one array (compressed sparse rows), because most keys of most fields have a handful of
//! rows and a bitmap each would cost more than the keys; long ones are roaring bitmaps. Invariant: every key has a row,
//! and one set of pairs has one form and one encoding.

use std::ops::Range;

use roaring::RoaringBitmap;
use zeroize::Zeroizing;

use crate::codec::{Malformed, Reader, VARINT_MAX, make_room, put_varint};

/// A key of so many rows has a bitmap.
const LONG: usize = 32;

const WHAT: Malformed = Malformed("postings");

/// Positions by key.
pub struct Postings {
    /// `positions[starts[key]..starts[key + 1]]` are the rows of a key that has no bitmap, ascending.
    starts: Vec<u32>,
    positions: Vec<u32>,
    /// The others by their key, ascending.
    bitmaps: Vec<(u32, RoaringBitmap)>,
}

impl Postings {
    /// The postings of keys whose positions are given key by key, ascending, at least one each.
    ///
    /// # Errors
    /// [`Malformed`] if they are not, or are more than 2^32 - 1.
    pub fn build<'a>(lists: impl IntoIterator<Item = &'a [u32]>) -> Result<Self, Malformed> {
        let mut postings = Self { starts: vec![0], positions: Vec::new(), bitmaps: Vec::new() };
        for list in lists {
            if list.len() < LONG {
                if list.is_empty() || !list.is_sorted_by(|a, b| a < b) {
                    return Err(WHAT);
                }
                postings.push(list.iter().copied(), None)?;
            } else {
                let mut bitmap = RoaringBitmap::from_sorted_iter(list.iter().copied()).map_err(|_| WHAT)?;
                bitmap.optimize();
                postings.push([].into_iter(), Some(bitmap))?;
            }
        }
        Ok(postings.shrunk())
    }

    fn shrunk(mut self) -> Self {
        self.starts.shrink_to_fit();
        self.positions.shrink_to_fit();
        self.bitmaps.shrink_to_fit();
        self
    }

    fn push(&mut self, list: impl Iterator<Item = u32>, bitmap: Option<RoaringBitmap>) -> Result<(), Malformed> {
        let key = u32::try_from(self.len()).map_err(|_| WHAT)?;
        self.positions.extend(list);
        self.starts.push(u32::try_from(self.positions.len()).map_err(|_| WHAT)?);
        self.bitmaps.extend(bitmap.map(|bitmap| (key, bitmap)));
        Ok(())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows that have any of these keys.
    pub fn any(&self, keys: Range<usize>) -> RoaringBitmap {
        let bounds = self.starts.get(keys.start).zip(self.starts.get(keys.end.max(keys.start)));
        let list = bounds.and_then(|(start, end)| self.positions.get(*start as usize..*end as usize));
        let mut rows: RoaringBitmap = list.into_iter().flatten().collect();
        let first = self.bitmaps.partition_point(|(key, _)| (*key as usize) < keys.start);
        for (_, bitmap) in self.bitmaps.iter().skip(first).take_while(|(key, _)| (*key as usize) < keys.end) {
            rows |= bitmap;
        }
        rows
    }

    /// How many of `rows` have this key.
    pub fn count(&self, key: usize, rows: &RoaringBitmap) -> u64 {
        let long = self.bitmaps.binary_search_by_key(&key, |(key, _)| *key as usize).ok();
        if let Some((_, bitmap)) = long.and_then(|at| self.bitmaps.get(at)) {
            return bitmap.intersection_len(rows);
        }
        let bounds = self.starts.get(key).zip(self.starts.get(key + 1));
        let list = bounds.and_then(|(start, end)| self.positions.get(*start as usize..*end as usize));
        list.into_iter().flatten().filter(|position| rows.contains(**position)).count() as u64
    }

    /// Bytes held in memory.
    pub fn resident_bytes(&self) -> usize {
        let bitmap = |(_, bitmap): &(u32, RoaringBitmap)| size_of::<(u32, RoaringBitmap)>() + bitmap.serialized_size();
        (self.starts.len() + self.positions.len()) * size_of::<u32>() + self.bitmaps.iter().map(bitmap).sum::<usize>()
    }

    /// Appends the postings: for each key the number of its runs of neighbouring positions, then how far each starts
    /// behind the one before it and how long it is. Their number is not written.
    pub fn encode(&self, out: &mut Zeroizing<Vec<u8>>) {
        let mut bitmaps = self.bitmaps.iter().peekable();
        for (key, ends) in (0_u32..).zip(self.starts.windows(2)) {
            match bitmaps.next_if(|(long, _)| *long == key) {
                Some((_, bitmap)) => put_runs(out, bitmap.iter()),
                None => {
                    let list = self.positions.get(ends[0] as usize..ends[1] as usize).unwrap_or_default();
                    put_runs(out, list.iter().copied());
                }
            }
        }
    }

    /// Reads the postings of so many keys over so many rows, as [`Postings::encode`] wrote them.
    ///
    /// # Errors
    /// [`Malformed`] for anything else.
    pub fn decode(reader: &mut Reader<'_>, keys: usize, rows: u32) -> Result<Self, Malformed> {
        let mut postings = Self { starts: vec![0], positions: Vec::new(), bitmaps: Vec::new() };
        let mut runs = Vec::new();
        for _ in 0..keys {
            read_runs(reader, rows, &mut runs)?;
            if runs.iter().map(|run| run.len()).sum::<usize>() < LONG {
                postings.push(runs.drain(..).flatten(), None)?;
            } else {
                let mut bitmap = RoaringBitmap::new();
                for run in runs.drain(..) {
                    bitmap.insert_range(run);
                }
                bitmap.optimize();
                postings.push([].into_iter(), Some(bitmap))?;
            }
        }
        Ok(postings.shrunk())
    }
}

fn put_runs(out: &mut Zeroizing<Vec<u8>>, positions: impl Iterator<Item = u32>) {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for position in positions.map(u64::from) {
        match runs.last_mut() {
            Some(last) if last.end == position => last.end += 1,
            _ => runs.push(position..position + 1),
        }
    }
    make_room(out, (2 * runs.len() + 1) * VARINT_MAX);
    put_varint(out, runs.len() as u64);
    let mut least = 0;
    for run in runs {
        put_varint(out, run.start - least);
        put_varint(out, run.end - run.start - 1);
        // The position right behind a run would be in it.
        least = run.end + 1;
    }
}

fn read_runs(reader: &mut Reader<'_>, rows: u32, runs: &mut Vec<Range<u32>>) -> Result<(), Malformed> {
    let count = reader.count(WHAT.0)?;
    if count == 0 {
        return Err(WHAT);
    }
    let mut least = 0_u64;
    for _ in 0..count {
        let start = least.checked_add(reader.varint(WHAT.0)?).ok_or(WHAT)?;
        let end = start.checked_add(reader.varint(WHAT.0)?).and_then(|last| last.checked_add(1)).ok_or(WHAT)?;
        let run = u32::try_from(start).ok().zip(u32::try_from(end).ok()).filter(|(_, end)| *end <= rows);
        let (start, end) = run.ok_or(WHAT)?;
        runs.push(start..end);
        least = u64::from(end) + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
