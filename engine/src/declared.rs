//! Which fields of payloads a collection has indexed because somebody said so.
//!
//! Invariant: every name is a key path in its own form.

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
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, FieldType>")]
pub(crate) struct Declared(BTreeMap<String, FieldType>);

impl TryFrom<BTreeMap<String, FieldType>> for Declared {
    type Error = Error;

    /// Takes what [`Declared`] once was.
    fn try_from(fields: BTreeMap<String, FieldType>) -> Result<Self> {
        let is_own = |name: &String| Path::parse(name).is_some_and(|path| path.to_string() == *name);
        let is_sound = fields.len() <= FIELDS_MAX && fields.keys().all(is_own);
        if is_sound { Ok(Self(fields)) } else { Err(Error::corrupt("indexed fields are not named as they were")) }
    }
}

impl Declared {
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
    fn fields_come_and_go_under_one_name() {
        let none = Declared::default();
        let two = none.with("a.b", FieldType::Time).unwrap().with("\"a\"[]", FieldType::Text).unwrap();
        assert_eq!(two.iter().collect::<Vec<_>>(), [("a.b", FieldType::Time), ("a[]", FieldType::Text)]);
        assert!(two.without("a[]").unwrap().unwrap() == none.with("a.b", FieldType::Time).unwrap());
        assert!(two.without("b").unwrap().is_none());
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
