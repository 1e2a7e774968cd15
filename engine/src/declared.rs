//! Which fields of payloads a collection has indexed because somebody said so.
//!
//! Invariant: the manifest holds it as the collection's schema, names ascending; every name is a key path in its own
//! form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use storage::segment::FieldMap;

use crate::error::{Error, Result};
use crate::filter::{Path, WRONG_PATH};

/// Fields that a collection may declare.
const FIELDS_MAX: usize = 64;

/// As what a field of payloads is indexed. Filters mean the same whatever it is: values of other kinds at the field are
/// found as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FieldType {
    /// Texts that are compared whole or by how they start. Longer ones are indexed than at fields that nobody declared.
    Keyword,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Float,
    /// True or false.
    Bool,
    /// Moments as RFC 3339 writes them, found by when they are.
    #[serde(alias = "datetime")]
    Time,
    /// Texts that are found by their words.
    Text,
}

impl FieldType {
    const ALL: [Self; 6] = [Self::Keyword, Self::Integer, Self::Float, Self::Bool, Self::Time, Self::Text];

    /// Its number in an index file. 0 is for fields that nobody declared.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Keyword => 1,
            Self::Integer => 2,
            Self::Float => 3,
            Self::Bool => 4,
            Self::Time => 5,
            Self::Text => 6,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// Fields by their names.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Declared(BTreeMap<String, FieldType>);

impl Declared {
    /// The declarations in a collection's schema.
    ///
    /// # Errors
    /// `Corrupt` for bytes that are none.
    pub fn decode(schema: &[u8]) -> Result<Self> {
        if schema.is_empty() {
            return Ok(Self::default());
        }
        let wrong = || Error::corrupt("a collection has a schema that cannot be read");
        let fields: BTreeMap<String, FieldType> = serde_json::from_slice(schema).map_err(|_| wrong())?;
        let is_own = |name: &String| Path::parse(name).is_some_and(|path| path.to_string() == *name);
        if fields.len() <= FIELDS_MAX && fields.keys().all(is_own) { Ok(Self(fields)) } else { Err(wrong()) }
    }

    /// The schema that says this.
    pub fn encode(&self) -> Vec<u8> {
        // A map of strings to words is always JSON.
        if self.0.is_empty() { Vec::new() } else { serde_json::to_vec(&self.0).unwrap_or_default() }
    }

    /// These and one more.
    ///
    /// # Errors
    /// `Invalid` for a field that is no path, or one too many.
    pub fn with(&self, field: &str, kind: FieldType) -> Result<Self> {
        let mut fields = self.0.clone();
        fields.insert(name(field)?, kind);
        if fields.len() > FIELDS_MAX {
            return Err(Error::invalid(format!("a collection may declare at most {FIELDS_MAX} fields")));
        }
        Ok(Self(fields))
    }

    /// These without one; `None` if it is not among them.
    ///
    /// # Errors
    /// `Invalid` for a field that is no path.
    pub fn without(&self, field: &str) -> Result<Option<Self>> {
        let mut fields = self.0.clone();
        Ok(fields.remove(&name(field)?).map(|_| Self(fields)))
    }

    /// Those that `map` was built for.
    pub fn of(map: &FieldMap) -> Self {
        let declared =
            |field: &storage::segment::Field| Some((field.name.to_string(), FieldType::of_code(field.kind)?));
        Self(map.fields().iter().filter_map(declared).collect())
    }

    /// Names and kinds in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, FieldType)> {
        self.0.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    /// Whether the field of this name is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

fn name(field: &str) -> Result<String> {
    let path = Path::parse(field);
    path.map(|path| path.to_string()).ok_or_else(|| Error::invalid(format!("the field is not usable: {WRONG_PATH}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_comes_back_as_it_went_in() {
        let none = Declared::default();
        assert!(none.encode().is_empty() && Declared::decode(b"").unwrap() == none);
        let two = none.with("a.b", FieldType::Time).unwrap().with("\"a\"[]", FieldType::Text).unwrap();
        assert!(Declared::decode(&two.encode()).unwrap() == two);
        assert_eq!(two.iter().collect::<Vec<_>>(), [("a.b", FieldType::Time), ("a[]", FieldType::Text)]);
        assert!(two.without("a[]").unwrap().unwrap() == none.with("a.b", FieldType::Time).unwrap());
        assert!(two.without("b").unwrap().is_none());
        for text in ["x", "[]", r#"{"a": "colour"}"#, r#"{"a[": "text"}"#, r#"{"\"a\"": "text"}"#] {
            assert!(Declared::decode(text.as_bytes()).is_err(), "{text}");
        }
        assert!(none.with("a[", FieldType::Bool).is_err());
        let full = (0..FIELDS_MAX).fold(none, |all, n| all.with(&format!("f{n}"), FieldType::Bool).unwrap());
        assert!(full.with("f0", FieldType::Text).is_ok() && full.with("g", FieldType::Text).is_err());
    }

    #[test]
    fn kinds_have_numbers_of_their_own() {
        for kind in FieldType::ALL {
            assert_eq!(FieldType::of_code(kind.code()), Some(kind));
        }
        assert_eq!((FieldType::of_code(0), FieldType::of_code(7)), (None, None));
    }
}
