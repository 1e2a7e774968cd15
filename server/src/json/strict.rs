//! Strict JSON, and errors about it that can be shown and logged.
//!
//! Invariant: an error tells where the fault is and, if the member is one of ours, its name; never a byte of the text,
//! because bodies and import lines are people's data and the messages of `serde_json` quote values.
//! REST bodies, import lines and `--vector` share it.

use std::fmt::{self, Write};
use std::marker::PhantomData;

use engine::{FILTER_FAULT, FILTER_TOO_COMPLEX};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use serde_path_to_error::Segment;

use super::payload::REPEATED;

/// The members whose names may appear in an error: those that our own bodies define.
const MEMBERS: &[&str] = &[
    "after",
    "aggregate",
    "algorithms",
    "all",
    "all_or_nothing",
    "approvers",
    "audience",
    "clear",
    "clip",
    "clip_l1",
    "collection",
    "delete_keys",
    "delta",
    "dimension",
    "direction",
    "ef",
    "entity",
    "epsilon",
    "exact",
    "field",
    "fields",
    "filter",
    "filters",
    "group_by",
    "group_size",
    "groups",
    "high",
    "id",
    "ids",
    "if_absent",
    "if_version",
    "issuer",
    "key",
    "keys",
    "keys_url",
    "least_group",
    "like",
    "limit",
    "limits",
    "low",
    "metric",
    "nearest",
    "offset",
    "order_by",
    "overwrite",
    "payload",
    "payload_bytes_max",
    "plan",
    "project",
    "query",
    "reason",
    "records",
    "records_max",
    "refresh",
    "required",
    "rerank",
    "schema",
    "score_threshold",
    "search",
    "searches",
    "seed",
    "set",
    "similar",
    "start_from",
    "stream",
    "strict",
    "threshold",
    "type",
    "unlike",
    "values",
    "vector",
    "with_entity",
    "with_payload",
    "with_vector",
];

/// The parts of a query that are numbers.
const PARAMETERS: &[&str] = &["cursor", "limit"];

/// What [`Object`] expects.
const OBJECT: &str = "an object";

/// The text is not what was asked for. Holds nothing of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON at all, or a number that no float of the wanted width can hold.
    #[error("not valid JSON at line {line}, column {column}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// JSON, but not of the expected shape.
    #[error("{what} at line {line}, column {column}")]
    Shape {
        /// What is wrong, in our words.
        what: String,
        /// The member, as far as its path consists of our own names.
        field: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// The same of a value that was never text.
    #[error("{what}")]
    Member {
        /// What is wrong, in our words.
        what: String,
        /// The member.
        field: String,
    },
}

impl JsonError {
    /// Whether it is a filter that is right but for its size.
    pub fn is_complex_filter(&self) -> bool {
        let (Self::Shape { what, .. } | Self::Member { what, .. }) = self else { return false };
        what.starts_with(FILTER_FAULT) && FILTER_TOO_COMPLEX.iter().any(|words| what.contains(words))
    }

    /// The same error in a text of many lines, of which the JSON was this one.
    pub fn on_line(mut self, number: usize) -> Self {
        if let Self::Syntax { line, .. } | Self::Shape { line, .. } = &mut self {
            *line = number;
        }
        self
    }

    /// The member that is wrong, if that is known.
    pub fn field(&self) -> Option<&str> {
        let (Self::Shape { field, .. } | Self::Member { field, .. }) = self else { return None };
        Some(field.as_str()).filter(|field| !field.is_empty())
    }
}

/// A `T` that must be written as an object: serde would also take a list of its members' values in order, in which
/// nobody can see what is what.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(OBJECT)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

/// Reads exactly one JSON value.
///
/// # Errors
/// See [`JsonError`]; trailing bytes are an error, too.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    // Tracking the path costs on every number of a vector, so only a text that failed is read with it.
    serde_json::from_slice(text).map_err(|error| explain::<T>(text, &error))
}

fn explain<T: DeserializeOwned>(text: &[u8], error: &serde_json::Error) -> JsonError {
    let (line, column) = (error.line(), error.column());
    if error.classify() != Category::Data {
        return JsonError::Syntax { line, column };
    }
    let mut source = serde_json::Deserializer::from_slice(text);
    let path = match serde_path_to_error::deserialize::<_, T>(&mut source) {
        Err(error) => place(error.path()),
        Ok(_) => String::new(),
    };
    JsonError::Shape { what: fault(&path, &error.to_string()), field: path, line, column }
}

/// Reads a value that is the member `name` of something, and of which every object has each member once.
///
/// # Errors
/// [`JsonError::Member`].
pub fn read<T: DeserializeOwned>(name: &str, value: Value) -> Result<T, JsonError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let inside = place(error.path());
        let dot = if inside.is_empty() || inside.starts_with('[') { "" } else { "." };
        let field = format!("{name}{dot}{inside}");
        JsonError::Member { what: fault(&field, &error.inner().to_string()), field }
    })
}

/// The path as far as it consists of our own names: what a caller calls the members of a payload is data.
fn place(path: &serde_path_to_error::Path) -> String {
    let mut place = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => _ = write!(place, "[{index}]"),
            Segment::Map { key } if MEMBERS.contains(&key.as_str()) => {
                let dot = if place.is_empty() { "" } else { "." };
                _ = write!(place, "{dot}{key}");
            }
            _ => break,
        }
    }
    place
}

/// Says what is wrong at `place`. Of serde's message only fixed words are used: how it starts, a member name if it is
/// ours, and the expectation behind the last `, expected `, which our types wrote, whatever a caller sent before it.
fn fault(place: &str, message: &str) -> String {
    let member = message.split('`').nth(1).filter(|name| MEMBERS.contains(name));
    if message.starts_with(FILTER_FAULT) {
        // The engine's own words, with a place inside the filter.
        let words = message.rsplit_once(" at line").map_or(message, |(words, _)| words);
        return format!("{words}{}", Place(place));
    }
    let at = Place(place);
    if message.starts_with("unknown field") {
        let known = known_instead(message).map(|words| format!(": {words} is expected")).unwrap_or_default();
        return format!("an unknown member{at}{known}");
    }
    if message.starts_with(REPEATED) {
        return format!("a repeated member{at}");
    }
    if message.starts_with("missing field") {
        return member.map_or_else(|| format!("a missing member{at}"), |name| format!("`{name}` is missing{at}"));
    }
    if message.starts_with("duplicate field") {
        return member.map_or_else(|| format!("a repeated member{at}"), |name| format!("`{name}` appears twice"));
    }
    let wanted = match known_instead(message) {
        _ if message.starts_with("data did not match any variant") => ": a whole number from 0 or a UUID is expected",
        Some(words) if words.starts_with("one of `") => return format!("a wrong value{at}: {words} is expected"),
        Some("f32" | "f64") => ": a number is expected",
        Some("usize" | "u64" | "u32") => ": a whole number from 0 is expected",
        Some("a boolean") => ": true or false is expected",
        Some("a string") => ": a string is expected",
        Some("a sequence") => ": a list is expected",
        Some(OBJECT) => ": an object is expected",
        _ => "",
    };
    format!("a wrong value{at}{wanted}")
}

/// What serde expected in the place of what it does not know: the words behind the last `, expected `, which are ours.
fn known_instead(message: &str) -> Option<&str> {
    // Then it wrote none, and those words may be a caller's.
    let is_ours = !message.contains(", there are no ");
    let (_, words) = message.rsplit_once(", expected ").filter(|_| is_ours)?;
    Some(words.split(" at line").next().unwrap_or(words))
}

/// What is wrong with the query of a URL, of which axum says `message`. Holds nothing of the query.
pub fn query_fault(message: &str) -> String {
    if let Some(words) = known_instead(message) {
        return format!("a part of the query is unknown: {words} is expected");
    }
    let named = PARAMETERS.iter().find(|name| message.contains(&format!(": {name}: ")));
    named.map_or_else(
        || "a part of the query is repeated, or is no text".to_owned(),
        |name| format!("{name}: a whole number from 0 is expected"),
    )
}

/// Renders as ` in \`place\``, or as nothing where the fault has no named place.
struct Place<'a>(&'a str);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " in `{}`", self.0) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only the parsing is tested")]
    struct Body {
        vector: Vec<f32>,
        limit: usize,
        payload: Option<Value>,
        filter: Option<Object<Inner>>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only the parsing is tested")]
    struct Inner {
        entity: String,
    }

    fn error(text: &str) -> String {
        parse::<Object<Body>>(text.as_bytes()).err().unwrap().to_string()
    }

    #[test]
    fn errors_say_where_and_what() {
        assert_eq!(error("{"), "not valid JSON at line 1, column 1");
        assert_eq!(
            error(r#"{"vector": [1, "a"], "limit": 1}"#),
            "a wrong value in `vector[1]`: a number is expected at line 1, column 18"
        );
        assert_eq!(
            error(r#"{"vector": [], "limit": -1}"#),
            "a wrong value in `limit`: a whole number from 0 is expected at line 1, column 26"
        );
        assert_eq!(error(r#"{"vector": []}"#), "`limit` is missing at line 1, column 14");
        assert_eq!(
            error(r#"{"vectors": []}"#),
            "an unknown member: one of `vector`, `limit`, `payload`, `filter` is expected at line 1, column 10"
        );
        assert_eq!(
            error("{\"vector\": [],\n \"limit\": 1, \"limit\": 2}"),
            "`limit` appears twice at line 2, column 20"
        );
        assert_eq!(error("[[], 1, null, null]"), "a wrong value: an object is expected at line 1, column 0");
        for text in ["NaN", r#"{"vector": [1e999], "limit": 1}"#, r#"{"vector": [], "limit": 1} x"#] {
            assert!(error(text).starts_with("not valid JSON"), "{text}");
        }
    }

    #[test]
    fn no_error_holds_anything_of_the_text() {
        let secret = "s3cr3t";
        for text in [
            format!(r#"{{"{secret}": 1}}"#),
            format!(r#"{{"vector": "{secret}"}}"#),
            format!(r#"{{"vector": "x, expected {secret}"}}"#),
            format!(r#"{{"vector": ["`{secret}`"]}}"#),
            format!(r#"{{"x`, expected `{secret}`": 1}}"#),
            format!(r#"{{"filter": {{"{secret}": 1}}}}"#),
            format!(r#"{{"filter": {{"entity": {{"{secret}": 1}}}}}}"#),
            format!(r#"{{"payload": {{"{secret}": 1e999}}}}"#),
            format!(r#"{{"payload": {{"{secret}": {secret}"#),
        ] {
            let error = error(&text);
            assert!(!error.contains(secret), "{error}");
        }
    }
}
