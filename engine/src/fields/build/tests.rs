//! The index of payloads against the meaning of filters: whatever payloads and fields, the rows that match lie between the
//! bounds, and the bounds meet where the index has all there is.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use roaring::RoaringBitmap;
use serde_json::{Value, json};
use storage::id::RecordId;

use super::*;
use crate::declared::FieldType;
use crate::fields::answer;
use crate::fields::columns::{MARK, mark};
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

fn index(payloads: &[Value], declared: &Declared, extent: Extent) -> FieldMap {
    let payload = |position: u32| Ok(Some(Zeroizing::new(serde_json::to_vec(&payloads[position as usize]).unwrap())));
    build(payloads.len() as u32, declared, extent, &payload).unwrap()
}

const ROOM: u64 = 1 << 30;

/// Enough for some of a few payloads, for all, for none.
fn rooms() -> impl Strategy<Value = u64> {
    prop_oneof![Just(ROOM), 0..1000_u64]
}

/// Every value of every field with the names of its rows.
fn contents(map: &FieldMap, name: impl Fn(u32) -> u32) -> Vec<(String, u8, u8, Vec<u8>, RoaringBitmap)> {
    let mut all = Vec::new();
    for field in map.fields() {
        for (code, column) in &field.columns {
            for at in 0..column.len() {
                let number = column.numbers().get(at).map(|number| number.to_be_bytes().to_vec());
                let key = number.unwrap_or_else(|| column.text(at).unwrap().as_bytes().to_vec());
                let rows = column.rows(at..at + 1).into_iter().map(&name).collect();
                all.push((field.name.to_string(), field.kind, *code, key, rows));
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn bounds_hold_and_meet(
        payloads in prop::collection::vec(payloads(), 1..24),
        (name, filter) in prop::sample::select(&NAMES[..]).prop_flat_map(|name| (Just(name), conditions(name))),
        kind in kinds(), room in rooms(),
    ) {
        let declared = Declared::default().with(name, kind.unwrap_or(FieldType::Bool)).unwrap();
        let map = index(&payloads, &declared, Extent { others: 0, room });
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
        if ![mark::LONG, mark::SEVERAL, mark::FAR, mark::UNREAD].into_iter().any(marked) {
            prop_assert!(bounds.doubtful().is_empty());
        }
    }

    /// By itself the index takes the commonest paths, ties by their bytes, and says when they are all.
    #[test]
    fn the_commonest_paths_are_indexed(payloads in prop::collection::vec(payloads(), 1..12), others in 0_usize..6) {
        let extent = Extent { others, room: ROOM };
        let map = index(&payloads, &Declared::default(), extent);
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for payload in &payloads {
            Leaves::of(payload).paths.iter().for_each(|path| *counts.entry(path.to_string()).or_default() += 1);
        }
        let mut expected: Vec<(u32, String)> = counts.into_iter().map(|(path, count)| (u32::MAX - count, path)).collect();
        expected.sort_unstable();
        prop_assert_eq!(map.is_complete(), expected.len() <= others);
        expected.truncate(others);
        let mut expected: Vec<String> = expected.into_iter().map(|(_, path)| path).collect();
        expected.sort_unstable();
        prop_assert!(map.fields().iter().map(|field| &*field.name).eq(&expected));
        // Threads change nothing.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        prop_assert!(pool.install(|| index(&payloads, &Declared::default(), extent)).encode() == map.encode());
    }

    /// The index says the same of the same payloads, in whatever order they come and however little of them fits; and the
    /// number of fields that it has makes the same index again.
    #[test]
    fn the_order_of_payloads_changes_nothing(
        payloads in prop::collection::vec(payloads(), 1..24), others in 0_usize..6, kind in kinds(), room in rooms(), seed: u64,
    ) {
        let declared = kind.map_or_else(Declared::default, |kind| Declared::default().with("a", kind).unwrap());
        let extent = Extent { others, room };
        let map = index(&payloads, &declared, extent);
        let mut order: Vec<u32> = (0..payloads.len() as u32).collect();
        order.shuffle(&mut StdRng::seed_from_u64(seed));
        let shuffled: Vec<Value> = order.iter().map(|at| payloads[*at as usize].clone()).collect();
        let other = index(&shuffled, &declared, extent);
        prop_assert_eq!(other.is_complete(), map.is_complete());
        prop_assert!(contents(&other, |row| order[row as usize]) == contents(&map, |row| row));
        let others = map.fields().iter().filter(|field| field.kind == 0).count();
        let again = index(&payloads, &declared, Extent { others, room });
        prop_assert!(again.encode() == map.encode());
    }

    /// What is gathered fits the room, is given up as soon as it does not, and then those fields stay open that are the
    /// cheapest.
    #[test]
    fn what_is_gathered_fits(payloads in prop::collection::vec(payloads(), 1..24), room in rooms()) {
        let payload = |position: u32| Ok(Some(Zeroizing::new(serde_json::to_vec(&payloads[position as usize]).unwrap())));
        let walk = Walk { rows: payloads.len() as u32, payload: &payload };
        let (mut asked, _) = walk.choose(&Declared::default(), 64).unwrap();
        let costs = walk.costs(&asked).unwrap();
        let sum: u64 = costs.iter().sum();
        let gathered = walk.gather(&asked, room).unwrap();
        prop_assert!(gathered.is_some() || sum > room, "costs are the most that is taken");
        if gathered.is_none() {
            close(&mut asked, &costs, room);
            let open = |is_closed| asked.iter().zip(&costs).filter(move |(asked, _)| asked.is_closed == is_closed).map(|(_, cost)| *cost);
            prop_assert!(open(false).sum::<u64>() <= room && walk.gather(&asked, room).unwrap().is_some());
            prop_assert!(open(false).max() <= open(true).min());
            prop_assert!(open(false).sum::<u64>() + open(true).min().unwrap() > room);
        }
    }
}

/// Every record with keys and texts of its own: the common fields are indexed, and no more is held than may be.
#[test]
fn payloads_of_no_shape_leave_the_common_fields_indexed() {
    let odd = |n: u64| {
        let mut payload = json!({ "lang": "en", "id": n, "text": format!("a text of its own, number {n}") });
        (0..60).for_each(|key| payload[format!("key-{}", n * 60 + key)] = json!(key));
        payload
    };
    let payloads: Vec<Value> = (0..400).map(odd).collect();
    let extent = Extent { others: 3, room: 45_000 };
    let map = index(&payloads, &Declared::default(), extent);
    let names = |map: &FieldMap| map.fields().iter().map(|field| field.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&map), ["id", "lang", "text"]);
    let is_closed = |name| map.field(name).unwrap().column(MARK).unwrap().numbers().contains(&mark::UNREAD);
    assert!(!map.is_complete() && !is_closed("lang") && !is_closed("id") && is_closed("text"));
    let backwards: Vec<Value> = payloads.iter().rev().cloned().collect();
    let other = index(&backwards, &Declared::default(), extent);
    assert!(contents(&other, |row| 399 - row) == contents(&map, |row| row));
}

#[test]
fn the_words_of_a_text_are_found_whatever_its_length() {
    let payloads = [json!({ "a": format!("{} apple red", "x".repeat(600)) }), json!({ "a": ["red", "apple"] })];
    let declared = Declared::default().with("a", FieldType::Text).unwrap();
    let map = index(&payloads, &declared, Extent { others: 0, room: ROOM });
    let filter = Filter::text("a", "red apple");
    let Node::Field(_, predicate) = filter.node() else { panic!("a condition on a field") };
    let bounds = answer(map.field("a").unwrap(), predicate, &(0..2).collect());
    assert!(bounds.certain.iter().eq([0]) && bounds.possible.iter().eq([0, 1]), "the second is of two texts");
}

/// Eight fields as records have them, from one of ten words to a text and a time of its own.
fn typical(n: u64) -> Value {
    let mut rng = StdRng::seed_from_u64(n);
    let mut below = |end: u64| rng.random_range(0..end);
    let title: Vec<String> = (0..8).map(|_| format!("w{}", below(2000))).collect();
    json!({
        "lang": format!("lang-{}", below(10)),
        "customer": format!("customer-{:05}", below(20_000)),
        "tags": (0..1 + below(4)).map(|_| format!("tag-{}", below(200))).collect::<Value>(),
        "price": below(10_000) as f64 / 100.0,
        "stock": below(500),
        "active": below(10) > 0,
        "created": format!("2026-{:02}-{:02}T{:02}:{:02}:00Z", 1 + below(12), 1 + below(28), below(24), below(60)),
        "title": title.join(" "),
    })
}

/// What the index of payloads costs in memory and on disk; the bounds are a tenth over what was measured.
#[test]
fn a_record_of_eight_fields_costs_so_much_and_no_more() {
    let payloads: Vec<Value> = (0..20_000).map(typical).collect();
    let map = index(&payloads, &Declared::default(), Extent { others: 64, room: ROOM });
    let each = |bytes: usize| bytes as f64 / payloads.len() as f64;
    let (memory, disk) = (each(map.resident_bytes()), each(map.encode().len()));
    println!("{memory:.1} bytes of memory and {disk:.1} bytes on disk a record");
    assert!(map.is_complete() && map.fields().len() == 8);
    assert!(memory < 140.0 && disk < 43.0, "{memory} {disk}");
}
