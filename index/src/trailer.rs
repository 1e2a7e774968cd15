//! What the bytes of codes and of a graph end with.
//!
//! Invariant: nothing of the bytes is believed before their trailer was read. It stands at the end, so that rows and lists
//! begin at the start of a page; apart from both `codes` and `graph`, because both are written and read.

use crate::decode_error::DecodeError;
use crate::source::Source;

/// Bytes behind the last row or list.
pub(crate) const TRAILER: usize = 8;

/// Four bytes of the format's own, of which the first is its version, and the number of rows (4 bytes, little-endian).
pub(crate) struct Trailer {
    pub fields: [u8; 4],
    pub rows: usize,
    /// Bytes before it.
    pub body: usize,
}

impl Trailer {
    pub fn encode(fields: [u8; 4], rows: usize) -> [u8; TRAILER] {
        let [r0, r1, r2, r3] = (rows as u32).to_le_bytes();
        let [f0, f1, f2, f3] = fields;
        [f0, f1, f2, f3, r0, r1, r2, r3]
    }

    /// Reads the trailer of a format whose newest version is `newest`. Bytes of an older version are as good as none:
    /// they are derived, and derived again.
    pub fn read<S: Source + ?Sized>(source: &S, newest: u8) -> Result<Self, S::Error> {
        let body = source.length().checked_sub(TRAILER).ok_or(DecodeError::Length)?;
        let mut bytes = [0; TRAILER];
        source.read(body, &mut bytes)?;
        let [f0, f1, f2, f3, rows @ ..] = bytes;
        match f0 {
            found if found > newest => Err(DecodeError::NewerFormat { found, newest }.into()),
            found if found < newest => Err(DecodeError::Range { what: "version" }.into()),
            _ => Ok(Self { fields: [f0, f1, f2, f3], rows: u32::from_le_bytes(rows) as usize, body }),
        }
    }
}
