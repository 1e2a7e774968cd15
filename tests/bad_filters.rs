//! Bad filters: each is refused by every door that takes one, told where it is wrong in the caller's own JSON and what
//! belongs there, without a word of the caller's values, and nothing is written.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use engine::{Collection, Environment, Error, ErrorKind, FILTER_FAULT, Filter, Record};
use lethedb_tests::world::in_memory;
use serde_json::{Value, json};
use storage::backend::Memory;

const SECRET: &str = "s3cret";

/// Records in the memtable and in a segment.
fn world() -> (Environment, Collection) {
    let db = in_memory(&Memory::new(), 1).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    let records =
        |ids: std::ops::Range<u64>| ids.map(|id| Record::new(id, vec![1.0, id as f32]).payload(json!({ "a": id })));
    docs.upsert(records(0..5)).unwrap();
    env.flush().unwrap();
    docs.upsert(records(5..10)).unwrap();
    (env, docs)
}

/// Every way to use a filter, by its name, with what it says.
fn doors(docs: &Collection, filter: &Filter) -> Vec<(&'static str, Error)> {
    let filter = || filter.clone();
    let near = || docs.search(&[1.0, 0.0]).filter(filter());
    let batch = docs.search_batch([near()]);
    let all = [
        ("search", near().run().err()),
        ("exact search", near().exact(true).run().err()),
        ("batch", batch.err()),
        ("groups", near().group_by("a").run().err()),
        ("like", docs.search_like(1).filter(filter()).run().err()),
        ("count", docs.count().filter(filter()).run().err()),
        ("scroll", docs.scroll().filter(filter()).run().err()),
        ("order", docs.scroll().filter(filter()).order_by("a", engine::Order::Ascending).run().err()),
        ("facet", docs.facet("a").filter(filter()).run().err()),
        ("sample", docs.sample(3).filter(filter()).run().err()),
        ("update", docs.update_matching(filter()).set(json!({ "b": 1 })).run().err()),
        ("delete", docs.delete_matching(&filter()).err()),
    ];
    all.into_iter().map(|(name, error)| (name, error.unwrap_or_else(|| panic!("{name} took it")))).collect()
}

/// Each with where its fault is and what is said of it.
fn bad_json() -> Vec<(String, &'static str, &'static str)> {
    let deep = |depth: usize| (1..depth).fold(json!({}), |inner, _| json!({ "must": [inner] })).to_string();
    let wide = |clauses: usize| json!({ "should": vec![json!({}); clauses] }).to_string();
    let long = SECRET.repeat(10 << 20 >> 2);
    let text = |text: &str| text.to_owned();
    let whole = vec![
        // No filter at all.
        (text("[]"), "", "an object"),
        (text("null"), "", "an object"),
        (text("\"s3cret\""), "", "an object"),
        // What is not known, and what is there twice.
        (text(r#"{"must": [{"s3cret": 1}]}"#), "must[0]", "an unknown member"),
        (text(r#"{"must": [], "filter": {}}"#), "", "an unknown member"),
        (text(r#"{"must": [{"key": "a", "match": {"value": 1, "s3cret": 1}}]}"#), "must[0].match", "an unknown member"),
        (text(r#"{"must": [], "must": []}"#), "must", "a repeated member"),
        (text(r#"{"should": [{"key": "a", "key": "s3cret", "is_null": true}]}"#), "should[0].key", "a repeated member"),
        (text(r#"{"key": "a", "range": {"lt": 1, "lt": 2}}"#), "range.lt", "a repeated member"),
        // Types.
        (text(r#"{"must_not": "s3cret"}"#), "must_not", "a filter or a list"),
        (text(r#"{"must": [null]}"#), "must[0]", "an object"),
        (text(r#"{"min_should": {"conditions": {}, "min_count": 1}}"#), "min_should.conditions", "a list"),
        (text(r#"{"min_should": {"conditions": [], "min_count": -1}}"#), "min_should.min_count", "a whole number"),
        (text(r#"{"min_should": {"conditions": []}}"#), "min_should", "conditions and min_count"),
        (text(r#"{"has_id": 7}"#), "has_id", "a list"),
        (text(r#"{"has_id": [7, "s3cret"]}"#), "has_id[1]", "a UUID"),
        (text(r#"{"has_id": [1e300]}"#), "has_id[0]", "a whole number"),
        (text(r#"{"has_id": [-1]}"#), "has_id[0]", "a whole number"),
        (text(r#"{"entity": 42}"#), "entity", "a string"),
        (text(r#"{"entity": ""}"#), "entity", "an entity id"),
        (text("{\"entity\": {\"any\": [\"s3cret\\u0000\"]}}"), "entity.any[0]", "an entity id"),
        (text(r#"{"nested": {"key": "s3cret"}}"#), "nested", "key and filter"),
        (text(r#"{"nested": {"key": "a", "filter": {"must": 1}}}"#), "nested.filter.must", "a filter or a list"),
        // Paths.
        (text(r#"{"key": "s3cret..a", "is_null": true}"#), "key", "a key path"),
        (text(r#"{"key": "", "is_null": true}"#), "key", "a key path"),
        (text(r#"{"key": "a[-1]", "is_null": true}"#), "key", "a key path"),
        (text(r#"{"key": ["s3cret"], "is_null": true}"#), "key", "a string"),
        (text(r#"{"is_empty": {"key": "a["}}"#), "is_empty.key", "a key path"),
        (json!({ "key": "s3cret".repeat(100), "is_null": true }).to_string(), "key", "at most 512 bytes"),
        (text(r#"{"nested": {"key": "a.", "filter": {}}}"#), "nested.key", "a key path"),
        // Depth and size.
        (deep(17), &"must[0].".repeat(16)[..16 * 8 - 1].to_owned().leak()[..], "at most 16 deep"),
        (wide(1024), "should[1023]", "at most 1024 clauses"),
        (json!({ "has_id": vec![1; 1 << 18] }).to_string(), "", "over 131072 values"),
        (json!({ "key": "a", "match": { "value": long } }).to_string(), "match.value", "at most 1 MiB"),
        (json!({ "key": "a", "match": { "any": [1, long] } }).to_string(), "match.any[1]", "at most 1 MiB"),
        (json!({ "key": "a", "match": { "text": long } }).to_string(), "match.text", "at most 1 MiB"),
        (json!({ "key": "a", "match": { "prefix": long } }).to_string(), "match.prefix", "at most 1 MiB"),
        (json!({ "key": "a", "range": { "gt": long } }).to_string(), "range.gt", "a number or an RFC 3339"),
        (json!({ "key": long, "is_null": true }).to_string(), "key", "a string of at most 1 MiB"),
        (json!({ "entity": long }).to_string(), "entity", "a string of at most 1 MiB"),
        (json!({ long: 1 }).to_string(), "", "an unknown member"),
    ];
    whole.into_iter().chain(bad_conditions()).collect()
}

/// Conditions on a field, as the second of two clauses.
fn bad_conditions() -> impl Iterator<Item = (String, &'static str, &'static str)> {
    let on_s3cret = |mut condition: Value| {
        condition["key"] = SECRET.into();
        json!({ "must": [{}, condition] }).to_string()
    };
    let all = [
        (json!({}), "must[1]", "exactly one of match"),
        (json!({ "is_null": true, "is_empty": true }), "must[1]", "exactly one of match"),
        (json!({ "is_null": "s3cret" }), "must[1].is_null", "true or false"),
        (json!({ "match": SECRET }), "must[1].match", "an object"),
        (json!({ "match": { "value": null } }), "must[1].match.value", "a string"),
        (json!({ "match": { "value": { "s3cret": 1 } } }), "must[1].match.value", "a string"),
        (json!({ "match": { "any": "s3cret" } }), "must[1].match.any", "a list"),
        (json!({ "match": { "except": ["s3cret", []] } }), "must[1].match.except[1]", "a string"),
        (json!({ "match": { "text": 5 } }), "must[1].match.text", "a string"),
        (json!({ "range": {} }), "must[1].range", "at least one of gte"),
        (json!({ "range": { "gte": true } }), "must[1].range.gte", "a number or an RFC 3339"),
        (json!({ "range": { "gte": SECRET } }), "must[1].range.gte", "a number or an RFC 3339"),
        (json!({ "range": { "gte": "2026-02-30T00:00:00Z" } }), "must[1].range.gte", "a number or an RFC 3339"),
        (json!({ "range": { "gte": "2026-01-01T00:00:00" } }), "must[1].range.gte", "with its offset"),
        (json!({ "range": { "gte": "2026-01-01" } }), "must[1].range.gte", "a number or an RFC 3339"),
        (json!({ "range": { "gte": 1, "lt": "2026-01-01T00:00:00Z" } }), "must[1].range", "all ends must be"),
        (json!({ "values_count": {} }), "must[1].values_count", "at least one of gte"),
        (json!({ "values_count": { "gt": 0.5 } }), "must[1].values_count.gt", "a whole number"),
        (json!({ "values_count": { "gt": "s3cret" } }), "must[1].values_count.gt", "a whole number"),
    ];
    all.into_iter().map(move |(asked, place, what)| (on_s3cret(asked), place, what))
}

#[test]
fn json_that_is_no_filter_is_told_where_and_why() {
    for (text, place, what) in bad_json() {
        let shown = &text[..text.len().min(200)];
        let error = serde_json::from_str::<Filter>(&text).err().unwrap_or_else(|| panic!("taken: {shown}")).to_string();
        let at = if place.is_empty() { format!("{FILTER_FAULT}: ") } else { format!("{FILTER_FAULT} at `{place}`: ") };
        assert!(error.starts_with(&at) && error.contains(what), "{shown}: {error}");
        assert!(!error.contains(SECRET) && error.len() < 400, "{shown}: {error}");
    }
}

/// What is no JSON never becomes a filter, and what the parser says of it has places in the text and no words of it.
#[test]
fn text_that_is_no_json_is_refused() {
    for text in [
        "",
        "{",
        r#"{"key": "s3cret", "match": {"value": NaN}}"#,
        r#"{"key": "s3cret", "match": {"value": Infinity}}"#,
        r#"{"key": "s3cret", "range": {"gt": 1e999}}"#,
        r#"{"key": "s3cret", "range": {"gt": 01}}"#,
        r#"{"key": "s3cret" "is_null": true}"#,
        r#"{"key": "s3cret\ud800", "is_null": true}"#,
        r#"{"must": []} s3cret"#,
        "{'key': 's3cret'}",
    ] {
        let error = serde_json::from_str::<Filter>(text).err().unwrap_or_else(|| panic!("taken: {text}")).to_string();
        assert!(!error.contains(SECRET), "{text}: {error}");
    }
    let nested = format!("{}{}", r#"{"must":["#.repeat(1 << 20), "]}".repeat(1 << 20));
    assert!(serde_json::from_str::<Filter>(&nested).is_err());
}

/// What looks odd and means something: nothing is refused that has one reading.
#[test]
fn odd_filters_have_their_meaning() {
    let (_env, docs) = world();
    for (filter, expected) in [
        (json!({}), 10),
        (json!({ "must": [] }), 10),
        (json!({ "should": [] }), 10),
        (json!({ "has_id": [] }), 0),
        (json!({ "has_id": [3, 3, 8, 99] }), 2),
        (json!({ "key": "a", "match": { "any": [] } }), 0),
        (json!({ "key": "a", "match": { "except": [] } }), 10),
        (json!({ "key": "a", "match": { "value": 1e300 } }), 0),
        (json!({ "key": "a", "range": { "lt": u64::MAX, "gt": i64::MIN } }), 10),
        (json!({ "key": "a", "range": { "gt": 5, "lt": 3 } }), 0),
        (json!({ "min_should": { "conditions": [{}], "min_count": u64::MAX } }), 0),
        (json!({ "should": vec![json!({ "has_id": [3] }); 1023] }), 1),
    ] {
        let shown = filter.to_string();
        let filter: Filter = serde_json::from_value(filter).unwrap();
        assert_eq!(docs.count().filter(filter).run().unwrap().count, expected, "{}", &shown[..shown.len().min(200)]);
    }
}

#[test]
fn filters_that_cannot_be_used_are_refused_by_every_door() {
    let (env, docs) = world();
    let before = (docs.info(), docs.scroll().run().unwrap().records);
    let mut deep = Filter::entity(SECRET);
    (0..16).for_each(|_| deep = Filter::not(deep.clone()));
    let long = SECRET.repeat(10 << 20 >> 2);
    let wide = || (0..1024_u64).map(|id| Filter::has_id([id]));
    for (filter, place, what) in [
        (Filter::eq("s3cret[", 1), "", "a key path"),
        (Filter::eq("a", f64::NAN), "", "a finite number"),
        (Filter::eq("a", f64::NEG_INFINITY), "", "a finite number"),
        (Filter::any_of("a", [1.0, f64::NAN]), "", "a finite number"),
        (Filter::eq("a", long.as_str()), "", "at most 1 MiB"),
        (Filter::except("a", [long.clone()]), "", "at most 1 MiB"),
        (Filter::text("a", &long), "", "at most 1 MiB"),
        (Filter::prefix("a", &long), "", "at most 1 MiB"),
        (Filter::is_empty(&long), "", "a key path"),
        (Filter::lt("a", SECRET), "", "RFC 3339"),
        (Filter::gte("a", f64::INFINITY), "", "RFC 3339"),
        (Filter::between("a", 1, "2026-01-01T00:00:00Z"), "", "all ends must be"),
        (Filter::entity("s3cret\n"), "", "an entity id"),
        (Filter::entities(["a", ""]), "", "an entity id"),
        (Filter::all(wide()), "", "at most 1024 clauses"),
        (deep, "", "at most 16 deep"),
        (Filter::all([Filter::is_null("a"), Filter::is_null(".")]), "must[1]", "a key path"),
        (
            Filter::not(Filter::any([Filter::entity("x"), Filter::eq("a", f64::NAN)])),
            "must_not[0].should[1]",
            "a finite",
        ),
        (Filter::at_least(1, [Filter::lt("a", true)]), "min_should.conditions[0]", "RFC 3339"),
        (
            Filter::all([Filter::nested("a", Filter::any([Filter::all(wide())]))]),
            "must[0].nested.filter",
            "1024 clauses",
        ),
        (Filter::nested("a", Filter::all([Filter::entity("")])), "nested.filter.must[0]", "an entity id"),
    ] {
        let at = if place.is_empty() { format!("{FILTER_FAULT}: ") } else { format!("{FILTER_FAULT} at `{place}") };
        for (door, error) in doors(&docs, &filter) {
            let shown = format!("{error:?} {error}");
            assert_eq!(error.kind(), ErrorKind::Invalid, "{door}: {error}");
            assert!(error.to_string().contains(&at) && shown.contains(what), "{door}: {error}");
            assert!(!shown.contains(SECRET), "{door}: {error}");
        }
    }
    assert!((docs.info(), docs.scroll().run().unwrap().records) == before, "something was written");
    assert!(env.verify_deep().unwrap().problems.is_empty());
}
