//! Calls that are sent again: done once, answered as the first time, as over REST.

use super::*;
use crate::rest::tests::Server as Rest;

async fn with_docs() -> (Rest, Calls) {
    let server = Rest::with_docs(Config::default()).await;
    let calls = Calls::of(&server);
    (server, calls)
}

fn record(id: u64, payload: Value) -> Value {
    json!({"collection": "docs", "records": [{"id": id, "vector": [1, 0], "payload": payload, "if_absent": true}]})
}

#[track_caller]
fn is(answer: &Answer, code: Code, reason: &str) {
    assert_eq!((answer.code(), answer.reason().as_str()), (code, reason), "{}", answer.text());
}

fn is_replay(answer: &Answer) -> bool {
    answer.headers.contains_key("idempotency-replayed")
}

#[tokio::test]
async fn a_repeat_is_answered_as_the_first_and_not_done_again() {
    let (server, calls) = with_docs().await;
    let upsert = calls.rpc("Upsert");
    let first = calls.call(upsert, &record(10, json!({})), &[("idempotency-key", "k1")]).await;
    is(&first, Code::Ok, "");
    let again = calls.call(upsert, &record(10, json!({})), &[("idempotency-key", "k1")]).await;
    assert_eq!((again.code(), &again.messages, is_replay(&again)), (Code::Ok, &first.messages, true));
    assert!(!is_replay(&first));
    is(&calls.call(upsert, &record(10, json!({})), &[]).await, Code::FailedPrecondition, "conflict");
    // The same key for something else, whichever way in.
    let reused = (Code::InvalidArgument, "idempotency_key_reused");
    let k1 = [("idempotency-key", "k1")];
    is(&calls.call(upsert, &record(11, json!({})), &k1).await, reused.0, reused.1);
    is(&calls.call(calls.rpc("Delete"), &json!({"collection": "docs", "ids": [10]}), &k1).await, reused.0, reused.1);
    let other = json!({"collection": "new", "dimension": 2});
    is(&calls.call(calls.rpc("PutCollection"), &other, &k1).await, reused.0, reused.1);
    // What was refused is not kept; looks ignore the key; streams refuse it.
    let wrong = json!({"collection": "docs", "records": [{"id": 12, "vector": [1]}]});
    let k3 = [("idempotency-key", "k3")];
    is(&calls.call(upsert, &wrong, &k3).await, Code::InvalidArgument, "invalid_vector");
    is(&calls.call(upsert, &record(12, json!({})), &k3).await, Code::Ok, "");
    is(&calls.call(calls.rpc("Count"), &json!({"collection": "docs"}), &k1).await, Code::Ok, "");
    is(
        &calls.call(calls.rpc("UpsertStream"), &record(13, json!({})), &k1).await,
        Code::InvalidArgument,
        "invalid_header",
    );
    is(
        &calls.call(upsert, &record(13, json!({})), &[("idempotency-key", "a b")]).await,
        Code::InvalidArgument,
        "invalid_header",
    );
    let count = server.ask(axum::http::Method::POST, "/v1/collections/docs/count", json!({})).await.1;
    assert_eq!(count["count"], 5, "each was stored once");
}

/// A client may write the members of an object in another order each time.
#[tokio::test]
async fn a_repeat_is_known_by_what_it_says() {
    let (_server, calls) = with_docs().await;
    let upsert = calls.rpc("Upsert");
    let members: Vec<String> = (0..20).map(|at| format!("m{at}")).collect();
    let payload: serde_json::Map<_, _> = members.iter().map(|name| (name.clone(), json!({"n": name}))).collect();
    let mut written = BTreeSet::new();
    // Each message is built anew, with a map of its own order.
    for round in 0..8 {
        let message = calls.message(upsert, &record(20, json!(payload))).encode_to_vec();
        let answer = calls.send(&upsert.path, frame(&message), &[("idempotency-key", "k")]).await;
        assert_eq!((answer.code(), is_replay(&answer)), (Code::Ok, round > 0), "{}", answer.text());
        written.insert(message);
    }
    assert!(written.len() > 1, "they were all written alike, which tests nothing");
}

#[tokio::test]
async fn secrets_are_not_kept_and_calls_through_the_bridge_are_done_once() {
    let (_server, calls) = with_docs().await;
    let erase = calls.rpc("Erase");
    let key = [("idempotency-key", "e")];
    is(&calls.call(erase, &json!({"entity": "ada"}), &key).await, Code::Ok, "");
    is(&calls.call(erase, &json!({"entity": "ada"}), &key).await, Code::FailedPrecondition, "answer_not_kept");
    let put = calls.rpc("PutAlias");
    let alias = json!({"alias": "other", "collection": "docs"});
    let first = calls.call(put, &alias, &[("idempotency-key", "a")]).await;
    is(&first, Code::Ok, "");
    let again = calls.call(put, &alias, &[("idempotency-key", "a")]).await;
    assert_eq!((again.code(), &again.messages, is_replay(&again)), (Code::Ok, &first.messages, true));
}

/// However many are sent at once, one is done; the others wait or are told its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_is_done() {
    let (_server, calls) = with_docs().await;
    let calls = std::sync::Arc::new(calls);
    for round in 0..8 {
        let asked = (0..12).map(|_| {
            let calls = std::sync::Arc::clone(&calls);
            tokio::spawn(async move {
                let key = format!("round-{round}");
                calls.call(calls.rpc("Upsert"), &record(100 + round, json!({})), &[("idempotency-key", &key)]).await
            })
        });
        let mut done = 0;
        for answer in asked.collect::<Vec<_>>() {
            let answer = answer.await.unwrap();
            match answer.code() {
                Code::Ok => done += usize::from(!is_replay(&answer)),
                _ => is(&answer, Code::Aborted, "request_in_progress"),
            }
        }
        assert_eq!(done, 1);
    }
}
