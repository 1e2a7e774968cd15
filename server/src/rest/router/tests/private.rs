//! Private answers over REST: asked, repeated, refused, planned, paid from a budget that is shown and raised.

use super::*;

#[tokio::test]
async fn a_private_question_is_answered_once_and_paid_once() {
    let server = Server::with_docs(Config::default()).await;
    let (centroid, budget) = ("/v1/collections/docs/centroid", "/v1/admin/budget");
    let ask = json!({"epsilon": 4.0, "least_group": 0, "filter": {"key": "n", "range": {"gte": 0}}});
    let (status, first) = server.ask(Method::POST, centroid, ask.clone()).await;
    assert_eq!(
        (status, &first["repeated"], &first["remaining"]),
        (StatusCode::OK, &json!(false), &json!(6.0)),
        "{first}"
    );
    assert_eq!(first["groups"].as_array().unwrap().len(), 1);
    assert!(first["vector"].is_array() || first["noisy_count"].as_i64().unwrap() < 0, "{first}");
    for part in ["epsilon", "mechanism", "computed_at", "noisy_count", "partial"] {
        assert!(!first[part].is_null(), "{part}: {first}");
    }
    let (_, second) = server.ask(Method::POST, centroid, ask.clone()).await;
    assert_eq!((&second["repeated"], &second["groups"]), (&json!(true), &first["groups"]));
    let plan = json!({"epsilon": 4.0, "plan": 1000});
    let (status, planned) = server.ask(Method::POST, centroid, plan).await;
    assert!(status == StatusCode::OK && planned["rmse"].as_f64().unwrap() > 0.0, "{planned}");

    let aggregate = "/v1/collections/docs/aggregate";
    let groups = json!({"field": "n", "values": [1, 2]});
    let counts = json!({"aggregate": "count", "epsilon": 1.0, "groups": groups});
    let (status, counted) = server.ask(Method::POST, aggregate, counts).await;
    assert_eq!(
        (status, counted["groups"].as_array().unwrap().len(), &counted["remaining"]),
        (StatusCode::OK, 2, &json!(4.0))
    );
    // What is asked of one path is what is asked of the other.
    let (_, same) = server
        .ask(Method::POST, aggregate, {
            let mut same = ask;
            same["aggregate"] = json!("centroid");
            same
        })
        .await;
    assert_eq!((&same["repeated"], &same["vector"]), (&json!(true), &first["vector"]));
    for asked in [
        json!({"aggregate": "histogram", "field": "n", "values": [1, 2], "epsilon": 0.5}),
        json!({"aggregate": "mean", "field": "n", "low": 0, "high": 9, "epsilon": 0.5}),
        json!({"aggregate": "sum", "field": "n", "low": -9, "high": 9, "epsilon": 0.5}),
    ] {
        assert_eq!(server.ask(Method::POST, aggregate, asked).await.0, StatusCode::OK);
    }
    let (_, shown) = server.ask(Method::GET, budget, Value::Null).await;
    assert_eq!(
        (&shown["collections"][0]["name"], &shown["collections"][0]["spent_epsilon"]),
        (&json!("docs"), &json!(7.5))
    );
    let (status, spent) = server.ask(Method::POST, centroid, json!({"epsilon": 3.0})).await;
    assert_eq!((status, &spent["code"]), (StatusCode::FORBIDDEN, &json!("budget_exhausted")));
    let (status, raised) = server.ask(Method::PUT, budget, json!({"collection": "docs", "epsilon": 12.0})).await;
    assert_eq!((status, &raised["spent_epsilon"], &raised["remaining"]), (StatusCode::OK, &json!(7.5), &json!(4.5)));
    for (action, epsilon) in [("aggregate.released", 4.0), ("budget.set", 12.0)] {
        let (_, told) = server.ask(Method::GET, &format!("/v1/admin/audit?action={action}"), Value::Null).await;
        assert_eq!(told["events"][0]["details"]["epsilon"], json!(epsilon), "{told}");
    }
    assert_eq!(server.ask(Method::POST, centroid, json!({"epsilon": 3.0})).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_cannot_be_asked_privately_says_why() {
    let server = Server::with_docs(Config::default()).await;
    for (path, body, says) in [
        ("centroid", json!({"epsilon": 0.0}), "epsilon"),
        ("centroid", json!({"epsilon": 1.0, "filter": {"must_not": {"entity": "ada"}}}), "no condition on entities"),
        ("centroid", json!({"epsilon": 1.0, "groups": {"field": "n"}}), "groups that are found in the data"),
        ("aggregate", json!({"aggregate": "histogram", "field": "n", "epsilon": 1.0}), "lists its values"),
        ("aggregate", json!({"aggregate": "mean", "field": "n", "epsilon": 1.0}), "`low` and `high`"),
        ("aggregate", json!({"aggregate": "count", "field": "n", "epsilon": 1.0}), "none of these"),
        ("aggregate", json!({"aggregate": "centroid", "low": 1.0, "epsilon": 1.0}), "none of these"),
        ("centroid", json!({"aggregate": "count", "epsilon": 1.0}), "gives centroids"),
        ("aggregate", json!({"aggregate": "count"}), "`epsilon` is missing"),
    ] {
        let (status, problem) = server.ask(Method::POST, &format!("/v1/collections/docs/{path}"), body).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == StatusCode::BAD_REQUEST && detail.contains(says) && !detail.contains("ada"), "{problem}");
    }
    let (_, shown) = server.ask(Method::GET, "/v1/admin/budget", Value::Null).await;
    assert_eq!((&shown["rows"], &shown["environment"]["spent_epsilon"]), (&json!(0), &json!(0.0)));
}
