//! Whether a record matches a filter: the meaning of filters, which every index of payloads must reproduce.

use std::cell::OnceCell;

use privacy::EntityId;
use serde_json::Value;
use storage::id::RecordId;
use storage::record::Record;

use super::json::FILTER_FAULT;
use super::node::{Clauses, Filter, Node};
use crate::error::{Error, Result};
use crate::wiped::Opened;

/// A record as a filter sees it. Its payload is read only if a condition asks for it.
pub(crate) struct Subject<'a> {
    id: RecordId,
    entity: Option<&'a EntityId>,
    payload: Option<&'a [u8]>,
    parsed: OnceCell<Opened>,
}

impl<'a> Subject<'a> {
    /// The record of these, its payload as JSON text.
    pub fn new(id: RecordId, entity: Option<&'a EntityId>, payload: Option<&'a [u8]>) -> Self {
        Self { id, entity, payload, parsed: OnceCell::new() }
    }

    /// A record in the clear.
    pub fn of(record: &'a Record) -> Self {
        Self::new(record.id, record.entity.as_ref(), record.payload.as_deref())
    }

    /// The payload; null where there is none.
    fn root(&self) -> Result<&Value> {
        if let Some(parsed) = self.parsed.get() {
            return Ok(parsed);
        }
        let parsed = match self.payload {
            None => Value::Null,
            Some(text) => serde_json::from_slice(text).map_err(|_| Error::corrupt("a stored payload is not JSON"))?,
        };
        Ok(self.parsed.get_or_init(|| parsed.into()))
    }
}

impl Filter {
    /// Whether the record matches.
    ///
    /// # Errors
    /// `Corrupt` for a payload that is not JSON.
    pub(crate) fn matches(&self, subject: &Subject<'_>) -> Result<bool> {
        holds(self, subject, None)
    }
}

/// Whether `filter` holds, with its paths starting in `element` if there is one and in the payload otherwise.
fn holds(filter: &Filter, subject: &Subject<'_>, element: Option<&Value>) -> Result<bool> {
    let root = || element.map_or_else(|| subject.root(), Ok);
    Ok(match filter.node() {
        Node::Clauses(clauses) => return combined(clauses, subject, element),
        Node::Field(path, predicate) => {
            let mut found = false;
            let mut test = |value| {
                found = true;
                predicate.holds(value)
            };
            path.any(root()?, &mut test) || (!found && predicate.holds_for_nothing())
        }
        Node::IsEmpty(path) => !path.any(root()?, &mut |value| !is_empty(value)),
        Node::IsNull(path) => path.any(root()?, &mut Value::is_null),
        Node::HasId(ids) => ids.contains(&subject.id),
        Node::Entity(ids) => subject.entity.is_some_and(|entity| ids.contains(entity)),
        Node::Subjects(subjects) => subject.entity.is_some_and(|entity| subjects.has(entity)),
        Node::Nested(path, inner) => {
            let (mut elements, root) = (Vec::new(), root()?);
            path.any(root, &mut |value| {
                elements.push(value);
                false
            });
            return any(elements, |element| holds(inner, subject, Some(element)));
        }
        Node::Wrong(what) => return Err(Error::invalid(format!("{FILTER_FAULT}: {what}"))),
    })
}

/// Whether a value is as good as none.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn combined(clauses: &Clauses, subject: &Subject<'_>, element: Option<&Value>) -> Result<bool> {
    let one = |filter: &Filter| holds(filter, subject, element);
    if any(&clauses.must, |filter| one(filter).map(|holds| !holds))? || any(&clauses.must_not, one)? {
        return Ok(false);
    }
    if !clauses.should.is_empty() && !any(&clauses.should, one)? {
        return Ok(false);
    }
    let Some((filters, least)) = &clauses.min_should else { return Ok(true) };
    let mut left = *least;
    for filter in filters {
        if left == 0 {
            break;
        }
        left -= u64::from(one(filter)?);
    }
    Ok(left == 0)
}

/// Whether `test` holds for any item.
fn any<T>(items: impl IntoIterator<Item = T>, mut test: impl FnMut(T) -> Result<bool>) -> Result<bool> {
    for item in items {
        if test(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
