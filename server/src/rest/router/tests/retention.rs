//! Retention over REST: set, shown, run, and refused where it makes no sense.

use super::*;

#[tokio::test]
async fn a_window_is_set_shown_and_run() {
    let server = Server::with_docs(Config::default()).await;
    let path = "/v1/admin/retention";
    let (status, shown) = server.ask(Method::GET, path, Value::Null).await;
    assert_eq!((status, &shown["collections"][0]["window_ms"]), (StatusCode::OK, &Value::Null));
    let window = |ms: Value| json!({"collection": "docs", "window_ms": ms});
    let (status, set) = server.ask(Method::PUT, path, window(json!(3_600_000))).await;
    assert_eq!((status, &set["window_ms"], set["since"].is_string()), (StatusCode::OK, &json!(3_600_000), true));
    assert_eq!(server.ask(Method::GET, path, Value::Null).await.1["collections"][0], set);
    for dry_run in [true, false] {
        let (status, ran) = server.ask(Method::POST, path, json!({"dry_run": dry_run})).await;
        // What was stored before counts from now.
        assert_eq!((status, &ran["dry_run"], &ran["records_removed"]), (StatusCode::OK, &json!(dry_run), &json!(0)));
    }
    let (status, clock) = server.ask(Method::POST, "/v1/admin/retention/clock", Value::Null).await;
    assert_eq!((status, clock["now"].is_string()), (StatusCode::OK, true));
    assert_eq!(server.ask(Method::PUT, path, window(Value::Null)).await.1["window_ms"], Value::Null);

    let (status, problem) = server.ask(Method::PUT, path, window(json!(1))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("invalid")));
    let (status, problem) = server.ask(Method::PUT, path, json!({"collection": "docs"})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_body")));
    let absent = json!({"collection": "absent", "window_ms": null});
    assert_eq!(server.ask(Method::PUT, path, absent).await.0, StatusCode::NOT_FOUND);
}
