//! The real `lethedb serve` as a client meets it: bad input gets the right problem and changes nothing, a
//! second process is told who holds the data, and SIGKILL loses no acknowledged write.
//!
//! A test target of the server's package, so that cargo builds the binary for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts the real server and talks to it over loopback")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use tests::case::{Counts, add, tell};
use tests::full::fill;
use tests::kill::kill;
use tests::paid::{KINDS, between};
use tests::server::{Installation, Server, signal};
use tests::tree::tree;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lethedb");

fn lethedb(data: &Path) -> Command {
    Installation::new(Path::new(PROGRAM), data.to_owned(), "/dev/null".into()).unwrap().command().unwrap()
}

fn start(data: &Path) -> Server {
    Server::start(&mut lethedb(data)).unwrap()
}

const BATCH: u64 = 5;

fn batch(first: u64) -> Value {
    let record = |id: u64| {
        let vector: Vec<f64> = (0..8).map(|i| ((id * 13 + i * 7) % 31) as f64 - 15.5).collect();
        json!({ "id": id, "vector": vector, "entity": format!("owner-{}", id % 17), "payload": { "n": id } })
    };
    json!({ "records": (first..first + BATCH).map(record).collect::<Vec<_>>() })
}

#[test]
fn sigkill_loses_no_acknowledged_write() {
    let mut counts = Counts::new();
    for seed in 1..=4 {
        add(&mut counts, &kill(Path::new(PROGRAM), seed).unwrap());
    }
    tell(&format!("kills: {counts:?}"));
    assert!(counts["kills"] >= 20 && counts["acknowledged batches"] >= 200, "{counts:?}");
}

#[test]
fn sigkill_between_debit_and_reply_costs_budget_and_gives_no_second_answer() {
    let counts = between(Path::new(PROGRAM), 1).unwrap();
    tell(&format!("private answers cut off: {counts:?}"));
    assert!(KINDS.iter().all(|what| counts.get(what).is_some_and(|times| *times >= 3)), "{counts:?}");
}

#[test]
fn a_full_disk_loses_nothing_and_people_can_be_erased_from_it() {
    let mut counts = Counts::new();
    for seed in 1..=8 {
        add(&mut counts, &fill(Path::new(PROGRAM), seed).unwrap());
    }
    tell(&format!("full disks: {counts:?}"));
    assert!(counts.contains_key("skipped") || counts["erasures on a full disk"] == 7, "{counts:?}");
}

#[test]
fn sigterm_ends_with_success_and_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = start(dir.path());
    server.ok("PUT", "/v1/collections/docs", &json!({ "dimension": 8, "metric": "l2" })).unwrap();
    server.ok("PUT", "/v1/collections/docs/records", &batch(1)).unwrap();
    signal(&server.child, Signal::TERM).unwrap();
    assert!(server.child.wait().unwrap().success());
    assert_eq!(start(dir.path()).ids().unwrap().len(), 5);
}

#[test]
fn a_second_process_is_told_the_pid_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    let second = lethedb(dir.path()).arg("verify").stderr(Stdio::piped()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(message.contains(&server.child.id().to_string()), "{message}");
}

#[test]
fn a_damaged_log_is_salvaged_only_when_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = start(dir.path());
    server.ok("PUT", "/v1/collections/docs", &json!({ "dimension": 8, "metric": "l2" })).unwrap();
    for first in [10, 20, 30] {
        server.ok("PUT", "/v1/collections/docs/records", &batch(first)).unwrap();
    }
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let log = std::fs::read_dir(dir.path().join("env/default/wal")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[80] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let run = |arguments: &[&str]| {
        let output = lethedb(dir.path()).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(run(&["verify"]).0, Some(3));
    let (code, told) = run(&["salvage"]);
    assert!(code == Some(3) && told.contains("1 writes") && told.contains("No copy"), "{code:?} {told}");
    assert!(std::fs::read(&log).unwrap() == bytes, "telling changed the log");
    assert_eq!(run(&["salvage", "--yes"]).0, Some(0));
    assert_eq!(run(&["verify", "--deep"]).0, Some(0));
    assert_eq!(start(dir.path()).ids().unwrap().len(), 10);
}

#[test]
fn a_person_is_erased_over_rest() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    server.ok("PUT", "/v1/collections/docs", &json!({ "dimension": 8, "metric": "cosine" })).unwrap();
    server.ok("PUT", "/v1/collections/docs/records", &batch(17)).unwrap();
    let filter = json!({ "filter": { "entity": "owner-0" } });
    assert_eq!(server.ok("POST", "/v1/collections/docs/count", &filter).unwrap()["count"], 1);
    let erased =
        server.ok("POST", "/v1/admin/entity/erase", &json!({ "entity": "owner-0", "reason": "request 7" })).unwrap();
    assert_eq!((&erased["records_deleted"], &erased["entity_id"]), (&json!(1), &json!("owner-0")));
    assert_eq!(server.ok("POST", "/v1/collections/docs/count", &filter).unwrap()["count"], 0);
    assert_eq!(server.json("GET", "/v1/collections/docs/records/17", &Value::Null).unwrap().0, 404);
    assert_eq!(server.ok("DELETE", "/v1/admin/entity/owner-1", &Value::Null).unwrap()["records_deleted"], 1);
    assert_eq!(server.ids().unwrap().len(), 3);
}

/// Words of a request that no answer may repeat.
const SECRETS: [&str; 3] = ["s3cret-person", "s3cret-payload", "123.456"];

#[test]
fn bad_input_gets_its_problem_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path());
    server.ok("PUT", "/v1/collections/docs", &json!({ "dimension": 3, "metric": "cosine" })).unwrap();
    let good = json!({ "records": [{ "id": 1, "vector": [1, 2, 3] }] });
    server.ok("PUT", RECORDS, &good).unwrap();
    let disk_before = tree(dir.path()).unwrap();
    for (method, path, body, expected) in bad_requests() {
        let answer = server.send(method, path, "Content-Type: application/json\r\n", body.as_bytes());
        check_problem(&format!("{method} {path} {body:.80}"), answer, expected);
    }
    let text = server.send("PUT", RECORDS, "Content-Type: text/plain\r\n", put("[1,2,3]").as_bytes());
    check_problem("text/plain", text, 415);
    let large = vec![b' '; 65 << 20];
    check_problem("large", server.send("PUT", RECORDS, "Content-Type: application/json\r\n", &large), 413);
    for name in ["../up", "a\\u0000b"] {
        let headers = format!("Lethe-Environment: {name}\r\n");
        check_problem(name, server.send("GET", "/v1/collections", &headers, b""), 400);
    }
    let absent = server.send("GET", "/v1/collections", "Lethe-Environment: absent\r\n", b"");
    check_problem("absent environment", absent, 404);
    assert_eq!(server.ids().unwrap(), BTreeSet::from([1]));
    assert_eq!(tree(dir.path()).unwrap(), disk_before);
    assert!(!dir.path().join("escape").exists() && !dir.path().join("env/absent").exists());
}

const RECORDS: &str = "/v1/collections/docs/records";
const SEARCH: &str = "/v1/collections/docs/search";

/// An upsert of one record with secrets in it and this vector.
fn put(vector: &str) -> String {
    format!(
        r#"{{"records":[{{"id":9,"entity":"s3cret-person","payload":{{"a":"s3cret-payload"}},"vector":{vector}}}]}}"#
    )
}

/// Method, path, body, and the status that each must get.
fn bad_requests() -> Vec<(&'static str, &'static str, String, u16)> {
    vec![
        ("PUT", RECORDS, r#"{"records":[{"id":9,"entity":"s3cret-person","#.into(), 400),
        ("PUT", RECORDS, "not json s3cret-payload".into(), 400),
        ("PUT", RECORDS, r#"["s3cret-payload"]"#.into(), 400),
        ("PUT", RECORDS, put("[123.456, 2]"), 400),
        ("PUT", RECORDS, put("[123.456, NaN, 1]"), 400),
        ("PUT", RECORDS, put("[123.456, Infinity, 1]"), 400),
        ("PUT", RECORDS, put("[123.456, 1e999, 1]"), 400),
        ("PUT", RECORDS, put("[123.456, 1e39, 1]"), 400),
        ("PUT", RECORDS, put("[0, 0, 0]"), 400),
        ("PUT", RECORDS, put("[]"), 400),
        ("PUT", RECORDS, put("\"s3cret-payload\""), 400),
        ("PUT", RECORDS, r#"{"records":[{"id":-1,"vector":[1,2,3]}]}"#.into(), 400),
        ("PUT", RECORDS, r#"{"records":[{"id":"s3cret-person","vector":[1,2,3]}]}"#.into(), 400),
        ("PUT", RECORDS, r#"{"records":[{"id":9,"vector":[1,2,3],"s3cret-payload":1}]}"#.into(), 400),
        ("PUT", RECORDS, format!(r#"{{"records":[{{"id":9,"vector":[1,2,3],"entity":"{}"}}]}}"#, "x".repeat(257)), 400),
        ("PUT", RECORDS, r#"{"records":[{"id":8,"vector":[1,2,3]},{"id":9,"vector":[1,2]}]}"#.into(), 400),
        (
            "PUT",
            RECORDS,
            format!(r#"{{"records":[{{"id":9,"vector":[1,2,3],"payload":"{}"}}]}}"#, "y".repeat(70_000)),
            400,
        ),
        ("POST", SEARCH, r#"{"vector":[1,2,3],"limit":0}"#.into(), 400),
        ("POST", SEARCH, r#"{"vector":[1,2,3],"limit":1000000}"#.into(), 400),
        ("POST", SEARCH, r#"{"vector":[1,2,3],"limit":-3}"#.into(), 400),
        ("POST", SEARCH, r#"{"vector":[1,2,3],"ef":0}"#.into(), 400),
        ("POST", SEARCH, r#"{"vector":[0,0,0]}"#.into(), 400),
        ("POST", SEARCH, r#"{"vector":[123.456,2]}"#.into(), 400),
        ("POST", SEARCH, r#"{"vector":[1,2,3],"filter":{"entity":"s3cret-person","must":[]}}"#.into(), 400),
        ("POST", SEARCH, r#"{"vector":[1,2,3],"filter":{"entity":""}}"#.into(), 400),
        ("POST", "/v1/collections/unknown/search", r#"{"vector":[1,2,3]}"#.into(), 404),
        ("PUT", "/v1/collections/unknown/records", put("[1,2,3]"), 404),
        ("PUT", "/v1/collections/..%2Fescape", r#"{"dimension":3,"metric":"cosine"}"#.into(), 400),
        ("PUT", "/v1/collections/a%00b", r#"{"dimension":3,"metric":"cosine"}"#.into(), 400),
        ("PUT", "/v1/collections/docs", r#"{"dimension":4,"metric":"cosine"}"#.into(), 409),
        ("PUT", "/v1/collections/new", r#"{"dimension":0,"metric":"cosine"}"#.into(), 400),
        ("PUT", "/v1/collections/new", r#"{"dimension":99999,"metric":"cosine"}"#.into(), 400),
        ("PUT", "/v1/collections/new", r#"{"dimension":3,"metric":"s3cret-payload"}"#.into(), 400),
        ("GET", "/v1/collections/docs/records/s3cret-person", String::new(), 400),
        ("GET", "/v1/collections/docs/records/77", String::new(), 404),
        ("GET", "/nowhere/s3cret-person", String::new(), 404),
        ("PATCH", "/v1/collections/docs", String::new(), 405),
        ("DELETE", "/v1/collections/unknown", String::new(), 404),
    ]
}

fn check_problem(case: &str, answer: Option<(u16, String, String)>, expected: u16) {
    let (status, head, body) = answer.unwrap_or_else(|| panic!("{case}: no answer"));
    assert_eq!(status, expected, "{case}: {body}");
    assert!(head.contains("application/problem+json"), "{case}: {head}");
    let problem: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{case}: {body}"));
    assert_eq!(problem["status"], expected, "{case}");
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{case}: {body}");
    for secret in SECRETS {
        assert!(!body.contains(secret), "{case}: the answer repeats the request: {body}");
    }
}
