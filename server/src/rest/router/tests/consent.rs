//! Consent over REST: revoked once, refused on every write.

use super::*;

#[tokio::test]
async fn whoever_revoked_is_not_taken_in() {
    let server = Server::with_docs(Config::default()).await;
    let bob = || json!({"entity": "bob"});
    let state = async || server.ask(Method::POST, "/v1/admin/consent/state", bob()).await;
    assert_eq!(state().await, (StatusCode::OK, json!({"entity_id": "bob", "consent": "granted"})));
    for _ in 0..2 {
        let revoked = server.ask(Method::POST, "/v1/admin/consent", bob()).await;
        assert_eq!(revoked, (StatusCode::OK, json!({"entity_id": "bob", "consent": "revoked"})));
    }
    assert_eq!(state().await.1["consent"], "revoked");
    let count = server.ask(Method::GET, "/v1/admin/consent", Value::Null).await;
    assert_eq!(count, (StatusCode::OK, json!({"revoked": 1})));

    let record = |entity: &str| json!({"records": [{"id": 50, "vector": [1.0, 0.0], "entity": entity}]});
    let (status, problem) = server.ask(Method::PUT, "/v1/collections/docs/records", record("bob")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("consent_revoked")));
    assert!(!problem.to_string().contains("bob"), "{problem}");
    let (status, _) = server.ask(Method::PUT, "/v1/collections/docs/records", record("alice")).await;
    assert_eq!(status, StatusCode::OK);
    let (status, problem) = server.ask(Method::POST, "/v1/admin/consent", json!({"entity": ""})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("invalid")));
    for method in [Method::DELETE, Method::PUT] {
        assert_eq!(server.ask(method, "/v1/admin/consent", bob()).await.0, StatusCode::METHOD_NOT_ALLOWED);
    }
}
