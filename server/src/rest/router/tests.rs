//! The routes as a client meets them, over a real engine in a scratch directory.

use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use axum::http::{Method, StatusCode};
use engine::{Database, RootKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::config::Config;

mod approvals;
mod backups;
mod bodies;
mod collections;
mod consent;
mod coverage;
mod end_users;
mod erasure;
pub mod isolation;
mod keys;
mod operations;
mod portable;
mod private;
mod records;
mod repeats;
mod retention;
pub mod seal;
mod searches;
mod shown;
mod tallies;
mod traces;
mod urls;

/// A server without connections.
pub struct Server {
    data: TempDir,
    pub database: Database,
    pub app: App,
    routes: Router,
}

impl Server {
    pub fn new(config: Config) -> Self {
        let data = tempfile::tempdir().unwrap();
        let builder = Database::builder(data.path().join("data")).root_key(RootKey::bytes([7; 32]));
        let database = builder.settings(config.engine.clone()).open().unwrap();
        database.environment("default").unwrap();
        let app = App::new(database.clone(), config);
        Self { data, database, routes: router(app.clone()), app }
    }

    /// The same database under other settings, nobody having been charged yet.
    pub fn again(self, config: Config) -> Self {
        let app = App::new(self.database.clone(), config);
        Self { routes: router(app.clone()), app, ..self }
    }

    async fn send(&self, request: Request) -> (StatusCode, Value, Response<()>) {
        let (parts, body) = self.routes.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::String(String::from_utf8(bytes.into()).unwrap()));
        (parts.status, value, Response::from_parts(parts, ()))
    }

    pub async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let request = request(method, path).header("Content-Type", "application/json");
        let (status, value, _) = self.send(request.body(Body::from(body.to_string())).unwrap()).await;
        (status, value)
    }

    /// Sends a raw JSON body to the search of `docs`.
    async fn search(&self, body: &str) -> (StatusCode, Value) {
        let request = request(Method::POST, "/v1/collections/docs/search").header("Content-Type", "application/json");
        let (status, value, _) = self.send(request.body(Body::from(body.to_owned())).unwrap()).await;
        (status, value)
    }

    /// With a collection `docs` and three records in it.
    pub async fn with_docs(config: Config) -> Self {
        let server = Self::new(config);
        let docs = json!({"dimension": 2, "metric": "cosine"});
        assert_eq!(server.ask(Method::PUT, "/v1/collections/docs", docs).await.0, StatusCode::CREATED);
        let records = json!({"records": [
            {"id": 1, "entity": "ada", "vector": [1.0, 0.0], "payload": {"n": 1}},
            {"id": "67e55044-10b1-426f-9247-bb680e5fe0c8", "vector": [0.0, 1.0]},
            {"id": u64::MAX, "entity": "bob", "vector": [-1.0, 0.25]},
        ]});
        let (status, answer) = server.ask(Method::PUT, "/v1/collections/docs/records", records).await;
        assert_eq!((status, &answer["upserted"]), (StatusCode::OK, &json!(3)), "{answer}");
        server
    }
}

fn request(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header(HOST, "localhost:6333")
}

#[track_caller]
fn is_problem((status, problem): &(StatusCode, Value), expected: u16, code: &str) {
    assert_eq!((status.as_u16(), problem["code"].as_str()), (expected, Some(code)), "{problem}");
    assert_eq!(problem["status"], expected);
    assert_eq!(problem["type"], format!("urn:lethedb:problem:{code}"));
    assert!(problem["title"].is_string() && problem["detail"].is_string());
}

/// Every route of the router's own source, as `METHOD path`.
pub fn routes() -> BTreeSet<String> {
    let source = include_str!("../router.rs");
    let mut routes = BTreeSet::new();
    for call in source.split(".route(").skip(1) {
        let call = call.split(".layer(").next().unwrap();
        let (path, handlers) = call.split_once("\",").unwrap();
        for method in ["get", "put", "post", "delete", "patch"] {
            let is_used =
                handlers.split(|c: char| !c.is_alphanumeric() && c != ':' && c != '_').any(|word| word == method);
            if is_used {
                routes.insert(format!("{method} {}", path.trim().trim_start_matches('"')));
            }
        }
    }
    routes
}

/// What the description says of a body or a problem is in it: nothing points elsewhere.
#[tokio::test]
async fn every_reference_of_the_description_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let description = Server::new(Config::default()).ask(Method::GET, "/openapi.json", Value::Null).await.1;
    let mut found = BTreeSet::new();
    references(&description, &mut found);
    assert!(found.len() > 20, "{found:?}");
    let lost: Vec<_> =
        found.iter().filter(|path| description.pointer(path.trim_start_matches('#')).is_none()).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test]
async fn every_described_route_exists_and_every_route_is_described() {
    let server = Server::new(Config::default());
    let (status, description) = server.ask(Method::GET, "/openapi.json", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let (mut ids, mut described) = (BTreeSet::new(), BTreeSet::new());
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.insert(format!("{method} {path}"));
            let path = path.replace("{collection}", "docs").replace("{id}", "1").replace("{field}", "a");
            let path = path.replace("{alias}", "b").replace("{number}", "1");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = server.ask(method.clone(), &path, json!({})).await.1;
            let code = answer["code"].as_str().unwrap_or_default();
            assert!(!["unknown_route", "method_not_allowed"].contains(&code), "{method} {path}");
            assert!(
                ids.insert(operation["operationId"].to_string()),
                "{method} {path}: operations need ids of their own"
            );
        }
    }
    // The description itself, twice, and an id that is also the name of a route.
    let (mut routes, plain) = (
        routes(),
        ["get /openapi.json", "get /docs", "delete /v1/admin/entity/erase", "delete /v1/admin/entity/export"],
    );
    assert!(plain.iter().all(|route| routes.remove(*route)) && routes.len() > 20, "{routes:?}");
    assert_eq!(described, routes);
}

#[tokio::test]
async fn records_come_back_as_they_went_in() {
    let server = Server::with_docs(Config::default()).await;
    let (status, mut record) = server.ask(Method::GET, "/v1/collections/docs/records/1", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    assert!(record["version"].as_u64().is_some_and(|version| version > 0));
    record.as_object_mut().unwrap().remove("version");
    assert_eq!(record, json!({"id": 1, "entity": "ada", "vector": [1.0, 0.0], "payload": {"n": 1}}));
    let path = "/v1/collections/docs/records/67e55044-10b1-426f-9247-bb680e5fe0c8";
    assert_eq!(server.ask(Method::GET, path, Value::Null).await.1["vector"], json!([0.0, 1.0]));

    let (_, found) = server.search(r#"{"vector": [1, 0], "limit": 2}"#).await;
    assert_eq!(found["hits"][0]["id"], 1, "{found}");
    assert_eq!(found["hits"].as_array().unwrap().len(), 2);
    assert_eq!(found["partial"], false);
    assert!(found["as_of"]["sequence"].is_u64() && found["as_of"]["time"].as_str().unwrap().ends_with('Z'));
    assert!(found["hits"][0].get("vector").is_none());
    let (_, found) = server.search(r#"{"vector": [1, 0], "filter": {"entity": "bob"}, "with_vector": true}"#).await;
    assert_eq!(found["hits"][0]["id"], u64::MAX);
    assert_eq!(found["hits"][0]["vector"], json!([-1.0, 0.25]));

    let filter = json!({"must": [{"key": "n", "range": {"gte": 1}}], "must_not": {"entity": "bob"}});
    let body = json!({"vector": [1, 0], "filter": filter, "explain": true});
    let (_, found) = server.search(&body.to_string()).await;
    assert_eq!((found["hits"].as_array().unwrap().len(), &found["hits"][0]["id"]), (1, &json!(1)), "{found}");
    let (_, answer) = server.ask(Method::POST, "/v1/collections/docs/count", json!({ "filter": filter })).await;
    assert_eq!(answer["count"], 1);

    let (_, page) = server.ask(Method::POST, "/v1/collections/docs/scroll", json!({"limit": 2})).await;
    assert_eq!((page["records"].as_array().unwrap().len(), &page["next"]), (2, &json!(u64::MAX)), "{page}");
    let (_, page) = server.ask(Method::POST, "/v1/collections/docs/scroll", json!({"after": page["next"]})).await;
    assert_eq!((page["records"].as_array().unwrap().len(), &page["next"]), (1, &Value::Null), "{page}");

    let (_, answer) = server.ask(Method::POST, "/v1/collections/docs/records/delete", json!({"ids": [1, 5]})).await;
    assert_eq!(answer["deleted"], 1);
    let gone = server.ask(Method::GET, "/v1/collections/docs/records/1", Value::Null).await;
    is_problem(&gone, 404, "not_found");

    let delete = async |body| server.ask(Method::POST, "/v1/collections/docs/records/delete", body).await;
    let answer = delete(json!({"filter": {"must_not": {"has_id": [1, 5]}, "entity": "bob"}})).await;
    is_problem(&answer, 400, "invalid_body");
    let (_, answer) = delete(json!({"filter": {"must_not": {"has_id": [u64::MAX]}}})).await;
    assert_eq!(answer["deleted"], 1);
    for body in [json!({}), json!({"ids": [1], "filter": {}}), json!({"all": false}), json!({"ids": [1], "all": true})]
    {
        is_problem(&delete(body).await, 400, "invalid_body");
    }
    // What was left empty by mistake deletes nothing.
    for filter in [json!({}), json!({"must": [], "must_not": {}})] {
        let refused = delete(json!({ "filter": filter })).await;
        is_problem(&refused, 400, "invalid_body");
        assert!(refused.1["detail"].as_str().unwrap().contains(r#""all": true"#), "{}", refused.1);
    }
    let count = async || server.ask(Method::POST, "/v1/collections/docs/count", json!({})).await.1["count"].clone();
    assert_eq!(count().await, 1);
    assert_eq!((&delete(json!({"all": true})).await.1["deleted"], count().await), (&json!(1), json!(0)));
}

#[tokio::test]
async fn fields_are_indexed_and_no_longer() {
    let server = Server::with_docs(Config::default()).await;
    let path = "/v1/collections/docs/indexes";
    let (status, answer) = server.ask(Method::PUT, path, json!({"field": "tags[].id", "type": "integer"})).await;
    assert_eq!(status, StatusCode::OK);
    let index = json!({"field": "tags[].id", "type": "integer", "ready_segments": 0, "pending_segments": 0});
    assert_eq!(answer, json!({"payload_indexes": [index]}));
    let (_, info) = server.ask(Method::GET, "/v1/collections/docs", Value::Null).await;
    assert_eq!(info["payload_indexes"], answer["payload_indexes"]);
    let wrong = server.ask(Method::PUT, path, json!({"field": "s3cr3t[", "type": "integer"})).await;
    is_problem(&wrong, 400, "invalid");
    let wrong = server.ask(Method::PUT, path, json!({"field": "a", "type": "s3cr3t"})).await;
    is_problem(&wrong, 400, "invalid_body");
    let one = format!("{path}/tags%5B%5D.id");
    assert_eq!(server.ask(Method::DELETE, &one, Value::Null).await.0, StatusCode::NO_CONTENT);
    is_problem(&server.ask(Method::DELETE, &one, Value::Null).await, 404, "not_found");
}

#[tokio::test]
async fn a_wrong_filter_is_told_where() {
    let server = Server::with_docs(Config::default()).await;
    let filter = json!({"must": [{}, {"key": "s3cr3t", "range": {"gte": "s3cr3t"}}]});
    let answer = server.ask(Method::POST, "/v1/collections/docs/count", json!({ "filter": filter })).await;
    is_problem(&answer, 400, "invalid_body");
    let detail = answer.1["detail"].as_str().unwrap();
    let expected =
        "a wrong filter at `must[1].range.gte`: a number or an RFC 3339 time with its offset is expected in `filter`";
    assert!(detail.starts_with(expected), "{detail}");
}

#[tokio::test]
async fn a_search_tells_what_it_did_where_asked() {
    let server = Server::with_docs(Config::default()).await;
    server.database.environment("default").unwrap().flush().unwrap();
    assert!(server.search(r#"{"vector": [1, 0]}"#).await.1.get("explain").is_none());
    let told = async |rerank: &str| {
        let body = format!(r#"{{"vector": [1, 0], "rerank": "{rerank}", "explain": true}}"#);
        let mut told = server.search(&body).await.1["explain"].take();
        for phase in ["find_us", "decide_us", "answer_us"] {
            assert!(told.as_object_mut().unwrap().remove(phase).is_some_and(|time| time.is_u64()), "{phase}");
        }
        told
    };
    // Three codes of 64 bytes, looked at once more with 16 of lengths; an opened vector has two numbers of four bytes.
    let expected = json!({"segments": 1, "hops": 0, "compared": 3, "reranked": 0, "bytes": 432});
    assert_eq!(told("none").await, expected);
    let expected = json!({"segments": 1, "hops": 0, "compared": 3, "reranked": 3, "bytes": 456});
    assert_eq!(told("all").await, expected);
}

#[tokio::test]
async fn bad_bodies_are_problems_that_echo_nothing() {
    let server = Server::with_docs(Config::default()).await;
    let deep = format!(r#"{{"vector": {}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let table = [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        (r#"{"vector": [1, 0]} s3cr3t"#, "invalid_json"),
        (r#"{"vector": [NaN, 0]}"#, "invalid_json"),
        (r#"{"vector": [Infinity, 0]}"#, "invalid_json"),
        (r#"{"vector": [1e999, 0]}"#, "invalid_json"),
        (r#"{"vector": [1e39, 0]}"#, "invalid_json"),
        (r#"{"vector": [1, 0, 0]}"#, "invalid_vector"),
        (r#"{"vector": []}"#, "invalid_vector"),
        (r#"{"vector": [0, 0]}"#, "invalid_vector"),
        (r#"{"vector": ["s3cr3t", 0]}"#, "invalid_body"),
        (r#"{"vector": [1, 0], "limit": 0}"#, "out_of_range"),
        (r#"{"vector": [1, 0], "limit": 1000000000}"#, "out_of_range"),
        (r#"{"vector": [1, 0], "limit": -1}"#, "invalid_body"),
        (r#"{"vector": [1, 0], "limit": 99999999999999999999}"#, "invalid_body"),
        (r#"{"vector": [1, 0], "limit": "s3cr3t"}"#, "invalid_body"),
        (r#"{"vector": [1, 0], "s3cr3t": 1}"#, "invalid_body"),
        (r#"{"vector": [1, 0], "filter": {"s3cr3t": 1}}"#, "invalid_body"),
        (r#"{"vector": [1, 0], "filter": [{"entity": "s3cr3t"}]}"#, "invalid_body"),
        (r#"{"vector": [1, 0], "filter": {"key": "s3cr3t[", "match": {"value": 1}}}"#, "invalid_body"),
        (r#"{"vector": [1, 0], "filter": {"must": [{"key": "s3cr3t", "range": {"gte": "s3cr3t"}}]}}"#, "invalid_body"),
        (r#"{"vector": [1, 0], "vector": [1, 0]}"#, "invalid_body"),
        (r#"["s3cr3t"]"#, "invalid_body"),
        (deep.as_str(), "invalid_body"),
    ];
    for (body, code) in table {
        let answer = server.search(body).await;
        is_problem(&answer, 400, code);
        assert!(!answer.1.to_string().contains("s3cr3t"), "{}", answer.1);
    }
}

#[tokio::test]
async fn names_never_become_paths() {
    let server = Server::with_docs(Config::default()).await;
    for name in ["..%2Fdocs", "%2E%2E%2F%2E%2E", "a%00b", "%C3%A9", "-a", "a%20b", &"x".repeat(65)] {
        let answer = server.ask(Method::GET, &format!("/v1/collections/{name}"), Value::Null).await;
        is_problem(&answer, 400, "invalid");
    }
    let answer = server.ask(Method::GET, "/v1/collections/%FF", Value::Null).await;
    is_problem(&answer, 400, "invalid_path");
    for id in ["x", "-1", "18446744073709551616", "1.0", "..%2F"] {
        let answer = server.ask(Method::GET, &format!("/v1/collections/docs/records/{id}"), Value::Null).await;
        is_problem(&answer, 400, "invalid_id");
    }
    for (name, expected, code) in
        [("../x", 400, "invalid"), ("absent", 404, "not_found"), ("\u{e9}", 400, "invalid_header")]
    {
        let request = request(Method::GET, "/v1/collections").header("Lethe-Environment", name);
        let (status, problem, _) = server.send(request.body(Body::empty()).unwrap()).await;
        is_problem(&(status, problem), expected, code);
    }
}

#[tokio::test]
async fn http_itself_is_refused_with_problems_too() {
    let mut config = Config::default();
    config.server.body_bytes_max = 100;
    let server = Server::with_docs(Config::default()).await;
    is_problem(&server.ask(Method::GET, "/v2", Value::Null).await, 404, "unknown_route");
    is_problem(&server.ask(Method::GET, "/v1/collections/absent", Value::Null).await, 404, "not_found");
    let request_ = request(Method::PATCH, "/v1/collections/docs").body(Body::empty()).unwrap();
    let (status, problem, response) = server.send(request_).await;
    is_problem(&(status, problem), 405, "method_not_allowed");
    assert!(response.headers().contains_key("allow"));
    for kind in [Some("text/plain"), None] {
        let mut request = request(Method::POST, "/v1/collections/docs/count");
        if let Some(kind) = kind {
            request = request.header("Content-Type", kind);
        }
        let (status, problem, _) = server.send(request.body(Body::from("{}")).unwrap()).await;
        is_problem(&(status, problem), 415, "unsupported_media_type");
    }
    let other_shape = json!({"dimension": 3, "metric": "cosine"});
    is_problem(&server.ask(Method::PUT, "/v1/collections/docs", other_shape).await, 409, "conflict");

    let small = Server::new(config);
    let answer = small.ask(Method::PUT, "/v1/collections/docs/records", json!("x".repeat(200))).await;
    is_problem(&answer, 413, "body_too_large");
}

#[tokio::test]
async fn a_foreign_host_is_refused() {
    let mut config = Config::default();
    config.server.hosts = vec!["db.internal".into()];
    let server = Server::new(config);
    for (host, expected) in [
        ("localhost", 200),
        ("LOCALHOST:6333", 200),
        ("127.0.0.1:6333", 200),
        ("[::1]:6333", 200),
        ("10.1.2.3:6333", 200),
        ("[2001:db8::7]", 200),
        ("db.internal:80", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ] {
        let request = Request::builder().uri("/livez").header(HOST, host).body(Body::empty()).unwrap();
        assert_eq!(server.send(request).await.0.as_u16(), expected, "{host}");
    }
    for request in [
        Request::builder().uri("/livez"),
        Request::builder().uri("/livez").header(HOST, "localhost").header(HOST, "evil.example"),
        Request::builder().uri("http://evil.example/livez").header(HOST, "localhost"),
    ] {
        assert_eq!(server.send(request.body(Body::empty()).unwrap()).await.0.as_u16(), 421);
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "damages a file on purpose")]
async fn damage_is_left_out_aloud() {
    let server = Server::with_docs(Config::default()).await;
    let ask = async |method, path: &str, body| server.ask(method, path, body).await.1;
    let count = ask(Method::POST, "/v1/collections/docs/count", json!({})).await;
    assert_eq!((&count["count"], &count["partial"], count.get("damaged")), (&json!(3), &json!(false), None));
    let ready = ask(Method::GET, "/readyz", Value::Null).await;
    assert_eq!(ready, json!({"status": "ready", "damaged": [], "audit_sound": true}));

    server.database.environment("default").unwrap().flush().unwrap();
    let segments = server.data.path().join("data/env/default/seg");
    let files = std::fs::read_dir(segments).unwrap().map(|entry| entry.unwrap().path());
    let rows = files.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "rec")).unwrap();
    let mut bytes = std::fs::read(&rows).unwrap();
    bytes[100] ^= 1;
    std::fs::remove_file(&rows).unwrap();
    std::fs::write(&rows, bytes).unwrap();

    let name = format!("seg/{}", rows.file_stem().unwrap().to_str().unwrap());
    let (status, found) = server.search(r#"{"vector": [1, 0]}"#).await;
    assert_eq!((status, &found["hits"], &found["partial"]), (StatusCode::OK, &json!([]), &json!(true)), "{found}");
    assert_eq!(found["damaged"], json!([name]));
    for path in ["count", "scroll"] {
        let answer = ask(Method::POST, &format!("/v1/collections/docs/{path}"), json!({})).await;
        assert_eq!((&answer["partial"], &answer["damaged"]), (&json!(true), &json!([name])), "{answer}");
    }
    is_problem(&server.ask(Method::GET, "/v1/collections/docs/records/1", Value::Null).await, 500, "corrupt");
    is_problem(&server.ask(Method::GET, "/v1/collections/docs/records/7", Value::Null).await, 404, "not_found");
    assert_eq!(ask(Method::GET, "/v1/collections/docs", Value::Null).await["damaged"], json!([name]));
    let ready = ask(Method::GET, "/readyz", Value::Null).await;
    assert_eq!(ready, json!({"status": "ready", "damaged": [format!("env/default/{name}")], "audit_sound": true}));
    let records = json!({"records": [{"id": 1, "vector": [1.0, 0.0]}]});
    assert_eq!(server.ask(Method::PUT, "/v1/collections/docs/records", records).await.0, StatusCode::OK);
    let erased = ask(Method::DELETE, "/v1/admin/entity/bob", Value::Null).await;
    assert_eq!(erased["segments_quarantined"], 1, "{erased}");
}
