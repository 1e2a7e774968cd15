//! A record in memory, and its two plaintexts before sealing: the vector and the body.
//!
//! A record wipes its vector and payload when dropped, and its `Debug` shows neither. The body's length says little
//! about the payload's: it is padded to a Padmé size. Decoding is total and never inflates more than [`MAX_INFLATED`].

use std::fmt;

use privacy::EntityId;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use crate::codec::{Malformed, Reader, put_sized, put_varint};
use crate::id::{RecordId, Sequence};

/// The most bytes a compressed payload may decode to (16 MiB). Longer payloads are stored as they are.
pub const MAX_INFLATED: usize = 16 << 20;

const VERSION: u8 = 2;
const HAS_ENTITY: u8 = 1;
const HAS_PAYLOAD: u8 = 2;
const COMPRESSED: u8 = 4;
const IS_UUID: u8 = 8;
const ZSTD_LEVEL: i32 = 3;

/// One vector with what belongs to it.
#[derive(Clone, PartialEq)]
pub struct Record {
    /// The user's name of the record.
    pub id: RecordId,
    /// The write that put it here.
    pub sequence: Sequence,
    /// The data subject, if any, under whose key the record is sealed.
    pub entity: Option<EntityId>,
    /// The embedding, one number a dimension.
    pub vector: Vec<f32>,
    /// JSON text.
    pub payload: Option<Vec<u8>>,
}

impl Drop for Record {
    fn drop(&mut self) {
        self.vector.zeroize();
        self.payload.zeroize();
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Record {
    /// Bytes this record holds in memory, itself included.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.entity.as_ref().map_or(0, |entity| entity.as_str().len())
            + size_of_val(self.vector.as_slice())
            + self.payload.as_ref().map_or(0, Vec::len)
    }
}

/// A record without its vector.
#[derive(PartialEq)]
pub struct Body {
    /// The user's name of the record.
    pub id: RecordId,
    /// The write that put it here.
    pub sequence: Sequence,
    /// The data subject, if any.
    pub entity: Option<EntityId>,
    /// JSON text.
    pub payload: Option<Vec<u8>>,
}

impl Drop for Body {
    fn drop(&mut self) {
        self.payload.zeroize();
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Body {
    /// This body with its vector again.
    pub fn with_vector(mut self, vector: Vec<f32>) -> Record {
        Record {
            id: self.id,
            sequence: self.sequence,
            entity: self.entity.take(),
            vector,
            payload: self.payload.take(),
        }
    }
}

/// Why bytes are no vector or body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not the format.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Written by a later version.
    #[error("record format {found} is newer than {max}, the newest known")]
    NewerFormat {
        /// The version in the bytes.
        found: u8,
        /// The newest version this build reads.
        max: u8,
    },
}

/// The body of `record` as it is sealed: version, flags, id (a number as varint), sequence, entity, payload, zeros up to a
/// Padmé size.
/// The payload is compressed (zstd, level 3) where that makes it smaller.
pub fn encode_body(record: &Record) -> Zeroizing<Vec<u8>> {
    let payload = record.payload.as_deref();
    let packed = payload.and_then(compress).map(Zeroizing::new);
    let stored = packed.as_ref().map_or(payload, |packed| Some(packed.as_slice()));
    let entity = record.entity.as_ref().map(EntityId::as_str);

    // Room for everything at once: a growing vector would leave copies of people's data behind.
    let size = 64 + entity.map_or(0, str::len) + stored.map_or(0, <[u8]>::len);
    let mut out = Zeroizing::new(Vec::with_capacity(padme(size)));
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(VERSION);
    let is_uuid = matches!(record.id, RecordId::Uuid(_));
    let optional = flag(entity.is_some(), HAS_ENTITY) | flag(payload.is_some(), HAS_PAYLOAD);
    out.push(optional | flag(packed.is_some(), COMPRESSED) | flag(is_uuid, IS_UUID));
    match record.id {
        RecordId::Num(number) => put_varint(&mut out, number),
        RecordId::Uuid(uuid) => out.extend_from_slice(uuid.as_bytes()),
    }
    put_varint(&mut out, record.sequence);
    if let Some(entity) = entity {
        put_sized(&mut out, entity.as_bytes());
    }
    if let Some(stored) = stored {
        put_sized(&mut out, stored);
    }
    let padded = padme(out.len());
    out.resize(padded, 0);
    out
}

/// Reads what [`encode_body`] wrote.
///
/// # Errors
/// [`RecordError`] for any bytes that it did not write.
pub fn decode_body(bytes: &[u8]) -> Result<Body, RecordError> {
    let mut reader = Reader::new(bytes);
    let version = reader.u8("version")?;
    if version > VERSION {
        return Err(RecordError::NewerFormat { found: version, max: VERSION });
    }
    let flags = reader.u8("flags")?;
    if version != VERSION || flags & !(HAS_ENTITY | HAS_PAYLOAD | COMPRESSED | IS_UUID) != 0 {
        return Err(Malformed("flags").into());
    }
    let id = match flags & IS_UUID {
        0 => RecordId::Num(reader.varint("record id")?),
        _ => RecordId::Uuid(Uuid::from_bytes(reader.array("record id")?)),
    };
    let sequence = reader.varint("sequence")?;
    let mut body = Body { id, sequence, entity: None, payload: None };
    if flags & HAS_ENTITY != 0 {
        let text = std::str::from_utf8(reader.sized("entity")?).map_err(|_| Malformed("entity"))?;
        body.entity = Some(EntityId::new(text).map_err(|_| Malformed("entity"))?);
    }
    if flags & HAS_PAYLOAD != 0 {
        let stored = reader.sized("payload")?;
        body.payload = Some(if flags & COMPRESSED != 0 { inflate(stored)? } else { stored.to_vec() });
    } else if flags & COMPRESSED != 0 {
        return Err(Malformed("flags").into());
    }
    let padding = reader.rest();
    let used = bytes.len() - padding.len();
    if bytes.len() != padme(used) || padding.iter().any(|&byte| byte != 0) {
        return Err(Malformed("padding").into());
    }
    Ok(body)
}

/// A vector as bytes: 32-bit floats, little endian.
pub fn encode_vector(vector: &[f32]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(size_of_val(vector)));
    out.extend(vector.iter().flat_map(|x| x.to_le_bytes()));
    out
}

/// Reads what [`encode_vector`] wrote.
///
/// # Errors
/// [`RecordError::Malformed`] if the length is no multiple of four bytes.
pub fn decode_vector(bytes: &[u8]) -> Result<Vec<f32>, RecordError> {
    let mut out = Vec::with_capacity(bytes.len() / 4);
    decode_vector_into(bytes, &mut out)?;
    Ok(out)
}

/// [`decode_vector`] into a buffer that is cleared first and reused.
///
/// # Errors
/// As [`decode_vector`].
pub fn decode_vector_into(bytes: &[u8], out: &mut Vec<f32>) -> Result<(), RecordError> {
    let (numbers, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(Malformed("vector length").into());
    }
    out.clear();
    out.extend(numbers.iter().map(|&number| f32::from_le_bytes(number)));
    Ok(())
}

/// The payload's length and its zstd frame, if both together are shorter and it may be inflated again.
fn compress(payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() > MAX_INFLATED {
        return None;
    }
    let frame = Zeroizing::new(zstd::bulk::compress(payload, ZSTD_LEVEL).ok()?);
    let mut out = Zeroizing::new(Vec::with_capacity(frame.len() + 10));
    put_varint(&mut out, payload.len() as u64);
    out.extend_from_slice(&frame);
    (out.len() < payload.len()).then(|| std::mem::take(&mut *out))
}

/// Reads what [`compress`] wrote. The length before the frame bounds what the frame may become.
fn inflate(packed: &[u8]) -> Result<Vec<u8>, Malformed> {
    const WHAT: Malformed = Malformed("compressed payload");
    let mut reader = Reader::new(packed);
    let len = usize::try_from(reader.varint(WHAT.0)?).map_err(|_| WHAT)?;
    if len > MAX_INFLATED {
        return Err(WHAT);
    }
    let payload = zstd::bulk::decompress(reader.rest(), len).map_err(|_| WHAT)?;
    if payload.len() == len { Ok(payload) } else { Err(WHAT) }
}

/// The Padmé size for `len` bytes: the next length whose lowest bits are zero, so that lengths below `M` show only
/// O(log log M) bits at a cost of at most 12 % (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and
/// Communication with PURBs", PoPETs 2019, Algorithm 1).
pub fn padme(len: usize) -> usize {
    let Some(exponent @ 1..) = len.checked_ilog2() else {
        return len;
    };
    let zero_bits = exponent - (exponent.ilog2() + 1);
    len.checked_next_multiple_of(1 << zero_bits).unwrap_or(len)
}

#[cfg(test)]
mod tests;
