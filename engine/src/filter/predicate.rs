//! What a condition asks of the values that its path finds.
//!
//! Invariant: it holds for a list if it holds for any element of it, one level deep; only the number of values is asked
//! of the list itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::number::Number;
use super::range::{Limits, Range};
use super::scalar::Scalar;
use super::tokens::tokens;
use crate::wiped::Wiped;

/// A question about one value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Predicate {
    /// It is this one.
    Equals(Scalar),
    /// It is one of these.
    AnyOf(BTreeSet<Scalar>),
    /// It is a string, a number, true or false, and none of these.
    Except(BTreeSet<Scalar>),
    /// It is a text with all words of this one, in any order.
    Text(Words),
    /// It is a text that starts like this.
    Prefix(Wiped),
    /// It lies in this range.
    Range(Range),
    /// So many values are there: as many as a list has elements, none for null, else one.
    Count(Limits<Number>),
}

/// A text and its words.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Words {
    text: Wiped,
    /// Each once.
    pub tokens: BTreeSet<Wiped>,
}

impl Words {
    /// The words of `text`.
    pub fn of(text: &str) -> Self {
        Self { text: text.into(), tokens: tokens(text).map(Wiped::from).collect() }
    }

    /// Whether all words are in `text`. No text has all of no words: a query of punctuation finds nothing.
    pub fn are_in(&self, text: &str) -> bool {
        if self.tokens.is_empty() {
            return false;
        }
        let there: BTreeSet<Wiped> = tokens(text).map(Wiped::from).collect();
        self.tokens.is_subset(&there)
    }
}

/// How many values a found value is.
pub(crate) fn count(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Array(items) => items.len(),
        _ => 1,
    }
}

impl Predicate {
    /// Whether it holds for a value that a path found.
    pub fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Count(limits), _) => limits.holds(&Number::Integer(count(value) as i128)),
            (_, Value::Array(items)) => items.iter().any(|item| self.holds_for_one(item)),
            _ => self.holds_for_one(value),
        }
    }

    /// Whether it holds where the path finds nothing: that is no value at all.
    pub fn holds_for_nothing(&self) -> bool {
        matches!(self, Self::Count(limits) if limits.holds(&Number::Integer(0)))
    }

    fn holds_for_one(&self, value: &Value) -> bool {
        match self {
            Self::Equals(scalar) => scalar.is(value),
            Self::AnyOf(scalars) => Scalar::of(value).is_some_and(|scalar| scalars.contains(&scalar)),
            Self::Except(scalars) => Scalar::of(value).is_some_and(|scalar| !scalars.contains(&scalar)),
            Self::Text(words) => value.as_str().is_some_and(|text| words.are_in(text)),
            Self::Prefix(prefix) => value.as_str().is_some_and(|text| text.starts_with(&**prefix)),
            Self::Range(range) => range.holds(value),
            Self::Count(_) => false,
        }
    }

    /// The member of a condition that asks this, and what is in it.
    pub fn to_json(&self) -> (&'static str, Value) {
        let list = |scalars: &BTreeSet<Scalar>| scalars.iter().map(Scalar::to_json).collect::<Value>();
        let matching = |kind: &str, what: Value| ("match", Value::Object(Map::from_iter([(kind.to_owned(), what)])));
        match self {
            Self::Equals(scalar) => matching("value", scalar.to_json()),
            Self::AnyOf(scalars) => matching("any", list(scalars)),
            Self::Except(scalars) => matching("except", list(scalars)),
            Self::Text(words) => matching("text", words.text.to_string().into()),
            Self::Prefix(prefix) => matching("prefix", prefix.to_string().into()),
            Self::Range(range) => ("range", range.to_json()),
            Self::Count(limits) => ("values_count", limits.to_json(|number| number.to_json())),
        }
    }
}
