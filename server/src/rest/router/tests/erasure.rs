//! Erasures over REST: the answer, its receipt, and what the audit log tells of them.

use super::*;

#[tokio::test]
async fn an_erased_entity_is_gone() {
    let server = Server::with_docs(Config::default()).await;
    let plan = json!({"entities": ["ada", "bob"], "dry_run": true});
    let (status, planned) = server.ask(Method::POST, "/v1/admin/entity/erase", plan).await;
    assert_eq!(
        (status, &planned["dry_run"], &planned["records"]),
        (StatusCode::OK, &json!(true), &json!(2)),
        "{planned}"
    );
    let (status, answer) = server.ask(Method::DELETE, "/v1/admin/entity/ada", Value::Null).await;
    assert_eq!((status, &answer["entity_id"], &answer["records_deleted"]), (StatusCode::OK, &json!("ada"), &json!(1)));
    for time in ["hidden_at", "shredded_at", "purged_at", "rebuilt_at", "completed_at"] {
        assert!(answer[time].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{answer}");
    }
    let (_, collection) = server.ask(Method::GET, "/v1/collections/docs", Value::Null).await;
    assert_eq!((&answer["indexes_repaired"], &collection["repaired_segments"]), (&json!(0), &json!(0)), "{collection}");
    // An id that is also the name of a route is an id all the same.
    let (status, answer) = server.ask(Method::DELETE, "/v1/admin/entity/erase", Value::Null).await;
    assert_eq!((status, &answer["entity_id"]), (StatusCode::OK, &json!("erase")));
    // A long name: the receipt's base64 may hold the letters of a short one by chance.
    let named = "somebody-with-a-name";
    let records = json!({"records": [{"id": 8, "entity": named, "vector": [1, 1]}]});
    assert_eq!(server.ask(Method::PUT, "/v1/collections/docs/records", records).await.0, StatusCode::OK);
    let body = json!({"entity": named, "reason": "asked for it"});
    let (status, answer) = server.ask(Method::POST, "/v1/admin/entity/erase", body).await;
    assert_eq!((status, &answer["records_deleted"]), (StatusCode::OK, &json!(1)));
    // The receipt is there for as often as it is asked for; the salt is not.
    let salt = answer["entities"][0]["salt"].as_str().unwrap();
    assert_eq!(salt.len(), 64);
    let (status, receipt) =
        server.ask(Method::GET, &format!("/v1/admin/receipts/{}", answer["job"]), Value::Null).await;
    assert_eq!((status, &receipt["receipt"], &receipt["verified"]), (StatusCode::OK, &answer["receipt"], &json!(true)));
    assert_eq!((&receipt["reason"], &receipt["view"]["records_deleted"]), (&json!("asked for it"), &json!(1)));
    let told = receipt.to_string();
    assert!([named, salt, "\"salt\""].iter().all(|word| !told.contains(word)), "{told}");
    assert_eq!(server.ask(Method::GET, "/v1/admin/receipts/99", Value::Null).await.0, StatusCode::NOT_FOUND);
    let (status, audit) = server.ask(Method::GET, "/v1/admin/audit?action=entity.erased&limit=2", Value::Null).await;
    assert_eq!(
        (status, &audit["chain_verified"], &audit["events"].as_array().unwrap().len()),
        (StatusCode::OK, &json!(true), &2)
    );
    let path = format!("/v1/admin/audit?cursor={}&limit=1", answer["audit_event_id"]);
    let (_, told) = server.ask(Method::GET, &path, Value::Null).await;
    assert_eq!((&told["events"][0]["action"], &told["events"][0]["source"]), (&json!("entity.erased"), &json!("rest")));
    for query in ["limit=0", "limit=x", "colour=red", "start=yesterday"] {
        let (status, _) = server.ask(Method::GET, &format!("/v1/admin/audit?{query}"), Value::Null).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
    }
    let body = json!({"entities": ["x", "y"], "wait": "shred", "salts": ["00", "11"]});
    assert_eq!(server.ask(Method::POST, "/v1/admin/entity/erase", body).await.0, StatusCode::BAD_REQUEST);
    let body = json!({"entities": ["x", "y"], "wait": "shred"});
    let (status, answer) = server.ask(Method::POST, "/v1/admin/entity/erase", body).await;
    assert_eq!((status, &answer["entity_id"], &answer["receipt"]), (StatusCode::OK, &Value::Null, &Value::Null));
    let (_, count) = server.ask(Method::POST, "/v1/collections/docs/count", json!({})).await;
    assert_eq!(count["count"], 2);
}
