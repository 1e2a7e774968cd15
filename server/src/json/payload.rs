//! A payload as it arrives: any JSON in which no object repeats a member.
//!
//! Invariant: nothing of a payload is dropped silently; `serde_json` alone keeps the last of equal members.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How the error about a repeated member starts.
pub const REPEATED: &str = "repeated member";

/// Any JSON value without repeated members.
pub struct Payload(pub Value);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PayloadVisitor).map(Payload)
    }
}

struct PayloadVisitor;

impl<'de> Visitor<'de> for PayloadVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Payload(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Payload(value))) = members.next_entry::<String, Payload>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom(REPEATED));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_json_comes_out_as_it_went_in() {
        let text = r#"{"a":[null,true,-1,18446744073709551615,0.5,"é\n",[]],"b":{"a":{}}}"#;
        let Payload(value) = serde_json::from_str(text).unwrap();
        assert_eq!(value.to_string(), text);
        for text in ["null", "7", "\"x\"", "[[[]]]"] {
            assert_eq!(serde_json::from_str::<Payload>(text).unwrap().0.to_string(), text);
        }
    }

    #[test]
    fn a_repeated_member_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            let error = serde_json::from_str::<Payload>(text).err().unwrap();
            assert!(error.to_string().starts_with(REPEATED), "{error}");
        }
        let deep = "[".repeat(200);
        assert!(serde_json::from_str::<Payload>(&deep).is_err());
    }
}
