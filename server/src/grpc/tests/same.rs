//! The same question asked both ways has the same answer.

use axum::http::Method;
use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, TestRunner};
use tokio::runtime::Runtime;

use super::*;

const DIMENSION: usize = 4;

fn vector() -> impl Strategy<Value = Value> {
    prop::collection::vec(-1.0f32..1.0, DIMENSION).prop_map(|mut vector| {
        vector[0] += 2.0;
        json!(vector)
    })
}

fn condition() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..6i64).prop_map(|n| json!({"key": "n", "match": {"value": n}})),
        (0.0..6.0f64, 0..3u64)
            .prop_map(|(low, width)| json!({"key": "n", "range": {"gte": low, "lt": low + width as f64}})),
        "[a-c]".prop_map(|word| json!({"key": "tags[]", "match": {"any": [word, "z"]}})),
        (0..40u64).prop_map(|id| json!({"has_id": [id, id + 1, u64::MAX]})),
        (0..5u64).prop_map(|who| json!({"entity": format!("user:{who}")})),
        Just(json!({"is_empty": {"key": "tags"}})),
    ]
}

fn filter() -> impl Strategy<Value = Value> {
    let many = || prop::collection::vec(condition(), 0..3);
    (many(), many(), many()).prop_map(|(must, should, not)| {
        let mut filter = json!({});
        for (name, all) in [("must", must), ("should", should), ("must_not", not)] {
            if !all.is_empty() {
                filter[name] = json!(all);
            }
        }
        filter
    })
}

/// A search, a page and a count.
fn questions() -> impl Strategy<Value = [(&'static str, &'static str, Value); 3]> {
    let search = (vector(), filter(), 1..30u64, 0..5u64, any::<(bool, bool, bool)>());
    let search = search.prop_map(|(vector, filter, limit, offset, (exact, payload, with_vector))| {
        json!({"vector": vector, "filter": filter, "limit": limit, "offset": offset, "exact": exact,
            "rerank": "all", "with_payload": payload, "with_vector": with_vector})
    });
    let scroll = (filter(), 1..30u64, prop::option::of(0..40u64), any::<(bool, bool)>());
    let scroll = scroll.prop_map(|(filter, limit, after, (by_value, descending))| {
        let mut body = json!({"filter": filter, "limit": limit, "with_vector": true});
        if by_value {
            body["order_by"] = json!({"key": "n", "direction": if descending { "desc" } else { "asc" }});
        } else if let Some(after) = after {
            body["after"] = json!(after);
        }
        body
    });
    (search, scroll, filter()).prop_map(|(search, scroll, count)| {
        [("Search", "search", search), ("Scroll", "scroll", scroll), ("Count", "count", json!({ "filter": count }))]
    })
}

#[test]
fn search_scroll_and_count_answer_as_rest_does() {
    let runtime = Runtime::new().unwrap();
    let server = Server::new(Config::default());
    let calls = runtime.block_on(async {
        let made = json!({"dimension": DIMENSION, "metric": "cosine"});
        assert!(server.ask(Method::PUT, "/v1/collections/docs", made).await.0.is_success());
        let record = |id: u64| {
            let vector = [1.0, id as f64 / 40.0, (id % 7) as f64 / 7.0, -0.5];
            let tags = &["a", "b", "c"][..(id % 4) as usize];
            let payload = json!({"n": id % 6, "x": id as f64 / 3.0, "big": u64::MAX - id, "tags": tags,
                "deep": {"null": null, "minus": -(id as i64), "é": true}});
            json!({"id": id, "entity": format!("user:{}", id % 5), "vector": vector, "payload": payload})
        };
        let records: Vec<_> = (0..40).map(record).collect();
        let uuid =
            json!({"id": "67e55044-10b1-426f-9247-bb680e5fe0c8", "vector": [0.5, 0.25, 1, 0], "payload": "text"});
        let all = [records, vec![uuid]].concat();
        let body = json!({ "records": all });
        assert!(server.ask(Method::PUT, "/v1/collections/docs/records", body).await.0.is_success());
        Calls::of(&server)
    });
    let mut runner = TestRunner::new(Runs::with_cases(64));
    runner
        .run(&questions(), |questions| {
            for (name, path, body) in questions {
                let (rest, call) = runtime.block_on(async {
                    let path = format!("/v1/collections/docs/{path}");
                    let rest = server.ask(Method::POST, &path, body.clone()).await;
                    let mut message = json!({ "search": body });
                    if name != "Search" {
                        message = body;
                    }
                    message["collection"] = json!("docs");
                    (rest, calls.call(calls.rpc(name), &message, &[]).await)
                });
                if !rest.0.is_success() {
                    prop_assert_eq!(rest.1["code"].as_str().unwrap(), call.reason(), "{} {}", rest.1, call.text());
                    continue;
                }
                prop_assert_eq!(call.code(), Code::Ok, "{}", call.text());
                // Both through the message, whose floats are as narrow as the vectors'.
                let output = &calls.rpc(name).output;
                let normal = |mut answer: Value| {
                    answer["as_of"]["time"] = json!("then");
                    calls.schema.json(&calls.schema.message(output, answer).unwrap()).unwrap()
                };
                prop_assert_eq!(normal(call.messages[0].clone()), normal(rest.1));
            }
            Ok(())
        })
        .unwrap();
}

/// Where there are other threads, what is large is read and written beside what they serve.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_come_and_go_whole() {
    let server = Server::with_docs(Config::default()).await;
    let calls = Calls::of(&server);
    let text = "x".repeat(10 << 10);
    let records: Vec<_> =
        (10..40).map(|id| json!({"id": id, "vector": [1, 0], "payload": {"text": text, "n": id}})).collect();
    let upsert = json!({"collection": "docs", "records": records});
    assert_eq!(calls.call(calls.rpc("Upsert"), &upsert, &[]).await.messages[0]["upserted"], 30);
    let page = calls.call(calls.rpc("Scroll"), &json!({"collection": "docs", "after": 9, "limit": 30}), &[]).await;
    let payloads = page.messages[0]["records"].as_array().unwrap().iter().map(|record| record["payload"].clone());
    assert_eq!(
        payloads.collect::<Vec<_>>(),
        records.iter().map(|record| record["payload"].clone()).collect::<Vec<_>>()
    );
    let facets = json!({"collection": "docs", "limit": 100, "with_payload": true});
    let sample = calls.call(calls.rpc("Sample"), &facets, &[]).await;
    assert_eq!(sample.messages[0]["records"].as_array().unwrap().len(), 33, "{:?}", sample.status);
}

/// As many objects in one another.
fn nested(objects: usize) -> Value {
    (0..objects).fold(json!(7), |inner, _| json!({ "a": inner }))
}

/// The deepest payload that one face takes, the other gives, in every answer that has payloads; what is deeper neither takes.
#[tokio::test]
async fn whatever_one_face_stores_the_other_can_read() {
    let server = Server::with_docs(Config::default()).await;
    let calls = Calls::of(&server);
    let body = |objects: usize| {
        let record = json!({"id": 9, "entity": "deep", "vector": [0.5, 0.5], "payload": nested(objects)});
        json!({"collection": "docs", "records": [record]})
    };
    let rest = async |objects: usize| {
        let body = json!({ "records": body(objects)["records"] });
        server.ask(Method::PUT, "/v1/collections/docs/records", body).await
    };
    assert!(rest(32).await.0.is_success());
    let query = json!({"vector": [0.5, 0.5], "filter": {"has_id": [9]}});
    let asked = [
        ("Fetch", json!({"collection": "docs", "id": 9})),
        ("Search", json!({"collection": "docs", "search": query})),
        ("SearchBatch", json!({"collection": "docs", "searches": [query, query]})),
        ("Scroll", json!({"collection": "docs"})),
        ("ScrollStream", json!({"collection": "docs"})),
        ("Sample", json!({"collection": "docs"})),
        ("Export", json!({"entity": "deep"})),
    ];
    for (name, message) in asked {
        // What is read here is read as far down as any reader goes by default.
        let answer = calls.call(calls.rpc(name), &message, &[]).await;
        assert_eq!(answer.code(), Code::Ok, "{name}: {}", answer.text());
        assert!(json!(answer.messages).to_string().contains(&nested(32).to_string()), "{name}: {}", answer.text());
    }
    assert_eq!(calls.call(calls.rpc("Upsert"), &body(32), &[]).await.code(), Code::Ok);
    let (status, problem) = rest(33).await;
    assert_eq!((status.as_u16(), problem["code"].as_str().unwrap()), (400, "invalid"));
    let refused = calls.call(calls.rpc("Upsert"), &body(33), &[]).await;
    assert_eq!((refused.code(), refused.reason().as_str()), (Code::InvalidArgument, "invalid_body"));
    // Lists take less room in a message, and count the same in a payload.
    let mut lists = body(1);
    lists["records"][0]["payload"] = (0..33).fold(json!(7), |inner, _| json!([inner]));
    let refused = calls.call(calls.rpc("Upsert"), &lists, &[]).await;
    assert_eq!((refused.code(), refused.reason().as_str()), (Code::InvalidArgument, "invalid"), "{}", refused.text());
    // Not step by step, either.
    let path = ["b"; 32].join(".");
    let deeper = json!({"ids": [9], "key": path, "set": {"c": 1}});
    let (status, problem) = server.ask(Method::POST, "/v1/collections/docs/records/update", deeper).await;
    assert_eq!((status.as_u16(), problem["code"].as_str().unwrap()), (400, "invalid"), "{problem}");
}

#[tokio::test]
async fn pages_of_a_stream_are_all_records_and_batches_are_answered_one_by_one() {
    let server = Server::new(Config::default());
    let calls = Calls::of(&server);
    let made = json!({"collection": "docs", "dimension": 2, "metric": "dot"});
    assert_eq!(calls.call(calls.rpc("PutCollection"), &made, &[]).await.code(), Code::Ok);
    let rpc = calls.rpc("UpsertStream");
    let batch = |from: u64| {
        let records: Vec<_> =
            (from..from + 10).map(|id| json!({"id": id, "vector": [id, 1], "payload": {"n": id / 3}})).collect();
        frame(&calls.message(rpc, &json!({"collection": "docs", "records": records})).encode_to_vec())
    };
    let bad = frame(
        &calls.message(rpc, &json!({"collection": "docs", "records": [{"id": 99, "vector": [1]}]})).encode_to_vec(),
    );
    let answer = calls.send(&rpc.path, [batch(0), batch(10), bad, batch(30)].concat(), &[]).await;
    assert_eq!(
        (answer.messages.len(), answer.code(), answer.reason().as_str()),
        (2, Code::InvalidArgument, "invalid_vector")
    );
    assert!(answer.messages.iter().all(|message| message["upserted"] == 10), "{}", answer.text());
    for order in [json!(null), json!({"key": "n", "direction": "desc"})] {
        let mut body = json!({"collection": "docs", "limit": 7});
        if !order.is_null() {
            body["order_by"] = order;
        }
        let pages = calls.call(calls.rpc("ScrollStream"), &body, &[]).await;
        assert_eq!((pages.messages.len(), pages.code()), (3, Code::Ok), "{}", pages.text());
        let ids: BTreeSet<_> = pages
            .messages
            .iter()
            .flat_map(|page| page["records"].as_array().unwrap())
            .map(|record| record["id"].as_u64().unwrap())
            .collect();
        assert_eq!(ids, (0..20).collect());
    }
}
