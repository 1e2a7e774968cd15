//! What somebody said that the payloads of a collection must be like, in Rust and as JSON.
//!
//! ```json
//! {"fields": {"lang": "keyword", "tags": "keyword[]", "author.born": "time"}, "required": ["lang"], "strict": true}
//! ```
//!
//! Building one never fails; whoever uses it tells what is not usable. What it means is said in [`crate::shape`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::declared::FieldType;

/// What payloads must be like: the types of fields, which of them must be there, and whether there may be others.
/// An empty one asks for nothing.
///
/// Fields are key paths as in filters, of members and of elements of lists (`author.name`, `authors[].name`). What is on
/// the way to a field must be an object or a list, as the path says. A member that is null counts as missing; a null in
/// a list does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    #[serde(default, deserialize_with = "fields")]
    pub(crate) fields: BTreeMap<String, ValueType>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) required: BTreeSet<String>,
    #[serde(default)]
    pub(crate) strict: bool,
}

impl Schema {
    /// One that asks for nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is at this key path is one value of this type: `Keyword` and `Text` are strings, `Integer` a number without a
    /// fraction, `Time` a string as RFC 3339 writes moments.
    #[must_use]
    pub fn field(self, path: impl Into<String>, kind: FieldType) -> Self {
        self.with(path, ValueType { kind: Some(kind), is_list: false })
    }

    /// What is at this key path is a list of values of this type.
    #[must_use]
    pub fn list(self, path: impl Into<String>, kind: FieldType) -> Self {
        self.with(path, ValueType { kind: Some(kind), is_list: true })
    }

    /// Anything may be at this key path.
    #[must_use]
    pub fn any(self, path: impl Into<String>) -> Self {
        self.with(path, ValueType { kind: None, is_list: false })
    }

    /// Something must be at these fields, which are named above and not inside of lists.
    #[must_use]
    pub fn require(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.required.extend(paths.into_iter().map(Into::into));
        self
    }

    /// There may be no other members than those on the way to fields that are named.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn with(mut self, path: impl Into<String>, kind: ValueType) -> Self {
        self.fields.insert(path.into(), kind);
        self
    }
}

/// What is at a field: one value or a list of values of one type; of any where none is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueType {
    pub kind: Option<FieldType>,
    pub is_list: bool,
}

/// Every type that a field can have, as it is written.
const NAMES: [(&str, ValueType); 14] = [
    ("any", ValueType { kind: None, is_list: false }),
    ("any[]", ValueType { kind: None, is_list: true }),
    ("bool", ValueType { kind: Some(FieldType::Bool), is_list: false }),
    ("bool[]", ValueType { kind: Some(FieldType::Bool), is_list: true }),
    ("float", ValueType { kind: Some(FieldType::Float), is_list: false }),
    ("float[]", ValueType { kind: Some(FieldType::Float), is_list: true }),
    ("integer", ValueType { kind: Some(FieldType::Integer), is_list: false }),
    ("integer[]", ValueType { kind: Some(FieldType::Integer), is_list: true }),
    ("keyword", ValueType { kind: Some(FieldType::Keyword), is_list: false }),
    ("keyword[]", ValueType { kind: Some(FieldType::Keyword), is_list: true }),
    ("text", ValueType { kind: Some(FieldType::Text), is_list: false }),
    ("text[]", ValueType { kind: Some(FieldType::Text), is_list: true }),
    ("time", ValueType { kind: Some(FieldType::Time), is_list: false }),
    ("time[]", ValueType { kind: Some(FieldType::Time), is_list: true }),
];

/// What another type is told to be.
const EXPECTED: &str =
    "one of `keyword`, `integer`, `float`, `bool`, `time`, `text`, `any`, or a list such as `keyword[]`,";

impl Serialize for ValueType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Every type is in the table.
        let name = NAMES.iter().find(|(_, kind)| kind == self).map_or("any", |(name, _)| *name);
        serializer.serialize_str(name)
    }
}

impl<'de> Deserialize<'de> for ValueType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = ValueType;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ValueType, E> {
                let found = NAMES.iter().find(|(name, _)| *name == text);
                // What was written instead may be anything, so it is not repeated.
                found.map(|(_, kind)| *kind).ok_or_else(|| E::custom(format_args!("unknown type, expected {EXPECTED}")))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

/// Fields of which none is there twice.
fn fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, ValueType>, D::Error> {
    struct Fields;
    impl<'de> Visitor<'de> for Fields {
        type Value = BTreeMap<String, ValueType>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut fields = BTreeMap::new();
            while let Some((name, kind)) = members.next_entry()? {
                if fields.insert(name, kind).is_some() {
                    return Err(A::Error::custom("repeated member"));
                }
            }
            Ok(fields)
        }
    }
    deserializer.deserialize_map(Fields)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_schema_reads_in_rust_as_in_json() {
        let schema = Schema::new()
            .field("lang", FieldType::Keyword)
            .list("tags", FieldType::Keyword)
            .any("meta")
            .require(["lang"])
            .strict();
        let text = json!({
            "fields": {"lang": "keyword", "tags": "keyword[]", "meta": "any"}, "required": ["lang"], "strict": true,
        });
        assert_eq!(serde_json::to_value(&schema).unwrap(), text);
        assert_eq!(serde_json::from_value::<Schema>(text).unwrap(), schema);
        assert!(serde_json::from_str::<Schema>("{}").unwrap().is_empty() && !schema.is_empty());
        for (name, kind) in NAMES {
            assert_eq!(serde_json::to_value(kind).unwrap(), json!(name));
            assert_eq!(serde_json::from_value::<ValueType>(json!(name)).unwrap(), kind);
        }
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        let refused = |text: &str| serde_json::from_str::<Schema>(text).unwrap_err().to_string();
        for wrong in [json!("color"), json!("keyword[][]"), json!(""), json!(7), Value::Null] {
            let error = refused(&json!({"fields": {"a": wrong}}).to_string());
            assert!(error.contains("expected one of `keyword`") && !error.contains("color"), "{error}");
        }
        assert!(refused(r#"{"fields": {"a": "text", "a": "bool"}}"#).starts_with("repeated member"));
        assert!(refused(r#"{"field": {}}"#).starts_with("unknown field"));
    }
}
