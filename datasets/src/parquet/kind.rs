//! What the values of a column mean, and how one is said in JSON.
//!
//! Invariant: nothing is rounded on the way: what JSON numbers cannot hold becomes text or a complaint.

use jiff::civil::{Date, Time};
use jiff::{Span, Timestamp};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::schema::types::ColumnDescriptor;
use serde_json::{Number, Value};

use super::values::Values;

/// How the stored numbers and bytes of a column are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
    Text,
    Json,
    Uuid,
    Decimal { scale: u32 },
    Date,
    Time { per_second: i64 },
    Timestamp { per_second: i64 },
}

const UNKNOWN: &str = "holds values of a kind that JSON has no form for";
const MILLI: i64 = 1_000;
const MICRO: i64 = 1_000_000;
const NANO: i64 = 1_000_000_000;

impl Kind {
    /// The kind of a column.
    pub fn of(column: &ColumnDescriptor) -> Result<Self, &'static str> {
        match column.logical_type_ref() {
            Some(logical) => Self::of_logical(logical, column),
            None => Self::of_converted(column),
        }
        .filter(|kind| kind.fits(column.physical_type()))
        .ok_or(UNKNOWN)
    }

    fn of_logical(logical: &LogicalType, column: &ColumnDescriptor) -> Option<Self> {
        let per_second = |unit: &TimeUnit| match unit {
            TimeUnit::MILLIS => MILLI,
            TimeUnit::MICROS => MICRO,
            TimeUnit::NANOS => NANO,
        };
        match logical {
            LogicalType::String | LogicalType::Enum => Some(Self::Text),
            LogicalType::Json => Some(Self::Json),
            LogicalType::Uuid => Some(Self::Uuid),
            LogicalType::Float16 => Some(Self::Float),
            LogicalType::Date => Some(Self::Date),
            LogicalType::Time(time) => Some(Self::Time { per_second: per_second(&time.unit) }),
            LogicalType::Timestamp(time) => Some(Self::Timestamp { per_second: per_second(&time.unit) }),
            LogicalType::Integer(integer) if integer.is_signed => Some(Self::Signed),
            LogicalType::Integer(_) => Some(Self::Unsigned),
            LogicalType::Decimal(decimal) => Some(Self::Decimal { scale: u32::try_from(decimal.scale).ok()? }),
            // Columns of nulls alone.
            LogicalType::Unknown => Self::of_physical(column.physical_type()),
            _ => None,
        }
    }

    fn of_converted(column: &ColumnDescriptor) -> Option<Self> {
        match column.converted_type() {
            ConvertedType::NONE => Self::of_physical(column.physical_type()),
            ConvertedType::UTF8 | ConvertedType::ENUM => Some(Self::Text),
            ConvertedType::JSON => Some(Self::Json),
            ConvertedType::DATE => Some(Self::Date),
            ConvertedType::TIME_MILLIS => Some(Self::Time { per_second: MILLI }),
            ConvertedType::TIME_MICROS => Some(Self::Time { per_second: MICRO }),
            ConvertedType::TIMESTAMP_MILLIS => Some(Self::Timestamp { per_second: MILLI }),
            ConvertedType::TIMESTAMP_MICROS => Some(Self::Timestamp { per_second: MICRO }),
            ConvertedType::INT_8 | ConvertedType::INT_16 | ConvertedType::INT_32 | ConvertedType::INT_64 => {
                Some(Self::Signed)
            }
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => {
                Some(Self::Unsigned)
            }
            ConvertedType::DECIMAL => Some(Self::Decimal { scale: u32::try_from(column.type_scale()).ok()? }),
            _ => None,
        }
    }

    fn of_physical(physical: Physical) -> Option<Self> {
        match physical {
            Physical::BOOLEAN => Some(Self::Bool),
            Physical::INT32 | Physical::INT64 => Some(Self::Signed),
            Physical::INT96 => Some(Self::Timestamp { per_second: NANO }),
            Physical::FLOAT | Physical::DOUBLE => Some(Self::Float),
            // Old writers do not say that their bytes are text; if they are not, the row says so.
            Physical::BYTE_ARRAY => Some(Self::Text),
            Physical::FIXED_LEN_BYTE_ARRAY => Some(Self::Uuid),
        }
    }

    /// Whether values of this kind are stored so; a damaged file can claim anything.
    fn fits(self, physical: Physical) -> bool {
        use Physical::{BOOLEAN, BYTE_ARRAY, DOUBLE, FIXED_LEN_BYTE_ARRAY, FLOAT, INT32, INT64, INT96};
        match self {
            Self::Bool => physical == BOOLEAN,
            Self::Signed | Self::Unsigned => matches!(physical, INT32 | INT64),
            Self::Float => matches!(physical, FLOAT | DOUBLE | FIXED_LEN_BYTE_ARRAY),
            Self::Text | Self::Json => physical == BYTE_ARRAY,
            Self::Uuid => physical == FIXED_LEN_BYTE_ARRAY,
            Self::Decimal { .. } => matches!(physical, INT32 | INT64 | BYTE_ARRAY | FIXED_LEN_BYTE_ARRAY),
            Self::Date => physical == INT32,
            Self::Time { .. } => matches!(physical, INT32 | INT64),
            Self::Timestamp { .. } => matches!(physical, INT64 | INT96),
        }
    }

    /// Whether a vector can be made of it.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Float | Self::Signed | Self::Unsigned)
    }

    /// The value at `at` as JSON.
    pub fn json(self, values: &Values, at: usize) -> Result<Value, &'static str> {
        const MISSING: &str = "lacks a value: the file is damaged";
        match self {
            Self::Bool => values.bool(at).map(Value::Bool).ok_or(MISSING),
            Self::Signed => values.signed(at).map(Value::from).ok_or(MISSING),
            Self::Unsigned => values.unsigned(at).map(Value::from).ok_or(MISSING),
            Self::Float => {
                let number = Number::from_f64(values.float(at).ok_or(MISSING)?);
                number.map(Value::Number).ok_or("holds a number that is not finite")
            }
            Self::Text => text(values.bytes(at).ok_or(MISSING)?).map(Value::from),
            Self::Json => {
                serde_json::from_slice(values.bytes(at).ok_or(MISSING)?).map_err(|_| "holds text that is not JSON")
            }
            Self::Uuid => uuid(values.bytes(at).ok_or(MISSING)?).map(Value::from),
            Self::Decimal { scale } => {
                let digits = values.signed(at).map(i128::from).or_else(|| big_endian(values.bytes(at)?));
                let digits = digits.ok_or("holds a decimal of more than 38 digits")?;
                decimal(digits, scale).map(Value::from).ok_or("holds a decimal of more than 38 digits")
            }
            Self::Date => {
                let days = values.signed(at).ok_or(MISSING)?;
                let date = Span::new().try_days(days).and_then(|days| Date::constant(1970, 1, 1).checked_add(days));
                date.map(|date| date.to_string().into()).map_err(|_| OUT_OF_TIME)
            }
            Self::Time { per_second } => {
                let ticks = values.signed(at).ok_or(MISSING)?;
                time(ticks, per_second).map(|time| time.to_string().into()).ok_or(OUT_OF_TIME)
            }
            Self::Timestamp { per_second } => {
                let ticks = values.signed(at).ok_or(MISSING)?;
                let nanoseconds = i128::from(ticks) * i128::from(NANO / per_second);
                let time = Timestamp::from_nanosecond(nanoseconds);
                time.map(|time| time.to_string().into()).map_err(|_| OUT_OF_TIME)
            }
        }
    }
}

const OUT_OF_TIME: &str = "holds a time that no calendar holds";

fn text(bytes: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(bytes).map_err(|_| "holds bytes that are not UTF-8")
}

fn uuid(bytes: &[u8]) -> Result<String, &'static str> {
    let number: [u8; 16] = bytes.try_into().map_err(|_| "holds bytes that are neither text nor a UUID")?;
    let digits = format!("{:032x}", u128::from_be_bytes(number));
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default());
    Ok(parts.join("-"))
}

/// Two's complement, most significant byte first, of at most 16 bytes.
fn big_endian(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
    (bytes.len() <= size_of::<i128>()).then(|| bytes.iter().fold(sign, |sum, byte| (sum << 8) | i128::from(*byte)))
}

fn decimal(digits: i128, scale: u32) -> Option<String> {
    let one = 10_u128.checked_pow(scale)?;
    let sign = if digits < 0 { "-" } else { "" };
    let (whole, part) = (digits.unsigned_abs() / one, digits.unsigned_abs() % one);
    let width = scale as usize;
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part:0width$}") })
}

fn time(ticks: i64, per_second: i64) -> Option<Time> {
    let (seconds, rest) = (ticks.div_euclid(per_second), ticks.rem_euclid(per_second));
    let [hour, minute, second] = [seconds / 3600, seconds / 60 % 60, seconds % 60].map(|part| i8::try_from(part).ok());
    Time::new(hour?, minute?, second?, i32::try_from(rest * (NANO / per_second)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_numbers_keep_every_digit() {
        assert_eq!(decimal(-1_050, 2).unwrap(), "-10.50");
        assert_eq!(decimal(5, 3).unwrap(), "0.005");
        assert_eq!(decimal(i128::MIN, 0).unwrap(), i128::MIN.to_string());
        assert_eq!(decimal(1, 39), None);
        assert_eq!(big_endian(&[0xff, 0x38]), Some(-200));
        assert_eq!(big_endian(&[0; 17]), None);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let json = |kind: Kind, ticks| kind.json(&Values::Int64(vec![ticks]), 0);
        assert_eq!(json(Kind::Date, 19_782).unwrap(), "2024-02-29");
        assert_eq!(json(Kind::Timestamp { per_second: MILLI }, -1).unwrap(), "1969-12-31T23:59:59.999Z");
        assert_eq!(json(Kind::Time { per_second: MICRO }, 3_661_000_001).unwrap(), "01:01:01.000001");
        for kind in [Kind::Date, Kind::Time { per_second: NANO }, Kind::Timestamp { per_second: MILLI }] {
            assert_eq!(json(kind, i64::MIN), Err(OUT_OF_TIME));
            assert_eq!(json(kind, i64::MAX), Err(OUT_OF_TIME));
        }
    }
}
