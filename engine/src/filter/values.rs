//! The single values at a key path: what a payload is grouped, counted and sorted by.
//!
//! Invariant: they are those that `match: {"value": …}` would find there, each once.

use std::collections::BTreeSet;

use serde_json::Value;

use super::path::Path;
use super::scalar::Scalar;

/// The strings, numbers and flags that `path` finds in `payload`, or as elements of lists.
pub(crate) fn scalars(path: &Path, payload: &Value) -> BTreeSet<Scalar> {
    let mut found = BTreeSet::new();
    path.any(payload, &mut |value| {
        match value {
            Value::Array(items) => found.extend(items.iter().filter_map(Scalar::of)),
            value => found.extend(Scalar::of(value)),
        }
        false
    });
    found
}
