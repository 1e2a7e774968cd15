//! Every kind of bad input over REST, one line each: what is sent, and the status and code that it gets. Afterwards nothing
//! has changed on disk, and no answer, no line of the log and no metric holds a word of what was sent.
//!
//! A test target of the server's package, so that cargo builds the binary for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts the real server and talks to it over loopback")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use serde_json::{Value, json};
use tests::server::{Installation, Server};
use tests::tree::tree;

/// In everything that is sent.
const SECRET: &str = "s3cr3t";
const JSON: &str = "Content-Type: application/json\r\n";
const DOCS: &str = "/v1/collections/docs";
const BODY_BYTES_MAX: usize = 8 << 20;

/// What is sent: method, path below the collection or from the root, further heads, body.
type Sent = (&'static str, String, String, Vec<u8>);

fn start(dir: &Path, settings: &[(&str, &str)]) -> Server {
    let installation = Installation::new(Path::new(env!("CARGO_BIN_EXE_lethedb")), dir.join("data"), dir.join("log"));
    let mut command = installation.unwrap().command().unwrap();
    command.env("RUST_LOG", "debug").env("LETHEDB__SERVER__BODY_BYTES_MAX", BODY_BYTES_MAX.to_string());
    for (name, value) in settings {
        command.env(format!("LETHEDB__{name}"), value);
    }
    let server = Server::start(&mut command).unwrap();
    server.ok("PUT", DOCS, &json!({ "dimension": 2, "metric": "cosine" })).unwrap();
    server.ok("PUT", &format!("{DOCS}/records"), &json!({ "records": [{ "id": 1, "vector": [1, 2] }] })).unwrap();
    server
}

fn ask(method: &'static str, path: &str, body: impl Into<Vec<u8>>) -> Sent {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("{DOCS}/{path}") };
    (method, path, JSON.to_owned(), body.into())
}

fn search(body: &str) -> Sent {
    ask("POST", "search", body)
}

/// A search with this vector.
fn vector(text: &str) -> Sent {
    search(&format!(r#"{{"vector": {text}, "filter": {{"entity": "{SECRET}"}}}}"#))
}

/// An upsert with this vector, for somebody.
fn upsert(text: &str) -> Sent {
    ask("PUT", "records", format!(r#"{{"records": [{{"id": 9, "entity": "{SECRET}", "vector": {text}}}]}}"#))
}

/// A search with this beside its vector.
fn with(member: &str) -> Sent {
    search(&format!(r#"{{"vector": [1, 0], {member}}}"#))
}

fn filter(text: &str) -> Sent {
    with(&format!(r#""filter": {text}"#))
}

/// A search with these heads.
fn headed(heads: &str) -> Sent {
    ("POST", format!("{DOCS}/search"), heads.to_owned(), br#"{"vector": [1, 0]}"#.to_vec())
}

/// A list of collections, asked for with these heads.
fn listed(heads: &str) -> Sent {
    ("GET", "/v1/collections".to_owned(), heads.to_owned(), Vec::new())
}

/// A collection of this name; of two dimensions if nothing else is said.
fn make(name: &str, body: &str) -> Sent {
    let body = if body.is_empty() { r#"{"dimension": 2, "metric": "cosine"}"# } else { body };
    ask("PUT", &format!("/v1/collections/{name}"), body)
}

fn private(epsilon: &str) -> Sent {
    ask("POST", "centroid", format!(r#"{{"epsilon": {epsilon}}}"#))
}

/// What is wrong, how it is sent, and the status and code that it gets.
type Row = (&'static str, Sent, u16, &'static str);

fn table() -> Vec<Row> {
    [bodies(), numbers(), filters(), sizes(), names(), callers()].concat()
}

fn bodies() -> Vec<Row> {
    let stored = |payload: &str| {
        ask("PUT", "records", format!(r#"{{"records": [{{"id": 9, "vector": [1, 0], "payload": {payload}}}]}}"#))
    };
    let nested = |lists: usize| format!("{{\"a\": {}1{}}}", "[".repeat(lists), "]".repeat(lists));
    let deep = nested(200);
    vec![
        ("a payload over 32 deep", stored(&nested(32)), 400, "invalid"),
        ("malformed JSON", search("{\"vector\": s3cr3t"), 400, "invalid_json"),
        ("no body", search(""), 400, "invalid_json"),
        ("nesting over 128", stored(&deep), 400, "invalid_json"),
        ("a repeated member", search(r#"{"vector": [1, 0], "vector": [1, 0]}"#), 400, "invalid_body"),
        ("the same in a payload", stored(r#"{"s3cr3t": 1, "s3cr3t": 2}"#), 400, "invalid_body"),
        ("bytes behind the end", search(r#"{"vector": [1, 0]} s3cr3t"#), 400, "invalid_json"),
        ("no UTF-8", ask("POST", "search", b"{\"vector\": [1, 0], \"\xff\": 1}".to_vec()), 400, "invalid_json"),
        ("a list for an object", search(r#"["s3cr3t"]"#), 400, "invalid_body"),
        ("an unknown member", with(r#""s3cr3t": 1"#), 400, "invalid_body"),
        ("another media type", headed("Content-Type: text/plain; s3cr3t\r\n"), 415, "unsupported_media_type"),
        ("no media type", headed(""), 415, "unsupported_media_type"),
        ("gzip, maybe a bomb", headed(&format!("{JSON}Content-Encoding: gzip\r\n")), 415, "unsupported_media_type"),
        ("zstd, maybe one, too", headed(&format!("{JSON}Content-Encoding: zstd\r\n")), 415, "unsupported_media_type"),
    ]
}

fn numbers() -> Vec<Row> {
    vec![
        ("NaN", vector("[NaN, 0]"), 400, "invalid_json"),
        ("infinity", vector("[-Infinity, 0]"), 400, "invalid_json"),
        ("a number beyond f64", vector("[1e400, 0]"), 400, "invalid_json"),
        ("a number beyond f32", upsert("[1e39, 0]"), 400, "invalid_json"),
        ("a zero vector under cosine", vector("[0, 0]"), 400, "invalid_vector"),
        ("a zero vector under cosine, stored", upsert("[0, 0]"), 400, "invalid_vector"),
        ("another dimension", vector("[1, 0, 0]"), 400, "invalid_vector"),
        ("another dimension, stored", upsert("[1]"), 400, "invalid_vector"),
        ("an empty vector", vector("[]"), 400, "invalid_vector"),
        ("words for numbers", vector("[\"s3cr3t\", 0]"), 400, "invalid_body"),
        ("limit 0", with(r#""limit": 0"#), 400, "out_of_range"),
        ("limit over its maximum", with(r#""limit": 10001"#), 400, "out_of_range"),
        ("limit over u64", with(r#""limit": 18446744073709551616"#), 400, "invalid_body"),
        ("limit below zero", with(r#""limit": -1"#), 400, "invalid_body"),
        ("offset 2^64 - 1", with(r#""offset": 18446744073709551615"#), 400, "out_of_range"),
        ("ef 0", with(r#""ef": 0"#), 400, "out_of_range"),
        ("ef over its maximum", with(r#""ef": 10001"#), 400, "out_of_range"),
        ("ε of 0", private("0"), 400, "invalid"),
        ("ε below 0", private("-1"), 400, "invalid"),
        ("ε that is no number", private("NaN"), 400, "invalid_json"),
        ("ε above what is left", private("60"), 403, "budget_exhausted"),
    ]
}

fn filters() -> Vec<Row> {
    let clauses = |count: usize| filter(&format!(r#"{{"must": [{}]}}"#, vec!["{}"; count].join(",")));
    let nested = format!("{}{{}}{}", r#"{"must": ["#.repeat(1000), "]}".repeat(1000));
    vec![
        ("a million clauses", clauses(1_000_000), 400, "filter_too_complex"),
        ("1025 clauses", clauses(1025), 400, "filter_too_complex"),
        ("a filter 1000 deep", filter(&nested), 400, "filter_too_complex"),
        ("a regular expression", filter(r#"{"key": "a", "match": {"regex": "(s3cr3t+)+$"}}"#), 400, "invalid_body"),
        ("a wrong path", filter(r#"{"key": "s3cr3t[", "match": {"value": 1}}"#), 400, "invalid_body"),
    ]
}

fn sizes() -> Vec<Row> {
    let records: Vec<_> = (0..10_001).map(|id| json!({ "id": id, "vector": [1, 0] })).collect();
    let searches = vec![json!({ "vector": [1, 0] }); 257];
    let erase = |entity: &str| ask("POST", "/v1/admin/entity/erase", json!({ "entity": entity }).to_string());
    vec![
        ("too many records", ask("PUT", "records", json!({ "records": records }).to_string()), 400, "invalid"),
        ("too many searches", ask("POST", "search/batch", json!({ "searches": searches }).to_string()), 400, "invalid"),
        ("a body over the limit", search(&"s3cr3t ".repeat(BODY_BYTES_MAX / 6)), 413, "body_too_large"),
        ("an entity of 257 bytes", erase(&"x".repeat(257)), 400, "invalid"),
        ("an empty entity", erase(""), 400, "invalid"),
        ("a name of a kilobyte", make(&"x".repeat(1024), ""), 400, "invalid"),
    ]
}

fn names() -> Vec<Row> {
    vec![
        ("a collection above the directory", make("..%2Fs3cr3t", ""), 400, "invalid"),
        ("a collection with a NUL", make("s3cr3t%00", ""), 400, "invalid"),
        ("a collection that looks like another", make("d%D0%BEcs", ""), 400, "invalid"),
        ("a name that is no UTF-8", ask("GET", "/v1/collections/%FF", ""), 400, "invalid_path"),
        ("an environment above the directory", listed("Lethe-Environment: ../s3cr3t\r\n"), 400, "invalid"),
        ("two environments", listed("Lethe-Environment: s3cr3t\r\nLethe-Environment: a\r\n"), 400, "invalid_header"),
        ("an environment that is not there", listed("Lethe-Environment: s3cr3t\r\n"), 404, "not_found"),
        ("a record id that is none", ask("GET", "records/s3cr3t", ""), 400, "invalid_id"),
        ("a record id over u64", ask("GET", "records/18446744073709551616", ""), 400, "invalid_id"),
        (
            "another dimension for a collection",
            make("docs", r#"{"dimension": 3, "metric": "cosine"}"#),
            409,
            "conflict",
        ),
        ("another metric for a collection", make("docs", r#"{"dimension": 2, "metric": "l2"}"#), 409, "conflict"),
        ("what is not there", ask("GET", "/v1/collections/s3cr3t", ""), 404, "not_found"),
        ("a path that is none", ask("GET", "/s3cr3t", ""), 404, "unknown_route"),
        ("a method that is none", ask("PATCH", DOCS, ""), 405, "method_not_allowed"),
        ("an unknown query", ask("GET", "/v1/admin/audit?s3cr3t=1", ""), 400, "invalid_query"),
    ]
}

fn callers() -> Vec<Row> {
    let shows = |heads: &str| headed(&format!("{JSON}{heads}"));
    let approves = |votes: &str| listed(&format!("Lethe-Approval: {votes}\r\n"));
    vec![
        ("a key that is none", shows("Authorization: Bearer lethe_sk_s3cr3t\r\n"), 401, "unauthenticated"),
        ("a scheme that is none", shows("Authorization: Basic s3cr3t\r\n"), 401, "unauthenticated"),
        ("two keys", shows("Authorization: Bearer s3cr3t\r\nX-API-Key: s3cr3t\r\n"), 401, "unauthenticated"),
        ("two keys in one place", shows("X-API-Key: s3cr3t\r\nX-API-Key: s3cr3t\r\n"), 401, "unauthenticated"),
        ("a token without a key", shows("X-User-Token: s3cr3t\r\n"), 401, "unauthenticated"),
        ("two tokens", shows("X-User-Token: s3cr3t\r\nX-User-Token: a\r\n"), 401, "unauthenticated"),
        ("a vote that is none", approves("s3cr3t"), 400, "invalid_header"),
    ]
}

#[test]
fn bad_input_gets_its_code_and_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[]);
    let before = tree(&dir.path().join("data")).unwrap();
    let mut wrong = Vec::new();
    for (what, (method, path, heads, body), status, code) in table() {
        let Some((told, head, answer)) = server.send(method, &path, &heads, &body) else {
            wrong.push(format!("{what}: no answer"));
            continue;
        };
        let problem: Value = serde_json::from_str(&answer).unwrap_or_default();
        if (told, problem["code"].as_str()) != (status, Some(code)) {
            wrong.push(format!("{what}: {status} {code} expected, not {told} {answer}"));
        }
        assert!(head.contains("application/problem+json") && head.contains("x-request-id: "), "{what}: {head}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{what}: {answer}");
        assert!(!answer.contains(SECRET) && !head.contains(SECRET), "{what}: the answer repeats it: {answer}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(tree(&dir.path().join("data")).unwrap(), before, "something was written");
    assert_eq!(server.ids().unwrap(), BTreeSet::from([1]));
    let counts = server.send("GET", "/metrics", "", b"").unwrap().2;
    assert!(counts.contains("lethedb_problems_total{code=\"invalid_json\"}") && !counts.contains(SECRET), "{counts}");
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.lines().count() >= table().len(), "the log tells of every request");
    assert!(!log.contains(SECRET), "{}", log.lines().find(|line| line.contains(SECRET)).unwrap_or_default());
}

/// Sends these bytes and nothing more; what comes back until the server closes.
fn raw(server: &Server, sent: &[Vec<u8>], ends: bool) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    for part in sent {
        // A server that refuses early closes before it has read everything.
        _ = stream.write_all(part);
    }
    if ends {
        _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// What is wrong, what is sent, whether the client then ends its half, and the status and code that come back, if any do.
type Broken = (&'static str, Vec<Vec<u8>>, bool, &'static str, &'static str);

#[test]
fn bodies_that_lie_and_clients_that_dawdle_are_let_go() {
    let head = format!("POST {DOCS}/search HTTP/1.1\r\nHost: localhost\r\n{JSON}");
    let length = |length: &str| format!("{head}Content-Length: {length}\r\n\r\n").into_bytes();
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    let endless = [vec![chunked.clone()], vec![chunk; 20]].concat();
    let huge = format!("{head}X-Padding: {}\r\n\r\n", SECRET.repeat(200_000)).into_bytes();
    // Whoever sends all that they will has all the time they need, however slow the machine.
    let lie: &[Broken] = &[
        ("less than it said, and gone", vec![length("100"), b"{".into()], true, "400", "broken_body"),
        ("more than the limit, by its own word", vec![length("99999999999")], false, "413", "body_too_large"),
        ("more than the limit, without a word", endless, false, "413", "body_too_large"),
        ("a length that is none", vec![length(SECRET)], false, "400", ""),
        ("two lengths", vec![length("1\r\nContent-Length: 2")], false, "400", ""),
        ("a chunk that is none", vec![chunked, b"s3cr3t\r\n".into()], false, "400", "broken_body"),
        ("a head without end", vec![huge], false, "431", ""),
        ("HTTP/2", vec![b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()], true, "", ""),
    ];
    let dawdle: &[Broken] =
        &[("less than it said, and silent", vec![length("100"), b"{".into()], false, "408", "body_timeout")];
    let wait: &[Broken] =
        &[("no end of the head", vec![head.clone().into()], false, "", ""), ("nothing at all", vec![], false, "", "")];
    for (settings, table) in [
        (&[][..], lie),
        (&[("SERVER__BODY_SECONDS", "1")], dawdle),
        (&[("SERVER__HEAD_SECONDS", "1"), ("SERVER__CONNECTIONS_MAX", "4")], wait),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = start(dir.path(), settings);
        for (what, sent, ends, status, code) in table {
            let answer = raw(&server, sent, *ends);
            let told = answer.split(' ').nth(1).unwrap_or_default();
            assert!(status.is_empty() || told == *status, "{what}: {answer}");
            assert!(code.is_empty() || answer.contains(&format!("\"{code}\"")), "{what}: {answer}");
            assert!(!answer.contains(SECRET) && !told.starts_with('2'), "{what}: {answer}");
        }
        is_served_beside_the_idle(&server);
        let log = fs::read_to_string(dir.path().join("log")).unwrap();
        assert!(!log.contains(SECRET), "{log}");
    }
}

/// Twice as many idle clients as there are places, where those are four: they are let go, and who has a request is served.
fn is_served_beside_the_idle(server: &Server) {
    let idle: Vec<_> = (0..8).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    assert_eq!(server.send("GET", "/livez", "", b"").unwrap().0, 200);
    drop(idle);
}

#[test]
fn an_erasure_says_the_same_of_who_was_there_and_of_who_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[]);
    let record = json!({ "records": [{ "id": 2, "entity": SECRET, "vector": [1, 0] }] });
    server.ok("PUT", &format!("{DOCS}/records"), &record).unwrap();
    for entity in [SECRET, SECRET, "nobody"] {
        let (status, _) = server.json("POST", "/v1/admin/entity/erase", &json!({ "entity": entity })).unwrap();
        assert_eq!(status, 200, "{entity}");
    }
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains(SECRET), "{log}");
}
