//! Building the index of payloads.
//!
//! Invariant: it is a function of the payloads in the order of their positions, of the declared fields and of how many
//! others are indexed, whatever the number of threads: the commonest paths are taken, ties by their bytes. So a segment
//! that an erasure left has the index of one that never knew the erased.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::Value;
use storage::segment::{Column, Field, FieldMap};
use zeroize::Zeroizing;

use super::columns::{COUNT, FLAG, MARK, MOMENT, TEXT, WORD, mark, of_integer, of_number, text_max};
use super::leaves::Leaves;
use crate::declared::{Declared, FieldType};
use crate::error::{Error, ErrorKind, Result};
use crate::filter::{Number, Path, count, instant, is_empty, tokens};

/// Rows that are read at a time: enough for every thread, few enough to bound memory.
const CHUNK: u32 = 4096;

/// Gives the payload of the row at a position, if it has one.
pub(crate) type Payload<'a> = dyn Fn(u32) -> Result<Option<Zeroizing<Vec<u8>>>> + Sync + 'a;

/// The index of `rows` payloads: of the declared fields, and of so many others. Runs in the current `rayon` pool.
pub(crate) fn build(rows: u32, declared: &Declared, others: usize, payload: &Payload<'_>) -> Result<FieldMap> {
    let (names, is_complete) = choose(rows, declared, others, payload)?;
    let named = |(name, kind): (String, u8)| Some(Gathered::new(Path::parse(&name)?, name, kind));
    let mut fields: Vec<Gathered> = names.into_iter().filter_map(named).collect();
    for first in (0..rows).step_by(CHUNK as usize) {
        let found = |position: u32| Ok(read(payload, position)?.map(|value| (position, gather(&fields, &value))));
        let chunk = (first..rows.min(first.saturating_add(CHUNK))).into_par_iter().map(found);
        for (position, found) in chunk.collect::<Result<Vec<_>>>()?.into_iter().flatten() {
            for (at, code, key) in found {
                if let Some(field) = fields.get_mut(at) {
                    field.push(code, key, position);
                }
            }
        }
    }
    let too_large = |e| Error::with(ErrorKind::Unsupported, "the payloads of a segment are too many to be indexed", e);
    let fields = fields.into_iter().map(|field| field.finish().map_err(too_large)).collect::<Result<_>>()?;
    FieldMap::new(rows, is_complete, fields).map_err(too_large)
}

fn read(payload: &Payload<'_>, position: u32) -> Result<Option<Value>> {
    let Some(text) = payload(position)? else { return Ok(None) };
    serde_json::from_slice(&text).map(Some).map_err(|_| Error::corrupt("a stored payload is not JSON"))
}

/// Names and kinds of the fields to index, by name, and whether they are all there are.
fn choose(
    rows: u32,
    declared: &Declared,
    others: usize,
    payload: &Payload<'_>,
) -> Result<(BTreeMap<String, u8>, bool)> {
    let mut is_complete = true;
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for first in (0..rows).step_by(CHUNK as usize) {
        let leaves = |position: u32| Ok(read(payload, position)?.map(|value| Leaves::of(&value)));
        let chunk = (first..rows.min(first.saturating_add(CHUNK))).into_par_iter().map(leaves);
        for leaves in chunk.collect::<Result<Vec<_>>>()?.into_iter().flatten() {
            is_complete &= !leaves.has_more;
            for path in leaves.paths.into_iter().filter(|path| !declared.contains(path)) {
                *counts.entry(path).or_default() += 1;
            }
        }
    }
    let mut counts: Vec<(String, u32)> = counts.into_iter().collect();
    // Stable, so that ties stay in the order of their bytes.
    counts.sort_by(|(_, a), (_, b)| b.cmp(a));
    is_complete &= counts.len() <= others;
    let automatic = counts.into_iter().take(others).map(|(name, _)| (name, 0));
    let declared = declared.iter().map(|(name, kind)| (name.to_owned(), kind.code()));
    Ok((automatic.chain(declared).collect(), is_complete))
}

/// The key of a value in a column.
enum Key {
    Number(u64),
    Text(String),
}

/// Field by its place among others, column, key.
type Found = (usize, u8, Key);

/// What one payload says.
fn gather(fields: &[Gathered], payload: &Value) -> Vec<Found> {
    let mut found = Vec::new();
    for (at, field) in fields.iter().enumerate() {
        let mut texts = 0_usize;
        field.path.any(payload, &mut |value| {
            let mut number = |code, key| found.push((at, code, Key::Number(key)));
            number(COUNT, count(value) as u64);
            if value.is_null() {
                number(MARK, mark::NULL);
            }
            if !is_empty(value) {
                number(MARK, mark::FILLED);
            }
            let elements = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for element in elements {
                match element {
                    Value::Bool(flag) => found.push((at, FLAG, Key::Number(u64::from(*flag)))),
                    Value::Number(number) => {
                        let key = Number::of_json(number).map(of_number);
                        found.extend(key.map(|(code, key)| (at, code, Key::Number(key))));
                    }
                    Value::String(text) => {
                        texts += 1;
                        gather_text(at, field.kind, text, &mut found);
                    }
                    Value::Null | Value::Array(_) | Value::Object(_) => {}
                }
            }
            false
        });
        if texts > 1 {
            found.push((at, MARK, Key::Number(mark::SEVERAL)));
        }
    }
    found
}

fn gather_text(at: usize, kind: u8, text: &str, found: &mut Vec<Found>) {
    if text.len() <= text_max(kind) {
        found.push((at, TEXT, Key::Text(text.to_owned())));
    } else {
        found.push((at, MARK, Key::Number(mark::LONG)));
    }
    if kind == FieldType::Text.code() {
        found.extend(tokens(text).map(|token| (at, WORD, Key::Text(token))));
    }
    if kind == FieldType::Time.code()
        && let Some(moment) = instant(text)
    {
        let near = i64::try_from(moment).map(|moment| (at, MOMENT, Key::Number(of_integer(moment))));
        found.push(near.unwrap_or((at, MARK, Key::Number(mark::FAR))));
    }
}

/// A field whose values are being gathered.
struct Gathered {
    path: Path,
    name: String,
    kind: u8,
    texts: BTreeMap<u8, BTreeMap<String, Vec<u32>>>,
    numbers: BTreeMap<u8, BTreeMap<u64, Vec<u32>>>,
}

impl Gathered {
    fn new(path: Path, name: String, kind: u8) -> Self {
        Self { path, name, kind, texts: BTreeMap::new(), numbers: BTreeMap::new() }
    }

    /// Adds a value of the row at `position`. Positions ascend.
    fn push(&mut self, code: u8, key: Key, position: u32) {
        let rows = match key {
            Key::Number(number) => self.numbers.entry(code).or_default().entry(number).or_default(),
            Key::Text(text) => self.texts.entry(code).or_default().entry(text).or_default(),
        };
        if rows.last() != Some(&position) {
            rows.push(position);
        }
    }

    fn finish(self) -> Result<Field, storage::codec::Malformed> {
        let mut columns = Vec::new();
        for (code, values) in &self.texts {
            columns.push((*code, Column::of_texts(values)?));
        }
        for (code, values) in &self.numbers {
            columns.push((*code, Column::of_numbers(values)?));
        }
        columns.sort_unstable_by_key(|(code, _)| *code);
        Ok(Field { name: self.name, kind: self.kind, columns })
    }
}

#[cfg(test)]
mod tests;
