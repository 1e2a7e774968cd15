//! From where to where: over numbers, over moments, over how many values there are.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::instant::instant;
use super::number::Number;

/// The four ends that a range can have, of which at least one is there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Limits<T> {
    pub lt: Option<T>,
    pub lte: Option<T>,
    pub gt: Option<T>,
    pub gte: Option<T>,
}

// Not derived: that would ask it of `T`.
impl<T> Default for Limits<T> {
    fn default() -> Self {
        Self { lt: None, lte: None, gt: None, gte: None }
    }
}

/// The names of the ends, in the order in which they are written.
pub(crate) const ENDS: [&str; 4] = ["gte", "gt", "lte", "lt"];

impl<T: Ord> Limits<T> {
    /// Whether `value` lies before all that are inside.
    pub fn is_below(&self, value: &T) -> bool {
        self.gte.as_ref().is_some_and(|end| value < end) || self.gt.as_ref().is_some_and(|end| value <= end)
    }

    /// Whether `value` lies behind all that are inside.
    pub fn is_above(&self, value: &T) -> bool {
        self.lte.as_ref().is_some_and(|end| value > end) || self.lt.as_ref().is_some_and(|end| value >= end)
    }

    /// Whether `value` lies inside.
    pub fn holds(&self, value: &T) -> bool {
        !self.is_below(value) && !self.is_above(value)
    }

    /// Whether no end is there.
    pub fn is_open(&self) -> bool {
        [&self.lt, &self.lte, &self.gt, &self.gte].iter().all(|end| end.is_none())
    }

    /// Sets the end of this name, one of [`ENDS`].
    pub fn set(&mut self, name: &str, end: T) {
        let place = match name {
            "lt" => &mut self.lt,
            "lte" => &mut self.lte,
            "gt" => &mut self.gt,
            _ => &mut self.gte,
        };
        *place = Some(end);
    }

    /// The ends as JSON, each as `write` writes it.
    pub fn to_json(&self, write: impl Fn(&T) -> Value) -> Value {
        let ends = [&self.gte, &self.gt, &self.lte, &self.lt];
        let named = ENDS.into_iter().zip(ends).filter_map(|(name, end)| Some((name.to_owned(), write(end.as_ref()?))));
        Value::Object(named.collect::<Map<_, _>>())
    }
}

/// A moment, and how it was written where a filter wrote it.
#[derive(Clone)]
pub(crate) struct Moment {
    /// Nanoseconds since the Unix epoch.
    pub at: i128,
    text: String,
}

impl Moment {
    /// The moment that an RFC 3339 text names.
    pub fn parse(text: &str) -> Option<Self> {
        instant(text).map(|at| Self { at, text: text.to_owned() })
    }

    /// The moment so many nanoseconds after the Unix epoch.
    pub fn at(at: i128) -> Self {
        Self { at, text: String::new() }
    }
}

// Two ways to write a moment are the same moment.
impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Moment {}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A range of values.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Range {
    Numbers(Limits<Number>),
    Moments(Limits<Moment>),
}

impl Range {
    /// Whether `value` is of the kind that the range is of, and inside.
    pub fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Numbers(limits), Value::Number(number)) => {
                Number::of_json(number).is_some_and(|number| limits.holds(&number))
            }
            (Self::Moments(limits), Value::String(text)) => {
                instant(text).is_some_and(|at| limits.holds(&Moment::at(at)))
            }
            _ => false,
        }
    }

    /// The range as JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Numbers(limits) => limits.to_json(|number| number.to_json()),
            Self::Moments(limits) => limits.to_json(|moment| moment.text.as_str().into()),
        }
    }
}
