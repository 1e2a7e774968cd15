//! Integers, lengths and ids as bytes: the small reader and writer that every format here shares.
//!
//! The reader is total: any bytes give a value or a [`Malformed`], it never looks past its slice, and it never sets
//! memory aside for a length before that many bytes are seen. Integers are little endian; lengths are LEB128 in their
//! shortest form, so that one value has one encoding.

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::id::RecordId;

/// Bytes that are not the format they were read as: what was being read when they stopped making sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// Takes values from the front of a byte slice.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed(what))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed(what))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    /// Four bytes, little endian.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// Eight bytes, little endian.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A LEB128 number in its shortest form, at most ten bytes.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits || (byte == 0 && shift > 0) {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed(what))
    }

    /// A varint that counts things which take at least one byte each, so it cannot exceed the bytes left.
    pub fn count(&mut self, what: &'static str) -> Result<usize, Malformed> {
        let count = usize::try_from(self.varint(what)?).map_err(|_| Malformed(what))?;
        if count > self.rest.len() { Err(Malformed(what)) } else { Ok(count) }
    }

    /// A length as varint, then that many bytes.
    pub fn sized(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let count = self.count(what)?;
        self.bytes(count, what)
    }

    /// A record id as [`put_record_id`] wrote it.
    pub fn record_id(&mut self) -> Result<RecordId, Malformed> {
        match self.u8("record id")? {
            0 => Ok(RecordId::Num(self.u64("record id")?)),
            1 => Ok(RecordId::Uuid(Uuid::from_bytes(self.array("record id")?))),
            _ => Err(Malformed("record id")),
        }
    }

    /// Succeeds if nothing is left.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("trailing bytes")) }
    }
}

/// Bytes of the longest varint.
pub const VARINT_MAX: usize = 10;

/// Appends `value` as LEB128.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Makes room for `more` bytes without leaving those before in freed memory.
pub fn make_room(out: &mut Zeroizing<Vec<u8>>, more: usize) {
    if out.capacity() - out.len() < more {
        let mut grown = Zeroizing::new(Vec::with_capacity(2 * (out.len() + more)));
        grown.extend_from_slice(out);
        *out = grown;
    }
}

/// Appends the length of `bytes` as varint, then `bytes`.
pub fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a record id: one byte for its kind, then 8 bytes (number, little endian) or 16 (UUID).
pub fn put_record_id(out: &mut Vec<u8>, id: RecordId) {
    match id {
        RecordId::Num(number) => {
            out.push(0);
            out.extend_from_slice(&number.to_le_bytes());
        }
        RecordId::Uuid(uuid) => {
            out.push(1);
            out.extend_from_slice(uuid.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_round_trip(numbers: Vec<u64>, bytes: Vec<u8>, uuid: [u8; 16], number: u64) {
            let ids = [RecordId::Num(number), RecordId::Uuid(Uuid::from_bytes(uuid))];
            let mut out = Vec::new();
            numbers.iter().for_each(|&n| put_varint(&mut out, n));
            put_sized(&mut out, &bytes);
            ids.iter().for_each(|&id| put_record_id(&mut out, id));
            let mut reader = Reader::new(&out);
            for n in numbers {
                prop_assert_eq!(reader.varint("n").unwrap(), n);
            }
            prop_assert_eq!(reader.sized("bytes").unwrap(), &bytes[..]);
            for id in ids {
                prop_assert_eq!(reader.record_id().unwrap(), id);
            }
            reader.finish().unwrap();
        }

        #[test]
        fn a_varint_has_one_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.varint("n") {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                prop_assert_eq!(&out[..], &bytes[..bytes.len() - reader.rest().len()]);
            }
        }
    }

    #[test]
    fn lengths_beyond_the_input_are_refused() {
        let mut out = Vec::new();
        put_varint(&mut out, u64::MAX);
        assert_eq!(Reader::new(&out).sized("x"), Err(Malformed("x")));
        assert_eq!(Reader::new(&[1, 2]).finish(), Err(Malformed("trailing bytes")));
        assert_eq!(Reader::new(&[2]).record_id(), Err(Malformed("record id")));
    }
}
