//! A schema as payloads are checked against it.
//!
//! Invariant: what is wrong is told by the field and by what is expected there and what kind of thing is found, never by
//! what it is, nor by what a caller calls a member that no schema names.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::declared::FieldType;
use crate::error::{Error, Result};
use crate::filter::{Number, Path, WRONG_PATH, instant, write_key};
use crate::schema::{Schema, ValueType};

/// Fields that a schema may name.
const FIELDS_MAX: usize = 256;

/// What a payload must be like.
#[derive(Clone, Default)]
pub(crate) struct PayloadShape {
    members: BTreeMap<String, Member>,
    is_strict: bool,
}

/// What must be at a member of an object.
#[derive(Clone, Default)]
struct Member {
    /// `None` only while the shape is made.
    shape: Option<Shape>,
    is_required: bool,
}

/// What must be at a place of a payload.
#[derive(Clone)]
enum Shape {
    Value(ValueType),
    Members(BTreeMap<String, Member>),
    Elements(Box<Member>),
}

/// Where in a payload, as far as a schema names it.
#[derive(Clone, Copy)]
struct Place<'a> {
    outer: Option<&'a Place<'a>>,
    /// A member; `None` for the elements of a list.
    member: Option<&'a str>,
}

impl PayloadShape {
    /// The shape that a schema asks for, and the schema with every path in its one form.
    ///
    /// # Errors
    /// `Invalid` for a schema that is not usable.
    pub fn of(schema: &Schema) -> Result<(Self, Schema)> {
        let mut shape = Self { members: BTreeMap::new(), is_strict: schema.strict };
        let mut normal = Schema { strict: schema.strict, ..Schema::default() };
        if schema.fields.len() > FIELDS_MAX {
            return Err(wrong(format!("it may name at most {FIELDS_MAX} fields")));
        }
        for (text, kind) in &schema.fields {
            let path = Path::parse(text).ok_or_else(|| wrong(format!("each field must be one: {WRONG_PATH}")))?;
            let name = path.to_string();
            let steps =
                path.members().ok_or_else(|| wrong(format!("`{name}` names one element of a list by number")))?;
            if steps.last() == Some(&None) {
                return Err(wrong(format!("`{name}` ends with []: give the list a type such as keyword[]")));
            }
            if !insert(&mut shape.members, &steps, *kind) {
                return Err(wrong(format!("`{name}` has a type, and so has another path to it or through it")));
            }
            normal.fields.insert(name, *kind);
        }
        for text in &schema.required {
            let path = Path::parse(text).filter(|path| normal.fields.contains_key(&path.to_string()));
            let path = path.ok_or_else(|| wrong("what is required must be among the fields".to_owned()))?;
            let name = path.to_string();
            let steps = path.members().unwrap_or_default();
            if steps.contains(&None) {
                return Err(wrong(format!("`{name}` is inside of a list and cannot be required")));
            }
            require(&mut shape.members, &steps);
            normal.required.insert(name);
        }
        Ok((shape, normal))
    }

    /// Checks a payload.
    ///
    /// # Errors
    /// `Invalid`, naming the first field that is not as it should be.
    pub fn check(&self, payload: Option<&Value>) -> Result<()> {
        if self.members.is_empty() && !self.is_strict {
            return Ok(());
        }
        let empty = Map::new();
        let object = match payload {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(members)) => members,
            Some(other) => {
                return Err(unfit(format_args!("it must be an object and is {}", kind_of(other))));
            }
        };
        self.check_members(&self.members, object, None)
    }

    fn check_members(
        &self,
        members: &BTreeMap<String, Member>,
        found: &Map<String, Value>,
        outer: Option<&Place<'_>>,
    ) -> Result<()> {
        for (name, member) in members {
            let value = found.get(name).filter(|value| !value.is_null());
            self.check_member(member, value, &Place { outer, member: Some(name) })?;
        }
        if self.is_strict && found.keys().any(|name| !members.contains_key(name)) {
            let inside = outer.map(|place| format!(" in `{place}`")).unwrap_or_default();
            return Err(unfit(format_args!("it has a member{inside} that the schema, which is strict, does not name")));
        }
        Ok(())
    }

    fn check_member(&self, member: &Member, value: Option<&Value>, place: &Place<'_>) -> Result<()> {
        match (&member.shape, value) {
            (Some(Shape::Value(kind)), Some(value)) => check_value(*kind, value, place),
            (Some(Shape::Value(_)), None) if member.is_required => {
                Err(unfit(format_args!("`{place}` is required and missing")))
            }
            (Some(Shape::Members(members)), Some(Value::Object(found))) => {
                self.check_members(members, found, Some(place))
            }
            (Some(Shape::Members(members)), None) => self.check_members(members, &Map::new(), Some(place)),
            (Some(Shape::Elements(member)), Some(Value::Array(items))) => {
                let place = Place { outer: Some(place), member: None };
                items.iter().try_for_each(|item| self.check_member(member, Some(item), &place))
            }
            (Some(Shape::Members(_)), Some(other)) => Err(mismatch(place, "an object", other)),
            (Some(Shape::Elements(_)), Some(other)) => Err(mismatch(place, "a list", other)),
            (_, None) | (None, _) => Ok(()),
        }
    }
}

/// Puts a field where `steps` lead; `false` if that contradicts what is there.
fn insert(members: &mut BTreeMap<String, Member>, steps: &[Option<&str>], kind: ValueType) -> bool {
    let Some((Some(name), mut rest)) = steps.split_first() else { return false };
    let mut member = members.entry((*name).to_owned()).or_default();
    while let Some((None, after)) = rest.split_first() {
        let elements = member.shape.get_or_insert_with(|| Shape::Elements(Box::default()));
        let Shape::Elements(inner) = elements else { return false };
        member = inner;
        rest = after;
    }
    if rest.is_empty() {
        return member.shape.replace(Shape::Value(kind)).is_none();
    }
    match member.shape.get_or_insert_with(|| Shape::Members(BTreeMap::new())) {
        Shape::Members(members) => insert(members, rest, kind),
        _ => false,
    }
}

/// Requires the field where `steps` lead, which are members and were inserted.
fn require(members: &mut BTreeMap<String, Member>, steps: &[Option<&str>]) {
    let Some((Some(name), rest)) = steps.split_first() else { return };
    let Some(member) = members.get_mut(*name) else { return };
    match &mut member.shape {
        Some(Shape::Members(members)) => require(members, rest),
        _ => member.is_required = true,
    }
}

fn check_value(ValueType { kind, is_list }: ValueType, value: &Value, place: &Place<'_>) -> Result<()> {
    let one = |value: &Value, place: &Place<'_>| match kind {
        Some(kind) if !fits(kind, value) => Err(mismatch(place, name(kind), value)),
        _ => Ok(()),
    };
    match value {
        Value::Array(items) if is_list => {
            let place = Place { outer: Some(place), member: None };
            items.iter().try_for_each(|item| one(item, &place))
        }
        _ if is_list => Err(mismatch(place, "a list", value)),
        _ => one(value, place),
    }
}

fn fits(kind: FieldType, value: &Value) -> bool {
    match kind {
        FieldType::Keyword | FieldType::Text => value.is_string(),
        FieldType::Integer => {
            let number = value.as_number().and_then(Number::of_json);
            matches!(number, Some(Number::Integer(_)))
        }
        FieldType::Float => value.is_number(),
        FieldType::Bool => value.is_boolean(),
        FieldType::Time => value.as_str().and_then(instant).is_some(),
    }
}

fn name(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Keyword => "a keyword (a string)",
        FieldType::Text => "a text (a string)",
        FieldType::Integer => "a whole number",
        FieldType::Float => "a number",
        FieldType::Bool => "true or false",
        FieldType::Time => "a time (a string as in RFC 3339)",
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) => match Number::of_json(number) {
            Some(Number::Integer(_)) => "a whole number",
            _ => "a number that is not whole",
        },
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn mismatch(place: &Place<'_>, expected: &str, found: &Value) -> Error {
    unfit(format_args!("`{place}` must be {expected} and is {}", kind_of(found)))
}

fn unfit(what: fmt::Arguments<'_>) -> Error {
    Error::invalid(format!("the payload does not fit the collection's schema: {what}"))
}

fn wrong(why: String) -> Error {
    Error::invalid(format!("the schema is not usable: {why}"))
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer {
            write!(f, "{outer}")?;
        }
        let Some(member) = self.member else { return f.write_str("[]") };
        if self.outer.is_some() {
            f.write_str(".")?;
        }
        write_key(f, member)
    }
}

#[cfg(test)]
mod tests;
