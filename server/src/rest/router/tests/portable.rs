//! Holds and exports of a person over REST.

use super::*;

#[tokio::test]
async fn whoever_is_held_is_not_erased() {
    let server = Server::with_docs(Config::default()).await;
    let bob = || json!({"entity": "bob"});
    let held = json!({"entity": "bob", "reason": "litigation 2026-17"});
    let (status, answer) = server.ask(Method::POST, "/v1/admin/holds", held).await;
    assert_eq!((status, &answer["hold"]["reason"]), (StatusCode::OK, &json!("litigation 2026-17")));
    let (status, problem) = server.ask(Method::DELETE, "/v1/admin/entity/bob", Value::Null).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("held")));
    let (_, answer) = server.ask(Method::GET, "/v1/admin/holds", Value::Null).await;
    assert_eq!((answer["holds"].as_array().unwrap().len(), answer.to_string().contains("bob")), (1, false));
    let (_, answer) = server.ask(Method::POST, "/v1/admin/holds/release", bob()).await;
    assert_eq!(answer["hold"], Value::Null);
    assert_eq!(server.ask(Method::POST, "/v1/admin/holds/state", bob()).await.1["hold"], Value::Null);
    assert_eq!(server.ask(Method::DELETE, "/v1/admin/entity/bob", Value::Null).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_person_is_given_every_record_of_theirs() {
    let server = Server::with_docs(Config::default()).await;
    let notes = json!({"dimension": 1, "metric": "l2"});
    assert_eq!(server.ask(Method::PUT, "/v1/collections/notes", notes).await.0, StatusCode::CREATED);
    for (collection, vector) in [("docs", json!([0.5, 0.25])), ("notes", json!([0.5]))] {
        let record = json!({"id": 77, "vector": vector, "entity": "carol", "payload": {"of": collection}});
        let path = format!("/v1/collections/{collection}/records");
        assert_eq!(server.ask(Method::PUT, &path, json!({"records": [record]})).await.0, StatusCode::OK);
    }
    let get = request(Method::GET, "/v1/admin/entity/carol/export").body(Body::empty()).unwrap();
    let post = request(Method::POST, "/v1/admin/entity/export").header("Content-Type", "application/json");
    let post = post.body(Body::from(r#"{"entity": "carol"}"#)).unwrap();
    for request in [get, post] {
        let (status, text, response) = server.send(request).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        let lines: Vec<Value> =
            text.as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = [
            json!({"collection": "docs", "id": 77, "entity": "carol", "vector": [0.5, 0.25], "payload": {"of": "docs"}}),
            json!({"collection": "notes", "id": 77, "entity": "carol", "vector": [0.5], "payload": {"of": "notes"}}),
        ];
        assert_eq!(lines, expected);
    }
    let (status, problem) = server.ask(Method::POST, "/v1/admin/entity/export", json!({"entity": ""})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("invalid")));
}
