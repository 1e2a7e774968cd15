//! Which record lies at which position of a segment, both ways.
//!
//! Ids and sequences are held by position, and a permutation sorts the positions by id: 20 bytes a row where all ids are
//! numbers. The permutation is not stored; it follows from the ids. A segment holds an id once.

use zeroize::Zeroizing;

use crate::codec::{Malformed, Reader, put_record_id, put_varint};
use crate::id::{RecordId, Sequence};

const VERSION: u8 = 1;
const NUMBERS: u8 = 0;
const MIXED: u8 = 1;

/// The ids and sequences of a segment's rows.
pub struct IdMap {
    ids: Ids,
    sequences: Vec<Sequence>,
    by_id: Vec<u32>,
}

enum Ids {
    Numbers(Vec<u64>),
    Mixed(Vec<RecordId>),
}

impl Ids {
    fn get(&self, position: usize) -> Option<RecordId> {
        match self {
            Self::Numbers(ids) => ids.get(position).copied().map(RecordId::Num),
            Self::Mixed(ids) => ids.get(position).copied(),
        }
    }

    /// The positions sorted by id; `None` if an id occurs twice or there are more than 2^32 - 1.
    fn sorted(&self) -> Option<Vec<u32>> {
        fn sort<T: Ord>(ids: &[T]) -> Option<Vec<u32>> {
            let mut positions: Vec<u32> = (0..u32::try_from(ids.len()).ok()?).collect();
            positions.sort_unstable_by_key(|&position| &ids[position as usize]);
            let distinct = positions.is_sorted_by(|&a, &b| ids[a as usize] < ids[b as usize]);
            distinct.then_some(positions)
        }
        match self {
            Self::Numbers(ids) => sort(ids),
            Self::Mixed(ids) => sort(ids),
        }
    }
}

impl IdMap {
    /// The map of rows given in the order of their positions.
    ///
    /// # Errors
    /// [`Malformed`] if an id occurs twice.
    pub fn build(rows: impl IntoIterator<Item = (RecordId, Sequence)>) -> Result<Self, Malformed> {
        let (ids, sequences): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let number = |id: &RecordId| match id {
            RecordId::Num(number) => Some(*number),
            RecordId::Uuid(_) => None,
        };
        let ids = match ids.iter().map(number).collect() {
            Some(numbers) => Ids::Numbers(numbers),
            None => Ids::Mixed(ids),
        };
        Self::new(ids, sequences)
    }

    fn new(ids: Ids, sequences: Vec<Sequence>) -> Result<Self, Malformed> {
        let by_id = ids.sorted().ok_or(Malformed("record ids"))?;
        Ok(Self { ids, sequences, by_id })
    }

    /// Rows in the segment.
    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    /// Whether the segment has no rows.
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Where the record `id` lies, if it is here.
    pub fn position(&self, id: &RecordId) -> Option<u32> {
        let found = self.rank(id);
        let position = *self.by_id.get(found)?;
        (self.id(position)? == *id).then_some(position)
    }

    /// The record at `position`.
    pub fn id(&self, position: u32) -> Option<RecordId> {
        self.ids.get(position as usize)
    }

    /// The write that made the row at `position`.
    pub fn sequence(&self, position: u32) -> Option<Sequence> {
        self.sequences.get(position as usize).copied()
    }

    /// Ids and positions in the order of ids, from the first id that is not below `from`.
    pub fn iter_sorted(&self, from: Option<&RecordId>) -> impl Iterator<Item = (RecordId, u32)> {
        let start = from.map_or(0, |from| self.rank(from));
        self.by_id.iter().skip(start).filter_map(|&position| Some((self.id(position)?, position)))
    }

    /// Bytes held in memory.
    pub fn resident_bytes(&self) -> usize {
        let ids = match &self.ids {
            Ids::Numbers(ids) => size_of_val(ids.as_slice()),
            Ids::Mixed(ids) => size_of_val(ids.as_slice()),
        };
        ids + size_of_val(self.sequences.as_slice()) + size_of_val(self.by_id.as_slice())
    }

    /// The map as bytes: version, kind, count, ids, sequences.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(12 + self.len() * 25));
        out.push(VERSION);
        match &self.ids {
            Ids::Numbers(ids) => {
                out.push(NUMBERS);
                put_varint(&mut out, ids.len() as u64);
                out.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
            }
            Ids::Mixed(ids) => {
                out.push(MIXED);
                put_varint(&mut out, ids.len() as u64);
                ids.iter().for_each(|&id| put_record_id(&mut out, id));
            }
        }
        out.extend(self.sequences.iter().flat_map(|sequence| sequence.to_le_bytes()));
        out
    }

    /// Reads what [`IdMap::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] for any bytes that it did not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8("id map version")? != VERSION {
            return Err(Malformed("id map version"));
        }
        let kind = reader.u8("id map kind")?;
        let count = reader.count("id map count")?;
        let ids = match kind {
            NUMBERS => Ids::Numbers(numbers(&mut reader, count)?),
            MIXED => Ids::Mixed((0..count).map(|_| reader.record_id()).collect::<Result<_, _>>()?),
            _ => return Err(Malformed("id map kind")),
        };
        let sequences = numbers(&mut reader, count)?;
        reader.finish()?;
        Self::new(ids, sequences)
    }

    /// How many ids are below `id`.
    fn rank(&self, id: &RecordId) -> usize {
        self.by_id.partition_point(|&position| self.id(position).is_some_and(|at| at < *id))
    }
}

fn numbers(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u64>, Malformed> {
    let len = count.checked_mul(8).ok_or(Malformed("id map"))?;
    let (chunks, _) = reader.bytes(len, "id map")?.as_chunks();
    Ok(chunks.iter().map(|&bytes| u64::from_le_bytes(bytes)).collect())
}

#[cfg(test)]
mod tests;
