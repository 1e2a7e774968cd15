//! What somebody said about a collection: which fields are indexed, what payloads must be like, how much it may hold and
//! for how long.
//!
//! Invariant: the manifest holds it as the collection's schema, whole; no bytes at all where nothing was said.

use std::sync::Arc;

use privacy::Window;
use serde::{Deserialize, Serialize};

use crate::declared::Declared;
use crate::error::{Error, Result};
use crate::kept::Retention;
use crate::limits::Limits;
use crate::schema::Schema;
use crate::shape::PayloadShape;

/// The rules of a collection.
#[derive(Clone, Default)]
pub(crate) struct Rules {
    pub declared: Arc<Declared>,
    /// With every path in its one form.
    pub schema: Arc<Schema>,
    /// What the schema asks for.
    pub shape: Arc<PayloadShape>,
    pub limits: Limits,
    /// None keeps records for ever.
    pub retention: Option<Retention>,
}

/// The rules as the manifest has them.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Stored {
    indexes: Declared,
    schema: Schema,
    limits: Limits,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<Retention>,
}

impl Rules {
    /// The rules in a collection's schema.
    ///
    /// # Errors
    /// `Corrupt` for bytes that are none.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let wrong = || Error::corrupt("a collection has rules that cannot be read");
        let stored: Stored = serde_json::from_slice(bytes).map_err(|_| wrong())?;
        let Stored { indexes, schema, limits, retention } = stored;
        if retention.is_some_and(|retention| Window::from_ms(retention.window_ms).is_err()) {
            return Err(wrong());
        }
        let rules = Self { declared: Arc::new(indexes), limits, retention, ..Self::default() };
        let rules = rules.with_schema(&schema).map_err(|_| wrong())?;
        // One set of rules has one encoding: bytes that are not it were written by something else.
        if rules.encode() == bytes { Ok(rules) } else { Err(wrong()) }
    }

    /// The bytes that say this.
    pub fn encode(&self) -> Vec<u8> {
        let (indexes, schema) = ((*self.declared).clone(), (*self.schema).clone());
        let stored = Stored { indexes, schema, limits: self.limits, retention: self.retention };
        // Maps of strings to words, and numbers, are always JSON.
        if stored == Stored::default() { Vec::new() } else { serde_json::to_vec(&stored).unwrap_or_default() }
    }

    /// These with other fields indexed.
    pub fn with_declared(&self, declared: Declared) -> Self {
        Self { declared: Arc::new(declared), ..self.clone() }
    }

    /// These with another schema.
    ///
    /// # Errors
    /// `Invalid` for one that is not usable.
    pub fn with_schema(&self, schema: &Schema) -> Result<Self> {
        let (shape, schema) = PayloadShape::of(schema)?;
        Ok(Self { schema: Arc::new(schema), shape: Arc::new(shape), ..self.clone() })
    }

    /// These with other limits.
    pub fn with_limits(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// These with another window, or none.
    pub fn with_retention(&self, retention: Option<Retention>) -> Self {
        Self { retention, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::FieldType;

    #[test]
    fn rules_come_back_as_they_went_in() {
        let none = Rules::default();
        assert!(none.encode().is_empty());
        let indexed = none.with_declared(Declared::default().with("a.b", FieldType::Time).unwrap());
        let typed = none.with_schema(&Schema::new().list("\"t\"", FieldType::Text).require(["t"]).strict()).unwrap();
        let limited = none.with_limits(Limits { records_max: Some(7), payload_bytes_max: None });
        let all = indexed.with_schema(&typed.schema).unwrap().with_limits(limited.limits);
        let kept = all.with_retention(Some(Retention { window_ms: Window::MIN_MS, since_ms: 7 }));
        for rules in [none, indexed, typed, limited, all, kept] {
            let again = Rules::decode(&rules.encode()).unwrap();
            assert!(again.declared == rules.declared && again.schema == rules.schema && again.limits == rules.limits);
            assert_eq!(again.retention, rules.retention);
            assert_eq!(again.encode(), rules.encode());
        }
    }

    #[test]
    fn what_is_no_rules_is_damage() {
        for text in [
            "x",
            "[]",
            r#"{"colour": 1}"#,
            r#"{"indexes": {"a": "colour"}}"#,
            r#"{"indexes": {"a[": "text"}}"#,
            r#"{"indexes": {"\"a\"": "text"}}"#,
            r#"{"schema": {"fields": {"a[": "text"}}}"#,
            r#"{"schema": {"required": ["a"]}}"#,
            r#"{"limits": {"records_max": -1}}"#,
            r#"{"retention": {"window_ms": 1, "since_ms": 0}}"#,
        ] {
            assert!(Rules::decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
