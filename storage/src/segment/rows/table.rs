//! The table of rows: which row lies at which position, under which key, and where its blobs are.
//!
//! ```text
//! row id 16 × rows │ number of keys │ key id 16 × keys │ packed: each row's key │ vector lengths │ body lengths
//! ```
//!
//! A key is named once, however many rows it seals, in the order in which rows first need it. Offsets are not stored:
//! blobs lie back to back, so that each begins where the lengths before it end.
//!
//! Invariant: a table that decodes tells of as many rows as the file's footer says, which fill the file from its header
//! to the table.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use privacy::KeyId;
use zeroize::{Zeroize, Zeroizing};

use crate::codec::{Malformed, Reader, put_varint};
use crate::id::RowId;
use crate::packed::put_packed;
use crate::segment::layout::{Footer, HEADER_LEN};

const WHAT: &str = "row table";

/// A row in memory: all that finding it takes, side by side.
#[derive(Clone, Copy)]
pub struct Entry {
    pub row: RowId,
    pub key: KeyId,
    pub offset: u64,
    pub vector_len: u32,
    pub body_len: u32,
}

impl Zeroize for Entry {
    fn zeroize(&mut self) {
        self.row.0.zeroize();
        self.key.0.zeroize();
        self.offset.zeroize();
        (self.vector_len, self.body_len).zeroize();
    }
}

/// A table being made.
#[derive(Default)]
pub struct TableWriter {
    rows: Vec<u8>,
    numbers: HashMap<KeyId, u64>,
    keys: Vec<u8>,
    owners: Zeroizing<Vec<u64>>,
    vector_lens: Vec<u64>,
    body_lens: Vec<u64>,
}

impl TableWriter {
    pub fn push(&mut self, row: RowId, key: KeyId, vector_len: u32, body_len: u32) {
        self.rows.extend_from_slice(&row.0);
        let next = self.numbers.len() as u64;
        let owner = match self.numbers.entry(key) {
            Slot::Occupied(known) => *known.get(),
            Slot::Vacant(slot) => {
                self.keys.extend_from_slice(&key.0);
                *slot.insert(next)
            }
        };
        self.owners.push(owner);
        self.vector_lens.push(u64::from(vector_len));
        self.body_lens.push(u64::from(body_len));
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Room for everything at once, so that nothing is left behind by growing: three numbers of at most 64 bits.
        let most = self.rows.len() + self.keys.len() + 10 + 3 * (9 * self.len() + 11);
        let mut out = Zeroizing::new(Vec::with_capacity(most));
        out.extend_from_slice(&self.rows);
        put_varint(&mut out, self.numbers.len() as u64);
        out.extend_from_slice(&self.keys);
        [&*self.owners, &self.vector_lens, &self.body_lens].into_iter().for_each(|list| put_packed(&mut out, list));
        out
    }
}

/// Reads what [`TableWriter::encode`] wrote for the file that `footer` ends.
///
/// # Errors
/// [`Malformed`] for any bytes that it did not write, or wrote for another file.
pub fn decode(bytes: &[u8], footer: &Footer) -> Result<Zeroizing<Vec<Entry>>, Malformed> {
    const BAD: Malformed = Malformed(WHAT);
    let mut reader = Reader::new(bytes);
    let count = u32::try_from(footer.count).map_err(|_| BAD)? as usize;
    let rows = names(&mut reader, count)?;
    let keys = reader.count(WHAT)?;
    let keys = names(&mut reader, keys)?;
    let [owners, vector_lens, body_lens] =
        [reader.packed(count, WHAT)?, reader.packed(count, WHAT)?, reader.packed(count, WHAT)?];
    reader.finish()?;

    let mut entries = Zeroizing::new(Vec::with_capacity(count));
    let (mut offset, mut named) = (HEADER_LEN as u64, 0);
    let lens = vector_lens.iter().zip(body_lens.iter());
    for ((row, &owner), (&vector_len, &body_len)) in rows.iter().zip(owners.iter()).zip(lens) {
        if owner > named {
            return Err(BAD);
        }
        named = named.max(owner + 1);
        let key = *usize::try_from(owner).ok().and_then(|owner| keys.get(owner)).ok_or(BAD)?;
        let len = |len| u32::try_from(len).map_err(|_| BAD);
        let entry =
            Entry { row: RowId(*row), key: KeyId(key), offset, vector_len: len(vector_len)?, body_len: len(body_len)? };
        offset = offset.checked_add(vector_len).and_then(|end| end.checked_add(body_len)).ok_or(BAD)?;
        entries.push(entry);
    }
    if offset == footer.offset && named == keys.len() as u64 { Ok(entries) } else { Err(BAD) }
}

fn names<'a>(reader: &mut Reader<'a>, count: usize) -> Result<&'a [[u8; 16]], Malformed> {
    let len = count.checked_mul(16).ok_or(Malformed(WHAT))?;
    Ok(reader.bytes(len, WHAT)?.as_chunks().0)
}
