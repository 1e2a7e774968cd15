//! The index of payloads against the meaning of filters: whatever payloads and fields, the rows that match lie between the
//! bounds, and the bounds meet where the index has all there is.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use proptest::prelude::*;
use roaring::RoaringBitmap;
use serde_json::json;
use storage::id::RecordId;

use super::*;
use crate::fields::answer;
use crate::filter::{Filter, Node, Subject};

const NAMES: [&str; 6] = ["a", "b", "a.b", "a[]", "a[].b", "b[0]"];

fn texts() -> impl Strategy<Value = String> {
    let long = |n: usize| format!("{} red", "x".repeat(n));
    prop_oneof![
        prop::sample::select(
            &[
                "",
                "red",
                "Red apple",
                "apple",
                "re",
                "2026-01-01T00:00:00Z",
                "2026-01-01T02:00:00+02:00",
                "9999-01-01T00:00:00Z",
                "2026-06-01T00:00:00.5Z"
            ][..]
        )
        .prop_map(str::to_owned),
        prop::sample::select(&[59_usize, 60, 61, 507, 508, 509][..]).prop_map(long),
    ]
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-2..3_i64).prop_map(Value::from),
        (-4..5_i32).prop_map(|n| json!(f64::from(n) / 2.0)),
        texts().prop_map(Value::from),
        prop::sample::select(&[u64::MAX, 1 << 63, (1 << 53) + 1, 1 << 53][..]).prop_map(Value::from),
        Just(json!(-1.7e19)),
        Just(json!(1e30)),
    ]
}

fn payloads() -> impl Strategy<Value = Value> {
    let value = scalars().prop_recursive(3, 12, 3, |inner| {
        let object = prop::collection::btree_map(prop::sample::select(&["a", "b"][..]), inner.clone(), 0..3);
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
            object.prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    });
    let object = prop::collection::btree_map(prop::sample::select(&["a", "b"][..]), value, 0..3);
    object.prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// One condition on `name`.
fn conditions(name: &'static str) -> impl Strategy<Value = Filter> {
    let number = prop_oneof![
        (-3..3_i64).prop_map(Value::from),
        (-3..3_i32).prop_map(|n| json!(f64::from(n) / 2.0)),
        Just(json!((1_u64 << 53) + 1)),
        Just(json!(1_u64 << 63))
    ];
    let moment = prop::sample::select(&["2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "9000-01-01T00:00:00Z"][..]);
    let end = prop::sample::select(&["lt", "lte", "gt", "gte"][..]);
    let compared = || scalars().prop_filter("null is nothing to compare with", |value| !value.is_null());
    let asked = prop_oneof![
        compared().prop_map(|value| json!({ "match": { "value": value } })),
        prop::collection::vec(compared(), 0..3).prop_map(|values| json!({ "match": { "any": values } })),
        prop::collection::vec(compared(), 0..3).prop_map(|values| json!({ "match": { "except": values } })),
        texts().prop_map(|text| json!({ "match": { "text": text } })),
        texts().prop_map(|text| json!({ "match": { "prefix": text } })),
        (end.clone(), number.clone(), end.clone(), number).prop_map(|(a, x, b, y)| json!({ "range": { a: x, b: y } })),
        (end.clone(), moment).prop_map(|(end, moment)| json!({ "range": { end: moment } })),
        (end, 0..4_u32).prop_map(|(end, count)| json!({ "values_count": { end: count } })),
    ];
    asked.prop_map(move |mut condition| {
        condition["key"] = name.into();
        serde_json::from_value(condition).unwrap()
    })
}

fn kinds() -> impl Strategy<Value = Option<FieldType>> {
    use FieldType::{Bool, Float, Integer, Keyword, Text, Time};
    prop::option::of(prop::sample::select(&[Keyword, Integer, Float, Bool, Time, Text][..]))
}

fn index(payloads: &[Value], declared: &Declared, others: usize) -> FieldMap {
    let payload = |position: u32| Ok(Some(Zeroizing::new(serde_json::to_vec(&payloads[position as usize]).unwrap())));
    build(payloads.len() as u32, declared, others, &payload).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn bounds_hold_and_meet(
        payloads in prop::collection::vec(payloads(), 1..24),
        (name, filter) in prop::sample::select(&NAMES[..]).prop_flat_map(|name| (Just(name), conditions(name))),
        kind in kinds(),
    ) {
        let declared = Declared::default().with(name, kind.unwrap_or(FieldType::Bool)).unwrap();
        let map = index(&payloads, &declared, 0);
        let all: RoaringBitmap = (0..payloads.len() as u32).collect();
        let Node::Field(_, predicate) = filter.node() else { panic!("a condition on a field") };
        let bounds = answer(map.field(name).unwrap(), predicate, &all);
        let matches = |position: &u32| {
            let text = serde_json::to_vec(&payloads[*position as usize]).unwrap();
            filter.matches(&Subject::new(RecordId::Num(0), None, Some(&text))).unwrap()
        };
        let truth: RoaringBitmap = all.iter().filter(matches).collect();
        prop_assert!(bounds.certain.is_subset(&truth), "{:?} {:?}", bounds.certain, truth);
        prop_assert!(truth.is_subset(&bounds.possible), "{:?} {:?}", bounds.possible, truth);
        let field = map.field(name).unwrap();
        let marked = |mark| field.column(MARK).is_some_and(|column| column.numbers().contains(&mark));
        if ![mark::LONG, mark::SEVERAL, mark::FAR].into_iter().any(marked) {
            prop_assert!(bounds.doubtful().is_empty());
        }
    }

    /// By itself the index takes the commonest paths, ties by their bytes, and says when they are all.
    #[test]
    fn the_commonest_paths_are_indexed(payloads in prop::collection::vec(payloads(), 1..12), others in 0_usize..6) {
        let map = index(&payloads, &Declared::default(), others);
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for payload in &payloads {
            Leaves::of(payload).paths.into_iter().for_each(|path| *counts.entry(path).or_default() += 1);
        }
        let mut expected: Vec<(u32, String)> = counts.into_iter().map(|(path, count)| (u32::MAX - count, path)).collect();
        expected.sort_unstable();
        prop_assert_eq!(map.is_complete(), expected.len() <= others);
        expected.truncate(others);
        let mut expected: Vec<String> = expected.into_iter().map(|(_, path)| path).collect();
        expected.sort_unstable();
        prop_assert!(map.fields().iter().map(|field| &field.name).eq(&expected));
        // Threads change nothing.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        prop_assert!(pool.install(|| index(&payloads, &Declared::default(), others)).encode() == map.encode());
    }
}

#[test]
fn the_words_of_a_text_are_found_whatever_its_length() {
    let payloads = [json!({ "a": format!("{} apple red", "x".repeat(600)) }), json!({ "a": ["red", "apple"] })];
    let declared = Declared::default().with("a", FieldType::Text).unwrap();
    let map = index(&payloads, &declared, 0);
    let filter = Filter::text("a", "red apple");
    let Node::Field(_, predicate) = filter.node() else { panic!("a condition on a field") };
    let bounds = answer(map.field("a").unwrap(), predicate, &(0..2).collect());
    assert!(bounds.certain.iter().eq([0]) && bounds.possible.iter().eq([0, 1]), "the second is of two texts");
}
