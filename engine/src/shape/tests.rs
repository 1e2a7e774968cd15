//! Schemas against payloads: a table of what is meant, and random ones against a check that follows no trie.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn shape(schema: Value) -> PayloadShape {
    PayloadShape::of(&serde_json::from_value(schema).unwrap()).unwrap().0
}

#[track_caller]
fn refused(schema: &Value, payload: Value, expected: &str) {
    let error = shape(schema.clone()).check(Some(&payload)).unwrap_err().to_string();
    assert_eq!(error, format!("the payload does not fit the collection's schema: {expected}"), "{payload}");
}

#[test]
fn what_is_wrong_is_told_by_its_field_and_not_by_its_value() {
    let schema = json!({
        "fields": {
            "lang": "keyword", "year": "integer", "score": "float", "seen": "bool", "at": "time", "body": "text",
            "tags": "keyword[]", "author.name": "keyword", "parts[].\"a.b\"": "integer", "grid[][].x": "bool",
            "meta": "any",
        },
        "required": ["lang", "author.name"],
    });
    let sound = json!({
        "lang": "en", "year": 5.0, "score": 1, "seen": false, "at": "2026-01-01T00:00:00Z", "body": "", "tags": [],
        "author": {"name": "x", "other": 1}, "parts": [{"a.b": 1}, {}, {"a.b": null}], "grid": [[], [{"x": true}]],
        "meta": {"a": [1]}, "unknown": [[]],
    });
    shape(schema.clone()).check(Some(&sound)).unwrap();
    shape(schema.clone()).check(Some(&json!({"lang": "en", "author": {"name": ""}, "year": null}))).unwrap();
    for (member, value, expected) in [
        ("lang", json!(7), "`lang` must be a keyword (a string) and is a whole number"),
        ("lang", json!(["en"]), "`lang` must be a keyword (a string) and is a list"),
        ("lang", json!(null), "`lang` is required and missing"),
        ("year", json!(0.5), "`year` must be a whole number and is a number that is not whole"),
        ("year", json!(1e300), "`year` must be a whole number and is a number that is not whole"),
        ("score", json!("s3cr3t"), "`score` must be a number and is a string"),
        ("seen", json!(0), "`seen` must be true or false and is a whole number"),
        ("at", json!("2026-01-01"), "`at` must be a time (a string as in RFC 3339) and is a string"),
        ("body", json!(true), "`body` must be a text (a string) and is true or false"),
        ("tags", json!("s3cr3t"), "`tags` must be a list and is a string"),
        ("tags", json!(["a", null]), "`tags[]` must be a keyword (a string) and is null"),
        ("author", json!("s3cr3t"), "`author` must be an object and is a string"),
        ("author", json!({}), "`author.name` is required and missing"),
        ("author", json!(null), "`author.name` is required and missing"),
        ("parts", json!({"a.b": 1}), "`parts` must be a list and is an object"),
        ("parts", json!([{"a.b": "s3cr3t"}]), "`parts[].\"a.b\"` must be a whole number and is a string"),
        ("parts", json!([1]), "`parts[]` must be an object and is a whole number"),
        ("grid", json!([[{"x": 1}]]), "`grid[][].x` must be true or false and is a whole number"),
        ("grid", json!([{}]), "`grid[]` must be a list and is an object"),
    ] {
        let mut payload = sound.clone();
        payload[member] = value;
        refused(&schema, payload, expected);
    }
    refused(&schema, json!(["s3cr3t"]), "it must be an object and is a list");
    assert!(shape(schema).check(None).is_err());
    shape(json!({"fields": {"lang": "keyword"}})).check(None).unwrap();
    shape(json!({})).check(Some(&json!(["anything"]))).unwrap();
}

#[test]
fn a_strict_schema_takes_no_other_members_and_does_not_repeat_them() {
    let schema = json!({"fields": {"a.b": "text", "l[].x": "any"}, "strict": true});
    shape(schema.clone()).check(Some(&json!({"a": {"b": "x"}, "l": [{"x": {"y": 1}}, {}]}))).unwrap();
    let member = |inside: &str| format!("it has a member{inside} that the schema, which is strict, does not name");
    refused(&schema, json!({"s3cr3t": 1}), &member(""));
    refused(&schema, json!({"a": {"s3cr3t": null}}), &member(" in `a`"));
    refused(&schema, json!({"l": [{"s3cr3t": 1}]}), &member(" in `l[]`"));
    shape(json!({"strict": true})).check(Some(&json!({}))).unwrap();
    assert!(shape(json!({"strict": true})).check(Some(&json!({"a": 1}))).is_err());
}

#[test]
fn a_schema_that_contradicts_itself_is_not_usable() {
    for (schema, expected) in [
        (json!({"fields": {"a[": "text"}}), "each field must be one: a key path"),
        (json!({"fields": {"a[0]": "text"}}), "`a[0]` names one element of a list by number"),
        (json!({"fields": {"a[]": "text"}}), "`a[]` ends with []: give the list a type such as keyword[]"),
        (json!({"fields": {"a": "text", "a.b": "text"}}), "`a.b` has a type, and so has another path"),
        (json!({"fields": {"a": "text[]", "a[].b": "text"}}), "`a[].b` has a type, and so has another path"),
        (json!({"fields": {"a.b": "text", "a[].b": "text"}}), "`a[].b` has a type, and so has another path"),
        (json!({"fields": {"a": "text", "\"a\"": "text"}}), "`a` has a type, and so has another path"),
        (json!({"required": ["a"]}), "what is required must be among the fields"),
        (json!({"fields": {"a[].b": "text"}, "required": ["a[].b"]}), "`a[].b` is inside of a list"),
    ] {
        let error = PayloadShape::of(&serde_json::from_value(schema).unwrap()).err().unwrap().to_string();
        assert!(error.starts_with(&format!("the schema is not usable: {expected}")), "{error}");
    }
    let many = |count| (0..count).fold(Schema::new(), |schema, n| schema.field(format!("f{n}"), FieldType::Bool));
    assert!(PayloadShape::of(&many(FIELDS_MAX)).is_ok() && PayloadShape::of(&many(FIELDS_MAX + 1)).is_err());
}

const PATHS: [&str; 7] = ["a", "b", "a.b", "a.c", "b[].a", "c", "c[].b"];
const KINDS: [&str; 6] = ["keyword", "integer", "bool", "keyword[]", "integer[]", "any"];

fn payload() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(null)), Just(json!("x")), Just(json!(1)), Just(json!(1.5)), Just(json!(true))];
    let inner = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abcd]", inner, 0..3).prop_map(|members| json!(members)),
        ]
    });
    prop::collection::btree_map("[abcd]", inner, 0..4).prop_map(|members| json!(members))
}

/// Whether `values` are as the kind of that name says, where nulls count as nothing.
fn is_of(kind: &str, value: &Value) -> bool {
    match (kind.strip_suffix("[]"), value) {
        (Some(kind), Value::Array(items)) => items.iter().all(|item| !item.is_null() && is_of(kind, item)),
        (Some(_), _) => false,
        (None, Value::String(_)) => ["any", "keyword"].contains(&kind),
        (None, Value::Number(number)) => kind == "any" || (kind == "integer" && number.is_u64()),
        (None, Value::Bool(_)) => ["any", "bool"].contains(&kind),
        (None, _) => kind == "any",
    }
}

/// What a payload must be like by following each path for itself; `named` collects what the paths pass.
fn fits_path(steps: &[&str], value: Option<&Value>, kind: &str, required: bool) -> bool {
    let value = value.filter(|value| !value.is_null());
    match (steps, value) {
        ([], None) => !required,
        ([], Some(value)) => is_of(kind, value),
        (["[]", rest @ ..], Some(Value::Array(items))) => {
            items.iter().all(|item| !item.is_null() && fits_path(rest, Some(item), kind, false))
        }
        (["[]", ..], found) => found.is_none(),
        ([name, rest @ ..], Some(Value::Object(members))) => fits_path(rest, members.get(*name), kind, required),
        (_, Some(_)) => false,
        (_, None) => !required,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn every_field_is_checked_by_itself(
        fields in prop::collection::btree_map(prop::sample::select(&PATHS[..]), prop::sample::select(&KINDS[..]), 0..4),
        required in prop::collection::btree_set(prop::sample::select(&PATHS[..]), 0..2),
        payload in payload(),
    ) {
        let required: Vec<_> =
            required.into_iter().filter(|path| fields.contains_key(path) && !path.contains('[')).collect();
        let schema = serde_json::from_value(json!({"fields": fields, "required": required})).unwrap();
        let Ok((shape, normal)) = PayloadShape::of(&schema) else { return Ok(()) };
        prop_assert_eq!(&normal, &schema);
        let expected = fields.iter().all(|(path, kind)| {
            let steps = path.replace("[]", ".[]");
            fits_path(&steps.split('.').collect::<Vec<_>>(), Some(&payload), kind, required.contains(path))
        });
        prop_assert_eq!(shape.check(Some(&payload)).is_ok(), expected, "{} against {:?}", payload, schema);
    }
}
