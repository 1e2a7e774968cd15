//! Backups over REST: into the archive of the settings, and nowhere else.

use super::*;

#[tokio::test]
async fn a_backup_is_made_where_the_settings_say() {
    let archive = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.store.archive = Some(archive.path().join("backups"));
    let server = Server::with_docs(config).await;
    let (status, refused) = server.ask(Method::POST, "/v1/admin/backups", json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
    let (status, made) = server.ask(Method::POST, "/v1/admin/backups", json!({ "unrecoverable": true })).await;
    assert_eq!((status, &made["number"], &made["records"]), (StatusCode::CREATED, &json!(1), &json!(3)));
    let (status, listed) = server.ask(Method::GET, "/v1/admin/backups", Value::Null).await;
    assert_eq!((status, &listed["backups"][0]["backup"]["records"]), (StatusCode::OK, &json!(3)));
    let (status, verified) = server.ask(Method::POST, "/v1/admin/backups/1/verify", Value::Null).await;
    assert_eq!((status, &verified["rows"]["opened"]), (StatusCode::OK, &json!(3)));
    let (status, _) = server.ask(Method::POST, "/v1/admin/backups/2/verify", Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = server.ask(Method::POST, "/v1/admin/backups", json!({ "path": "/tmp" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "a request names no directory");
    let (status, _) = server.ask(Method::POST, "/v1/admin/backups", json!({ "unrecoverable": true })).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, _) = server.ask(Method::POST, "/v1/admin/backups/prune", json!({ "keep": 0 })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "none would be left");
    let (status, pruned) = server.ask(Method::POST, "/v1/admin/backups/prune", json!({ "keep": 1 })).await;
    assert_eq!((status, &pruned["kept"], &pruned["removed"]), (StatusCode::OK, &json!([2]), &json!([1])));
    let (_, listed) = server.ask(Method::GET, "/v1/admin/backups", Value::Null).await;
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_an_archive_there_are_no_backups() {
    let server = Server::with_docs(Config::default()).await;
    for method in [Method::GET, Method::POST] {
        let (status, answer) = server.ask(method, "/v1/admin/backups", json!({})).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
    }
}
