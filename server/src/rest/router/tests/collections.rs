//! Collections over REST: their other names, what is asked of their records, and what is told of them.

use super::*;

#[tokio::test]
async fn every_route_takes_an_alias() {
    let server = Server::with_docs(Config::default()).await;
    let ask = async |method, path: &str, body| server.ask(method, path, body).await;
    let to_docs = json!({"collection": "docs"});
    let (status, answer) = ask(Method::PUT, "/v1/aliases/current", to_docs.clone()).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({"alias": "current", "collection": "docs", "before": null})));
    let (_, found) = ask(Method::GET, "/v1/aliases/current", Value::Null).await;
    assert_eq!(found, json!({"alias": "current", "collection": "docs"}));

    let records = json!({"records": [{"id": 7, "vector": [1.0, 1.0], "payload": {"n": 7}}]});
    for (method, path, body) in [
        (Method::GET, "", Value::Null),
        (Method::PUT, "", json!({"dimension": 2, "metric": "cosine"})),
        (Method::PUT, "/schema", json!({"fields": {"n": "integer"}})),
        (Method::PUT, "/limits", json!({"records_max": 100})),
        (Method::PUT, "/indexes", json!({"field": "n", "type": "integer"})),
        (Method::DELETE, "/indexes/n", Value::Null),
        (Method::PUT, "/records", records),
        (Method::GET, "/records/7", Value::Null),
        (Method::POST, "/records/update", json!({"ids": [7], "set": {"n": 8}})),
        (Method::POST, "/search", json!({"vector": [1, 0]})),
        (Method::POST, "/search/batch", json!({"searches": [{"vector": [1, 0]}]})),
        (Method::POST, "/search/groups", json!({"search": {"vector": [1, 0]}, "group_by": "n"})),
        (Method::POST, "/scroll", json!({})),
        (Method::POST, "/count", json!({})),
        (Method::POST, "/facet", json!({"key": "n"})),
        (Method::POST, "/sample", json!({})),
        (Method::POST, "/records/delete", json!({"ids": [7]})),
    ] {
        let (status, answer) = ask(method.clone(), &format!("/v1/collections/current{path}"), body).await;
        assert!(status.is_success(), "{method} {path}: {answer}");
    }
    let (_, docs) = ask(Method::GET, "/v1/collections/current", Value::Null).await;
    assert_eq!((&docs["name"], &docs["aliases"]), (&json!("docs"), &json!(["current"])));

    is_problem(&ask(Method::DELETE, "/v1/collections/current", Value::Null).await, 409, "conflict");
    is_problem(&ask(Method::PUT, "/v1/aliases/docs", to_docs.clone()).await, 409, "conflict");
    is_problem(&ask(Method::PUT, "/v1/aliases/x", json!({"collection": "absent"})).await, 404, "not_found");
    is_problem(&ask(Method::PUT, "/v1/aliases/a%2Fb", to_docs.clone()).await, 400, "invalid");
    is_problem(&ask(Method::PUT, "/v1/aliases/x", json!({"to": "docs"})).await, 400, "invalid_body");
    let other = json!({"dimension": 3, "metric": "cosine"});
    is_problem(&ask(Method::PUT, "/v1/collections/current", other.clone()).await, 409, "conflict");

    assert_eq!(ask(Method::PUT, "/v1/collections/next", other).await.0, StatusCode::CREATED);
    let (_, answer) = ask(Method::PUT, "/v1/aliases/current", json!({"collection": "next"})).await;
    assert_eq!(answer, json!({"alias": "current", "collection": "next", "before": "docs"}));
    let (_, all) = ask(Method::GET, "/v1/aliases", Value::Null).await;
    assert_eq!(all, json!({"aliases": [{"alias": "current", "collection": "next"}]}));
    let (_, answer) = ask(Method::DELETE, "/v1/aliases/current", Value::Null).await;
    assert_eq!(answer, json!({"alias": "current", "collection": null, "before": "next"}));
    is_problem(&ask(Method::DELETE, "/v1/aliases/current", Value::Null).await, 404, "not_found");
    is_problem(&ask(Method::GET, "/v1/aliases/current", Value::Null).await, 404, "not_found");
    is_problem(&ask(Method::GET, "/v1/collections/current", Value::Null).await, 404, "not_found");
}

#[tokio::test]
async fn a_schema_and_limits_are_given_with_a_collection_or_later() {
    let server = Server::new(Config::default());
    let ask = async |method, path: &str, body| server.ask(method, path, body).await;
    let schema = json!({"fields": {"lang": "keyword", "\"tags\"": "keyword[]"}, "required": ["lang"]});
    let normal = json!({"fields": {"lang": "keyword", "tags": "keyword[]"}, "required": ["lang"], "strict": false});
    let docs = json!({"dimension": 1, "metric": "l2", "schema": schema, "limits": {"records_max": 2}});
    let (status, answer) = ask(Method::PUT, "/v1/collections/docs", docs.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!((&answer["schema"], &answer["limits"]), (&normal, &json!({"records_max": 2})));
    assert_eq!(ask(Method::PUT, "/v1/collections/docs", docs).await.0, StatusCode::OK);
    let same = json!({"dimension": 1, "metric": "l2"});
    assert_eq!(ask(Method::PUT, "/v1/collections/docs", same).await.0, StatusCode::OK);
    let other = json!({"dimension": 1, "metric": "l2", "schema": {}});
    is_problem(&ask(Method::PUT, "/v1/collections/docs", other).await, 409, "conflict");

    let put = async |records: Value, all: bool| {
        let body = json!({"records": records, "all_or_nothing": all});
        server.ask(Method::PUT, "/v1/collections/docs/records", body).await
    };
    let record = |id: u64, payload: Value| json!({"id": id, "vector": [1.0], "payload": payload});
    let answer = put(json!([record(1, json!({"lang": ["s3cr3t"]}))]), true).await;
    is_problem(&answer, 400, "invalid");
    let expected = "records[0]: the payload does not fit the collection's schema: `lang` must be a keyword (a string) and is a list";
    assert_eq!(answer.1["detail"], expected);
    let three = json!([
        record(1, json!({"lang": "en"})),
        record(2, json!({})),
        record(3, json!({"lang": "de"})),
        record(4, json!({"lang": "fr"})),
    ]);
    let (_, answer) = put(three, false).await;
    assert_eq!(answer["upserted"], 2);
    let codes: Vec<_> =
        answer["errors"].as_array().unwrap().iter().map(|error| (&error["at"], &error["code"])).collect();
    assert_eq!(codes, [(&json!(1), &json!("invalid")), (&json!(3), &json!("limit_reached"))]);
    is_problem(&put(json!([record(4, json!({"lang": "fr"}))]), true).await, 409, "limit_reached");
    assert_eq!(ask(Method::GET, "/readyz", Value::Null).await.1["status"], "ready");

    let (_, answer) = ask(Method::PUT, "/v1/collections/docs/limits", json!({})).await;
    assert_eq!(answer, json!({}));
    let (_, answer) = ask(Method::PUT, "/v1/collections/docs/schema", json!({"strict": true})).await;
    assert_eq!(answer, json!({"fields": {}, "strict": true}));
    is_problem(&put(json!([record(4, json!({"s3cr3t": 1}))]), true).await, 400, "invalid");
    assert_eq!(put(json!([record(4, json!({}))]), true).await.0, StatusCode::OK);
    for (path, body, code) in [
        ("schema", json!({"fields": {"a": "color"}}), "invalid_body"),
        ("schema", json!({"fields": {"a[": "text"}}), "invalid"),
        ("schema", json!({"required": ["a"]}), "invalid"),
        ("limits", json!({"records_max": -1}), "invalid_body"),
        ("limits", json!({"records": 1}), "invalid_body"),
    ] {
        is_problem(&ask(Method::PUT, &format!("/v1/collections/docs/{path}"), body).await, 400, code);
    }
}

#[tokio::test]
async fn a_collection_is_described_with_its_segments() {
    let server = Server::with_docs(Config::default()).await;
    server.database.environment("default").unwrap().flush().unwrap();
    let (_, docs) = server.ask(Method::GET, "/v1/collections/docs", Value::Null).await;
    let segment = &docs["segment_details"][0];
    assert_eq!(
        (&segment["records"], &segment["index"], segment.get("due")),
        (&json!(3), &json!("flat"), None),
        "{docs}"
    );
    assert_eq!((&segment["disk_bytes"], &segment["dead_rows"]), (&docs["disk_bytes"], &json!(0)));
    assert_eq!((docs.get("schema"), &docs["limits"]), (None, &json!({})));
    let (_, all) = server.ask(Method::GET, "/v1/collections", Value::Null).await;
    assert!(all["collections"][0].get("segment_details").is_none());
}
