//! Bodies that resemble real ones: whatever arrives is read strictly or refused in our own words. Nothing panics, nothing
//! is accepted that is not one JSON object, and no refusal shows a byte of what was sent. Here, beside the bodies, because
//! they are private to this room.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use engine::{Limits, Schema};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::admin::EraseBody;
use super::aliases::AliasBody;
use super::collections::CollectionBody;
use super::indexes::IndexBody;
use super::records::{DeleteBody, UpdateBody, UpsertBody};
use super::search::{CountBody, ScrollBody, SearchBody};
use super::searches::{BatchBody, GroupsBody};
use super::tallies::{FacetBody, SampleBody};
use crate::json::{Object, parse};

/// Data that only a caller knows.
const SECRET: &str = "s3cr3t";

/// Valid bodies of every kind, full of secrets.
const CORPUS: [&str; 21] = [
    r#"{"dimension": 384, "metric": "cosine"}"#,
    r#"{"dimension": 3, "metric": "l2", "schema": {"fields": {"s3cr3t": "keyword[]"}, "required": ["s3cr3t"], "strict": true}, "limits": {"records_max": 5}}"#,
    r#"{"fields": {"s3cr3t.a": "text", "s3cr3t[].b": "time"}}"#,
    r#"{"collection": "s3cr3t"}"#,
    r#"{"records": [{"id": 1, "entity": "s3cr3t", "vector": [1, -0.5e3], "payload": {"s3cr3t": ["s3cr3t", null, 1e9]}}]}"#,
    r#"{"records": [{"id": "67e55044-10b1-426f-9247-bb680e5fe0c8", "vector": []}, {"id": 2, "vector": [0.25], "if_version": 7}], "all_or_nothing": false}"#,
    r#"{"ids": [1, 18446744073709551615, "67e55044-10b1-426f-9247-bb680e5fe0c8"]}"#,
    r#"{"vector": [1, 0], "limit": 10, "filter": {"entity": "s3cr3t"}, "ef": 64, "exact": true, "rerank": "all", "with_payload": false}"#,
    r#"{"ids": [1], "vector": [0.5], "overwrite": {"s3cr3t": 1}, "clear": true, "delete_keys": ["s3cr3t.a"], "set": {"s3cr3t": 1}, "key": "s3cr3t"}"#,
    r#"{"searches": [{"vector": [1, 0], "offset": 2}, {"like": [1, [0.5, 1]], "unlike": [2], "score_threshold": 0.5}]}"#,
    r#"{"search": {"vector": [1, 0], "filter": {"entity": "s3cr3t"}}, "group_by": "s3cr3t.a", "group_size": 2}"#,
    r#"{"order_by": {"key": "s3cr3t", "direction": "desc", "start_from": "s3cr3t"}, "after": 3}"#,
    r#"{"key": "s3cr3t.a", "limit": 5, "filter": {"entity": "s3cr3t"}}"#,
    r#"{"limit": 5, "seed": 7, "with_payload": false}"#,
    r#"{"after": 12, "limit": 2, "with_vector": true}"#,
    r#"{"filter": {"entity": "s3cr3t"}}"#,
    r#"{"filter": {"must": [{"key": "s3cr3t[].x", "match": {"any": ["s3cr3t", 1]}}, {"key": "a", "range": {"gte": "2026-01-01T00:00:00Z", "lt": "2026-01-02T00:00:00Z"}}], "must_not": {"nested": {"key": "s3cr3t", "filter": {"key": "s3cr3t", "values_count": {"gt": 1}}}}}}"#,
    r#"{"filter": {"should": [{"is_null": {"key": "s3cr3t"}}, {"has_id": [1, "67e55044-10b1-426f-9247-bb680e5fe0c8"]}, {"entity": {"any": ["s3cr3t"]}}], "min_should": {"conditions": [{"key": "s3cr3t", "match": {"text": "s3cr3t"}}], "min_count": 0}}}"#,
    r#"{"field": "s3cr3t[].x", "type": "keyword"}"#,
    r#"{"entity": "s3cr3t", "reason": "\u0073\ud83d\ude00 s3cr3t"}"#,
    r"{}",
];

/// Pieces at which parsers go wrong.
const PIECES: [&str; 24] = [
    "\"",
    "\\",
    "\\u",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "[[[[[[[[",
    "{\"a\":",
    "null",
    "true",
    "1e999",
    "-0",
    "01",
    "1e-400",
    "18446744073709551616",
    "340282350000000000000000000000000000000",
    "NaN",
    "\0",
    "\u{feff}",
    "`s3cr3t`, expected `",
];

fn mutated(rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = CORPUS.choose(rng).unwrap().as_bytes().to_vec();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=bytes.len());
        let end = rng.random_range(at..=bytes.len().min(at + 24));
        match rng.random_range(0..7) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.random_range(0..8)),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..end, PIECES.choose(rng).unwrap().bytes())),
            3 => drop(bytes.splice(at..at, PIECES.choose(rng).unwrap().repeat(rng.random_range(1..200)).bytes())),
            4 => drop(bytes.splice(at.., CORPUS.choose(rng).unwrap().bytes().skip(at))),
            5 => drop(bytes.splice(at..at, bytes[at..end].repeat(rng.random_range(1..8)))),
            _ => drop(bytes.drain(at..end)),
        }
    }
    bytes
}

/// Whether `text` is accepted as a body.
fn read<T: DeserializeOwned>(text: &[u8]) -> bool {
    match parse::<Object<T>>(text) {
        Ok(_) => {
            assert!(serde_json::from_slice::<Value>(text).is_ok_and(|value| value.is_object()), "not one JSON object");
            true
        }
        Err(error) => {
            let words = error.to_string();
            assert!(words.is_ascii() && words.len() < 500 && !words.contains(SECRET), "{words}");
            false
        }
    }
}

const BODIES: [fn(&[u8]) -> bool; 16] = [
    read::<CollectionBody>,
    read::<AliasBody>,
    read::<Schema>,
    read::<Limits>,
    read::<IndexBody>,
    read::<UpsertBody>,
    read::<DeleteBody>,
    read::<UpdateBody>,
    read::<SearchBody>,
    read::<BatchBody>,
    read::<GroupsBody>,
    read::<ScrollBody>,
    read::<CountBody>,
    read::<FacetBody>,
    read::<SampleBody>,
    read::<EraseBody>,
];

#[test]
fn every_body_is_read_strictly_or_refused_in_our_own_words() {
    let rng = &mut StdRng::seed_from_u64(1);
    let accepted: usize =
        (0..15_000).map(|_| mutated(rng)).map(|text| BODIES.iter().filter(|body| body(&text)).count()).sum();
    assert!(accepted > 1000, "only {accepted} of the bodies were near enough to real ones");
}

#[test]
fn the_corpus_is_real() {
    let accepted = CORPUS.map(|text| BODIES.iter().filter(|body| body(text.as_bytes())).count());
    assert!(accepted.iter().all(|bodies| *bodies > 0), "{accepted:?}");
}

/// `serde_json` itself quotes what it read: its words must not reach a caller.
#[test]
fn sabotage_the_words_of_the_parser_would_be_seen() {
    let error = serde_json::from_str::<SearchBody>(r#"{"vector": "s3cr3t"}"#).err().unwrap();
    assert!(error.to_string().contains(SECRET));
}
