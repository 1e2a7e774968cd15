//! The JSON form of a filter, read strictly.
//!
//! Invariant: whatever is not understood is refused: an unknown, missing or repeated member, a value of another type. An
//! error names the place by the names of our own members alone and says what belongs there, and never repeats a value
//! or a key, because filters hold people's data. Depth and size are checked on the way down.

use std::collections::BTreeSet;
use std::fmt;

use privacy::EntityId;
use serde::de::{Deserialize, Deserializer, Error};
use storage::id::RecordId;

use super::builder::{WRONG_END, WRONG_ENTITY, WRONG_TEXT, WRONG_VALUE, range};
use super::json::{FILTER_FAULT, Json};
use super::node::{CLAUSES_MAX, Clauses, DEPTH_MAX, Filter, INSIDE_OBJECT, Node, TOO_DEEP};
use super::number::Number;
use super::path::{Path, WRONG_PATH};
use super::predicate::{Predicate, Words};
use super::range::{ENDS, Limits};
use super::scalar::Scalar;

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let mut parser = Parser { clauses: CLAUSES_MAX };
        parser.filter(&json, &Trail::Root, 1).map_err(|fault| D::Error::custom(fault.0))
    }
}

/// What is wrong with a filter, and where.
struct Fault(String);

/// The way from the filter to a part of it.
enum Trail<'a> {
    Root,
    Member(&'a Self, &'static str),
    Item(&'a Self, usize),
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(Self::Root, name) => f.write_str(name),
            Self::Member(before, name) => write!(f, "{before}.{name}"),
            Self::Item(before, number) => write!(f, "{before}[{number}]"),
        }
    }
}

impl Trail<'_> {
    fn fault(&self, what: &str) -> Fault {
        Fault(match self {
            Self::Root => format!("{FILTER_FAULT}: {what}"),
            trail => format!("{FILTER_FAULT} at `{trail}`: {what}"),
        })
    }
}

const OBJECT: &str = "an object is expected";
const LIST: &str = "a list is expected";
const UNKNOWN: &str = "an unknown member, or one that does not belong beside the others";

/// The members of a combination.
const COMBINATION: [&str; 4] = ["must", "should", "must_not", "min_should"];
/// The members of which a condition without a key has one.
const RECORD: [&str; 5] = ["is_empty", "is_null", "has_id", "entity", "nested"];
/// The members of which a condition with a key has one.
const FIELD: [&str; 5] = ["match", "range", "values_count", "is_empty", "is_null"];
/// The ways to match.
const MATCH: [&str; 5] = ["value", "any", "except", "text", "prefix"];

/// The members of an object, each once and all known.
fn members<'j>(json: &'j Json, at: &Trail<'_>, known: &[&'static str]) -> Result<Vec<(&'static str, &'j Json)>, Fault> {
    let Json::Object(members) = json else { return Err(at.fault(OBJECT)) };
    let mut found: Vec<(&'static str, &Json)> = Vec::with_capacity(members.len().min(known.len()));
    for (name, value) in members {
        let name = known.iter().find(|known| *known == name).ok_or_else(|| at.fault(UNKNOWN))?;
        if found.iter().any(|(other, _)| other == name) {
            return Err(Trail::Member(at, name).fault("a repeated member"));
        }
        found.push((name, value));
    }
    Ok(found)
}

/// The one member of an object that may have any of these.
fn only<'j>(json: &'j Json, at: &Trail<'_>, known: &[&'static str]) -> Result<(&'static str, &'j Json), Fault> {
    match members(json, at, known)?[..] {
        [only] => Ok(only),
        _ => Err(at.fault(&format!("exactly one of {} is expected", known.join(", ")))),
    }
}

fn text<'j>(json: &'j Json, at: &Trail<'_>) -> Result<&'j str, Fault> {
    let Json::Text(text) = json else { return Err(at.fault(WRONG_TEXT)) };
    Ok(text)
}

fn path(json: &Json, at: &Trail<'_>) -> Result<Path, Fault> {
    Path::parse(text(json, at)?).ok_or_else(|| at.fault(WRONG_PATH))
}

/// A list, each of whose items `read` reads.
fn list<T, C: FromIterator<T>>(
    json: &Json,
    at: &Trail<'_>,
    read: impl Fn(&Json, &Trail<'_>) -> Result<T, Fault>,
) -> Result<C, Fault> {
    let Json::List(items) = json else { return Err(at.fault(LIST)) };
    items.iter().enumerate().map(|(number, item)| read(item, &Trail::Item(at, number))).collect()
}

fn scalar(json: &Json, at: &Trail<'_>) -> Result<Scalar, Fault> {
    match json {
        Json::Flag(flag) => Ok(Scalar::Flag(*flag)),
        Json::Number(number) => Ok(Scalar::Number(*number)),
        Json::Text(text) => Ok(Scalar::Text(text.clone())),
        Json::Null | Json::List(_) | Json::Object(_) | Json::Deep | Json::Long => Err(at.fault(WRONG_VALUE)),
    }
}

fn record_id(json: &Json, at: &Trail<'_>) -> Result<RecordId, Fault> {
    let id = match json {
        Json::Number(Number::Integer(number)) => u64::try_from(*number).ok().map(RecordId::Num),
        Json::Text(text) => uuid::Uuid::try_parse(text).ok().map(RecordId::Uuid),
        _ => None,
    };
    id.ok_or_else(|| at.fault("a whole number from 0 or a UUID is expected"))
}

fn entity(json: &Json, at: &Trail<'_>) -> Result<EntityId, Fault> {
    EntityId::new(text(json, at)?).map_err(|_| at.fault(WRONG_ENTITY))
}

fn entities(json: &Json, at: &Trail<'_>) -> Result<BTreeSet<EntityId>, Fault> {
    match json {
        Json::Object(_) => list(only(json, at, &["any"])?.1, &Trail::Member(at, "any"), entity),
        _ => Ok(BTreeSet::from([entity(json, at)?])),
    }
}

fn matching(json: &Json, at: &Trail<'_>) -> Result<Predicate, Fault> {
    let (name, value) = only(json, at, &MATCH)?;
    let at = &Trail::Member(at, name);
    match name {
        "value" => scalar(value, at).map(Predicate::Equals),
        "any" => list(value, at, scalar).map(Predicate::AnyOf),
        "except" => list(value, at, scalar).map(Predicate::Except),
        "text" => text(value, at).map(|text| Predicate::Text(Words::of(text))),
        _ => text(value, at).map(|text| Predicate::Prefix(text.into())),
    }
}

fn ranging(json: &Json, at: &Trail<'_>) -> Result<Predicate, Fault> {
    let mut ends = Vec::new();
    for (name, end) in members(json, at, &ENDS)? {
        let at = Trail::Member(at, name);
        let end = scalar(end, &at).map_err(|_| at.fault(WRONG_END))?;
        // Read alone, so that a fault of this end is told of it.
        range([(name, Some(&end))].into_iter()).map_err(|what| at.fault(what))?;
        ends.push((name, end));
    }
    let range = range(ends.iter().map(|(name, end)| (*name, Some(end))));
    range.map(Predicate::Range).map_err(|what| at.fault(what))
}

fn counting(json: &Json, at: &Trail<'_>) -> Result<Predicate, Fault> {
    let mut limits = Limits::default();
    for (name, end) in members(json, at, &ENDS)? {
        match end {
            Json::Number(count @ Number::Integer(0..)) => limits.set(name, *count),
            _ => return Err(Trail::Member(at, name).fault("a whole number from 0 is expected")),
        }
    }
    if limits.is_open() { Err(at.fault(super::builder::NO_END)) } else { Ok(Predicate::Count(limits)) }
}

struct Parser {
    /// How many clauses may still come.
    clauses: usize,
}

impl Parser {
    fn filter(&mut self, json: &Json, at: &Trail<'_>, depth: usize) -> Result<Filter, Fault> {
        if depth > DEPTH_MAX {
            return Err(at.fault(TOO_DEEP));
        }
        let too_many = || at.fault(&format!("a filter may have at most {CLAUSES_MAX} clauses"));
        self.clauses = self.clauses.checked_sub(1).ok_or_else(too_many)?;
        let Json::Object(object) = json else { return Err(at.fault(OBJECT)) };
        let has = |names: &[&str]| object.iter().any(|(name, _)| names.contains(&name.as_str()));
        let node = if has(&["key"]) {
            field(json, at)?
        } else if has(&RECORD) {
            self.record(json, at, depth)?
        } else {
            self.combination(json, at, depth)?
        };
        Ok(Filter::of(node))
    }

    fn combination(&mut self, json: &Json, at: &Trail<'_>, depth: usize) -> Result<Node, Fault> {
        let mut clauses = Clauses::default();
        for (name, value) in members(json, at, &COMBINATION)? {
            let at = &Trail::Member(at, name);
            match name {
                "must" => clauses.must = self.filters(value, at, depth + 1)?,
                "should" => clauses.should = self.filters(value, at, depth + 1)?,
                "must_not" => clauses.must_not = self.filters(value, at, depth + 1)?,
                _ => clauses.min_should = Some(self.min_should(value, at, depth)?),
            }
        }
        Ok(Node::Clauses(clauses))
    }

    /// One filter or a list of them, which stand so deep.
    fn filters(&mut self, json: &Json, at: &Trail<'_>, depth: usize) -> Result<Vec<Filter>, Fault> {
        match json {
            Json::Object(_) => Ok(vec![self.filter(json, at, depth)?]),
            Json::List(items) => {
                let item = |(number, item)| self.filter(item, &Trail::Item(at, number), depth);
                items.iter().enumerate().map(item).collect()
            }
            _ => Err(at.fault("a filter or a list of filters is expected")),
        }
    }

    fn min_should(&mut self, json: &Json, at: &Trail<'_>, depth: usize) -> Result<(Vec<Filter>, u64), Fault> {
        let (mut conditions, mut least) = (None, None);
        for (name, value) in members(json, at, &["conditions", "min_count"])? {
            let at = &Trail::Member(at, name);
            match (name, value) {
                ("conditions", Json::List(_)) => conditions = Some(self.filters(value, at, depth + INSIDE_OBJECT)?),
                ("conditions", _) => return Err(at.fault(LIST)),
                (_, Json::Number(Number::Integer(count))) if u64::try_from(*count).is_ok() => {
                    least = u64::try_from(*count).ok();
                }
                _ => return Err(at.fault("a whole number from 0 is expected")),
            }
        }
        conditions.zip(least).ok_or_else(|| at.fault("conditions and min_count are expected"))
    }

    fn record(&mut self, json: &Json, at: &Trail<'_>, depth: usize) -> Result<Node, Fault> {
        let (name, value) = only(json, at, &RECORD)?;
        let at = &Trail::Member(at, name);
        match name {
            "has_id" => list(value, at, record_id).map(Node::HasId),
            "entity" => entities(value, at).map(Node::Entity),
            "nested" => self.nested(value, at, depth),
            _ => {
                let key = path(only(value, at, &["key"])?.1, &Trail::Member(at, "key"))?;
                Ok(if name == "is_empty" { Node::IsEmpty(key) } else { Node::IsNull(key) })
            }
        }
    }

    fn nested(&mut self, json: &Json, at: &Trail<'_>, depth: usize) -> Result<Node, Fault> {
        let (mut key, mut filter) = (None, None);
        for (name, value) in members(json, at, &["key", "filter"])? {
            let at = &Trail::Member(at, name);
            match name {
                "key" => key = Some(path(value, at)?),
                _ => filter = Some(self.filter(value, at, depth + INSIDE_OBJECT)?),
            }
        }
        let both = key.zip(filter).ok_or_else(|| at.fault("key and filter are expected"))?;
        Ok(Node::Nested(both.0.each(), Box::new(both.1)))
    }
}

/// A condition on what is at a key.
fn field(json: &Json, at: &Trail<'_>) -> Result<Node, Fault> {
    let known = ["key"].into_iter().chain(FIELD).collect::<Vec<_>>();
    let (mut key, mut asked) = (None, Vec::new());
    for (name, value) in members(json, at, &known)? {
        match name {
            "key" => key = Some(path(value, &Trail::Member(at, "key"))?),
            _ => asked.push((name, value)),
        }
    }
    let ([(name, value)], Some(key)) = (&asked[..], key) else {
        return Err(at.fault(&format!("a key and exactly one of {} are expected", FIELD.join(", "))));
    };
    let at = &Trail::Member(at, name);
    let node = match *name {
        "match" => return Ok(Node::Field(key, matching(value, at)?)),
        "range" => return Ok(Node::Field(key, ranging(value, at)?)),
        "values_count" => return Ok(Node::Field(key, counting(value, at)?)),
        "is_empty" => Node::IsEmpty(key),
        _ => Node::IsNull(key),
    };
    match value {
        Json::Flag(true) => Ok(node),
        Json::Flag(false) => Ok(Node::Clauses(Clauses { must_not: vec![Filter::of(node)], ..Clauses::default() })),
        _ => Err(at.fault("true or false is expected")),
    }
}

#[cfg(test)]
mod tests;
