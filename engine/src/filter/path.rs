//! Where in a payload a condition looks: `a`, `a.b`, `a[].b`, `a[0]`, `"odd.key".b`.
//!
//! Invariant: one path has one text. A path goes through lists only where it says so: `a.b` finds nothing if `a` is a
//! list, `a[].b` nothing if it is not.

use std::fmt::{self, Write};

use serde_json::{Map, Value};

/// The longest path, in bytes.
const BYTES_MAX: usize = 512;
/// The most steps of a path: more than a payload is read deep would find nothing.
const STEPS_MAX: usize = 64;

/// A path into a payload. It prints as it is written; names in it are data, so that it has no `Debug`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Path(Vec<Step>);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Step {
    /// The member of an object.
    Key(String),
    /// Every element of a list.
    Each,
    /// One element of a list, from 0.
    At(u32),
}

/// What a path that cannot be read is told.
pub(crate) const WRONG_PATH: &str =
    "a key path such as a.b, a[].b, a[0] or \"odd.key\".b is expected, of at most 512 bytes";

impl Path {
    /// Reads a path; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > BYTES_MAX {
            return None;
        }
        let (mut steps, mut rest) = (Vec::new(), text);
        loop {
            let (key, after) = key(rest)?;
            steps.push(Step::Key(key));
            rest = after;
            while let Some(inside) = rest.strip_prefix('[') {
                let (number, after) = inside.split_once(']')?;
                steps.push(index(number)?);
                rest = after;
            }
            if rest.is_empty() {
                break;
            }
            rest = rest.strip_prefix('.')?;
        }
        (steps.len() <= STEPS_MAX).then_some(Self(steps))
    }

    /// This path and the step to every element of what it finds, unless it ends with such a step.
    pub fn each(mut self) -> Self {
        if self.0.last() != Some(&Step::Each) {
            self.0.push(Step::Each);
        }
        self
    }

    /// This path, then `inner` in what it finds.
    pub fn join(&self, inner: &Self) -> Self {
        Self(self.0.iter().chain(&inner.0).cloned().collect())
    }

    /// Its steps, each the name of a member or `None` for every element; `None` if it names one element by its number.
    pub fn members(&self) -> Option<Vec<Option<&str>>> {
        let steps = self.0.iter().map(|step| match step {
            Step::Key(key) => Some(Some(key.as_str())),
            Step::Each => Some(None),
            Step::At(_) => None,
        });
        steps.collect()
    }

    /// Whether it names one element of a list by its number.
    pub fn has_number(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::At(_)))
    }

    /// Whether it ends with all elements of a list.
    pub fn is_of_elements(&self) -> bool {
        self.0.last() == Some(&Step::Each)
    }

    /// Whether `test` holds for any value that the path finds in `root`.
    pub fn any<'v>(&self, root: &'v Value, test: &mut impl FnMut(&'v Value) -> bool) -> bool {
        any(&self.0, root, test)
    }

    /// Calls `put` on every value that the path finds in `root`. Where it names members alone, those that are missing
    /// are made and what is no object on the way is replaced by one, so that it finds one value.
    pub fn reach(&self, root: &mut Value, put: &mut impl FnMut(&mut Value)) {
        reach(&self.0, root, put);
    }

    /// Takes out what the path finds in `root`: members of objects and elements of lists.
    pub fn remove(&self, root: &mut Value) {
        let Some((last, before)) = self.0.split_last() else { return };
        each(before, root, &mut |value| match (last, value) {
            (Step::Key(key), Value::Object(members)) => drop(members.remove(key)),
            (Step::At(number), Value::Array(items)) if (*number as usize) < items.len() => {
                items.remove(*number as usize);
            }
            (Step::Each, Value::Array(items)) => items.clear(),
            _ => {}
        });
    }
}

fn reach(steps: &[Step], value: &mut Value, put: &mut impl FnMut(&mut Value)) {
    let names = steps.iter().rev().take_while(|step| matches!(step, Step::Key(_))).count();
    let (through, names) = steps.split_at(steps.len() - names);
    each(through, value, &mut |mut value| {
        for step in names {
            let Step::Key(key) = step else { return };
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            let Value::Object(members) = value else { return };
            value = members.entry(key.as_str()).or_insert(Value::Null);
        }
        put(value);
    });
}

/// Calls `found` on every value that is at the end of `steps`.
fn each(steps: &[Step], value: &mut Value, found: &mut impl FnMut(&mut Value)) {
    let Some((step, rest)) = steps.split_first() else { return found(value) };
    match (step, value) {
        (Step::Key(key), Value::Object(members)) => {
            members.get_mut(key).into_iter().for_each(|value| each(rest, value, found));
        }
        (Step::At(number), Value::Array(items)) => {
            items.get_mut(*number as usize).into_iter().for_each(|value| each(rest, value, found));
        }
        (Step::Each, Value::Array(items)) => items.iter_mut().for_each(|value| each(rest, value, found)),
        _ => {}
    }
}

fn any<'v>(steps: &[Step], value: &'v Value, test: &mut impl FnMut(&'v Value) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return test(value) };
    match step {
        Step::Key(key) => {
            value.as_object().and_then(|members| members.get(key)).is_some_and(|value| any(rest, value, test))
        }
        Step::At(number) => {
            value.as_array().and_then(|items| items.get(*number as usize)).is_some_and(|value| any(rest, value, test))
        }
        Step::Each => value.as_array().is_some_and(|items| items.iter().any(|value| any(rest, value, test))),
    }
}

/// The key that `text` starts with, and what follows it.
fn key(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['.', '[', ']', '"']).unwrap_or(text.len());
        let (key, rest) = text.split_at_checked(end)?;
        return (!key.is_empty()).then(|| (key.to_owned(), rest));
    };
    let mut key = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((key, quoted.get(at + 1..)?)),
            '\\' => key.push(chars.next().map(|(_, c)| c).filter(|c| matches!(c, '"' | '\\'))?),
            c => key.push(c),
        }
    }
    None
}

fn index(text: &str) -> Option<Step> {
    match text {
        "" => Some(Step::Each),
        // One number has one text.
        _ if !text.bytes().all(|byte| byte.is_ascii_digit()) || (text.len() > 1 && text.starts_with('0')) => None,
        _ => text.parse().ok().map(Step::At),
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Each => f.write_str("[]")?,
                Step::At(number) => write!(f, "[{number}]")?,
                Step::Key(key) => {
                    if at > 0 {
                        f.write_char('.')?;
                    }
                    write_key(f, key)?;
                }
            }
        }
        Ok(())
    }
}

/// Writes a key as a path has it: quoted where it would be read as something else.
pub(crate) fn write_key(f: &mut impl Write, key: &str) -> fmt::Result {
    if !key.is_empty() && !key.contains(['.', '[', ']', '"']) {
        return f.write_str(key);
    }
    f.write_char('"')?;
    for c in key.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn found(path: &str, root: &Value) -> Vec<Value> {
        let mut found = Vec::new();
        Path::parse(path).unwrap().any(root, &mut |value| {
            found.push(value.clone());
            false
        });
        found
    }

    #[test]
    fn a_path_goes_through_lists_only_where_it_says_so() {
        let root = json!({ "a": { "b": 1, "c.d": [2] }, "l": [{ "b": 3 }, { "b": [4, 5] }, 6], "": { "\"": 7 } });
        for (path, expected) in [
            ("a.b", json!([1])),
            ("a.\"c.d\"", json!([[2]])),
            ("a.\"c.d\"[]", json!([2])),
            ("l.b", json!([])),
            ("l[].b", json!([3, [4, 5]])),
            ("l[].b[]", json!([4, 5])),
            ("l[1].b[0]", json!([4])),
            ("l[9]", json!([])),
            ("a[]", json!([])),
            ("missing.b", json!([])),
            ("\"\".\"\\\"\"", json!([7])),
        ] {
            assert_eq!(Value::Array(found(path, &root)), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = "a".repeat(BYTES_MAX + 1);
        let deep = format!("a{}", "[]".repeat(STEPS_MAX));
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a[",
            "a]",
            "a[-1]",
            "a[01]",
            "a[+1]",
            "a[x]",
            "[]",
            "a[]b",
            "\"a",
            "\"a\\b\"",
            "a\"b",
            "a[4294967296]",
            &long,
            &deep,
        ] {
            assert!(Path::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn one_path_has_one_text(text in "[ab\\.\\[\\]0-1\"\\\\é]{0,12}") {
            if let Some(path) = Path::parse(&text) {
                let own = path.to_string();
                let again = Path::parse(&own);
                prop_assert!(again.as_ref() == Some(&path));
                prop_assert_eq!(again.unwrap().to_string(), own);
            }
        }

        #[test]
        fn any_key_can_be_named(key in ".{0,20}") {
            let path = Path(vec![Step::Key(key.clone()), Step::Key(key)]);
            prop_assert!(Path::parse(&path.to_string()).as_ref() == Some(&path));
        }
    }
}
