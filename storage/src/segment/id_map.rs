//! Which record lies at which position of a segment, both ways.
//!
//! Ids and sequences are held by position, and a permutation sorts the positions by id: 20 bytes a row where all ids are
//! numbers. A segment holds an id once. What is stored are the ids in their order, in which numbers take no more bits than
//! they lie apart, and the permutation: together no more than the ids in the order of positions would take, and nothing
//! is to be sorted when a segment opens.

use zeroize::Zeroizing;

use crate::codec::{Malformed, Reader, put_record_id, put_varint};
use crate::id::{RecordId, Sequence};
use crate::packed::put_packed;

const VERSION: u8 = 2;
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

    /// The map as bytes: version, kind, count, the positions in the order of ids, the ids in that order (numbers as
    /// what lies between each and the one before it), the sequences in the order of positions.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Room for everything at once, so that nothing is left behind by growing.
        let mut out = Zeroizing::new(Vec::with_capacity(48 + self.len() * (9 + 17 + 9)));
        out.push(VERSION);
        out.push(if matches!(self.ids, Ids::Numbers(_)) { NUMBERS } else { MIXED });
        put_varint(&mut out, self.len() as u64);
        let positions: Zeroizing<Vec<u64>> = Zeroizing::new(self.by_id.iter().map(|&at| u64::from(at)).collect());
        put_packed(&mut out, &positions);
        match &self.ids {
            Ids::Numbers(ids) => {
                let mut next = 0;
                let gap = |&at: &u32| {
                    let id = ids.get(at as usize).copied().unwrap_or_default();
                    let gap = id.wrapping_sub(next);
                    next = id.wrapping_add(1);
                    gap
                };
                put_packed(&mut out, &Zeroizing::new(self.by_id.iter().map(gap).collect::<Vec<u64>>()));
            }
            Ids::Mixed(_) => self.iter_sorted(None).for_each(|(id, _)| put_record_id(&mut out, id)),
        }
        put_packed(&mut out, &self.sequences);
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
        let count = reader.varint("id map count")?;
        // A position takes a bit, unless there is but one.
        let count = u32::try_from(count).ok().filter(|&count| count as usize / 8 <= reader.rest().len());
        let count = count.ok_or(Malformed("id map count"))? as usize;
        let by_id = permutation(&mut reader, count)?;
        let ids = match kind {
            NUMBERS => Ids::Numbers(placed(&by_id, 0, numbers(&mut reader, count)?.iter().copied())?),
            MIXED => {
                let ids: Vec<RecordId> = (0..count).map(|_| reader.record_id()).collect::<Result<_, _>>()?;
                let all_numbers = ids.iter().all(|id| matches!(id, RecordId::Num(_)));
                if all_numbers || !ids.is_sorted_by(|a, b| a < b) {
                    return Err(Malformed("record ids"));
                }
                Ids::Mixed(placed(&by_id, RecordId::Num(0), ids.into_iter())?)
            }
            _ => return Err(Malformed("id map kind")),
        };
        let sequences = std::mem::take(&mut *reader.packed(count, "id map")?);
        reader.finish()?;
        Ok(Self { ids, sequences, by_id })
    }

    /// How many ids are below `id`.
    fn rank(&self, id: &RecordId) -> usize {
        self.by_id.partition_point(|&position| self.id(position).is_some_and(|at| at < *id))
    }
}

/// Reads every position below `count`, each once.
fn permutation(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u32>, Malformed> {
    const BAD: Malformed = Malformed("positions");
    let packed = reader.packed(count, BAD.0)?;
    let mut seen = vec![false; count];
    let mut note = |&at: &u64| {
        let here = usize::try_from(at).ok().and_then(|at| seen.get_mut(at)).ok_or(BAD)?;
        if std::mem::replace(here, true) { Err(BAD) } else { Ok(at as u32) }
    };
    packed.iter().map(&mut note).collect()
}

/// Reads numbers that ascend, without one twice.
fn numbers(reader: &mut Reader<'_>, count: usize) -> Result<Zeroizing<Vec<u64>>, Malformed> {
    let mut numbers = reader.packed(count, "record ids")?;
    let mut next = Some(0_u64);
    for number in numbers.iter_mut() {
        *number = next.and_then(|next| next.checked_add(*number)).ok_or(Malformed("record ids"))?;
        next = number.checked_add(1);
    }
    Ok(numbers)
}

/// Puts each item where it belongs; `blank` is what none will be left of.
fn placed<T: Clone>(by_id: &[u32], blank: T, sorted: impl Iterator<Item = T>) -> Result<Vec<T>, Malformed> {
    let mut items = vec![blank; by_id.len()];
    for (&at, item) in by_id.iter().zip(sorted) {
        *items.get_mut(at as usize).ok_or(Malformed("positions"))? = item;
    }
    Ok(items)
}

#[cfg(test)]
mod tests;
