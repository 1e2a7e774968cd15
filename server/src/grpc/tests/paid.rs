//! What calls cost: that of their routes, each page and batch of a stream as a request of its own.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::Extension;
use axum::body::Bytes;
use axum::http::Method;
use engine::{ApiKeyClass, ApiKeyRequest};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tonic::codegen::tokio_stream::iter;

use super::*;
use crate::config::Limits;
use crate::rest::Peer;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const MANY: usize = 500;

/// A server with these limits and `MANY` records, made before anybody was charged.
async fn limited(limits: impl FnOnce(&mut Limits)) -> (Server, Calls) {
    let full = Server::with_docs(Config::default()).await;
    let records: Vec<_> = (10..10 + MANY).map(|id| json!({"id": id, "vector": [1, 0], "payload": {"n": id}})).collect();
    let stored = full.ask(Method::PUT, "/v1/collections/docs/records", json!({ "records": records })).await;
    assert!(stored.0.is_success());
    let mut config = Config::default();
    limits(&mut config.limits);
    let server = full.again(config);
    let mut calls = Calls::of(&server);
    calls.routes = calls.routes.layer(Extension(Peer(HERE)));
    (server, calls)
}

/// So many batches of one record with a payload of so many bytes.
fn batches(calls: &Calls, count: usize, bytes: usize) -> Vec<Vec<u8>> {
    let batch = |id: usize| {
        let record = json!({"id": id, "vector": [1, 0], "payload": {"text": "x".repeat(bytes)}});
        let message = calls.message(calls.rpc("UpsertStream"), &json!({"collection": "docs", "records": [record]}));
        frame(&message.encode_to_vec())
    };
    (0..count).map(batch).collect()
}

/// A body that comes chunk by chunk.
fn chunks(chunks: Vec<Vec<u8>>) -> Body {
    Body::new(StreamBody::new(iter(
        chunks.into_iter().map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::from(chunk)))),
    )))
}

async fn upserts(calls: &Calls, batches: Vec<Vec<u8>>) -> Answer {
    calls.send(&calls.rpc("UpsertStream").path, chunks(batches), &[]).await
}

/// Refused for its units after some answers, and told when to come back.
#[track_caller]
fn is_limited(answer: &Answer, after: std::ops::RangeInclusive<usize>) {
    assert!(after.contains(&answer.messages.len()), "{} answers: {}", answer.messages.len(), answer.status);
    assert_eq!((answer.code(), answer.reason().as_str()), (Code::ResourceExhausted, "rate_limited"));
    let retry = answer.status.get_error_details().retry_info().and_then(|info| info.retry_delay);
    assert!(retry.is_some_and(|delay| delay.as_secs() >= 1), "{}", answer.text());
}

#[tokio::test]
async fn an_address_pays_for_every_page_and_batch() {
    let set = |limits: &mut Limits| (limits.address_units, limits.burst_seconds) = (1, 100);
    let (_server, calls) = limited(set).await;
    let page = json!({"collection": "docs", "limit": 1});
    is_limited(&calls.call(calls.rpc("ScrollStream"), &page, &[]).await, 100..=400);
    let (_server, calls) = limited(set).await;
    is_limited(&upserts(&calls, batches(&calls, MANY, 1)).await, 100..=400);
}

#[tokio::test]
async fn an_environment_pays_for_what_a_page_has_the_engine_do() {
    let set = |limits: &mut Limits| (limits.environment_units, limits.burst_seconds) = (1, 100);
    let scan = json!({"collection": "docs", "limit": 2, "order_by": {"key": "n"}});
    let all = json!({"collection": "docs", "limit": 25});
    let (_server, calls) = limited(set).await;
    assert_eq!(calls.call(calls.rpc("ScrollStream"), &all, &[]).await.messages.len(), 21, "a page of ids is cheap");
    let (_server, calls) = limited(set).await;
    // Two at once, and then one in most of a minute.
    is_limited(&calls.call(calls.rpc("ScrollStream"), &scan, &[]).await, 1..=8);
    // And one by one.
    let filter = json!({"must": [{"key": "n", "match": {"value": -1}}]});
    for (name, body) in [
        ("Scroll", scan),
        ("Count", json!({"collection": "docs", "filter": filter})),
        ("Delete", json!({"collection": "docs", "filter": filter})),
        ("Update", json!({"collection": "docs", "filter": filter, "clear": true})),
    ] {
        let (_server, calls) = limited(set).await;
        let mut answer = calls.call(calls.rpc(name), &body, &[]).await;
        assert_eq!(answer.code(), Code::Ok, "{name}: {}", answer.text());
        for _ in 0..8 {
            answer = calls.call(calls.rpc(name), &body, &[]).await;
        }
        is_limited(&answer, 0..=0);
    }
}

#[tokio::test]
async fn bytes_of_batches_are_paid_for_as_they_come_and_take_room_until_they_are_answered() {
    let (_server, calls) = limited(|limits| (limits.environment_units, limits.burst_seconds) = (1, 600)).await;
    // Three units each for its bytes, and one for itself.
    is_limited(&upserts(&calls, batches(&calls, 300, 50 << 10)).await, 140..=220);

    let (server, calls) = limited(|limits| limits.bodies_bytes_max = 100 << 10).await;
    let answer = upserts(&calls, batches(&calls, 10, 50 << 10)).await;
    assert_eq!((answer.code(), answer.messages.len()), (Code::Ok, 10), "room comes back: {}", answer.text());
    // Of a message that goes on and on, what came is held.
    let endless = vec![vec![0, 0, 16, 0, 0], vec![0; 60 << 10], vec![0; 60 << 10]];
    let answer = upserts(&calls, endless).await;
    assert_eq!((answer.code(), answer.reason().as_str()), (Code::Unavailable, "overloaded"), "{}", answer.text());
    assert_eq!(server.app.pantry().taken(), 0, "and all of it comes back");
}

#[tokio::test]
async fn what_a_stream_begins_with_may_be_owed_and_the_rest_of_it_waits() {
    let scan = json!({"collection": "docs", "limit": 2, "order_by": {"key": "n"}});
    let almost_spent = async || {
        let (server, calls) = limited(|limits| (limits.environment_units, limits.burst_seconds) = (1, 60)).await;
        for _ in 0..59 {
            let count = calls.call(calls.rpc("Count"), &json!({"collection": "docs"}), &[]).await;
            assert_eq!(count.code(), Code::Ok, "{}", count.text());
        }
        (server, calls)
    };
    // Four units, of which the one for its head is there.
    let (_server, calls) = almost_spent().await;
    is_limited(&upserts(&calls, batches(&calls, 3, 60 << 10)).await, 1..=1);
    let (_server, calls) = almost_spent().await;
    is_limited(&calls.call(calls.rpc("ScrollStream"), &scan, &[]).await, 1..=1);
}

#[tokio::test]
async fn pages_and_batches_are_counted_each() {
    let (server, calls) = limited(|_| {}).await;
    assert_eq!(
        calls.call(calls.rpc("ScrollStream"), &json!({"collection": "docs", "limit": 126}), &[]).await.messages.len(),
        4
    );
    let absent = calls.call(calls.rpc("ScrollStream"), &json!({"collection": "absent"}), &[]).await;
    assert_eq!(absent.code(), Code::NotFound);
    assert_eq!(upserts(&calls, batches(&calls, 3, 1)).await.messages.len(), 3);
    let counts = server.ask(Method::GET, "/metrics", Value::Null).await.1.to_string();
    // The streams themselves, and what they were made of.
    for (call, code, count) in [("ScrollStream", 200, 6), ("ScrollStream", 404, 1), ("UpsertStream", 200, 4)] {
        let line = format!(
            "lethedb_requests_total{{method=\\\"POST\\\",route=\\\"/lethedb.v1.Records/{call}\\\",code=\\\"{code}\\\"}} {count}\\n"
        );
        assert!(counts.contains(&line), "{line} is not in {counts}");
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_the_stream() {
    let server = Server::with_docs(Config::default()).await;
    let calls = Calls::of(&server);
    let owner = ApiKeyRequest { roles: vec!["Owner".to_owned()], ..ApiKeyRequest::new(ApiKeyClass::Admin, "default") };
    let key = server.database.access().create(&owner).unwrap();
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let batches = StreamBody::new(tonic::codegen::tokio_stream::wrappers::ReceiverStream::new(receiver));
    let asked = Request::builder()
        .method("POST")
        .uri(format!("http://localhost{}", calls.rpc("UpsertStream").path))
        .header("content-type", "application/grpc")
        .header("authorization", format!("Bearer {}", &*key.text))
        .body(Body::new(batches))
        .unwrap();
    let mut answers = calls.routes.clone().oneshot(asked).await.unwrap().into_body();
    let mut all = self::batches(&calls, 3, 1).into_iter();
    let mut send = async || sender.send(Ok(Frame::data(all.next().unwrap().into()))).await.unwrap();
    for _ in 0..2 {
        send().await;
        assert!(answers.frame().await.unwrap().unwrap().is_data());
    }
    assert!(server.database.access().revoke("default", &key.info.id).unwrap());
    send().await;
    let ended = answers.frame().await.unwrap().unwrap().into_trailers().unwrap();
    let status = Status::from_header_map(&ended).unwrap();
    let reason = status.get_error_details().error_info().unwrap().reason.clone();
    assert_eq!((status.code(), reason.as_str()), (Code::Unauthenticated, "unauthenticated"));
    let count = server.database.environment("default").unwrap().open_collection("docs").unwrap().count().run().unwrap();
    assert_eq!(count.count, 4, "nothing of the third batch is stored");
}
