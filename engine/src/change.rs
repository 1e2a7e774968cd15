//! Changes of a record: what becomes of its payload and its vector.
//!
//! Invariant: a change is a function of the record alone, so that a record that was changed meanwhile is changed anew; it
//! never reaches id or entity. Building one never fails; what is not usable is told by whoever makes the change.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::filter::{Path, WRONG_PATH};
use crate::record::Record;

/// What members that are set must be.
const WRONG_MEMBERS: &str = "an object of members to set is expected";

/// One change.
pub(crate) enum Change {
    /// Sets members of the payload, or of the object at a path in it. The others stay.
    Set(Option<Path>, Map<String, Value>),
    /// Puts another payload in the place of the old one.
    Overwrite(Value),
    /// Takes out what is at these paths.
    Delete(Vec<Path>),
    /// Takes the payload away.
    Clear,
    /// Puts another vector in the place of the old one.
    Vector(Vec<f32>),
    /// Not usable, and why.
    Wrong(&'static str),
}

impl Change {
    /// [`Change::Set`].
    pub fn set(key: Option<&str>, members: Value) -> Self {
        let Value::Object(members) = members else { return Self::Wrong(WRONG_MEMBERS) };
        match key.map(Path::parse) {
            None => Self::Set(None, members),
            Some(Some(path)) => Self::Set(Some(path), members),
            Some(None) => Self::Wrong(WRONG_PATH),
        }
    }

    /// [`Change::Delete`].
    pub fn delete(keys: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let paths: Option<Vec<Path>> = keys.into_iter().map(|key| Path::parse(key.as_ref())).collect();
        paths.map_or(Self::Wrong(WRONG_PATH), Self::Delete)
    }

    /// Checks what can be checked without a record.
    ///
    /// # Errors
    /// `Invalid` for a change that is not usable.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Wrong(why) => Err(Error::invalid(format!("the change is not usable: {why}"))),
            _ => Ok(()),
        }
    }

    /// Makes the change.
    pub fn make(&self, record: &mut Record) {
        match self {
            Self::Set(path, members) => set(path.as_ref(), members, &mut record.payload),
            Self::Overwrite(payload) => record.payload = Some(payload.clone()),
            Self::Delete(paths) => {
                if let Some(payload) = &mut record.payload {
                    paths.iter().for_each(|path| path.remove(payload));
                }
            }
            Self::Clear => record.payload = None,
            Self::Vector(vector) => record.vector.clone_from(vector),
            Self::Wrong(_) => {}
        }
    }
}

fn set(path: Option<&Path>, members: &Map<String, Value>, payload: &mut Option<Value>) {
    let mut put = |value: &mut Value| {
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        value.as_object_mut().into_iter().for_each(|object| object.extend(members.clone()));
    };
    let was_missing = payload.is_none();
    let mut root = payload.take().unwrap_or_default();
    match path {
        None => put(&mut root),
        Some(path) => path.reach(&mut root, &mut put),
    }
    // A path through a list that is not there has set nothing.
    *payload = (!was_missing || !root.is_null()).then_some(root);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(payload: Option<Value>, change: &Change) -> Option<Value> {
        let mut record = Record::new(1, vec![0.0]);
        record.payload = payload;
        change.check().unwrap();
        change.make(&mut record);
        record.payload
    }

    #[test]
    fn members_are_set_where_a_path_says() {
        let new = json!({"x": 1});
        for (key, before, after) in [
            (None, None, Some(json!({"x": 1}))),
            (None, Some(json!({"x": {"y": 2}, "z": 3})), Some(json!({"x": 1, "z": 3}))),
            (None, Some(json!([4])), Some(json!({"x": 1}))),
            (Some("a.b"), None, Some(json!({"a": {"b": {"x": 1}}}))),
            (Some("a.b"), Some(json!({"a": {"c": 1}})), Some(json!({"a": {"c": 1, "b": {"x": 1}}}))),
            (Some("a.b"), Some(json!({"a": {"b": {"x": 0, "y": 2}}})), Some(json!({"a": {"b": {"x": 1, "y": 2}}}))),
            (Some("a.b"), Some(json!({"a": [1]})), Some(json!({"a": {"b": {"x": 1}}}))),
            (Some("a[]"), None, None),
            (Some("a[]"), Some(json!(null)), Some(json!(null))),
            (Some("a[].b"), Some(json!({"a": 1})), Some(json!({"a": 1}))),
            (Some("a.b[0]"), Some(json!({"a": 1})), Some(json!({"a": 1}))),
            (Some("a[]"), Some(json!({"a": [{"y": 2}, 3]})), Some(json!({"a": [{"x": 1, "y": 2}, {"x": 1}]}))),
            (Some("a[1].b"), Some(json!({"a": [1, 2]})), Some(json!({"a": [1, {"b": {"x": 1}}]}))),
            (Some("a[2]"), Some(json!({"a": [1, 2]})), Some(json!({"a": [1, 2]}))),
        ] {
            let change = Change::set(key, new.clone());
            assert_eq!(changed(before.clone(), &change), after, "{key:?} in {before:?}");
            // A change that was made is made.
            assert_eq!(changed(after.clone(), &change), after, "{key:?} in {after:?}");
        }
    }

    #[test]
    fn what_is_at_a_path_is_taken_out() {
        for (keys, before, after) in [
            (vec!["a"], json!({"a": {"b": 1}, "c": 2}), json!({"c": 2})),
            (vec!["a.b", "c"], json!({"a": {"b": 1, "d": 3}, "c": 2}), json!({"a": {"d": 3}})),
            (vec!["a.b"], json!({"a": [{"b": 1}]}), json!({"a": [{"b": 1}]})),
            (vec!["a[].b"], json!({"a": [{"b": 1}, 5, {"c": 2}]}), json!({"a": [{}, 5, {"c": 2}]})),
            (vec!["a[1]"], json!({"a": [1, 2, 3]}), json!({"a": [1, 3]})),
            (vec!["a[3]"], json!({"a": [1, 2, 3]}), json!({"a": [1, 2, 3]})),
            (vec!["a[]"], json!({"a": [1, 2, 3]}), json!({"a": []})),
            (vec!["a"], json!([1]), json!([1])),
        ] {
            assert_eq!(changed(Some(before.clone()), &Change::delete(&keys)), Some(after), "{keys:?} in {before}");
            assert_eq!(changed(None, &Change::delete(&keys)), None);
        }
    }

    #[test]
    fn what_is_not_usable_is_told() {
        for wrong in [Change::set(None, json!(1)), Change::set(Some("a["), json!({})), Change::delete(["a", "b..c"])] {
            assert!(wrong.check().is_err());
        }
    }
}
