//! What an operator sees and sets: ids, counts, the page of the API, and limits that refuse.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use engine::{ApiKeyClass, ApiKeyRequest};
use hyper::body::Frame;

use super::*;
use crate::rest::auth::Peer;

const SEARCH: &str = "/v1/collections/docs/search";

async fn text(server: &Server, path: &str) -> (StatusCode, String, Response<()>) {
    let sent = request(Method::GET, path).body(Body::empty()).unwrap();
    let (parts, body) = server.routes.clone().oneshot(sent).await.unwrap().into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, String::from_utf8(bytes.into()).unwrap(), Response::from_parts(parts, ()))
}

#[tokio::test]
async fn every_answer_has_an_id_that_can_stand_in_a_log() {
    let server = Server::new(Config::default());
    let ask = async |ids: &[&str]| {
        let mut request = request(Method::GET, "/v1/nowhere");
        for id in ids {
            request = request.header("X-Request-Id", *id);
        }
        let (_, _, response) = server.send(request.body(Body::empty()).unwrap()).await;
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    for good in ["a", "0-9_x.Y", &"x".repeat(64)] {
        assert_eq!(ask(&[good]).await, good);
    }
    let long = "x".repeat(65);
    let mut made = BTreeSet::new();
    for bad in [&[][..], &[""], &["a b"], &["a=b"], &["\u{e9}"], &[&long], &["a", "b"]] {
        let id = ask(bad).await;
        assert!(!bad.contains(&id.as_str()) && id.len() < 40, "{id}");
        assert!(made.insert(id), "each has its own");
    }
}

#[tokio::test]
async fn counts_name_routes_and_never_what_was_asked_for() {
    let server = Server::with_docs(Config::default()).await;
    for path in ["/v1/collections/docs/records/1", "/v1/collections/s3cr3t/records/1", "/s3cr3t", "/v1/aliases/s3cr3t"]
    {
        server.ask(Method::GET, path, Value::Null).await;
    }
    server.ask(Method::from_bytes(b"S3CR3T").unwrap(), "/v1/collections", Value::Null).await;
    server.ask(Method::DELETE, "/v1/admin/entity/s3cr3t", Value::Null).await;
    server.search(r#"{"vector": [1, 0], "s3cr3t": 1}"#).await;
    let (status, counts, response) = text(&server, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    for line in [
        "lethedb_requests_total{method=\"GET\",route=\"/v1/collections/{collection}/records/{id}\",code=\"200\"} 1",
        "lethedb_requests_total{method=\"GET\",route=\"/v1/collections/{collection}/records/{id}\",code=\"404\"} 1",
        "lethedb_requests_total{method=\"GET\",route=\"unknown\",code=\"404\"} 1",
        "lethedb_requests_total{method=\"other\",route=\"/v1/collections\",code=\"405\"} 1",
        "lethedb_problems_total{code=\"invalid_body\"} 1",
        "lethedb_requests_running 1",
        "lethedb_requests_waiting 0",
        "lethedb_connections_refused_total 0",
        "lethedb_bodies_bytes 0",
        "lethedb_ready 1",
        "lethedb_writable 1",
    ] {
        assert!(counts.contains(line), "{line} is not in\n{counts}");
    }
    assert!(counts.contains("lethedb_request_duration_seconds_bucket") && counts.ends_with("# EOF\n"));
    for name in ["s3cr3t", "S3CR3T", "docs", "default", "ada"] {
        assert!(!counts.contains(name), "{name} is in\n{counts}");
    }
}

#[tokio::test]
async fn the_page_of_the_api_shows_every_route_and_needs_nothing() {
    let server = Server::new(Config::default());
    let (status, page, response) = text(&server, "/docs").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert!(response.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    for word in ["<script", "src=", "http:", "https:", "//", "@import", "url("] {
        assert!(!page.contains(word), "the page asks for something: {word}");
    }
    for route in routes() {
        let (method, path) = route.split_once(' ').unwrap();
        let is_plain =
            ["/openapi.json", "/docs"].contains(&path) || path.ends_with("erase") || path.ends_with("export");
        let shown = format!("<b class=\"m\">{method}</b> <code>{path}</code>");
        assert!(is_plain || page.contains(&shown), "{route} is not on the page");
    }
    assert!(page.contains("<details id=\"SearchBody\">") && page.contains("<a href=\"#SearchBody\">SearchBody</a>"));
}

/// A server on which a search costs a whole bucket, asked by keys of two environments.
async fn metered(limits: impl FnOnce(&mut crate::config::Limits)) -> (Server, Vec<String>) {
    let mut config = Config::default();
    limits(&mut config.limits);
    let server = Server::with_docs(config).await;
    let mut keys = Vec::new();
    for environment in ["default", "default", "other"] {
        let env = server.database.environment(environment).unwrap();
        env.collection("docs").dimension(2).open_or_create().unwrap();
        let roles = vec!["Developer".to_owned()];
        let request = ApiKeyRequest { roles, ..ApiKeyRequest::new(ApiKeyClass::Secret, environment) };
        keys.push(server.database.access().create(&request).unwrap().text.to_string());
    }
    (server, keys)
}

async fn search_as(server: &Server, key: &str, body: &str) -> (StatusCode, Value, Response<()>) {
    let request = request(Method::POST, SEARCH).header("Content-Type", "application/json");
    let request = request.header("Authorization", format!("Bearer {key}"));
    server.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

/// The units that are there at once. One comes back each second: a machine that stalls for minutes changes no test.
const BURST: u32 = 600;
/// More requests than a bucket pays for.
const TRIES: u32 = 2 * BURST;
/// Costs half a bucket.
const DEAR: &str = r#"{"vector": [1, 0], "ef": 10000, "limit": 10000}"#;
const CHEAP: &str = r#"{"vector": [1, 0]}"#;

/// Spends all that `key` has, and leaves nothing for a head.
async fn spend(server: &Server, key: &str) {
    assert_eq!(search_as(server, key, DEAR).await.0, StatusCode::OK);
    for _ in 0..TRIES {
        if search_as(server, key, CHEAP).await.0 != StatusCode::OK {
            return;
        }
    }
    panic!("it has no end");
}

#[tokio::test]
async fn a_key_that_spent_its_units_is_told_when_to_come_back_and_costs_no_other() {
    let (server, keys) = metered(|limits| (limits.key_units, limits.burst_seconds) = (1, BURST)).await;
    spend(&server, &keys[0]).await;
    // If a unit came back meanwhile, half of a bucket is owed from now on.
    search_as(&server, &keys[0], DEAR).await;
    let (status, problem, response) = search_as(&server, &keys[0], DEAR).await;
    is_problem(&(status, problem.clone()), 429, "rate_limited");
    let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=u64::from(BURST)).contains(&seconds), "{seconds}");
    assert!(!problem.to_string().contains(&keys[0][..12]), "{problem}");
    for (name, shown) in [("Authorization", format!("bEARER \t {} ", keys[0])), ("X-API-Key", format!(" {}", keys[0]))]
    {
        let request = request(Method::POST, SEARCH).header("Content-Type", "application/json").header(name, shown);
        let (status, problem, _) = server.send(request.body(Body::from(DEAR)).unwrap()).await;
        is_problem(&(status, problem), 429, "rate_limited");
    }
    for other in &keys[1..] {
        assert_eq!(search_as(&server, other, CHEAP).await.0, StatusCode::OK);
    }
    assert!(text(&server, "/livez").await.0.is_success(), "nor does it cost who looks whether the server lives");
}

#[tokio::test]
async fn a_body_may_be_owed_and_then_heads_wait_and_no_body_is_read() {
    let (server, keys) = metered(|limits| (limits.key_units, limits.burst_seconds) = (1, BURST)).await;
    for _ in 1..BURST {
        assert_eq!(search_as(&server, &keys[0], CHEAP).await.0, StatusCode::OK);
    }
    assert_eq!(
        search_as(&server, &keys[0], DEAR).await.0,
        StatusCode::OK,
        "a unit for the head is all there has to be"
    );
    let request = request(Method::POST, SEARCH).header("Content-Type", "application/json");
    let request = request.header("Authorization", format!("Bearer {}", keys[0]));
    let (status, problem, response) = server.send(request.body(Body::new(Never)).unwrap()).await;
    is_problem(&(status, problem), 429, "rate_limited");
    let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((2..=u64::from(BURST / 2) + 1).contains(&seconds), "half is owed, less what came since: {seconds}");
    assert_eq!(search_as(&server, &keys[1], DEAR).await.0, StatusCode::OK, "another key owes nothing");
}

#[tokio::test]
async fn an_environment_that_spent_its_units_costs_no_other() {
    let (server, keys) = metered(|limits| (limits.environment_units, limits.burst_seconds) = (1, BURST)).await;
    spend(&server, &keys[0]).await;
    // If a unit came back meanwhile, half of a bucket is owed from now on.
    search_as(&server, &keys[0], DEAR).await;
    let (status, problem, _) = search_as(&server, &keys[1], DEAR).await;
    is_problem(&(status, problem), 429, "rate_limited");
    assert_eq!(search_as(&server, &keys[2], CHEAP).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_address_pays_for_keys_that_are_not_good() {
    let (server, keys) = metered(|limits| (limits.address_units, limits.burst_seconds) = (1, BURST)).await;
    let from = |address: [u8; 4]| server.routes.clone().layer(axum::Extension(Peer(address.into())));
    let ask = async |address, key: &str| {
        let sent = request(Method::GET, "/v1/collections").header("Authorization", format!("Bearer {key}"));
        from(address).oneshot(sent.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    };
    let mut tried = 0;
    while tried < TRIES && ask([192, 0, 2, 1], "lethe_sk_guess").await == 401 {
        tried += 1;
    }
    assert!((60..90).contains(&tried), "a guess costs ten times as much as a request: {tried}");
    // Nothing is left but what came back meanwhile.
    let mut served = 0;
    while served < TRIES && ask([192, 0, 2, 1], &keys[0]).await == 200 {
        served += 1;
    }
    assert!(served < BURST / 2, "{served}");
    assert_eq!(ask([192, 0, 2, 2], &keys[0]).await, 200);
}

#[tokio::test]
async fn the_page_is_made_once_and_sent_once() {
    let server = Server::new(Config::default());
    for path in ["/docs", "/openapi.json"] {
        let (_, page, response) = text(&server, path).await;
        let tag = response.headers()["etag"].clone();
        for (known, status, length) in [(tag.clone(), 304, 0), ("\"another\"".parse().unwrap(), 200, page.len())] {
            let sent = request(Method::GET, path).header("If-None-Match", known).body(Body::empty()).unwrap();
            let (parts, body) = server.routes.clone().oneshot(sent).await.unwrap().into_parts();
            let length_sent = to_bytes(body, usize::MAX).await.unwrap().len();
            assert_eq!((parts.status.as_u16(), length_sent, &parts.headers["etag"]), (status, length, &tag));
        }
    }
}

#[tokio::test]
async fn an_address_pays_for_signatures_before_any_is_looked_at() {
    let (server, _) = metered(|limits| (limits.address_units, limits.burst_seconds) = (1, BURST)).await;
    let routes = server.routes.clone().layer(axum::Extension(Peer([192, 0, 2, 1].into())));
    let mut answered = 0;
    loop {
        // A route that is open to all: the header alone is what costs.
        let sent = request(Method::GET, "/livez").header("X-User-Token", "a.b.c").body(Body::empty()).unwrap();
        if answered == TRIES || routes.clone().oneshot(sent).await.unwrap().status() != StatusCode::OK {
            break;
        }
        answered += 1;
    }
    assert!((120..180).contains(&answered), "{answered}");
}

#[tokio::test]
async fn what_looks_at_every_record_costs_as_much() {
    let (server, keys) = metered(|limits| (limits.key_units, limits.burst_seconds) = (1, 180)).await;
    let filter = json!({"key": "n", "range": {"gte": 0}});
    for (what, path, body, dear) in [
        ("scroll", "scroll", json!({"limit": 10_000}), true),
        ("scroll in an order", "scroll", json!({"order_by": {"key": "n"}}), true),
        ("scroll", "scroll", json!({"limit": 1}), false),
        ("count", "count", json!({"filter": filter}), true),
        ("count of all", "count", json!({}), false),
        ("facet", "facet", json!({"key": "n"}), true),
        ("sample", "sample", json!({"filter": filter}), true),
        ("centroid", "centroid", json!({"epsilon": 0.0}), true),
        ("aggregate", "aggregate", json!({"epsilon": 0.0}), true),
        ("delete", "records/delete", json!({"filter": {"key": "n", "match": {"value": 77}}}), true),
        ("delete by id", "records/delete", json!({"ids": [77]}), false),
        ("update", "records/update", json!({"filter": {"key": "n", "match": {"value": 77}}, "clear": true}), true),
        ("groups", "search/groups", json!({"search": {"vector": [1, 0], "exact": true}, "group_by": "n"}), true),
    ] {
        let request =
            ApiKeyRequest { roles: vec!["Admin".to_owned()], ..ApiKeyRequest::new(ApiKeyClass::Secret, "default") };
        let key = server.database.access().create(&request).unwrap().text.to_string();
        let mut asked = 0;
        loop {
            let sent = super::request(Method::POST, &format!("/v1/collections/docs/{path}"));
            let sent = sent.header("Content-Type", "application/json").header("X-API-Key", &key);
            let (status, problem, _) = server.send(sent.body(Body::from(body.to_string())).unwrap()).await;
            assert!(!status.is_server_error(), "{what}: {problem}");
            if asked == 20 || status == StatusCode::TOO_MANY_REQUESTS {
                break;
            }
            asked += 1;
        }
        // Three at once, and one a minute.
        assert_eq!(asked < 12, dear, "{what}: {asked}");
    }
    drop(keys);
}

#[tokio::test]
async fn a_body_of_unknown_length_pays_as_it_arrives() {
    let (server, keys) = metered(|limits| (limits.key_units, limits.burst_seconds) = (1, BURST)).await;
    let long = format!(r#"{{"vector": [1, 0]{}}}"#, " ".repeat(160 << 10));
    let mut served = 0;
    while served < TRIES && search_as(&server, &keys[0], &long).await.0 == StatusCode::OK {
        served += 1;
    }
    assert!((54..80).contains(&served), "eleven units each, of which the last may be owed: {served}");
}

#[tokio::test]
async fn a_wide_search_costs_more_than_a_narrow_one() {
    let (server, keys) = metered(|limits| (limits.key_units, limits.burst_seconds) = (1, BURST)).await;
    let mut served = [0, 0];
    for (at, body) in [CHEAP, DEAR].into_iter().enumerate() {
        while served[at] < TRIES && search_as(&server, &keys[at], body).await.0 == StatusCode::OK {
            served[at] += 1;
        }
    }
    assert!(served[0] >= 100 && served[1] <= 3, "{served:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_answered() {
    let mut config = Config::default();
    (config.limits.request_seconds, config.server.body_seconds) = (2, 3600);
    let server = Server::new(config);
    let send = async |path| {
        let request = request(Method::POST, path).header("Content-Type", "application/json");
        let (status, problem, response) = server.send(request.body(Body::new(Never)).unwrap()).await;
        is_problem(&(status, problem.clone()), status.as_u16(), problem["code"].as_str().unwrap());
        (problem["code"].as_str().unwrap().to_owned(), response.headers().contains_key("retry-after"))
    };
    assert_eq!(send(SEARCH).await, ("request_timeout".to_owned(), true));
    assert_eq!(send("/v1/admin/entity/erase").await.0, "body_timeout", "administration has all the time it needs");
}

/// A body of which nothing ever comes.
struct Never;

impl hyper::body::Body for Never {
    type Data = hyper::body::Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Pending
    }
}

/// The clock is ours: nothing else makes anybody late.
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_longer_than_the_settings_have_it_is_told_to_come_back() {
    let mut config = Config::default();
    (config.server.requests_max, config.server.wait_seconds, config.limits.request_seconds) = (1, 7, 0);
    let server = Arc::new(Server::with_docs(config).await);
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let app = server.app.clone();
    let holding = tokio::spawn(async move {
        let work = move |_: &Database| {
            _ = begun.send(());
            _ = ended.recv();
            Ok(())
        };
        app.run(work).await
    });
    has_begun.await.unwrap();
    let asking = {
        let (server, records) = (Arc::clone(&server), json!({"records": [{"id": 9, "vector": [1, 0]}]}));
        tokio::spawn(async move { server.ask(Method::PUT, "/v1/collections/docs/records", records).await })
    };
    while server.app.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let is_told = async |seconds| {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        asking.is_finished()
    };
    assert!(!is_told(6).await && is_told(2).await);
    is_problem(&asking.await.unwrap(), 503, "overloaded");
    assert_eq!(server.app.waiting(), 0, "nobody waits for it any more");
    end.send(()).unwrap();
    holding.await.unwrap().unwrap();
    assert_eq!(server.ask(Method::GET, "/v1/collections/docs/records/9", Value::Null).await.0, 404, "it was not done");
}
