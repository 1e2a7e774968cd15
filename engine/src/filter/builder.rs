//! Filters in Rust: one function a condition, three to combine them.
//!
//! Invariant: building never fails; a path, a value or an id that is not usable is told by whoever runs the filter.

use std::sync::Arc;

use privacy::EntityId;
use privacy::access::Entities;
use storage::id::RecordId;

use super::json::TEXT_BYTES_MAX;
use super::node::{Clauses, Filter, Node};
use super::number::Number;
use super::path::{Path, WRONG_PATH};
use super::predicate::{Predicate, Words};
use super::range::{Limits, Moment, Range};
use super::scalar::{Operand, Scalar};

/// What a value is told that nothing compares with.
pub(crate) const WRONG_VALUE: &str = "a string of at most 1 MiB, a finite number, true or false is expected";
/// What a text is told that is too long.
pub(crate) const WRONG_TEXT: &str = "a string of at most 1 MiB is expected";
/// What an end of a range is told.
pub(crate) const WRONG_END: &str = "a number or an RFC 3339 time with its offset is expected";
/// What two ends are told that are not of one kind.
pub(crate) const WRONG_ENDS: &str = "all ends must be numbers, or all must be times";
/// What a range without an end is told.
pub(crate) const NO_END: &str = "at least one of gte, gt, lte and lt is expected";
/// What an entity id is told.
pub(crate) const WRONG_ENTITY: &str = "an entity id of 1 to 256 bytes without control characters is expected";

/// Combinations.
impl Filter {
    /// Records that match all of these; every record if there are none.
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::of(Node::Clauses(Clauses { must: filters.into_iter().collect(), ..Clauses::default() }))
    }

    /// Records that match any of these; none if there are none.
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Self {
        let should: Vec<Self> = filters.into_iter().collect();
        if should.is_empty() {
            // An empty `should` asks for nothing, as in the JSON form.
            return Self::at_least(1, []);
        }
        Self::of(Node::Clauses(Clauses { should, ..Clauses::default() }))
    }

    /// Records that do not match.
    #[allow(clippy::should_implement_trait, reason = "it is a constructor among others, not an operator")]
    pub fn not(filter: Self) -> Self {
        Self::of(Node::Clauses(Clauses { must_not: vec![filter], ..Clauses::default() }))
    }

    /// Records that match at least `count` of these.
    pub fn at_least(count: u64, filters: impl IntoIterator<Item = Self>) -> Self {
        let min_should = Some((filters.into_iter().collect(), count));
        Self::of(Node::Clauses(Clauses { min_should, ..Clauses::default() }))
    }

    /// Records of which one element of the list at `key` matches all of `filter`, whose paths start in the element.
    pub fn nested(key: &str, filter: Self) -> Self {
        Self::at(key, |path| Node::Nested(path.each(), Box::new(filter)))
    }
}

/// Conditions on the payload. On a list they hold if they hold for any element.
impl Filter {
    /// The value is this one.
    pub fn eq(key: &str, value: impl Into<Operand>) -> Self {
        Self::field(key, value.into().0.map(Predicate::Equals).ok_or(WRONG_VALUE))
    }

    /// The value is one of these.
    pub fn any_of(key: &str, values: impl IntoIterator<Item = impl Into<Operand>>) -> Self {
        Self::field(key, scalars(values).map(Predicate::AnyOf))
    }

    /// There is a value that is none of these.
    pub fn except(key: &str, values: impl IntoIterator<Item = impl Into<Operand>>) -> Self {
        Self::field(key, scalars(values).map(Predicate::Except))
    }

    /// The value is a text that has all words of this one: letters and digits in any order and case.
    pub fn text(key: &str, text: &str) -> Self {
        Self::field(key, short(text).map(|text| Predicate::Text(Words::of(text))))
    }

    /// The value is a text that starts with this one.
    pub fn prefix(key: &str, prefix: &str) -> Self {
        Self::field(key, short(prefix).map(|prefix| Predicate::Prefix(prefix.into())))
    }

    /// The value is less: a number, or a time in RFC 3339 as both are then.
    pub fn lt(key: &str, end: impl Into<Operand>) -> Self {
        Self::range(key, [("lt", end.into())])
    }

    /// The value is less or the same.
    pub fn lte(key: &str, end: impl Into<Operand>) -> Self {
        Self::range(key, [("lte", end.into())])
    }

    /// The value is greater.
    pub fn gt(key: &str, end: impl Into<Operand>) -> Self {
        Self::range(key, [("gt", end.into())])
    }

    /// The value is greater or the same.
    pub fn gte(key: &str, end: impl Into<Operand>) -> Self {
        Self::range(key, [("gte", end.into())])
    }

    /// The value is at least `low` and at most `high`.
    pub fn between(key: &str, low: impl Into<Operand>, high: impl Into<Operand>) -> Self {
        Self::range(key, [("gte", low.into()), ("lte", high.into())])
    }

    /// There are at least `least` and at most `most` values: as many as a list has elements; none where there is
    /// nothing or null, else one.
    pub fn values_count(key: &str, least: u64, most: u64) -> Self {
        let end = |count: u64| Some(Number::Integer(count.into()));
        Self::field(key, Ok(Predicate::Count(Limits { gte: end(least), lte: end(most), ..Limits::default() })))
    }

    /// There is nothing, or only nulls and empty lists.
    pub fn is_empty(key: &str) -> Self {
        Self::at(key, Node::IsEmpty)
    }

    /// There is a null.
    pub fn is_null(key: &str) -> Self {
        Self::at(key, Node::IsNull)
    }

    fn field(key: &str, predicate: Result<Predicate, &'static str>) -> Self {
        Self::at(key, |path| predicate.map_or_else(Node::Wrong, |predicate| Node::Field(path, predicate)))
    }

    fn range<const ENDS: usize>(key: &str, ends: [(&str, Operand); ENDS]) -> Self {
        let ends = ends.map(|(name, end)| (name, end.0));
        Self::field(key, range(ends.iter().map(|(name, end)| (*name, end.as_ref()))).map(Predicate::Range))
    }

    fn at(key: &str, node: impl FnOnce(Path) -> Node) -> Self {
        Self::of(Path::parse(key).map_or(Node::Wrong(WRONG_PATH), node))
    }
}

/// Conditions on the record.
impl Filter {
    /// Records of one entity.
    pub fn entity(id: impl Into<String>) -> Self {
        Self::entities([id])
    }

    /// Records of any of these entities.
    pub fn entities(ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let ids = ids.into_iter().map(EntityId::new).collect::<Result<_, _>>();
        Self::of(ids.map_or(Node::Wrong(WRONG_ENTITY), Node::Entity))
    }

    /// Records of the data subjects that a permit names.
    pub(crate) fn subjects(subjects: &Arc<Entities>) -> Self {
        Self::of(Node::Subjects(Arc::clone(subjects)))
    }

    /// Records with one of these ids.
    pub fn has_id(ids: impl IntoIterator<Item = impl Into<RecordId>>) -> Self {
        Self::of(Node::HasId(ids.into_iter().map(Into::into).collect()))
    }
}

fn short(text: &str) -> Result<&str, &'static str> {
    if text.len() > TEXT_BYTES_MAX { Err(WRONG_TEXT) } else { Ok(text) }
}

fn scalars<C: FromIterator<Scalar>>(values: impl IntoIterator<Item = impl Into<Operand>>) -> Result<C, &'static str> {
    values.into_iter().map(|value| value.into().0.ok_or(WRONG_VALUE)).collect()
}

/// The range with these ends, each with its name.
pub(crate) fn range<'a>(ends: impl Iterator<Item = (&'a str, Option<&'a Scalar>)>) -> Result<Range, &'static str> {
    let (mut numbers, mut moments) = (Limits::default(), Limits::default());
    for (name, end) in ends {
        match end {
            Some(Scalar::Number(number)) => numbers.set(name, *number),
            Some(Scalar::Text(text)) => moments.set(name, Moment::parse(text).ok_or(WRONG_END)?),
            Some(Scalar::Flag(_)) | None => return Err(WRONG_END),
        }
    }
    match (numbers.is_open(), moments.is_open()) {
        (false, true) => Ok(Range::Numbers(numbers)),
        (true, false) => Ok(Range::Moments(moments)),
        (false, false) => Err(WRONG_ENDS),
        (true, true) => Err(NO_END),
    }
}
