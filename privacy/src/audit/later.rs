//! An act of the audit log that this version does not know.
//!
//! Invariant: it is handed on as it was found, byte for byte, so that the chain over it holds for every version.

use minicbor::Decoder;
use minicbor::data::Type;

use crate::cbor::{Malformed, length};

/// An act that a later version knows: its number and its fields as they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaterAct {
    code: u64,
    fields: Vec<u8>,
}

impl LaterAct {
    /// The number of its kind.
    pub fn code(&self) -> u64 {
        self.code
    }

    /// Its fields, as they were found.
    pub(super) fn fields(&self) -> &[u8] {
        &self.fields
    }

    /// Reads one of this number.
    pub(super) fn read(code: u64, d: &mut Decoder<'_>) -> Result<LaterAct, Malformed> {
        let start = d.position();
        // Fields are a list, and all that is in them is of definite length, as in every deterministic encoding.
        let mut pending = length(d)?;
        while pending > 0 {
            let inside = match d.datatype()? {
                Type::Array => length(d)?,
                Type::Map => d.map()?.ok_or(Malformed)?.saturating_mul(2),
                Type::Tag => d.tag().map(|_| 1)?,
                Type::Break | Type::ArrayIndef | Type::MapIndef | Type::BytesIndef | Type::StringIndef => {
                    return Err(Malformed);
                }
                _ => d.skip().map(|()| 0)?,
            };
            pending = (pending - 1).saturating_add(inside);
        }
        let fields = d.input().get(start..d.position()).ok_or(Malformed)?.to_vec();
        Ok(LaterAct { code, fields })
    }
}
