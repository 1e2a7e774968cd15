//! Pages in the order of values, facets and samples over REST.

use super::*;

#[tokio::test]
async fn orders_facets_and_samples() {
    let server = Server::new(Config::default());
    let docs = json!({"dimension": 1, "metric": "l2"});
    assert_eq!(server.ask(Method::PUT, "/v1/collections/docs", docs).await.0, StatusCode::CREATED);
    let record = |id: u64| json!({"id": id, "vector": [id], "payload": {"n": 20 - id / 2, "kind": if id == 0 { "x" } else { "y" }}});
    let records = json!({"records": (0..6).map(record).collect::<Value>()});
    assert_eq!(server.ask(Method::PUT, "/v1/collections/docs/records", records).await.0, StatusCode::OK);
    let ask = async |path: &str, body| server.ask(Method::POST, &format!("/v1/collections/docs/{path}"), body).await;
    let ids = |page: &Value| -> Vec<u64> {
        page["records"].as_array().unwrap().iter().map(|record| record["id"].as_u64().unwrap()).collect()
    };
    let (_, page) = ask("scroll", json!({"order_by": {"key": "n"}, "limit": 3})).await;
    assert_eq!((ids(&page), &page["next"], &page["next_value"]), (vec![4, 5, 2], &json!(2), &json!(19)), "{page}");
    let body = json!({"order_by": {"key": "n", "start_from": page["next_value"]}, "after": page["next"]});
    let (_, page) = ask("scroll", body).await;
    assert_eq!((ids(&page), &page["next"], page.get("next_value")), (vec![3, 0, 1], &Value::Null, None), "{page}");
    let (_, page) = ask("scroll", json!({"order_by": {"key": "n", "direction": "desc", "start_from": 19}})).await;
    assert_eq!(ids(&page), [2, 3, 4, 5], "{page}");
    for body in
        [json!({"order_by": {"key": "n", "direction": "up"}}), json!({"order_by": {"key": "n", "start_from": []}})]
    {
        is_problem(&ask("scroll", body).await, 400, "invalid_body");
    }
    is_problem(&ask("scroll", json!({"order_by": {"key": "n["}})).await, 400, "invalid");

    let (_, facets) = ask("facet", json!({"key": "kind", "limit": 1})).await;
    assert_eq!((&facets["counts"], &facets["distinct"]), (&json!([{"value": "y", "count": 5}]), &json!(2)), "{facets}");
    is_problem(&ask("facet", json!({"limit": 1})).await, 400, "invalid_body");

    let body = json!({"limit": 3, "seed": 7, "filter": {"key": "kind", "match": {"value": "y"}}});
    let (_, sample) = ask("sample", body.clone()).await;
    let taken: BTreeSet<u64> = ids(&sample).into_iter().collect();
    assert!(taken.len() == 3 && !taken.contains(&0), "{sample}");
    assert_eq!(ids(&ask("sample", body).await.1), ids(&sample));
    is_problem(&ask("sample", json!({"limit": 0})).await, 400, "out_of_range");
}
