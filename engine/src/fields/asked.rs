//! What the payload of one row says at one field.
//!
//! Invariant: each thing once. A field that is closed is asked for facts alone: that values are there, and not which.

use serde_json::Value;

use super::columns::{COUNT, FLAG, MARK, MOMENT, TEXT, WORD, mark, of_integer, of_number, text_max};
use crate::declared::FieldType;
use crate::filter::{Number, Path, count, instant, is_empty, tokens};
use crate::wiped::Wiped;

/// The key of a value in a column.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Number(u64),
    Text(Wiped),
}

/// Column and key.
pub type Found = (u8, Key);

/// A field that payloads are asked for.
pub struct Asked {
    path: Path,
    pub name: Wiped,
    /// As what it was declared, or 0.
    pub kind: u8,
    /// Whether its values are left out.
    pub is_closed: bool,
}

impl Asked {
    /// The field of this name; `None` if that is no path.
    pub fn new(name: Wiped, kind: u8) -> Option<Self> {
        Some(Self { path: Path::parse(&name)?, name, kind, is_closed: false })
    }

    /// What `payload` says there.
    pub fn values(&self, payload: &Value) -> Vec<Found> {
        let (mut found, mut texts) = (Vec::new(), 0_usize);
        self.path.any(payload, &mut |value| {
            found.push((COUNT, Key::Number(count(value) as u64)));
            if value.is_null() {
                found.push((MARK, Key::Number(mark::NULL)));
            }
            if !is_empty(value) {
                found.push((MARK, Key::Number(mark::FILLED)));
            }
            for element in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
                texts += usize::from(element.is_string());
                self.element(element, &mut found);
            }
            false
        });
        if texts > 1 && !self.is_closed {
            found.push((MARK, Key::Number(mark::SEVERAL)));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn element(&self, element: &Value, found: &mut Vec<Found>) {
        match element {
            Value::Null | Value::Array(_) | Value::Object(_) => {}
            _ if self.is_closed => found.push((MARK, Key::Number(mark::UNREAD))),
            Value::Bool(flag) => found.push((FLAG, Key::Number(u64::from(*flag)))),
            Value::Number(number) => {
                let key = Number::of_json(number).map(of_number);
                found.extend(key.map(|(code, key)| (code, Key::Number(key))));
            }
            Value::String(text) => self.text(text, found),
        }
    }

    fn text(&self, text: &str, found: &mut Vec<Found>) {
        if text.len() <= text_max(self.kind) {
            found.push((TEXT, Key::Text(text.into())));
        } else {
            found.push((MARK, Key::Number(mark::LONG)));
        }
        if self.kind == FieldType::Text.code() {
            found.extend(tokens(text).map(|token| (WORD, Key::Text(token.into()))));
        }
        if self.kind == FieldType::Time.code()
            && let Some(moment) = instant(text)
        {
            let near = i64::try_from(moment).map(|moment| (MOMENT, Key::Number(of_integer(moment))));
            found.push(near.unwrap_or((MARK, Key::Number(mark::FAR))));
        }
    }
}
