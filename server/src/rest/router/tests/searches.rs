//! Searches over REST beyond the nearest records of a vector.

use super::*;

fn ids(hits: &Value) -> Vec<u64> {
    hits.as_array().unwrap().iter().map(|hit| hit["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn pages_examples_batches_and_groups() {
    let server = Server::new(Config::default());
    let docs = json!({"dimension": 2, "metric": "l2"});
    assert_eq!(server.ask(Method::PUT, "/v1/collections/docs", docs).await.0, StatusCode::CREATED);
    let record = |id: u64| json!({"id": id, "vector": [id, 0], "payload": {"kind": if id.is_multiple_of(3) { "x" } else { "y" }}});
    let records = json!({"records": (0..9).map(record).collect::<Value>()});
    assert_eq!(server.ask(Method::PUT, "/v1/collections/docs/records", records).await.0, StatusCode::OK);
    for (body, expected) in [
        (r#"{"vector": [0, 0], "limit": 2, "offset": 3}"#, vec![3, 4]),
        (r#"{"vector": [0, 0], "score_threshold": 2}"#, vec![0, 1, 2]),
        (r#"{"like": [4], "limit": 2}"#, vec![3, 5]),
        (r#"{"like": [1, 3, [2, 0]], "limit": 1}"#, vec![2]),
        (r#"{"like": [4], "unlike": [2], "limit": 1}"#, vec![6]),
        (r#"{"vector": [4, 0], "unlike": [[3, 0]], "limit": 1}"#, vec![5]),
    ] {
        let (status, found) = server.search(body).await;
        assert_eq!((status, ids(&found["hits"])), (StatusCode::OK, expected), "{body}");
    }
    for (body, status, code) in [
        ("{}", 400, "invalid_body"),
        (r#"{"vector": [0, 0], "like": [1]}"#, 400, "invalid_body"),
        (r#"{"like": ["s3cr3t"]}"#, 400, "invalid_body"),
        (r#"{"like": []}"#, 400, "invalid"),
        (r#"{"like": [77]}"#, 404, "not_found"),
    ] {
        is_problem(&server.search(body).await, status, code);
    }

    let ask =
        async |path: &str, body| server.ask(Method::POST, &format!("/v1/collections/docs/search/{path}"), body).await;
    let searches = json!([{"vector": [0, 0], "limit": 1}, {"like": [8], "limit": 1, "filter": {"key": "kind", "match": {"value": "x"}}}]);
    let (_, answer) = ask("batch", json!({ "searches": searches })).await;
    assert_eq!(
        (ids(&answer["answers"][0]["hits"]), ids(&answer["answers"][1]["hits"])),
        (vec![0], vec![6]),
        "{answer}"
    );
    let body =
        json!({"search": {"vector": [0, 0], "limit": 2, "with_payload": false}, "group_by": "kind", "group_size": 2});
    let (_, answer) = ask("groups", body).await;
    let groups = answer["groups"].as_array().unwrap();
    let told: Vec<_> = groups.iter().map(|group| (group["key"].as_str().unwrap(), ids(&group["hits"]))).collect();
    assert_eq!((told, &answer["complete"]), (vec![("x", vec![0, 3]), ("y", vec![1, 2])], &json!(true)), "{answer}");
    assert!(groups[0]["hits"][0].get("payload").is_none());
    is_problem(&ask("groups", json!({"search": {"vector": [0, 0]}, "group_by": "a["})).await, 400, "invalid");
    is_problem(&ask("batch", json!({"searches": [{"vector": [0, 0]}, {"vector": [0]}]})).await, 400, "invalid_vector");
}
