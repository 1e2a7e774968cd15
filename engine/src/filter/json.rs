//! JSON as it came, before anyone knows whether it is a filter.
//!
//! Invariant: repeated members are still there to be refused, and whatever a text holds, what is read of it is bounded
//! in depth, in number and in length before it is looked at.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::number::Number;
use crate::wiped::Wiped;

/// JSON is read so deep: filters nested as deep as they may be, and what a condition holds, take less.
const DEPTH_MAX: usize = 64;
/// So many values are read, lists of ids among them.
const VALUES_MAX: usize = 1 << 17;

/// So long are the texts that are read: longer than any payload is by default.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;

/// What an error about a filter starts with: behind it no word is a caller's.
pub const FILTER_FAULT: &str = "a wrong filter";

/// How an error about a filter reads, somewhere behind [`FILTER_FAULT`], that is right but for its size.
pub const FILTER_TOO_COMPLEX: [&str; 3] = ["nested at most", "at most 1024 clauses", "it has over"];

/// A JSON value.
pub(crate) enum Json {
    Null,
    Flag(bool),
    Number(Number),
    Text(Wiped),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
    /// Something inside more than is read.
    Deep,
    /// A text that is longer than is read.
    Long,
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Room { depth: DEPTH_MAX, values: &Cell::new(VALUES_MAX) }.deserialize(deserializer)
    }
}

/// What may still be read.
#[derive(Clone, Copy)]
struct Room<'a> {
    depth: usize,
    values: &'a Cell<usize>,
}

impl Room<'_> {
    /// Room for what is inside.
    fn below(self) -> Option<Self> {
        self.depth.checked_sub(1).map(|depth| Self { depth, ..self })
    }

    fn take<E: Error>(self) -> Result<(), E> {
        let left = self.values.get().checked_sub(1);
        self.values.set(left.ok_or_else(|| E::custom(format!("{FILTER_FAULT}: it has over {VALUES_MAX} values")))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Room<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.take()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Room<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Flag(flag))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Json, E> {
        Ok(Json::Number(Number::Integer(integer.into())))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Json, E> {
        Ok(Json::Number(Number::Integer(integer.into())))
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<Json, E> {
        let number = Number::of_float(float).map(Json::Number);
        number.ok_or_else(|| E::custom(format!("{FILTER_FAULT}: it has a number that is not finite")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(if text.len() > TEXT_BYTES_MAX { Json::Long } else { Json::Text(text.into()) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let Some(room) = self.below() else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Json::Deep);
        };
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(room)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let Some(room) = self.below() else {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Json::Deep);
        };
        let mut object = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            object.push((name, members.next_value_seed(room)?));
        }
        Ok(Json::Object(object))
    }
}
