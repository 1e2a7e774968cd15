//! Strictness: what is a filter comes back as it went in, what is none is told where, and nobody is told a value.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn parse(value: &Value) -> Result<Filter, String> {
    serde_json::from_value(value.clone()).map_err(|error| error.to_string())
}

#[test]
fn every_form_comes_back_as_it_went_in() {
    for value in [
        json!({}),
        json!({ "key": "a.b", "match": { "value": "x" } }),
        json!({ "key": "a[].b", "match": { "value": 18_446_744_073_709_551_615_u64 } }),
        json!({ "key": "a[0]", "match": { "value": true } }),
        json!({ "key": "a", "match": { "value": -0.5 } }),
        json!({ "key": "\"a.b\"", "match": { "any": [1, "x"] } }),
        json!({ "key": "a", "match": { "except": [] } }),
        json!({ "key": "a", "match": { "text": "Two Words" } }),
        json!({ "key": "a", "match": { "prefix": "x" } }),
        json!({ "key": "a", "range": { "gte": 1, "lt": 2.5 } }),
        json!({ "key": "a", "range": { "gt": "2026-01-01T00:00:00+01:00", "lte": "2026-01-02T00:00:00Z" } }),
        json!({ "key": "a", "values_count": { "gte": 2 } }),
        json!({ "is_empty": { "key": "a" } }),
        json!({ "is_null": { "key": "a" } }),
        json!({ "has_id": [7, "67e55044-10b1-426f-9247-bb680e5fe0c8"] }),
        json!({ "entity": "user-42" }),
        json!({ "entity": { "any": ["a", "b"] } }),
        json!({ "nested": { "key": "a[]", "filter": { "must": [{ "is_null": { "key": "b" } }] } } }),
        json!({ "must": [{ "entity": "a" }], "should": [{}], "must_not": [{ "must": [{ "has_id": [] }] }],
            "min_should": { "conditions": [{ "entity": "b" }, {}], "min_count": 1 } }),
    ] {
        let filter = parse(&value).unwrap();
        assert_eq!(serde_json::to_value(&filter).unwrap(), value);
        assert_eq!(format!("{filter:?}"), "Filter(..)");
    }
}

#[test]
fn other_forms_mean_the_same() {
    for (other, own) in [
        (json!({ "must": { "entity": "a" } }), json!({ "must": [{ "entity": "a" }] })),
        (json!({ "key": "a", "is_empty": true }), json!({ "is_empty": { "key": "a" } })),
        (json!({ "key": "a", "is_null": false }), json!({ "must_not": [{ "is_null": { "key": "a" } }] })),
        (json!({ "nested": { "key": "a", "filter": {} } }), json!({ "nested": { "key": "a[]", "filter": {} } })),
        (json!({ "key": "a", "match": { "any": [2, 1, 2.0] } }), json!({ "key": "a", "match": { "any": [1, 2] } })),
        (json!({ "key": "\"a\"", "match": { "value": 1.0 } }), json!({ "key": "a", "match": { "value": 1 } })),
        (json!({ "must": [], "should": [] }), json!({})),
    ] {
        assert!(parse(&other).unwrap() == parse(&own).unwrap(), "{other}");
    }
}

#[test]
fn the_builder_says_the_same() {
    let filter = Filter::all([
        Filter::eq("lang", "en"),
        Filter::not(Filter::any_of("n", [1, 2])),
        Filter::any([Filter::between("price", 1, 2.5), Filter::gte("at", "2026-01-01T00:00:00Z")]),
        Filter::nested("items", Filter::prefix("name", "x")),
        Filter::at_least(1, [Filter::entity("a"), Filter::has_id([7_u64])]),
        Filter::except("c", ["x"]),
        Filter::values_count("tags", 1, 3),
        Filter::any([]),
    ]);
    let value = json!({ "must": [
        { "key": "lang", "match": { "value": "en" } },
        { "must_not": [{ "key": "n", "match": { "any": [1, 2] } }] },
        { "should": [
            { "key": "price", "range": { "gte": 1, "lte": 2.5 } },
            { "key": "at", "range": { "gte": "2026-01-01T00:00:00Z" } },
        ] },
        { "nested": { "key": "items[]", "filter": { "key": "name", "match": { "prefix": "x" } } } },
        { "min_should": { "conditions": [{ "entity": "a" }, { "has_id": [7] }], "min_count": 1 } },
        { "key": "c", "match": { "except": ["x"] } },
        { "key": "tags", "values_count": { "gte": 1, "lte": 3 } },
        { "min_should": { "conditions": [], "min_count": 1 } },
    ] });
    assert_eq!(serde_json::to_value(&filter).unwrap(), value);
    assert!(parse(&value).unwrap() == filter);
}

#[test]
fn what_cannot_be_used_is_told() {
    let mut deep = Filter::entity("a");
    for _ in 0..100_000 {
        deep = Filter::not(deep);
    }
    let wide = Filter::all((0..1024_u64).map(|id| Filter::has_id([id])));
    for (filter, word) in [
        (Filter::eq("a[", 1), "path"),
        (Filter::eq("a", f64::NAN), "finite"),
        (Filter::lt("a", true), "RFC 3339"),
        (Filter::lt("a", "yesterday"), "RFC 3339"),
        (Filter::between("a", 1, "2026-01-01T00:00:00Z"), "numbers"),
        (Filter::entity(""), "entity"),
        (deep, "16 deep"),
        (Filter::any([wide]), "1024 clauses"),
    ] {
        assert!(filter.fault().unwrap().contains(word), "{word}");
        assert!(serde_json::to_value(&filter).is_err());
        assert!(Filter::all([filter]).fault().is_some());
    }
}

#[test]
fn errors_name_the_place_and_what_belongs_there() {
    let key = "a condition may ask one thing";
    for (value, expected) in [
        (json!(1), "a wrong filter: an object is expected"),
        (json!({ "most": [] }), "a wrong filter: an unknown member"),
        (json!({ "must": [], "entity": "a" }), "a wrong filter: an unknown member"),
        (json!({ "must": 1 }), "at `must`: a filter or a list"),
        (
            json!({ "must": [{}, {}, { "key": "a", "range": { "gte": [] } }] }),
            "at `must[2].range.gte`: a number or an RFC",
        ),
        (
            json!({ "should": { "key": "a", "range": { "lt": "tomorrow" } } }),
            "at `should.range.lt`: a number or an RFC",
        ),
        (json!({ "key": "a", "range": {} }), "at `range`: at least one of"),
        (
            json!({ "key": "a", "range": { "lt": 1, "gt": "2026-01-01T00:00:00Z" } }),
            "at `range`: all ends must be numbers",
        ),
        (json!({ "key": "a..b", "match": { "value": 1 } }), "at `key`: a key path such as"),
        (json!({ "key": 1, "match": { "value": 1 } }), "at `key`: a string"),
        (json!({ "key": "a" }), "a wrong filter: a key and exactly one of match"),
        (json!({ "key": "a", "match": { "value": 1 }, "is_null": true }), "a wrong filter: a key and exactly one"),
        (json!({ "key": "a", "match": {} }), "at `match`: exactly one of value"),
        (json!({ "key": "a", "match": { "value": null } }), "at `match.value`: a string of at most 1 MiB, a finite"),
        (json!({ "key": "a", "match": { "any": [1, {}] } }), "at `match.any[1]`: a string of at most 1 MiB, a finite"),
        (json!({ "key": "a", "match": { "any": 1 } }), "at `match.any`: a list"),
        (json!({ "key": "a", "match": { "text": 1 } }), "at `match.text`: a string"),
        (json!({ "key": "a", "values_count": { "lt": 1.5 } }), "at `values_count.lt`: a whole number"),
        (json!({ "key": "a", "values_count": { "lt": -1 } }), "at `values_count.lt`: a whole number"),
        (json!({ "key": "a", "is_null": 1 }), "at `is_null`: true or false"),
        (json!({ "is_empty": { "key": "a", "x": 1 } }), "at `is_empty`: an unknown member"),
        (json!({ "has_id": ["x"] }), "at `has_id[0]`: a whole number from 0 or a UUID"),
        (json!({ "has_id": [-1] }), "at `has_id[0]`: a whole number from 0 or a UUID"),
        (json!({ "entity": { "any": ["a", ""] } }), "at `entity.any[1]`: an entity id of"),
        (json!({ "nested": { "key": "a" } }), "at `nested`: key and filter"),
        (json!({ "nested": { "key": "a", "filter": { "must": 1 } } }), "at `nested.filter.must`: a filter"),
        (json!({ "min_should": { "conditions": [] } }), "at `min_should`: conditions and min_count"),
        (json!({ "min_should": { "conditions": [1], "min_count": 1 } }), "at `min_should.conditions[0]`: an object"),
        (json!({ "min_should": { "conditions": [], "min_count": 0.5 } }), "at `min_should.min_count`: a whole"),
    ] {
        let error = parse(&value).err().unwrap_or_else(|| panic!("{key}: {value}"));
        assert!(error.starts_with(FILTER_FAULT) && error.contains(expected), "{value}: {error}");
    }
    for (text, expected) in [
        (r#"{"must": [], "must": []}"#, "at `must`: a repeated member"),
        (r#"{"must": {"key": "a", "match": {"value": 1, "value": 1}}}"#, "at `must.match.value`: a repeated member"),
    ] {
        let error = serde_json::from_str::<Filter>(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_filter_without_a_condition_is_told_apart() {
    for (value, says) in [
        (json!({}), false),
        (json!({ "must": [], "should": [] }), false),
        (json!({ "must": [{ "should": {} }], "must_not": {} }), false),
        (json!({ "min_should": { "conditions": [{}], "min_count": 1 } }), false),
        (json!({ "must": [{}, { "should": { "has_id": [] } }] }), true),
        (json!({ "nested": { "key": "a", "filter": {} } }), true),
        (json!({ "entity": "ada" }), true),
    ] {
        assert_eq!(parse(&value).unwrap().has_condition(), says, "{value}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let kinds: [fn(Value) -> Value; 6] = [
        |inner| json!({ "must": [inner] }),
        |inner| json!({ "should": inner }),
        |inner| json!({ "must_not": [inner] }),
        |inner| json!({ "nested": { "key": "a", "filter": inner } }),
        |inner| json!({ "min_should": { "conditions": [inner], "min_count": 1 } }),
        |inner| json!({ "must": { "nested": { "key": "a", "filter": inner } } }),
    ];
    for (kind, step) in kinds.into_iter().zip([1, 1, 1, 2, 2, 3]) {
        for leaf in [json!({}), json!({ "min_should": { "conditions": [], "min_count": 1 } })] {
            let times = |times: usize| (0..times).fold(leaf.clone(), |inner, _| kind(inner));
            let most = 15 / step;
            assert!(parse(&times(most)).unwrap().fault().is_none(), "{step}");
            for more in [most + 1, 21] {
                assert!(parse(&times(more)).unwrap_err().contains("at most 16 deep"), "{step}");
            }
        }
    }
    let built = |times: usize| (0..times).fold(Filter::eq("a", 1), |inner, _| Filter::nested("a", inner));
    assert!(built(7).fault().is_none() && built(8).fault().unwrap().contains("at most 16 deep"));
    let mut lists = json!([]);
    (0..100).for_each(|_| lists = json!([lists]));
    assert!(parse(&json!({ "must": lists })).unwrap_err().contains("at `must[0]`: an object"));
    let wide = |clauses: usize| json!({ "must": vec![json!({}); clauses - 1] });
    assert!(parse(&wide(1024)).is_ok());
    assert!(parse(&wide(1025)).unwrap_err().contains("at `must[1023]`: a filter may have at most 1024 clauses"));
    let many = json!({ "has_id": vec![1; 1 << 17] });
    assert!(parse(&many).unwrap_err().contains("over 131072 values"));
    // No depth of the text itself can exhaust a stack.
    let text = format!("{}{}", r#"{"must":["#.repeat(100_000), "]}".repeat(100_000));
    assert!(serde_json::from_str::<Filter>(&text).is_err());
}

/// JSON that resembles filters: our members anywhere, with secrets in every place where a caller's words may stand.
fn almost() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 26] = [
        "must",
        "should",
        "must_not",
        "min_should",
        "conditions",
        "min_count",
        "key",
        "match",
        "range",
        "values_count",
        "is_empty",
        "is_null",
        "has_id",
        "entity",
        "nested",
        "filter",
        "value",
        "any",
        "except",
        "text",
        "prefix",
        "lt",
        "lte",
        "gt",
        "gte",
        "s3cr3t",
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!("s3cr3t")),
        Just(json!("s3cr3t[].\"s3cr3t\"")),
        Just(json!("2026-01-01T00:00:00Z")),
    ];
    leaf.prop_recursive(6, 64, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(&NAMES[..]).prop_map(str::to_owned), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_json_is_a_filter_or_an_error_without_a_word_of_it(value in almost()) {
        match parse(&value) {
            Ok(filter) => {
                let own = serde_json::to_value(&filter).unwrap();
                prop_assert!(parse(&own) == Ok(filter));
            }
            Err(error) => prop_assert!(error.starts_with(FILTER_FAULT) && !error.contains("s3cr3t"), "{}", error),
        }
    }

    #[test]
    fn any_text_is_a_filter_or_an_error(value in almost(), at: prop::sample::Index, byte: u8) {
        let mut text = serde_json::to_vec(&value).unwrap();
        let at = at.index(text.len());
        text[at] = byte;
        _ = serde_json::from_slice::<Filter>(&text);
        _ = serde_json::from_slice::<Filter>(&text[..at]);
    }
}
