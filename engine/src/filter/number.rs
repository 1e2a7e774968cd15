//! A number of a payload or a filter, as exact as JSON wrote it.
//!
//! Invariant: numbers compare by their mathematical values, whether they came as integers or as floats: an `f64` cannot
//! tell integers beyond 2^53 apart, and here ids and timestamps are such integers. One value has one form.

use std::cmp::Ordering;

/// A finite number.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// Any value without a fraction between -2^64 and 2^64.
    Integer(i128),
    /// Any other.
    Float(f64),
}

/// No integer that a payload can hold is as large.
const INTEGER_END: f64 = 18_446_744_073_709_551_616.0;

impl Number {
    /// The value of `float`; `None` if that is infinite or no number.
    pub fn of_float(float: f64) -> Option<Self> {
        if !float.is_finite() {
            return None;
        }
        let is_integer = float.trunc() == float && float.abs() < INTEGER_END;
        Some(if is_integer { Self::Integer(float as i128) } else { Self::Float(float) })
    }

    /// The value of a number of a JSON text.
    pub fn of_json(number: &serde_json::Number) -> Option<Self> {
        let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        integer.map(Self::Integer).or_else(|| number.as_f64().and_then(Self::of_float))
    }

    /// The number as JSON writes it.
    pub fn to_json(self) -> serde_json::Value {
        match self {
            Self::Integer(integer) => match (i64::try_from(integer), u64::try_from(integer)) {
                (Ok(integer), _) => integer.into(),
                (_, Ok(integer)) => integer.into(),
                // Only a float can have been so low.
                _ => (integer as f64).into(),
            },
            Self::Float(float) => float.into(),
        }
    }
}

// A float here is never the one that does not equal itself.
impl Eq for Number {}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Integer(a), Self::Float(b)) => between(*a, *b),
            (Self::Float(a), Self::Integer(b)) => between(*b, *a).reverse(),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How `integer` compares with a float that is no integer, or beyond all of them.
fn between(integer: i128, float: f64) -> Ordering {
    // The cast keeps to the ends of its range, which lie beyond every integer here.
    integer.cmp(&(float.floor() as i128)).then(Ordering::Less)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers() -> impl Strategy<Value = serde_json::Number> {
        let near = |around: i128| (-3..=3_i128).prop_map(move |by| around + by);
        let integer = prop_oneof![
            any::<i64>().prop_map(i128::from),
            near(0),
            near(1 << 53),
            near(1 << 62),
            near(i128::from(i64::MAX))
        ];
        let integer = integer.prop_map(|integer| serde_json::Number::from_i128(integer).unwrap());
        let float = prop_oneof![
            any::<f64>(),
            (-40..40_i32).prop_map(|n| f64::from(n) / 4.0),
            Just(9_007_199_254_740_993.0),
            Just(INTEGER_END)
        ];
        let float = float.prop_filter_map("finite", serde_json::Number::from_f64);
        prop_oneof![integer, any::<u64>().prop_map(Into::into), float]
    }

    /// The value as `mantissa * 2^exponent`, compared by long multiplication of nothing but integers.
    fn exactly(number: &serde_json::Number) -> (i128, i32) {
        if let Some(integer) = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from)) {
            return (integer, 0);
        }
        let bits = number.as_f64().unwrap().to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as i32;
        let fraction = (bits & ((1 << 52) - 1)) as i128;
        let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 52 };
        (if bits >> 63 == 1 { -mantissa } else { mantissa }, exponent.max(1) - 1075)
    }

    fn compare(a: (i128, i32), b: (i128, i32)) -> Ordering {
        if a.0.signum() != b.0.signum() || a.0 == 0 {
            return a.0.signum().cmp(&b.0.signum());
        }
        // The position of the highest bit decides, or else the mantissas brought to one exponent.
        let high = |(mantissa, exponent): (i128, i32)| 127 - mantissa.unsigned_abs().leading_zeros() as i32 + exponent;
        let by_size = high(a).cmp(&high(b)).then_with(|| {
            let least = a.1.min(b.1);
            (a.0.unsigned_abs() << (a.1 - least)).cmp(&(b.0.unsigned_abs() << (b.1 - least)))
        });
        if a.0 < 0 { by_size.reverse() } else { by_size }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn numbers_compare_by_their_values(a in numbers(), b in numbers()) {
            let (x, y) = (Number::of_json(&a).unwrap(), Number::of_json(&b).unwrap());
            let expected = compare(exactly(&a), exactly(&b));
            prop_assert_eq!(x.cmp(&y), expected);
            prop_assert_eq!(x == y, expected == Ordering::Equal);
        }

        #[test]
        fn numbers_are_written_as_they_were(a in numbers()) {
            let number = Number::of_json(&a).unwrap();
            let serde_json::Value::Number(again) = number.to_json() else { panic!("not a number") };
            prop_assert!(Number::of_json(&again).unwrap() == number);
        }
    }
}
