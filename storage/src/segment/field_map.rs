//! What the payloads of a segment's rows say, by field: which rows have which value there.
//!
//! A field has a name, the engine's note of what it was indexed as, and columns by the engine's codes; what these mean is
//! the engine's affair. Fields lie in the order of their names, so that one set of rows has one map. Bytes are compressed
//! (zstd) where that pays, and never inflate beyond a fixed ratio. Names and values are people's data, wiped when
//! dropped.

use std::sync::OnceLock;

use zeroize::Zeroizing;

use super::column::Column;
use crate::codec::{Malformed, Reader, VARINT_MAX, make_room, put_sized, put_varint};

const VERSION: u8 = 2;
const PLAIN: u8 = 0;
const PACKED: u8 = 1;
const ZSTD_LEVEL: i32 = 3;
/// Shorter maps are not packed: it would save less than a chunk of sealing.
const PACKED_FROM: usize = 512;
/// Nothing is packed that inflates to more than so many times its length and [`INFLATED_FREE`] bytes.
const INFLATED_RATIO: usize = 32;
const INFLATED_FREE: usize = 1 << 16;

const WHAT: Malformed = Malformed("field map");

/// One field of the payloads.
pub struct Field {
    /// Where it is in a payload, as the engine writes that.
    pub name: Zeroizing<String>,
    /// What it was indexed as, which storage does not interpret.
    pub kind: u8,
    /// Its columns by their codes, ascending.
    pub columns: Vec<(u8, Column)>,
}

impl Field {
    /// The column of this code.
    pub fn column(&self, code: u8) -> Option<&Column> {
        let at = self.columns.binary_search_by_key(&code, |(code, _)| *code).ok()?;
        self.columns.get(at).map(|(_, column)| column)
    }
}

/// The fields of a segment's rows.
#[derive(Default)]
pub struct FieldMap {
    rows: u32,
    /// Whether nothing is at any path that is not here.
    is_complete: bool,
    /// In how much room it was built, which storage does not interpret.
    room: u64,
    /// By name, ascending.
    fields: Vec<Field>,
    /// How long its bytes are, once they were made or read.
    encoded_len: OnceLock<usize>,
}

impl FieldMap {
    /// The map of so many rows with these fields.
    ///
    /// # Errors
    /// [`Malformed`] if names or codes are not ascending.
    pub fn new(rows: u32, is_complete: bool, fields: Vec<Field>) -> Result<Self, Malformed> {
        let ascend = |field: &Field| field.columns.is_sorted_by(|(a, _), (b, _)| a < b);
        let is_sorted = fields.is_sorted_by(|a, b| *a.name < *b.name) && fields.iter().all(ascend);
        let map = Self { rows, is_complete, room: 0, fields, encoded_len: OnceLock::new() };
        if is_sorted { Ok(map) } else { Err(WHAT) }
    }

    /// The map with the engine's note in how much room it was built.
    pub fn in_room(self, room: u64) -> Self {
        Self { room, ..self }
    }

    /// In how much room the engine says it built the map.
    pub fn room(&self) -> u64 {
        self.room
    }

    /// Rows that it is about.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Whether the engine said that nothing is anywhere but in these fields.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The fields in the order of their names.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        let at = self.fields.binary_search_by(|field| field.name.as_str().cmp(name)).ok()?;
        self.fields.get(at)
    }

    /// Bytes held in memory, an allocation's own overhead not counted.
    pub fn resident_bytes(&self) -> usize {
        let columns = |field: &Field| {
            field.columns.iter().map(|(_, column)| size_of::<(u8, Column)>() + column.resident_bytes()).sum::<usize>()
        };
        self.fields.iter().map(|field| size_of::<Field>() + field.name.len() + columns(field)).sum()
    }

    /// How long its bytes are; 0 before they were first made or read.
    pub fn encoded_len(&self) -> usize {
        self.encoded_len.get().copied().unwrap_or_default()
    }

    /// The map as bytes: version, whether it is packed, then rows, completeness, room and fields.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(self.resident_bytes() + 64));
        put_varint(&mut plain, u64::from(self.rows));
        plain.push(u8::from(self.is_complete));
        put_varint(&mut plain, self.room);
        put_varint(&mut plain, self.fields.len() as u64);
        for field in &self.fields {
            make_room(&mut plain, field.name.len() + 2 * VARINT_MAX + 1);
            put_sized(&mut plain, field.name.as_bytes());
            plain.push(field.kind);
            put_varint(&mut plain, field.columns.len() as u64);
            for (code, column) in &field.columns {
                make_room(&mut plain, 1);
                plain.push(*code);
                column.encode(&mut plain);
            }
        }
        let packed = pack(&plain);
        let (form, body) = packed.as_ref().map_or((PLAIN, plain.as_slice()), |packed| (PACKED, packed.as_slice()));
        let mut out = Zeroizing::new(Vec::with_capacity(2 + body.len()));
        out.extend_from_slice(&[VERSION, form]);
        out.extend_from_slice(body);
        self.encoded_len.get_or_init(|| out.len());
        out
    }

    /// Reads what [`FieldMap::encode`] wrote of so many rows.
    ///
    /// # Errors
    /// [`Malformed`] for any other bytes, and for a map of other rows.
    pub fn decode(bytes: &[u8], rows: u32) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8("field map version")? != VERSION {
            return Err(Malformed("field map version"));
        }
        let map = match reader.u8(WHAT.0)? {
            PLAIN => Self::read(reader.rest(), rows),
            PACKED => Self::read(&unpack(reader.rest())?, rows),
            _ => Err(WHAT),
        }?;
        map.encoded_len.get_or_init(|| bytes.len());
        Ok(map)
    }

    fn read(plain: &[u8], rows: u32) -> Result<Self, Malformed> {
        let mut reader = Reader::new(plain);
        if reader.varint(WHAT.0)? != u64::from(rows) {
            return Err(Malformed("field map rows"));
        }
        let is_complete = match reader.u8(WHAT.0)? {
            0 => false,
            1 => true,
            _ => return Err(WHAT),
        };
        let room = reader.varint(WHAT.0)?;
        let mut fields = Vec::new();
        for _ in 0..reader.count(WHAT.0)? {
            let name = std::str::from_utf8(reader.sized(WHAT.0)?).map_err(|_| WHAT)?.to_owned().into();
            let kind = reader.u8(WHAT.0)?;
            let mut columns = Vec::new();
            for _ in 0..reader.count(WHAT.0)? {
                columns.push((reader.u8(WHAT.0)?, Column::decode(&mut reader, rows)?));
            }
            fields.push(Field { name, kind, columns });
        }
        reader.finish()?;
        Ok(Self::new(rows, is_complete, fields)?.in_room(room))
    }
}

fn pack(plain: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if plain.len() < PACKED_FROM {
        return None;
    }
    let frame = Zeroizing::new(zstd::bulk::compress(plain, ZSTD_LEVEL).ok()?);
    let mut out = Zeroizing::new(Vec::with_capacity(frame.len() + 10));
    put_varint(&mut out, plain.len() as u64);
    out.extend_from_slice(&frame);
    (out.len() < plain.len() && plain.len() <= inflated_max(frame.len())).then_some(out)
}

fn unpack(packed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    let mut reader = Reader::new(packed);
    let len = usize::try_from(reader.varint(WHAT.0)?).map_err(|_| WHAT)?;
    if len > inflated_max(reader.rest().len()) {
        return Err(WHAT);
    }
    let plain = Zeroizing::new(zstd::bulk::decompress(reader.rest(), len).map_err(|_| WHAT)?);
    if plain.len() == len { Ok(plain) } else { Err(WHAT) }
}

fn inflated_max(frame: usize) -> usize {
    frame.saturating_mul(INFLATED_RATIO).saturating_add(INFLATED_FREE)
}

#[cfg(test)]
mod tests;
