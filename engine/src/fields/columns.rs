//! What the columns of a field mean, and how a value becomes a key.
//!
//! Invariant: inside a column keys are ordered as the values are, and no two values of a field share a column and a key.

use crate::declared::FieldType;
use crate::filter::Number;

/// Texts no longer than [`text_max`].
pub const TEXT: u8 = 1;
/// Integers that fit `i64`.
pub const INTEGER: u8 = 2;
/// Greater integers.
pub const UNSIGNED: u8 = 3;
/// Numbers of any other value.
pub const FLOAT: u8 = 4;
/// False and true.
pub const FLAG: u8 = 5;
/// As how many values each found one counts.
pub const COUNT: u8 = 6;
/// Moments between 1677 and 2262, of fields that were declared so.
pub const MOMENT: u8 = 7;
/// Words of texts of any length, of fields that were declared so.
pub const WORD: u8 = 8;
/// Facts about rows.
pub const MARK: u8 = 9;

/// The columns of numbers.
pub const NUMBERS: [u8; 3] = [INTEGER, UNSIGNED, FLOAT];

/// Facts in the column [`MARK`].
pub mod mark {
    /// A null was found.
    pub const NULL: u64 = 0;
    /// Something was found that is neither null nor an empty list.
    pub const FILLED: u64 = 1;
    /// More than one text was found, so that words may be of different ones.
    pub const SEVERAL: u64 = 2;
    /// A text was found that is too long for its column.
    pub const LONG: u64 = 3;
    /// A moment was found that is too far away for its column.
    pub const FAR: u64 = 4;
    /// A value was found, of a field whose values were too many to be indexed.
    pub const UNREAD: u64 = 5;
}

const SIGN: u64 = 1 << 63;

/// The longest texts in the column of texts, in bytes.
pub fn text_max(kind: u8) -> usize {
    if kind == FieldType::Keyword.code() { 512 } else { 64 }
}

/// The key of an integer among others.
pub fn of_integer(integer: i64) -> u64 {
    integer as u64 ^ SIGN
}

/// The integer of a key.
pub fn to_integer(key: u64) -> i64 {
    (key ^ SIGN) as i64
}

/// Column and key of a number.
pub fn of_number(number: Number) -> (u8, u64) {
    let float = match number {
        Number::Float(float) => float,
        Number::Integer(integer) => match (i64::try_from(integer), u64::try_from(integer)) {
            (Ok(integer), _) => return (INTEGER, of_integer(integer)),
            (_, Ok(integer)) => return (UNSIGNED, integer),
            // Only a float can have been so low.
            _ => integer as f64,
        },
    };
    let bits = float.to_bits();
    (FLOAT, if bits & SIGN == 0 { bits | SIGN } else { !bits })
}

/// The number of a key in one of the [`NUMBERS`], or a count.
pub fn to_number(column: u8, key: u64) -> Option<Number> {
    match column {
        INTEGER => Some(Number::Integer(to_integer(key).into())),
        UNSIGNED | COUNT => Some(Number::Integer(key.into())),
        _ => Number::of_float(f64::from_bits(if key & SIGN == 0 { !key } else { key & !SIGN })),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers() -> impl Strategy<Value = serde_json::Number> {
        let float = prop_oneof![any::<f64>(), (-9..9_i32).prop_map(|n| f64::from(n) / 2.0), Just(-18e18), Just(2e19)];
        let float = float.prop_filter_map("finite", serde_json::Number::from_f64);
        prop_oneof![any::<i64>().prop_map(Into::into), any::<u64>().prop_map(Into::into), float]
    }

    proptest! {
        #[test]
        fn keys_are_ordered_as_numbers_are(a in numbers(), b in numbers()) {
            let (a, b) = (Number::of_json(&a).unwrap(), Number::of_json(&b).unwrap());
            let ((a_column, a_key), (b_column, b_key)) = (of_number(a), of_number(b));
            prop_assert!(to_number(a_column, a_key) == Some(a));
            if a_column == b_column {
                prop_assert_eq!(a.cmp(&b), a_key.cmp(&b_key));
            } else {
                prop_assert!(a != b);
            }
        }
    }
}
