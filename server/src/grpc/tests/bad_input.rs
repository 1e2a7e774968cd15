//! Every kind of bad input over gRPC: what is sent, and the code and reason that it gets. No answer repeats a word of it.

use super::*;

/// In everything that is sent.
const SECRET: &str = "s3cr3t";

async fn with_docs(config: Config) -> (Server, Calls) {
    let server = Server::new(config);
    let calls = Calls::of(&server);
    let made = json!({"collection": "docs", "dimension": 2, "metric": "cosine"});
    assert_eq!(calls.call(calls.rpc("PutCollection"), &made, &[]).await.code(), Code::Ok);
    let record = json!({"collection": "docs", "records": [{"id": 1, "vector": [1, 0]}]});
    assert_eq!(calls.call(calls.rpc("Upsert"), &record, &[]).await.code(), Code::Ok);
    (server, calls)
}

#[track_caller]
fn is_refused(answer: &Answer, what: &str, code: Code, reason: &str) {
    assert_eq!((answer.code(), answer.reason().as_str()), (code, reason), "{what}: {}", answer.text());
    assert_eq!(answer.status.get_error_details().error_info().unwrap().domain, "lethedb");
    assert!(!answer.text().contains(SECRET), "{what}: the answer repeats it: {}", answer.text());
    assert!(answer.messages.is_empty() && answer.headers.contains_key("x-request-id"), "{what}");
}

/// A field of a message as protobuf writes it: its number, and bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut written = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 127 {
        written.push(length as u8 | 128);
        length >>= 7;
    }
    written.push(length as u8);
    [&written[..], bytes].concat()
}

/// A search with this vector, which JSON could not say.
fn search_near(vector: [f32; 2]) -> Vec<u8> {
    let floats: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    [field(1, b"docs"), field(2, &field(1, &floats))].concat()
}

/// What is asked: a call and its body. What it gets: a code, a reason, and how the field that is wrong begins, if one is told.
type Case = (&'static str, (&'static str, Value), Code, &'static str, &'static str);

/// What is wrong; the bytes of the body and further headers, if others than usual; the code and reason that it gets.
type Raw = (&'static str, Option<Vec<u8>>, Vec<(&'static str, &'static str)>, Code, &'static str);

const BAD: Code = Code::InvalidArgument;

fn bad_searches() -> Vec<Case> {
    let search = |query: Value| ("Search", json!({"collection": "docs", "search": query}));
    let with = |name: &str, value: Value| {
        let mut query = json!({"vector": [1, 0]});
        query[name] = value;
        search(query)
    };
    let clauses = json!({"must": vec![json!({}); 1025]});
    vec![
        ("no vector", search(json!({})), BAD, "invalid_body", ""),
        ("a zero vector under cosine", search(json!({"vector": [0, 0]})), BAD, "invalid_vector", ""),
        ("another dimension", search(json!({"vector": [1, 0, 0]})), BAD, "invalid_vector", ""),
        ("limit 0", with("limit", json!(0)), BAD, "out_of_range", ""),
        ("limit over its maximum", with("limit", json!(10_001)), BAD, "out_of_range", ""),
        ("offset 2^64 - 1", with("offset", json!(u64::MAX)), BAD, "out_of_range", ""),
        ("ef 0", with("ef", json!(0)), BAD, "out_of_range", ""),
        ("a rerank that is none", with("rerank", json!(SECRET)), BAD, "invalid_body", "rerank"),
        ("a filter that is none", with("filter", json!({SECRET: 1})), BAD, "invalid_body", "filter"),
        ("a filter that is a list", with("filter", json!([SECRET])), BAD, "invalid_body", "filter"),
        (
            "a wrong path in it",
            with("filter", json!({"key": "s3cr3t[", "match": {"value": 1}})),
            BAD,
            "invalid_body",
            "filter",
        ),
        ("a filter with too much in it", with("filter", clauses), BAD, "filter_too_complex", "filter"),
        ("an example that is none", with("like", json!([null])), BAD, "invalid_body", "like[0]"),
        ("an example that is no UUID", with("unlike", json!([1, SECRET])), BAD, "invalid_id", "unlike[1]"),
    ]
}

fn bad_writes() -> Vec<Case> {
    let upsert =
        |record: Value| ("Upsert", json!({"collection": "docs", "records": [{"id": 2, "vector": [1, 0]}, record]}));
    let many: Vec<_> = (0..10_001).map(|id| json!({"id": id, "vector": [1, 0]})).collect();
    vec![
        (
            "a record without id",
            upsert(json!({"vector": [1, 0], "entity": SECRET})),
            BAD,
            "invalid_body",
            "records[1].id",
        ),
        (
            "a record id that is none",
            upsert(json!({"id": SECRET, "vector": [1, 0]})),
            BAD,
            "invalid_id",
            "records[1].id",
        ),
        ("a number as text", ("Fetch", json!({"collection": "docs", "id": "7"})), BAD, "invalid_id", "id"),
        ("a vector too short", upsert(json!({"id": 3, "vector": [1]})), BAD, "invalid_vector", ""),
        (
            "an entity of 257 bytes",
            upsert(json!({"id": 3, "vector": [1, 0], "entity": "x".repeat(257)})),
            BAD,
            "invalid",
            "",
        ),
        ("too many records", ("Upsert", json!({"collection": "docs", "records": many})), BAD, "invalid", ""),
        ("neither ids nor filter", ("Delete", json!({"collection": "docs"})), BAD, "invalid_body", ""),
        (
            "a key without members",
            ("Update", json!({"collection": "docs", "ids": [1], "key": SECRET})),
            BAD,
            "invalid_body",
            "",
        ),
        (
            "a direction that is none",
            ("Scroll", json!({"collection": "docs", "order_by": {"key": "n", "direction": SECRET}})),
            BAD,
            "invalid_body",
            "order_by.direction",
        ),
    ]
}

fn bad_acts() -> Vec<Case> {
    let make = |name: &str, dimension: u64| {
        ("PutCollection", json!({"collection": name, "dimension": dimension, "metric": "cosine"}))
    };
    let private = |epsilon: f64| ("Centroid", json!({"collection": "docs", "epsilon": epsilon}));
    vec![
        ("ε of 0", private(0.0), BAD, "invalid", ""),
        ("ε below 0", private(-1.0), BAD, "invalid", ""),
        ("no ε", ("Centroid", json!({"collection": "docs"})), BAD, "invalid_body", ""),
        ("ε above what is left", private(60.0), Code::ResourceExhausted, "budget_exhausted", ""),
        (
            "an aggregate that is none",
            ("Aggregate", json!({"collection": "docs", "epsilon": 1.0, "aggregate": SECRET})),
            BAD,
            "invalid_body",
            "aggregate",
        ),
        ("a collection above the directory", make("../s3cr3t", 2), BAD, "invalid", ""),
        ("two dots for a collection", make("..", 2), BAD, "invalid", ""),
        ("a collection with a NUL", make("s3cr3t\0", 2), BAD, "invalid", ""),
        ("a collection that looks like another", make("d\u{43e}cs", 2), BAD, "invalid", ""),
        ("a name of a kilobyte", make(&"x".repeat(1024), 2), BAD, "invalid", ""),
        ("no name", make("", 2), BAD, "invalid_body", "collection"),
        ("another dimension for a collection", make("docs", 3), Code::FailedPrecondition, "conflict", ""),
        ("what is not there", ("DescribeCollection", json!({"collection": SECRET})), Code::NotFound, "not_found", ""),
        ("the same for a typed call", ("Count", json!({"collection": SECRET})), Code::NotFound, "not_found", ""),
        (
            "a record that is not there",
            ("Fetch", json!({"collection": "docs", "id": 9})),
            Code::NotFound,
            "not_found",
            "",
        ),
        ("a time that is none", ("ReadAudit", json!({"start": SECRET})), BAD, "invalid_query", ""),
        ("nobody to erase", ("Erase", json!({})), BAD, "invalid_body", ""),
        ("a share that is none", ("CreateApiKey", json!({"class": SECRET, "roles": []})), BAD, "invalid_body", ""),
    ]
}

#[tokio::test]
async fn bad_messages_get_their_codes_and_fields() {
    let (_server, calls) = with_docs(Config::default()).await;
    for (what, (name, body), code, reason, field) in [bad_searches(), bad_writes(), bad_acts()].concat() {
        let answer = calls.call(calls.rpc(name), &body, &[]).await;
        is_refused(&answer, what, code, reason);
        let details = answer.status.get_error_details();
        let violated = details.bad_request().and_then(|bad| bad.field_violations.first()).map(|one| one.field.clone());
        assert_eq!(violated.is_some(), !field.is_empty(), "{what}: {}", answer.text());
        assert!(violated.unwrap_or_default().starts_with(field), "{what}: {}", answer.text());
    }
    let search = "/lethedb.v1.Records/Search";
    for (what, vector) in
        [("NaN", [f32::NAN, 0.0]), ("infinity", [f32::INFINITY, 0.0]), ("-infinity", [0.0, f32::NEG_INFINITY])]
    {
        is_refused(&calls.send(search, frame(&search_near(vector)), &[]).await, what, BAD, "invalid_vector");
    }
    let nan = [field(1, b"docs"), vec![0x39], f64::NAN.to_le_bytes().to_vec()].concat();
    is_refused(
        &calls.send("/lethedb.v1.Analysis/Centroid", frame(&nan), &[]).await,
        "ε that is none",
        BAD,
        "invalid_body",
    );
}

#[tokio::test]
async fn what_is_no_message_of_ours_is_refused_in_our_words() {
    let mut config = Config::default();
    config.server.body_bytes_max = 1 << 20;
    let (_server, calls) = with_docs(config).await;
    let search = frame(&search_near([1.0, 0.0]));
    let flagged = [&[1][..], &search[1..]].concat();
    let odd = [&[9][..], &search[1..]].concat();
    let text = frame(format!("{SECRET} is no message, and \u{ff} is none").as_bytes());
    let mut nested = Vec::new();
    for _ in 0..200 {
        nested = field(6, &field(1, &nested));
    }
    let deep = frame(&[field(1, b"docs"), field(2, &field(7, &nested)), field(3, &nested)].concat());
    let (claims, huge) =
        ([&[0, 0, 0, 255, 255][..], &[0; 20]].concat(), [&[0, 255, 255, 255, 255][..], &[0; 20]].concat());
    // Field 15, in a message that is good but for it.
    let unknown = frame(&[&search[5..], &[0x78, 1]].concat());
    let broken = |what, bytes| (what, Some(bytes), vec![], BAD, "broken_body");
    let large = |what, bytes| (what, Some(bytes), vec![], Code::ResourceExhausted, "body_too_large");
    let headed = |what, headers, code, reason| (what, None, headers, code, reason);
    let nobody = Code::Unauthenticated;
    let media = |what, header| (what, None, vec![header], Code::Unimplemented, "unsupported_media_type");
    let table: Vec<Raw> = vec![
        broken("nothing", Vec::new()),
        broken("two messages", [&search[..], &search].concat()),
        broken("half a frame", search[..9].to_vec()),
        broken("a frame that claims more", claims),
        broken("no protobuf", text),
        ("nesting over 100", Some(deep), vec![], Code::InvalidArgument, "invalid_body"),
        broken("a compressed message, and no encoding", flagged.clone()),
        broken("a flag that is none", odd),
        ("a field that is not ours", Some(unknown), vec![], Code::InvalidArgument, "invalid_body"),
        large("a frame that claims 4 GiB", huge),
        large("a message over the limit", frame(&vec![0; 2 << 20])),
        (
            "gzip, maybe a bomb",
            Some(flagged),
            vec![("grpc-encoding", "gzip")],
            Code::Unimplemented,
            "unsupported_media_type",
        ),
        media("an encoding that is none", ("grpc-encoding", SECRET)),
        media("another media type", ("content-type", "application/json")),
        media("gRPC for browsers", ("content-type", "application/grpc-web")),
        headed("a timeout that is none", vec![("grpc-timeout", SECRET)], BAD, "invalid_header"),
        headed("no time at all", vec![("grpc-timeout", "0n")], Code::DeadlineExceeded, "request_timeout"),
        headed("two environments", vec![("lethe-environment", "a"), ("lethe-environment", "b")], BAD, "invalid_header"),
        headed("an environment above the directory", vec![("lethe-environment", "../s3cr3t")], BAD, "invalid"),
        headed("an environment that is not there", vec![("lethe-environment", SECRET)], Code::NotFound, "not_found"),
        headed("a key that is none", vec![("authorization", "Bearer lethe_sk_s3cr3t")], nobody, "unauthenticated"),
        headed("two keys", vec![("authorization", "Bearer s3cr3t"), ("x-api-key", SECRET)], nobody, "unauthenticated"),
        headed("a token without a key", vec![("x-user-token", SECRET)], nobody, "unauthenticated"),
        headed("a vote that is none", vec![("lethe-approval", SECRET)], BAD, "invalid_header"),
        headed("another host", vec![("host", "evil.example")], Code::PermissionDenied, "foreign_host"),
    ];
    for (path, good) in [("Records/Search", &search), ("Analysis/Sample", &frame(&field(1, b"docs")))] {
        let path = format!("/lethedb.v1.{path}");
        for (what, bytes, headers, code, reason) in &table {
            let answer = calls.send(&path, bytes.as_ref().unwrap_or(good).clone(), headers).await;
            is_refused(&answer, what, *code, reason);
            let is_told = answer.headers.contains_key("grpc-accept-encoding");
            assert_eq!(is_told, *reason == "unsupported_media_type", "{what}");
        }
        let answer = calls.send(&path, good.clone(), &[]).await;
        assert_eq!((answer.code(), answer.messages.len()), (Code::Ok, 1), "{}", answer.text());
    }
    let unknown = calls.send("/s3cr3t/s3cr3t", frame(b""), &[]).await;
    is_refused(&unknown, "a call that is none", Code::Unimplemented, "unknown_route");
}

#[tokio::test]
async fn who_asks_for_too_much_is_told_when_to_come_back() {
    let mut config = Config::default();
    (config.limits.environment_units, config.limits.burst_seconds) = (1, 5);
    let (_server, calls) = with_docs(config).await;
    let count = json!({"collection": "docs"});
    let mut refused = None;
    for _ in 0..1000 {
        let answer = calls.call(calls.rpc("Count"), &count, &[]).await;
        if answer.code() != Code::Ok {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.unwrap();
    is_refused(&refused, "too much", Code::ResourceExhausted, "rate_limited");
    let details = refused.status.get_error_details();
    assert!(details.retry_info().unwrap().retry_delay.is_some_and(|delay| delay.as_secs() >= 1));
}
