//! Names of things: records, collections, segments, rows and writes.
//!
//! Only a [`RecordId`] is chosen by users. The others are random bytes or counters and say nothing about anyone.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Number of a write, rising for ever inside an environment.
pub type Sequence = u64;

/// The highest number that anything is counted to: no store lives that long, and one more always fits.
pub const NUMBER_MAX: u64 = 1 << 62;

/// A user's name of a record. Numbers sort before UUIDs. In JSON a number, or a UUID as a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RecordId {
    /// A 64-bit number.
    Num(u64),
    /// A UUID of any version, ordered by its bytes.
    Uuid(Uuid),
}

impl From<u64> for RecordId {
    fn from(number: u64) -> Self {
        Self::Num(number)
    }
}

impl From<Uuid> for RecordId {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Num(number) => number.fmt(f),
            Self::Uuid(uuid) => uuid.fmt(f),
        }
    }
}

/// The text is neither a decimal number below 2^64 nor a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record id is a decimal number below 2^64 or a UUID")]
pub struct ParseRecordIdError;

impl FromStr for RecordId {
    type Err = ParseRecordIdError;

    /// Decimal digits (no sign) are a number, everything else must be a UUID.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with('+')
            && let Ok(number) = text.parse()
        {
            return Ok(Self::Num(number));
        }
        Uuid::try_parse(text).map(Self::Uuid).map_err(|_| ParseRecordIdError)
    }
}

/// Random name of a collection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct CollectionId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// Random name of a row, the same in every segment the row is copied to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub [u8; 16]);

impl fmt::Debug for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CollectionId({:032x})", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowId({:032x})", u128::from_be_bytes(self.0))
    }
}

/// Number of a segment inside an environment, never used twice; shown as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct SegmentId(#[n(0)] pub u64);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_ids_print_and_parse() {
        let uuid = RecordId::Uuid(Uuid::from_bytes([0xab; 16]));
        for id in [RecordId::Num(0), RecordId::Num(u64::MAX), uuid] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "-1", "+1", "18446744073709551616", "1.0", "abc"] {
            assert_eq!(text.parse::<RecordId>(), Err(ParseRecordIdError), "{text}");
        }
        assert!(RecordId::Num(u64::MAX) < uuid);
    }

    #[test]
    fn segments_print_as_sixteen_digits() {
        assert_eq!(SegmentId(0xbeef).to_string(), "000000000000beef");
        assert_eq!(format!("{:?}", RowId([1; 16])), format!("RowId({})", "01".repeat(16)));
    }
}
