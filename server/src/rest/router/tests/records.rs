//! Writes over REST: conditions, and errors of single records.

use super::*;

#[tokio::test]
async fn conditions_and_errors_of_single_records() {
    let server = Server::with_docs(Config::default()).await;
    let put = async |body| server.ask(Method::PUT, "/v1/collections/docs/records", body).await;
    let version = async || {
        let (_, record) = server.ask(Method::GET, "/v1/collections/docs/records/1", Value::Null).await;
        record["version"].as_u64().unwrap()
    };
    let record = |id: u64, member: &str, value: Value| json!({"id": id, "vector": [1.0, 0.0], member: value});
    let first = version().await;
    let both = json!({"records": [record(5, "if_absent", json!(true)), record(1, "if_absent", json!(true))]});
    let answer = put(both.clone()).await;
    is_problem(&answer, 409, "conflict");
    assert_eq!(answer.1["detail"], "records[1]: a record of this id is there");
    is_problem(&server.ask(Method::GET, "/v1/collections/docs/records/5", Value::Null).await, 404, "not_found");

    let mut each = both;
    each["all_or_nothing"] = json!(false);
    each["records"].as_array_mut().unwrap().push(json!({"id": 6, "vector": [1.0]}));
    let (status, answer) = put(each).await;
    assert_eq!((status, &answer["upserted"]), (StatusCode::OK, &json!(1)), "{answer}");
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!((&errors[0]["at"], &errors[0]["code"]), (&json!(1), &json!("conflict")), "{answer}");
    assert_eq!((&errors[1]["at"], &errors[1]["code"]), (&json!(2), &json!("invalid")), "{answer}");

    let update = json!({"records": [record(1, "if_version", json!(first))]});
    assert_eq!(put(update.clone()).await.0, StatusCode::OK);
    assert!(version().await > first);
    is_problem(&put(update).await, 409, "conflict");
}

#[tokio::test]
async fn payloads_are_changed_in_part() {
    let server = Server::with_docs(Config::default()).await;
    let update = async |body| server.ask(Method::POST, "/v1/collections/docs/records/update", body).await;
    let payload =
        async || server.ask(Method::GET, "/v1/collections/docs/records/1", Value::Null).await.1["payload"].take();
    for (body, expected) in [
        (json!({"ids": [1, 5], "set": {"lang": "de"}}), json!({"n": 1, "lang": "de"})),
        (
            json!({"filter": {"entity": "ada"}, "set": {"x": 1}, "key": "a.b"}),
            json!({"n": 1, "lang": "de", "a": {"b": {"x": 1}}}),
        ),
        (json!({"ids": [1], "delete_keys": ["a.b.x", "n"]}), json!({"lang": "de", "a": {"b": {}}})),
        (json!({"ids": [1], "overwrite": {"m": 2}, "set": {"n": 3}}), json!({"m": 2, "n": 3})),
        (json!({"ids": [1], "clear": true, "vector": [0.0, 2.0]}), Value::Null),
    ] {
        let (status, answer) = update(body).await;
        assert_eq!((status, &answer["updated"]), (StatusCode::OK, &json!(1)), "{answer}");
        assert_eq!(payload().await, expected);
    }
    let (_, record) = server.ask(Method::GET, "/v1/collections/docs/records/1", Value::Null).await;
    assert_eq!((&record["vector"], &record["entity"]), (&json!([0.0, 2.0]), &json!("ada")));
    for (body, code) in [
        (json!({"ids": [1]}), "invalid"),
        (json!({"set": {}}), "invalid_body"),
        (json!({"ids": [1], "filter": {}, "clear": true}), "invalid_body"),
        (json!({"filter": {}, "clear": true}), "invalid_body"),
        (json!({"ids": [1], "key": "a"}), "invalid_body"),
        (json!({"ids": [1], "set": 5}), "invalid"),
        (json!({"ids": [1], "entity": "bob"}), "invalid_body"),
    ] {
        is_problem(&update(body).await, 400, code);
    }
}
