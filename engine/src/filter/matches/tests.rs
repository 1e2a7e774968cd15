//! What conditions mean, example by example: the sentences of the module's page. The whole language is held against a
//! second reading of it in the tests of the engine.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use serde_json::json;

use super::*;

fn holds(filter: Value, payload: &Value) -> bool {
    let filter: Filter = serde_json::from_value(filter).unwrap();
    let text = serde_json::to_vec(payload).unwrap();
    let entity = EntityId::new("ann").unwrap();
    filter.matches(&Subject::new(RecordId::Num(7), Some(&entity), Some(&text))).unwrap()
}

fn field(key: &str, name: &str, asked: Value) -> Value {
    json!({ "key": key, name: asked })
}

/// Each condition with the payloads' values of `a` for which it holds, and those for which it does not.
#[test]
fn conditions_on_values() {
    let list = |items: Value| items.as_array().unwrap().clone();
    for (name, asked, yes, no) in [
        ("match", json!({ "value": 5 }), json!([5, 5.0, [4, 5], [5, "x"]]), json!([4, "5", [[5]], null, [], {}, true])),
        (
            "match",
            json!({ "value": 9_007_199_254_740_993_i64 }),
            json!([9_007_199_254_740_993_i64]),
            json!([9_007_199_254_740_992_i64, 9_007_199_254_740_992.0, 9_007_199_254_740_994_i64]),
        ),
        ("match", json!({ "value": true }), json!([true, [false, true]]), json!([false, 1, "true", null])),
        ("match", json!({ "value": "x" }), json!(["x", ["y", "x"]]), json!(["X", "xx", { "x": 1 }])),
        ("match", json!({ "any": [1, "x"] }), json!([1, "x", [2, "x"]]), json!([2, "y", true, null])),
        ("match", json!({ "any": [] }), json!([]), json!([1, "x", null])),
        (
            "match",
            json!({ "except": [1, "x"] }),
            json!([2, "y", true, [1, 2]]),
            json!([1, "x", null, [], [1, "x"], {}]),
        ),
        (
            "match",
            json!({ "text": "Red, apple" }),
            json!(["an APPLE is red", ["no", "red apple"]]),
            json!(["red", "apples red", ["red", "apple"], 1]),
        ),
        ("match", json!({ "text": "..." }), json!([]), json!(["...", "", "x"])),
        ("match", json!({ "prefix": "ab" }), json!(["ab", "abc", ["x", "abd"]]), json!(["a", "AB", "xab", 1])),
        ("range", json!({ "gte": 1, "lt": 2.5 }), json!([1, 2, 2.25, [9, 1]]), json!([0.5, 2.5, "1", null, true])),
        ("range", json!({ "gt": 1, "gte": 1, "lte": 2 }), json!([2, 1.5]), json!([1, 3])),
        (
            "range",
            json!({ "gt": 9_007_199_254_740_992_i64 }),
            json!([9_007_199_254_740_993_i64]),
            json!([9_007_199_254_740_992_i64, 9_007_199_254_740_992.0]),
        ),
        (
            "range",
            json!({ "gte": "2026-01-01T00:00:00Z", "lt": "2026-01-02T00:00:00Z" }),
            json!(["2026-01-01T00:00:00Z", "2026-01-01T23:59:59.999999999Z", "2026-01-02T00:30:00+01:00"]),
            json!(["2026-01-02T00:00:00Z", "2026-01-01", 1_767_225_600]),
        ),
        ("values_count", json!({ "gte": 2 }), json!([[1, 2], [null, null]]), json!([1, "xx", [1], null, []])),
        ("values_count", json!({ "lte": 0 }), json!([null, []]), json!([0, {}, [null]])),
        ("is_empty", json!(true), json!([null, []]), json!([0, "", {}, [null], [[]]])),
        ("is_null", json!(true), json!([null]), json!([[], [null], 0, ""])),
    ] {
        for (values, expected) in [(yes, true), (no, false)] {
            for value in list(values) {
                assert_eq!(holds(field("a", name, asked.clone()), &json!({ "a": value })), expected, "{asked} {value}");
            }
        }
    }
}

#[test]
fn where_the_path_finds_nothing() {
    for payload in [json!({}), json!(null), json!([1]), json!({ "a": 1 }), json!({ "a": [{ "b": 1 }] })] {
        assert!(holds(field("a.b", "is_empty", json!(true)), &payload));
        assert!(holds(field("a.b", "values_count", json!({ "lt": 1 })), &payload));
        assert!(!holds(field("a.b", "is_null", json!(true)), &payload));
        assert!(!holds(field("a.b", "match", json!({ "except": [2] })), &payload));
        assert!(!holds(field("a.b", "range", json!({ "gte": 0 })), &payload));
    }
    let without = Subject::new(RecordId::Num(1), None, None);
    assert!(Filter::is_empty("a").matches(&without).unwrap());
    assert!(!Filter::entity("ann").matches(&without).unwrap());
}

#[test]
fn paths_that_find_many_values() {
    let payload = json!({ "l": [{ "n": 1, "t": ["x"] }, { "n": null }, 3] });
    assert!(holds(field("l[].n", "match", json!({ "value": 1 })), &payload));
    assert!(holds(field("l[].t", "match", json!({ "value": "x" })), &payload));
    assert!(holds(field("l[].n", "is_null", json!(true)), &payload));
    assert!(!holds(field("l[].n", "is_empty", json!(true)), &payload), "one of them is there");
    assert!(holds(field("l[].n", "values_count", json!({ "lte": 0 })), &payload), "one of them is null");
    assert!(holds(field("l", "match", json!({ "value": 3 })), &payload));
}

#[test]
fn combinations() {
    let (yes, no) = (json!({ "has_id": [7] }), json!({ "has_id": [8] }));
    let least = |count: u64| json!({ "min_should": { "conditions": [yes, no, yes], "min_count": count } });
    for (filter, expected) in [
        (json!({}), true),
        (json!({ "must": [yes, no] }), false),
        (json!({ "must": [yes, yes] }), true),
        (json!({ "should": [yes, no] }), true),
        (json!({ "should": [no, no] }), false),
        (json!({ "should": [] }), true),
        (json!({ "must_not": [no, no] }), true),
        (json!({ "must_not": [no, yes] }), false),
        (json!({ "must": [yes], "should": [no], "must_not": [no] }), false),
        (json!({ "must": [yes], "should": [yes], "must_not": [no] }), true),
        (least(0), true),
        (least(2), true),
        (least(3), false),
        (json!({ "min_should": { "conditions": [], "min_count": 1 } }), false),
        (json!({ "must": { "should": { "must_not": no } } }), true),
        (json!({ "entity": "ann" }), true),
        (json!({ "entity": { "any": ["bob", "ann"] } }), true),
        (json!({ "entity": "bob" }), false),
    ] {
        assert_eq!(holds(filter.clone(), &json!({})), expected, "{filter}");
    }
}

#[test]
fn nested_conditions_are_on_one_element() {
    let payload = json!({ "l": [{ "n": 1, "s": "x" }, { "n": 2, "s": "y" }, 5], "o": { "n": 1, "s": "x" } });
    let both = |n: i32, s: &str| json!({ "must": [field("n", "match", json!({ "value": n })), field("s", "match", json!({ "value": s }))] });
    for (key, inner, expected) in [
        ("l", both(1, "x"), true),
        ("l[]", both(2, "y"), true),
        ("l", both(1, "y"), false),
        ("o", both(1, "x"), false),
        ("l", json!({ "must_not": both(1, "x") }), true),
        ("l", json!({ "is_empty": { "key": "n" } }), true),
        ("l", json!({ "must": [{ "is_empty": { "key": "n" } }, { "key": "s", "is_empty": false }] }), false),
        ("l", json!({ "must": [both(1, "x"), { "has_id": [7] }, { "entity": "ann" }] }), true),
        ("missing", json!({}), false),
    ] {
        let filter = json!({ "nested": { "key": key, "filter": inner } });
        assert_eq!(holds(filter.clone(), &payload), expected, "{filter}");
    }
}

#[test]
fn a_payload_that_is_no_json_is_damage_only_where_it_is_read() {
    let subject = Subject::new(RecordId::Num(7), None, Some(b"{"));
    assert!(Filter::has_id([7_u64]).matches(&subject).unwrap());
    assert!(Filter::is_null("a").matches(&subject).is_err());
}
