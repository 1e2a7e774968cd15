//! Calls whose client waits no longer than it said.

use std::sync::mpsc::channel;

use super::*;

#[tokio::test]
async fn who_waits_for_a_turn_no_longer_than_it_said_takes_none() {
    let mut config = Config::default();
    (config.server.requests_max, config.server.searches_max) = (1, 1);
    let server = Server::with_docs(config).await;
    let calls = Calls::of(&server);
    let mut long = Vec::new();
    for searches in [false, true] {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (end, ended) = channel::<()>();
        let app = server.app.clone();
        let working = tokio::spawn(async move {
            let work = move |_: &engine::Database| {
                _ = begun.send(());
                _ = ended.recv();
                Ok(())
            };
            app.turn(app.turns_of(searches), crate::rest::Kind::Any, work).await
        });
        has_begun.await.unwrap();
        long.push((end, working));
    }
    let records = json!([{"id": 70, "vector": [1, 0]}]);
    for (name, body) in [
        ("Upsert", json!({"collection": "docs", "records": records})),
        ("UpsertStream", json!({"collection": "docs", "records": records})),
        ("ScrollStream", json!({"collection": "docs"})),
        ("PutCollection", json!({"collection": "new", "dimension": 2, "metric": "cosine"})),
    ] {
        let answer = calls.call(calls.rpc(name), &body, &[("grpc-timeout", "20m")]).await;
        assert_eq!((answer.code(), answer.reason().as_str()), (Code::DeadlineExceeded, "request_timeout"), "{name}");
        // Who set the deadline decides whether to ask again.
        assert!(answer.status.get_error_details().retry_info().is_none(), "{name}");
    }
    assert_eq!(server.app.waiting(), 0, "nobody waits for them any more");
    for (end, working) in long {
        end.send(()).unwrap();
        working.await.unwrap().unwrap();
    }
    let count = calls.call(calls.rpc("Count"), &json!({"collection": "docs"}), &[("grpc-timeout", "1H")]).await;
    assert_eq!((count.code(), &count.messages[0]["count"]), (Code::Ok, &json!(3)), "none of them was done");
}
