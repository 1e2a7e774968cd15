//! Writes that are sent again: done once, answered as the first time, by whoever sent them and nobody else.

use std::sync::Arc;

use engine::{ApiKeyClass, ApiKeyRequest};

use super::super::super::repeats::{Keeping, WRITES};
use super::*;

/// Sends with an idempotency key, and with an API key if there is one.
async fn send(server: &Server, (method, path, body): (&str, &str, &str), key: &str, shown: &str) -> (u16, Value, bool) {
    let mut request = request(Method::from_bytes(method.as_bytes()).unwrap(), path).header("Idempotency-Key", key);
    if !shown.is_empty() {
        request = request.header("Authorization", format!("Bearer {shown}"));
    }
    let request = request.header("Content-Type", "application/json").body(Body::from(body.to_owned())).unwrap();
    let (status, answer, response) = server.send(request).await;
    (status.as_u16(), answer, response.headers().contains_key("idempotency-replayed"))
}

fn records(id: u64) -> String {
    format!(r#"{{"records": [{{"id": {id}, "vector": [1, 0], "if_absent": true}}]}}"#)
}

const PUT: (&str, &str) = ("PUT", "/v1/collections/docs/records");

#[test]
fn every_write_of_the_router_is_known() {
    let listed: BTreeSet<String> = WRITES
        .iter()
        .map(|(route, _)| {
            route.split_once(' ').map(|(method, path)| format!("{} {path}", method.to_lowercase())).unwrap()
        })
        .collect();
    // What only looks, although its question is a body; and what comes before there is anybody to know.
    let looks = [
        "post /v1/admin/keys/unseal",
        "post /v1/collections/{collection}/search",
        "post /v1/collections/{collection}/search/batch",
        "post /v1/collections/{collection}/search/groups",
        "post /v1/collections/{collection}/scroll",
        "post /v1/collections/{collection}/count",
        "post /v1/collections/{collection}/facet",
        "post /v1/collections/{collection}/sample",
        "post /v1/admin/consent/state",
        "post /v1/admin/holds/state",
        "post /v1/admin/entity/export",
        "post /v1/admin/backups/{number}/verify",
    ];
    let mut all: BTreeSet<String> = routes().into_iter().filter(|route| !route.starts_with("get ")).collect();
    for look in looks {
        assert!(all.remove(look), "{look} is no route");
    }
    assert_eq!(listed, all, "say whether a new route is a write, and whether its answer may be kept");
    assert_eq!(listed.len(), WRITES.len());
}

#[tokio::test]
async fn a_repeat_is_answered_as_the_first_and_not_done_again() {
    let server = Server::with_docs(Config::default()).await;
    let body = records(10);
    let first = send(&server, (PUT.0, PUT.1, &body), "k1", "").await;
    assert_eq!((first.0, first.2), (200, false), "{}", first.1);
    let again = send(&server, (PUT.0, PUT.1, &body), "k1", "").await;
    assert_eq!((again.0, &again.1, again.2), (200, &first.1, true), "a replay is the first answer");
    // Without a key, or with another, it is a request of its own.
    assert_eq!(send(&server, (PUT.0, PUT.1, &body), "k2", "").await.0, 409, "if_absent finds what was done");
    // The same key for something else.
    for (method, path, body) in [
        (PUT.0, PUT.1, records(11)),
        (PUT.0, "/v1/collections/docs/schema", body.clone()),
        ("POST", "/v1/collections/docs/records/delete", body.clone()),
    ] {
        let (status, problem, _) = send(&server, (method, path, &body), "k1", "").await;
        is_problem(&(StatusCode::from_u16(status).unwrap(), problem), 422, "idempotency_key_reused");
    }
    let count = server.ask(Method::POST, "/v1/collections/docs/count", json!({})).await.1;
    assert_eq!(count["count"], 4);
    // What was refused is not kept: put right, it may be sent under the same key.
    let wrong = r#"{"records": [{"id": 12, "vector": [1]}]}"#;
    assert_eq!(send(&server, (PUT.0, PUT.1, wrong), "k3", "").await.0, 400);
    assert_eq!(send(&server, (PUT.0, PUT.1, &records(12)), "k3", "").await.0, 200);
    // Looks ignore it.
    for body in [r#"{"vector": [1, 0]}"#, r#"{"vector": [0, 1]}"#] {
        assert_eq!(send(&server, ("POST", "/v1/collections/docs/search", body), "k1", "").await.0, 200);
    }
    for key in ["", "a b", &"x".repeat(256), "é"] {
        let (status, problem, _) = send(&server, (PUT.0, PUT.1, &body), key, "").await;
        is_problem(&(StatusCode::from_u16(status).unwrap(), problem), 400, "invalid_header");
    }
}

#[tokio::test]
async fn keys_of_others_are_others() {
    let server = Server::with_docs(Config::default()).await;
    server.database.environment("other").unwrap().collection("docs").dimension(2).create().unwrap();
    let make = |environment: &str| {
        let request =
            ApiKeyRequest { roles: vec!["Owner".to_owned()], ..ApiKeyRequest::new(ApiKeyClass::Admin, environment) };
        server.database.access().create(&request).unwrap().text.to_string()
    };
    let (one, two, other) = (make("default"), make("default"), make("other"));
    let body = records(20);
    let ask = async |shown: &str| send(&server, (PUT.0, PUT.1, &body), "same", shown).await;
    assert_eq!(ask(&one).await.0, 200);
    assert_eq!(ask(&two).await.0, 409, "another principal's request is one of its own");
    let in_other = ask(&other).await;
    assert_eq!((in_other.0, in_other.2), (200, false), "and so is another tenant's");
    assert!(ask(&one).await.2);
}

#[tokio::test]
async fn secrets_and_names_are_not_kept() {
    let server = Server::with_docs(Config::default()).await;
    let erase = ("POST", "/v1/admin/entity/erase", r#"{"entity": "ada"}"#);
    let make = ("POST", "/v1/admin/api-keys", r#"{"class": "ak", "roles": ["Owner"]}"#);
    assert_eq!(send(&server, erase, "e", "").await.0, 200);
    let (status, problem, _) = send(&server, erase, "e", "").await;
    is_problem(&(StatusCode::from_u16(status).unwrap(), problem), 409, "answer_not_kept");
    let (status, made, _) = send(&server, make, "m", "").await;
    assert_eq!(status, 201);
    let owner = made["key"].as_str().unwrap();
    let listed = async || {
        let (_, listed, _) = send(&server, ("GET", "/v1/admin/api-keys", ""), "x", owner).await;
        listed["keys"].as_array().map(Vec::len)
    };
    let before = listed().await;
    assert_eq!(send(&server, make, "n", owner).await.0, 201);
    let (status, problem, _) = send(&server, make, "n", owner).await;
    is_problem(&(StatusCode::from_u16(status).unwrap(), problem), 409, "answer_not_kept");
    assert_eq!(listed().await.map(|count| count - 1), before, "one key was made");
    for (route, keeping) in WRITES {
        let names = ["entity", "consent", "holds", "api-keys"].iter().any(|part| route.contains(part));
        let is_fact = *keeping == Keeping::Fact;
        assert_eq!(names && !route.starts_with("DELETE /v1/admin/api-keys"), is_fact, "{route}");
    }
}

/// However many are sent at once, one is done; the others wait or are told its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_is_done() {
    let server = Arc::new(Server::with_docs(Config::default()).await);
    for round in 0..8 {
        let asked = (0..12).map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let (body, key) = (records(100 + round), format!("round-{round}"));
                send(&server, (PUT.0, PUT.1, &body), &key, "").await
            })
        });
        let mut done = 0;
        for answer in asked.collect::<Vec<_>>() {
            let (status, answer, is_replay) = answer.await.unwrap();
            match status {
                200 if !is_replay => done += 1,
                200 => {}
                _ => is_problem(&(StatusCode::from_u16(status).unwrap(), answer), 409, "request_in_progress"),
            }
        }
        assert_eq!(done, 1);
    }
}

/// Who hangs up learns by asking again what came of it: the work goes on, and is not done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_hangs_up_and_asks_again_is_told() {
    let server = Arc::new(Server::with_docs(Config::default()).await);
    for round in 0..20_u64 {
        let (body, key) = (records(200 + round), format!("hung-up-{round}"));
        let asking = {
            let (server, body, key) = (Arc::clone(&server), body.clone(), key.clone());
            tokio::spawn(async move { send(&server, (PUT.0, PUT.1, &body), &key, "").await })
        };
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        asking.abort();
        _ = asking.await;
        loop {
            let (status, answer, _) = send(&server, (PUT.0, PUT.1, &body), &key, "").await;
            if status == 200 {
                break;
            }
            is_problem(&(StatusCode::from_u16(status).unwrap(), answer), 409, "request_in_progress");
            tokio::task::yield_now().await;
        }
    }
}

/// Two who write under one id, each for a data subject of their own, several times at once and under one idempotency key.
///
/// Whoever is first by the number of the write has the record; the other is answered as if nobody were there, and finds
/// nothing. Neither is ever given the other's answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_race_for_an_id_one_has_it_and_each_has_an_answer_of_their_own() {
    let server = Arc::new(Server::with_docs(Config::default()).await);
    let docs = server.database.open_environment("default").unwrap().open_collection("docs").unwrap();
    let key = |who: &'static str| {
        let mut request = ApiKeyRequest::new(ApiKeyClass::Secret, "default");
        (request.roles, request.entities) = (vec!["Developer".to_owned()], Some(vec![who.to_owned()]));
        (who, server.database.access().create(&request).unwrap().text.to_string())
    };
    let people = [key("eve"), key("kim")];
    let body = |who: &str, id: u64| {
        let record = json!({"id": id, "entity": who, "vector": [1, 0], "payload": {"who": who}, "if_absent": id.is_multiple_of(2)});
        json!({"records": [record]}).to_string()
    };
    for id in 300..324_u64 {
        let name = format!("race-{id}");
        let asked = (0..6).map(|at| {
            let ((who, shown), server, name) = (people[at % 2].clone(), Arc::clone(&server), name.clone());
            let body = body(who, id);
            tokio::spawn(async move { (who, send(&server, (PUT.0, PUT.1, &body), &name, &shown).await) })
        });
        let mut answers: std::collections::BTreeMap<&str, Vec<(Value, bool)>> = Default::default();
        for asked in asked.collect::<Vec<_>>() {
            let (who, (status, answer, is_replay)) = asked.await.unwrap();
            match status {
                200 => answers.entry(who).or_default().push((answer, is_replay)),
                _ => is_problem(&(StatusCode::from_u16(status).unwrap(), answer), 409, "request_in_progress"),
            }
        }
        let first = |who: &str| {
            let done: Vec<_> = answers[who].iter().filter(|(_, is_replay)| !is_replay).collect();
            assert!(done.len() == 1 && done[0].0["upserted"] == 1, "{who}: {answers:?}");
            assert!(answers[who].iter().all(|(answer, _)| *answer == done[0].0), "{who}: {answers:?}");
            (done[0].0["as_of"]["sequence"].as_u64().unwrap(), who.to_owned(), done[0].0.clone())
        };
        let mut told = people.each_ref().map(|(who, _)| first(who));
        told.sort_by_key(|(sequence, ..)| *sequence);
        let stored = docs.get(id).unwrap().unwrap();
        assert!(told[0].0 < told[1].0, "{answers:?}");
        assert_eq!((stored.entity_id(), stored.sequence()), (Some(&*told[0].1), told[0].0), "{answers:?}");
        assert_eq!(stored.payload_json(), Some(&json!({"who": told[0].1})));
        for (who, shown) in &people {
            let path = format!("/v1/collections/docs/records/{id}");
            let (status, found, _) = send(&server, ("GET", &path, ""), "-", shown).await;
            assert_eq!(status, if *who == told[0].1 { 200 } else { 404 }, "{who}: {found}");
            let (_, again, is_replay) = send(&server, (PUT.0, PUT.1, &body(who, id)), &name, shown).await;
            let own = told.iter().find(|(_, of, _)| of == who).unwrap();
            assert_eq!((&again, is_replay), (&own.2, true), "{who}");
        }
    }
}
