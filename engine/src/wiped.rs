//! Pieces of payloads that are wiped when dropped: a text, and a payload that was read.
//!
//! Invariant: nothing here prints. Only what lives on is worth it: a value on its way into an answer is the caller's.

use std::borrow::Borrow;
use std::mem;
use std::ops::Deref;

use serde_json::Value;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A text of a payload: a value, or the name of one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Wiped(String);

impl From<&str> for Wiped {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Wiped {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Deref for Wiped {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

// Equality and order are those of the text.
impl Borrow<str> for Wiped {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A payload as JSON that nobody is given.
pub(crate) struct Opened(Value);

impl From<Value> for Opened {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl Deref for Opened {
    type Target = Value;
    fn deref(&self) -> &Value {
        &self.0
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        wipe(mem::take(&mut self.0));
    }
}

/// Not deeper than the reader of JSON goes.
fn wipe(value: Value) {
    match value {
        Value::String(mut text) => text.zeroize(),
        Value::Array(items) => items.into_iter().for_each(wipe),
        Value::Object(members) => members.into_iter().for_each(|(mut name, value)| {
            name.zeroize();
            wipe(value);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
