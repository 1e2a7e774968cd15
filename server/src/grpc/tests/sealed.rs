//! A server without its root key, and who waits for it.

use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::rest::tests::seal::sealed;

#[tokio::test]
async fn calls_open_a_sealed_server_and_who_watches_is_told() {
    let (app, _data, shares) = sealed(2, 3).await;
    let calls = Calls { schema: Schema::load().unwrap(), routes: door(app.clone()).unwrap() };
    let mut watched = calls.watch("").await;
    let mut unknown = calls.watch("nothing").await;
    assert_eq!((said(&mut watched).await, said(&mut unknown).await), (Some(2), Some(3)));
    let refused = calls.call(calls.rpc("ListCollections"), &json!({}), &[]).await;
    assert_eq!((refused.code(), refused.reason().as_str()), (Code::Unavailable, "sealed"));
    let give = async |message: Value| {
        let answer = calls.call(calls.rpc("Unseal"), &message, &[]).await;
        assert!(shares.iter().all(|share| !answer.text().contains(&share[12..30])), "{}", answer.text());
        answer
    };
    let none = give(json!({})).await;
    assert_eq!((none.code(), &none.messages[..]), (Code::Ok, &[json!({"sealed": true})][..]));
    let first = give(json!({ "share": shares[0] })).await;
    assert_eq!(first.messages, [json!({"needed": 2, "given": 1, "sealed": true})], "{}", first.text());
    let again = give(json!({ "share": shares[0] })).await;
    assert_eq!(again.messages, [json!({"needed": 2, "given": 1, "sealed": true, "given_before": true})]);
    let wrong = give(json!({"share": "s3cr3t"})).await;
    assert_eq!((wrong.code(), wrong.reason().as_str()), (Code::InvalidArgument, "invalid_share"));
    let large = give(json!({ "share": "x".repeat(65 << 10) })).await;
    assert_eq!((large.code(), large.reason().as_str()), (Code::ResourceExhausted, "body_too_large"));
    assert_eq!(give(json!({ "share": shares[2] })).await.messages, [json!({})], "nothing is left to say");
    assert_eq!(said(&mut watched).await, Some(1), "serving");
    assert_eq!(calls.call(calls.rpc("ListCollections"), &json!({}), &[]).await.code(), Code::Ok);
    app.drain();
    assert_eq!((said(&mut watched).await, said(&mut watched).await), (Some(2), None), "the last word, and the end");
    assert_eq!(said(&mut unknown).await, None);
}

/// The next that is said of health; none at the end.
async fn said(watched: &mut Body) -> Option<i32> {
    let frame = timeout(Duration::from_secs(60), watched.frame()).await.expect("nothing is said")?.unwrap();
    let bytes = frame.into_data().ok()?;
    Some(tonic_health::pb::HealthCheckResponse::decode(&bytes[5..]).unwrap().status)
}

impl Calls {
    async fn watch(&self, service: &str) -> Body {
        let message = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let request = Request::builder().method("POST").uri("http://localhost/grpc.health.v1.Health/Watch");
        let request =
            request.header("content-type", "application/grpc").body(Body::from(frame(&message.encode_to_vec())));
        self.routes.clone().oneshot(request.unwrap()).await.unwrap().into_body()
    }
}
