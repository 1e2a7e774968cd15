//! Keys over time: a restart, an erasure of whom they were about, and what is told of them.

use engine::{ApiKeyClass, ApiKeyRequest, Clock, Record, SystemClock};

use super::*;

/// A store with a collection of two people, and its directory.
fn store() -> (TempDir, Database) {
    let data = tempfile::tempdir().unwrap();
    let database = open(&data);
    let docs = database.environment("acme").unwrap().collection("docs").dimension(2).create().unwrap();
    docs.upsert([1, 2].map(|id| Record::new(id, vec![1.0, id as f32]).entity(format!("person-{id}")))).unwrap();
    (data, database)
}

fn open(data: &TempDir) -> Database {
    Database::builder(data.path().join("data")).root_key(RootKey::bytes([7; 32])).open().unwrap()
}

fn request_for(class: ApiKeyClass, role: &str) -> ApiKeyRequest {
    ApiKeyRequest { roles: vec![role.to_owned()], ..ApiKeyRequest::new(class, "acme") }
}

async fn count(database: &Database, key: &str) -> (StatusCode, Value) {
    let routes = router(App::new(database.clone(), Config::default()));
    let request = request(Method::POST, "/v1/collections/docs/count").header("X-API-Key", key);
    let request = request.header("Content-Type", "application/json").body(Body::from("{}")).unwrap();
    let (parts, body) = routes.oneshot(request).await.unwrap().into_parts();
    let answer: Value = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap();
    (parts.status, answer["count"].clone())
}

#[tokio::test]
async fn keys_and_roles_outlive_a_restart() {
    let (data, database) = store();
    let access = database.access();
    access.define_role("acme", "counter", engine::Permission::SearchScan.into()).unwrap();
    let key = access.create(&request_for(ApiKeyClass::Secret, "counter")).unwrap();
    let revoked = access.create(&request_for(ApiKeyClass::Secret, "counter")).unwrap();
    assert!(access.revoke("acme", &revoked.info.id).unwrap());
    let before = access.create(&request_for(ApiKeyClass::Secret, "counter")).unwrap();
    let renewed = access.rotate("acme", &before.info.id, 0).unwrap();
    assert_eq!(count(&database, &key.text).await, (StatusCode::OK, json!(2)));
    assert_eq!(access.list("acme").unwrap().len(), 3);
    drop(access);
    database.close().unwrap();
    let listed = {
        let database = open(&data);
        assert!(database.asks_for_keys().unwrap());
        assert_eq!(count(&database, &key.text).await, (StatusCode::OK, json!(2)));
        assert_eq!(count(&database, &renewed.text).await, (StatusCode::OK, json!(2)));
        assert_eq!(count(&database, &revoked.text).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(count(&database, &before.text).await.0, StatusCode::UNAUTHORIZED);
        // The root key and the KEK are replaced, and keys stay good.
        database.rotate_root_key(&RootKey::bytes([8; 32])).unwrap();
        assert_eq!(count(&database, &key.text).await.0, StatusCode::OK);
        let listed = database.access().list("acme").unwrap();
        database.close().unwrap();
        listed
    };
    let used = listed.iter().find(|info| info.id == key.info.id).and_then(|info| info.used_day);
    assert_eq!(used, Some(SystemClock.now_ms() / 86_400_000));
    let database = Database::builder(data.path().join("data")).root_key(RootKey::bytes([8; 32])).open().unwrap();
    assert_eq!(count(&database, &key.text).await, (StatusCode::OK, json!(2)), "under the new root key alone");
}

#[tokio::test]
async fn who_was_erased_is_in_no_scope_any_more() {
    let (data, database) = store();
    let mut request = request_for(ApiKeyClass::Secret, "ReadOnly");
    request.entities = Some(vec!["person-1".to_owned(), "person-2".to_owned()]);
    let key = database.access().create(&request).unwrap();
    assert_eq!(count(&database, &key.text).await, (StatusCode::OK, json!(2)));
    let env = database.environment("acme").unwrap();
    env.erase("person-1").run().unwrap();
    assert_eq!(count(&database, &key.text).await, (StatusCode::OK, json!(1)));
    // They come back under another key, and the scope does not know them.
    env.open_collection("docs").unwrap().upsert([Record::new(3, vec![1.0, 1.0]).entity("person-1")]).unwrap();
    assert_eq!(count(&database, &key.text).await, (StatusCode::OK, json!(1)));
    drop(env);
    database.close().unwrap();
    let database = open(&data);
    assert_eq!(count(&database, &key.text).await, (StatusCode::OK, json!(1)));
    assert!(database.environment("acme").unwrap().verify_deep().unwrap().problems.is_empty());
}

#[test]
fn what_was_done_about_keys_is_told() {
    let (_data, database) = store();
    let access = database.access();
    let key = access.create(&request_for(ApiKeyClass::Secret, "ReadOnly")).unwrap();
    let id = key.info.id.as_str();
    access.rotate("acme", id, 0).unwrap();
    access.define_role("acme", "support", engine::Permissions::NONE).unwrap();
    access.revoke("acme", id).unwrap();
    assert!(!access.revoke("acme", id).unwrap(), "it has ended, and that is not told again");
    let told = database.environment("acme").unwrap().audit().limit(100).run().unwrap();
    let actions: Vec<&str> = told.events.iter().map(|event| &*event.action).collect();
    let of_access: Vec<&str> =
        actions.into_iter().filter(|action| action.contains("key.") || action.contains("role.")).collect();
    assert_eq!(of_access, ["apikey.created", "apikey.rotated", "role.changed", "apikey.revoked"]);
    let shown = format!("{:?}", told.events);
    assert!(shown.contains(id) && !shown.contains(key.text.split('_').nth(3).unwrap()));
}
