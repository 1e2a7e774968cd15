//! What is nested is taken or refused alike over both faces, although protobuf has messages of its own between two objects of
//! JSON, of which readers take no more than a hundred in one another.

use axum::http::Method;

use super::*;

/// A filter around another, and how many such ones there may be.
type Around = (fn(Value) -> Value, usize);

const AROUND: [Around; 7] = [
    (|inner| json!({"must": [inner]}), 15),
    (|inner| json!({"must": inner}), 15),
    (|inner| json!({"should": [inner]}), 15),
    (|inner| json!({"must_not": [{"is_empty": {"key": "a"}}, inner]}), 15),
    (|inner| json!({"nested": {"key": "a", "filter": inner}}), 7),
    (|inner| json!({"min_should": {"conditions": [inner], "min_count": 1}}), 7),
    (|inner| json!({"must": [{"nested": {"key": "a[]", "filter": inner}}]}), 5),
];

/// Asks both faces the same, and says what became of it: nothing, or the code of the problem.
async fn asked(server: &Server, calls: &Calls, name: &str, path: &str, body: &Value) -> [Option<String>; 2] {
    let method = if name == "Upsert" { Method::PUT } else { Method::POST };
    let (status, rest) = server.ask(method, &format!("/v1/collections/docs/{path}"), body.clone()).await;
    let mut message = body.clone();
    message["collection"] = json!("docs");
    let grpc = calls.call(calls.rpc(name), &message, &[]).await;
    assert_eq!(status == 400, grpc.code() == Code::InvalidArgument, "{name}: {rest} {}", grpc.text());
    assert_eq!(status.is_success(), grpc.code() == Code::Ok, "{name}: {rest} {}", grpc.text());
    let refused = rest["code"].as_str().map(str::to_owned);
    [refused, Some(grpc.reason()).filter(|reason| !reason.is_empty())]
}

#[tokio::test]
async fn filters_are_as_deep_over_both_faces() {
    let server = Server::with_docs(Config::default()).await;
    let calls = Calls::of(&server);
    let leaf = json!({"key": "a", "match": {"any": ["x", 1]}});
    for (around, most) in AROUND {
        for times in [0, 1, most, most + 1, 20, 40] {
            let filter = (0..times).fold(leaf.clone(), |inner, _| around(inner));
            let search = json!({"searches": [{"vector": [1, 0], "filter": filter}]});
            let private = json!({"epsilon": 1.0, "plan": 5, "groups": {"filters": [filter]}});
            for (name, path, body) in [
                ("Count", "count", json!({ "filter": filter })),
                ("SearchBatch", "search/batch", search),
                ("Sample", "sample", json!({ "filter": filter })),
                ("Centroid", "centroid", private),
            ] {
                let refused = asked(&server, &calls, name, path, &body).await;
                let expected = (times > most).then(|| "filter_too_complex".to_owned());
                // What is far too deep for a message is not read, so that nobody knows that it is a filter.
                let codes = if times > most + 1 { &refused[..1] } else { &refused };
                assert!(codes.iter().all(|code| *code == expected), "{name}, {times} times: {refused:?}, {filter}");
            }
        }
    }
}

#[tokio::test]
async fn payloads_are_as_deep_over_both_faces() {
    let server = Server::with_docs(Config::default()).await;
    let calls = Calls::of(&server);
    let around: [fn(Value) -> Value; 2] = [|inner| json!({"a": inner}), |inner| json!([inner])];
    for around in around {
        for (times, is_taken) in [(1, true), (31, true), (32, false), (60, false)] {
            let payload = json!({"p": (0..times).fold(json!(1), |inner, _| around(inner))});
            let body = json!({"records": [{"id": times, "vector": [1, 0], "payload": payload}]});
            let refused = asked(&server, &calls, "Upsert", "records", &body).await;
            assert!(refused.iter().all(|code| code.is_none() == is_taken), "{times}: {refused:?}");
        }
        let (_, read) = server.ask(Method::GET, "/v1/collections/docs/records/31", Value::Null).await;
        let fetched = calls.call(calls.rpc("Fetch"), &json!({"collection": "docs", "id": 31}), &[]).await;
        assert_eq!(fetched.messages[0]["payload"], read["payload"], "{}", fetched.text());
    }
}
