//! The paths at which a payload has values that are not made of others.
//!
//! Invariant: whatever a key path finds in a payload lies at one of these paths, or on the way to one, or behind it by
//! steps into a list; a path is written as [`Path`](crate::filter::Path) writes it.

use std::collections::BTreeSet;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::filter::write_key;
use crate::wiped::Wiped;

/// The most paths of one payload that are looked at, and the longest, in bytes: a payload that uses its keys as data has
/// no fields.
const PATHS_MAX: usize = 256;
const BYTES_MAX: usize = 256;
/// How deep they go.
const STEPS_MAX: usize = 32;

/// The paths of one payload.
#[derive(Default)]
pub struct Leaves {
    /// Each once.
    pub paths: BTreeSet<Wiped>,
    /// Whether there are others.
    pub has_more: bool,
}

impl Leaves {
    /// The paths of `payload`.
    pub fn of(payload: &Value) -> Self {
        let mut leaves = Self::default();
        // Longer ones grow, and leave pieces of names behind for a moment.
        leaves.walk(payload, &mut Zeroizing::new(String::with_capacity(2 * BYTES_MAX)), 0);
        leaves
    }

    fn walk(&mut self, value: &Value, path: &mut String, steps: usize) {
        match value {
            _ if steps > STEPS_MAX || path.len() > BYTES_MAX => self.has_more = true,
            Value::Object(members) if !members.is_empty() => {
                for (key, value) in members {
                    self.below(path, steps, value, |path| {
                        let dot = if path.is_empty() { "" } else { "." };
                        path.push_str(dot);
                        // Writing to a string cannot fail.
                        let _ = write_key(path, key);
                    });
                }
            }
            // No path starts with a list, or with nothing.
            _ if path.is_empty() => {}
            Value::Array(items) => {
                let is_made_of_others = |item: &&Value| item.is_object() || item.is_array();
                if items.is_empty() || !items.iter().all(|item| is_made_of_others(&item)) {
                    self.note(path);
                }
                for item in items.iter().filter(is_made_of_others) {
                    self.below(path, steps, item, |path| path.push_str("[]"));
                }
            }
            _ => self.note(path),
        }
    }

    fn below(&mut self, path: &mut String, steps: usize, value: &Value, step: impl FnOnce(&mut String)) {
        let len = path.len();
        step(path);
        self.walk(value, path, steps + 1);
        path.truncate(len);
    }

    fn note(&mut self, path: &str) {
        if self.paths.contains(path) {
            return;
        }
        if self.paths.len() == PATHS_MAX {
            self.has_more = true;
        } else {
            self.paths.insert(path.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::filter::Path;

    #[test]
    fn paths_lead_to_values_that_are_not_made_of_others() {
        for (payload, expected) in [
            (json!({ "a": 1, "b": { "c": null, "d": { "e": "x" } } }), vec!["a", "b.c", "b.d.e"]),
            (
                json!({ "l": [1, 2], "m": [], "n": [{ "a": 1 }, { "b": 2 }], "o": {} }),
                vec!["l", "m", "n[].a", "n[].b", "o"],
            ),
            (json!({ "l": [1, { "a": [2] }, [3], [[4]]] }), vec!["l", "l[]", "l[].a", "l[][]"]),
            (json!({ "a.b": 1, "": { "\"": 2 } }), vec!["\"\".\"\\\"\"", "\"a.b\""]),
            (json!([{ "a": 1 }]), vec![]),
            (json!(7), vec![]),
            (json!({}), vec![]),
        ] {
            let leaves = Leaves::of(&payload);
            assert!(
                leaves.paths.iter().map(|path| &**path).eq(expected.iter().copied()),
                "{payload}: {:?}",
                leaves.paths.iter().map(|path| &**path).collect::<Vec<_>>()
            );
            assert!(!leaves.has_more);
            assert!(leaves.paths.iter().all(|path| Path::parse(path).unwrap().to_string() == **path));
        }
    }

    #[test]
    fn payloads_that_use_keys_as_data_have_no_more_than_so_many() {
        let wide: Value = (0..PATHS_MAX + 1).map(|n| (n.to_string(), json!(n))).collect();
        let leaves = Leaves::of(&wide);
        assert!(leaves.has_more && leaves.paths.len() == PATHS_MAX);
        let deep = (0..STEPS_MAX + 1).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert!(Leaves::of(&deep).has_more);
        assert!(Leaves::of(&json!({ "a".repeat(BYTES_MAX + 1): 1 })).has_more);
    }
}
