//! What a condition compares with: a string, a number, true or false.

use serde_json::Value;

use super::json::TEXT_BYTES_MAX;
use super::number::Number;
use crate::wiped::Wiped;

/// A single value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scalar {
    Flag(bool),
    Number(Number),
    Text(Wiped),
}

impl Scalar {
    /// The value as JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Flag(flag) => (*flag).into(),
            Self::Number(number) => number.to_json(),
            Self::Text(text) => text.to_string().into(),
        }
    }

    /// The single value that `value` is, if it is one.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(flag) => Some(Self::Flag(*flag)),
            Value::Number(number) => Number::of_json(number).map(Self::Number),
            Value::String(text) => Some(Self::Text(text.as_str().into())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Whether `value` is this one.
    pub fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Flag(flag), Value::Bool(other)) => flag == other,
            (Self::Number(number), Value::Number(other)) => Number::of_json(other).as_ref() == Some(number),
            (Self::Text(text), Value::String(other)) => **text == *other.as_str(),
            _ => false,
        }
    }
}

/// What a filter compares with, in Rust: a string, a number, true or false.
///
/// A float that is infinite or not a number, or a string of over 1 MiB, makes the filter unusable, which whoever runs it
/// is told.
#[derive(Clone)]
pub struct Operand(pub(super) Option<Scalar>);

impl Operand {
    /// The value, unless nothing is compared with it.
    pub(crate) fn into_scalar(self) -> Option<Scalar> {
        self.0
    }
}

/// The value is none that anything is compared with: null, a list or an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a string, a number, true or false is expected")]
pub struct NoOperand;

impl TryFrom<&Value> for Operand {
    type Error = NoOperand;

    fn try_from(value: &Value) -> Result<Self, NoOperand> {
        Scalar::of(value).map(|scalar| Self(Some(scalar))).ok_or(NoOperand)
    }
}

impl From<bool> for Operand {
    fn from(flag: bool) -> Self {
        Self(Some(Scalar::Flag(flag)))
    }
}

impl From<&str> for Operand {
    fn from(text: &str) -> Self {
        Self((text.len() <= TEXT_BYTES_MAX).then(|| Scalar::Text(text.into())))
    }
}

impl From<String> for Operand {
    fn from(text: String) -> Self {
        Self((text.len() <= TEXT_BYTES_MAX).then(|| Scalar::Text(text.into())))
    }
}

impl From<f64> for Operand {
    fn from(float: f64) -> Self {
        Self(Number::of_float(float).map(Scalar::Number))
    }
}

macro_rules! from_integers {
    ($($integer:ty),*) => {
        $(impl From<$integer> for Operand {
            fn from(integer: $integer) -> Self {
                Self(Some(Scalar::Number(Number::Integer(integer.into()))))
            }
        })*
    };
}

from_integers!(i32, i64, u32, u64);
