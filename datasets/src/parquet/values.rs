//! The values of a leaf column, as they are stored.
//!
//! Invariant: asked for in another form than theirs, or beyond their end, they give nothing: a damaged file can claim both.

use half::f16;
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};

/// Values as they are stored.
pub(super) enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl Values {
    pub fn bool(&self, at: usize) -> Option<bool> {
        if let Self::Bool(values) = self { values.get(at).copied() } else { None }
    }

    /// An integer, or the nanoseconds of an old timestamp.
    pub fn signed(&self, at: usize) -> Option<i64> {
        match self {
            Self::Int32(values) => values.get(at).map(|value| i64::from(*value)),
            Self::Int64(values) => values.get(at).copied(),
            Self::Int96(values) => values.get(at).map(Int96::to_nanos),
            _ => None,
        }
    }

    /// An integer whose highest bit is no sign.
    pub fn unsigned(&self, at: usize) -> Option<u64> {
        match self {
            Self::Int32(values) => values.get(at).map(|value| u64::from(value.cast_unsigned())),
            Self::Int64(values) => values.get(at).map(|value| value.cast_unsigned()),
            _ => None,
        }
    }

    pub fn float(&self, at: usize) -> Option<f64> {
        match self {
            Self::Float(values) => values.get(at).map(|value| f64::from(*value)),
            Self::Double(values) => values.get(at).copied(),
            Self::Fixed(values) => {
                values.get(at)?.data().try_into().ok().map(|bytes| f16::from_le_bytes(bytes).to_f64())
            }
            _ => None,
        }
    }

    pub fn bytes(&self, at: usize) -> Option<&[u8]> {
        match self {
            Self::Bytes(values) => values.get(at).map(ByteArray::data),
            Self::Fixed(values) => values.get(at).map(|value| value.data()),
            _ => None,
        }
    }
}
