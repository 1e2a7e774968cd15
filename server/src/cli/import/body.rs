//! A line of JSON as a record, or as what stands beside a vector.
//!
//! Invariant: unknown and repeated members are refused, so that nothing of a line is dropped silently.

use engine::{Record, RecordId};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::lines::{LINE_BYTES_MAX, Line};
use super::row::{Bad, Loaded, owner};
use crate::json::{self, JsonError, Object, Payload};

/// A record, all of it. Unlike in a REST body a payload that is `null` is one, so that what was exported comes back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeBody {
    id: RecordId,
    entity: Option<String>,
    vector: Vec<f32>,
    #[serde(default, deserialize_with = "present")]
    payload: Option<Payload>,
}

/// A record without its vector.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BesideBody {
    id: Option<RecordId>,
    entity: Option<String>,
    #[serde(default, deserialize_with = "present")]
    payload: Option<Payload>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Payload>, D::Error> {
    Payload::deserialize(deserializer).map(Some)
}

/// The record of `line`; nothing if the line is blank.
pub fn whole(line: Line, field: Option<&str>) -> Option<Result<Loaded, Bad>> {
    let Line { number: place, text, end } = line;
    let Some(text) = text else { return Some(Err(too_long(place))) };
    if text.trim_ascii().is_empty() {
        return None;
    }
    let bad = |error: JsonError| Bad { place, reason: on_line(error, place), data: Some(readable(&text)) };
    let body: Result<Object<WholeBody>, Bad> = json::parse(&text).map_err(bad);
    let record = body.and_then(|Object(body)| {
        let payload = body.payload.map(|payload| payload.0);
        record(body.id, body.vector, body.entity, payload, field).map_err(|reason| Bad {
            place,
            reason,
            data: Some(readable(&text)),
        })
    });
    Some(record.map(|record| Loaded { bytes: size_of_val(record.vector()) + text.len(), record, place, progress: end }))
}

/// The record that `line` makes of `vector`, row `place` of its file, whose id is its place where the line has none.
pub fn beside(line: Line, vector: Vec<f32>, place: u64, field: Option<&str>) -> Result<Loaded, Bad> {
    let text = line.text.ok_or_else(|| too_long(place))?;
    let bad = |reason| Bad { place, reason, data: Some(readable(&text)) };
    let Object(body): Object<BesideBody> =
        json::parse(&text).map_err(|error: JsonError| bad(on_line(error, line.number)))?;
    let payload = body.payload.map(|payload| payload.0);
    let id = body.id.unwrap_or(RecordId::Num(place));
    let record = record(id, vector, body.entity, payload, field).map_err(bad)?;
    Ok(Loaded { bytes: size_of_val(record.vector()) + text.len(), record, place, progress: place + 1 })
}

/// A record of its parts, if its owner is known where `field` says that there must be one.
pub fn record(
    id: RecordId,
    vector: Vec<f32>,
    entity: Option<String>,
    payload: Option<Value>,
    field: Option<&str>,
) -> Result<Record, String> {
    let mut record = Record::new(id, vector);
    if let Some(entity) = owner(entity, payload.as_ref(), field)? {
        record = record.entity(entity);
    }
    Ok(match payload {
        Some(payload) => record.payload(payload),
        None => record,
    })
}

fn too_long(place: u64) -> Bad {
    Bad { place, reason: format!("the line has more than {LINE_BYTES_MAX} bytes"), data: None }
}

fn on_line(error: JsonError, line: u64) -> String {
    error.on_line(usize::try_from(line).unwrap_or(usize::MAX)).to_string()
}

fn readable(text: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(text: &str) -> Line {
        Line { number: 2, text: Some(text.into()), end: 99 }
    }

    fn read(text: &str, field: Option<&str>) -> Result<Record, String> {
        whole(line(text), field).unwrap().map(|loaded| loaded.record).map_err(|bad| {
            assert_eq!((bad.place, bad.data), (2, Some(text.into())));
            bad.reason
        })
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let record =
            read(r#"{"id": 7, "vector": [1, -2.5], "entity": "ada", "payload": {"k": [null]}}"#, None).unwrap();
        assert_eq!((record.id(), record.vector()), (RecordId::from(7), &[1.0, -2.5][..]));
        assert_eq!((record.entity_id(), record.payload_json()), (Some("ada"), Some(&json!({"k": [null]}))));
        let record = read(r#"{"id": "67e55044-10b1-426f-9247-bb680e5fe0c8", "vector": [0, 1e-3]}"#, None).unwrap();
        assert_eq!(record.id().to_string(), "67e55044-10b1-426f-9247-bb680e5fe0c8");
        assert_eq!((record.entity_id(), record.payload_json()), (None, None));
        let record = read(r#"{"id": 7, "vector": [1], "entity": null, "payload": null}"#, None).unwrap();
        assert_eq!((record.entity_id(), record.payload_json()), (None, Some(&Value::Null)));
        assert!(whole(line(" \r"), None).is_none());
    }

    #[test]
    fn reasons_name_the_line_and_show_nothing_of_it() {
        for (bad, expected) in [
            ("s3cr3t", "not valid JSON at line 2, column 1"),
            ("{\"id\": 2, \"vector\": [1, NaN]}", "not valid JSON at line 2, column 25"),
            (
                "{\"id\": 2, \"vector\": [1, 2], \"s3cr3t\": 1}",
                "an unknown member: one of `id`, `entity`, `vector`, `payload` is expected at line 2, column 36",
            ),
            (
                "{\"id\": 2, \"vector\": [1, 2], \"payload\": {\"s3cr3t\": 1, \"s3cr3t\": 2}}",
                "a repeated member in `payload` at line 2, column 65",
            ),
            ("{\"vector\": [1, 2]}", "`id` is missing at line 2, column 18"),
            (
                "{\"id\": -2, \"vector\": [1, 2]}",
                "a wrong value in `id`: a whole number from 0 or a UUID is expected at line 2, column 9",
            ),
            (
                "{\"id\": 2, \"vector\": [1, null]}",
                "a wrong value in `vector[1]`: a number is expected at line 2, column 28",
            ),
        ] {
            assert_eq!(read(bad, None).unwrap_err(), expected);
        }
        let bad = whole(
            Line { number: 2, text: Some(b"{\"id\": 1, \"vector\": [1], \"entity\": \"\xff\"}".to_vec()), end: 9 },
            None,
        );
        assert!(bad.unwrap().err().unwrap().reason.starts_with("not valid JSON at line 2"), "not UTF-8");
        let bad = whole(Line { number: 2, text: None, end: 99 }, None).unwrap().err().unwrap();
        assert_eq!(bad.reason, "the line has more than 16777216 bytes");
    }

    #[test]
    fn a_payload_member_can_name_the_entity_and_then_must() {
        let entity = |text| read(text, Some("user"));
        let record = entity("{\"id\": 1, \"vector\": [1, 2], \"payload\": {\"user\": 42}}").unwrap();
        assert_eq!(record.entity_id(), Some("42"));
        let record = entity("{\"id\": 1, \"vector\": [1, 2], \"entity\": \"eve\"}").unwrap();
        assert_eq!(record.entity_id(), Some("eve"));
        let error = entity("{\"id\": 1, \"vector\": [1, 2], \"payload\": {\"user\": [\"s3cr3t\"]}}").unwrap_err();
        assert!(error.starts_with("neither") && !error.contains("s3cr3t"), "{error}");
    }

    #[test]
    fn a_line_beside_a_vector_may_leave_everything_out() {
        let loaded = beside(line("{}"), vec![1.0], 5, None).map_err(|bad| bad.reason).unwrap();
        assert_eq!((loaded.record.id(), loaded.progress), (RecordId::from(5), 6));
        let bad = beside(line(r#"{"id": 1, "vector": [1]}"#), vec![1.0], 5, None).err().unwrap();
        let expected =
            "an unknown member in `vector`: one of `id`, `entity`, `payload` is expected at line 2, column 18";
        assert_eq!((bad.place, &*bad.reason), (5, expected));
        assert!(beside(line(""), vec![1.0], 5, None).is_err(), "a blank line would shift all that follow");
    }
}
