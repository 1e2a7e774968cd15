//! The isolation matrix of REST, over gRPC: the same rows, callers and words, through every call.

use std::collections::BTreeMap;

use engine::{ApiKeyClass, BuiltInRole, Record};

use super::*;
use crate::rest::tests::isolation::{Key, OURS, ROUTES, THEIRS, WRITES, World, needed};

/// What a route needs, and what it answers then, for a call.
fn row(rpc: &Rpc) -> (&'static [&'static str], &'static str, u16) {
    let route = format!("{} {}", rpc.method.as_str().to_lowercase(), rpc.route);
    let (_, needs, body, done) = ROUTES.iter().find(|(listed, ..)| *listed == route).unwrap();
    (needs, body, *done)
}

/// The message of a call, as its row has it.
fn body(rpc: &Rpc, collection: &str, spare: &str) -> Value {
    let (_, text, _) = row(rpc);
    let mut body: Value = if text.is_empty() { json!({}) } else { serde_json::from_str(text).unwrap() };
    if rpc.path.ends_with("/Search") {
        body = json!({ "search": body });
    }
    let parts = [
        ("collection", json!(collection)),
        ("id", json!(1)),
        ("alias", json!("spare")),
        ("field", json!("who")),
        ("job", json!(1)),
        ("number", json!(1)),
        ("key", json!(spare)),
        ("role", json!("spare")),
    ];
    for (name, value) in parts {
        if rpc.route.contains(&format!("{{{name}}}")) {
            body[name] = value;
        }
    }
    body
}

/// The code of gRPC for a status of HTTP.
fn code(status: u16) -> Code {
    match status {
        200..300 => Code::Ok,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        _ => panic!("{status} is in no row"),
    }
}

async fn ask(calls: &Calls, rpc: &Rpc, body: &Value, key: Option<&str>, tenant: Option<&str>) -> Answer {
    let bearer = key.map(|key| format!("Bearer {key}"));
    let mut headers = Vec::new();
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    headers.extend(tenant.map(|tenant| ("lethe-environment", tenant)));
    // What would differ between two answers anyway.
    headers.push(("x-request-id", "one"));
    calls.call(rpc, body, &headers).await
}

#[tokio::test]
async fn without_a_key_that_is_good_nothing_is_told() {
    let world = World::new().await;
    let calls = Calls::of(&world.server);
    let good = world.key("ours", ApiKeyClass::Admin, &["Owner"], |_| {});
    let expired = world.key("ours", ApiKeyClass::Admin, &["Owner"], |request| request.expires_ms = Some(1));
    let revoked = world.key("ours", ApiKeyClass::Admin, &["Owner"], |_| {});
    assert!(world.server.database.access().revoke("ours", &revoked.id).unwrap());
    let forged = good.text.replace("_ak_", "_sk_");
    for rpc in &calls.schema.rpcs {
        let (needs, ..) = row(rpc);
        for key in [None, Some(&*expired.text), Some(&*revoked.text), Some(&*forged), Some(""), Some("Owner")] {
            let answer = ask(&calls, rpc, &body(rpc, "docs", &good.id), key, None).await;
            let is_refused = answer.code() == Code::Unauthenticated && answer.reason() == "unauthenticated";
            assert_eq!(is_refused, !needs.is_empty(), "{} with {key:?}: {}", rpc.path, answer.text());
            assert!(!answer.text().contains(OURS) && !answer.text().contains(THEIRS), "{}", rpc.path);
            assert!(answer.messages.is_empty() || needs.is_empty(), "{}", rpc.path);
        }
    }
    let unknown = calls.send("/lethedb.v1.Records/Nothing", frame(b""), &[]).await;
    assert_eq!(unknown.code(), Code::Unauthenticated, "not even which calls there are");
    let bearer = format!("Bearer {}", good.text);
    let unknown = calls.send("/lethedb.v1.Records/Nothing", frame(b""), &[("authorization", &bearer)]).await;
    assert_eq!((unknown.code(), unknown.reason().as_str()), (Code::Unimplemented, "unknown_route"));
}

#[tokio::test]
async fn every_role_may_do_in_every_call_what_it_permits() {
    let world = World::new().await;
    let calls = Calls::of(&world.server);
    let keys: BTreeMap<BuiltInRole, Key> = BuiltInRole::ALL
        .into_iter()
        .map(|role| (role, world.key("ours", ApiKeyClass::Admin, &[role.as_str()], |_| {})))
        .collect();
    // What others must approve from then on comes last, as in the rows.
    let place = |rpc: &&Rpc| {
        ROUTES.iter().position(|(route, ..)| {
            route.ends_with(&format!(" {}", rpc.route)) && route.starts_with(&rpc.method.as_str().to_lowercase())
        })
    };
    let mut rpcs: Vec<&Rpc> = calls.schema.rpcs.iter().collect();
    rpcs.sort_by_key(place);
    let mut cells = 0;
    for rpc in rpcs {
        let (needs, _, done) = row(rpc);
        for (role, key) in &keys {
            world.furnish("ours", OURS);
            let spare = world.spare(&rpc.route);
            let answer = ask(&calls, rpc, &body(rpc, "docs", &spare), Some(&key.text), None).await;
            let expected = if role.permissions().covers(needed(needs)) { code(done) } else { Code::PermissionDenied };
            assert_eq!(answer.code(), expected, "{} as {role:?}: {}", rpc.path, answer.text());
            assert!(!answer.text().contains(THEIRS), "{} as {role:?}: {}", rpc.path, answer.text());
            cells += 1;
        }
    }
    assert_eq!(cells, calls.schema.rpcs.len() * 9);
}

#[tokio::test]
async fn another_tenant_is_as_one_that_is_not_there() {
    let world = World::new().await;
    let calls = Calls::of(&world.server);
    let ours = world.key("ours", ApiKeyClass::Admin, &["Owner"], |_| {});
    let theirs = world.key("theirs", ApiKeyClass::Admin, &["Owner"], |_| {});
    for rpc in calls.schema.rpcs.iter().filter(|rpc| !row(rpc).0.is_empty() && !rpc.path.ends_with("/PutApprovers")) {
        world.furnish("theirs", THEIRS);
        let asked = body(rpc, "docs", &world.spare(&rpc.route));
        let there = ask(&calls, rpc, &asked, Some(&theirs.text), Some("ours")).await;
        let absent = ask(&calls, rpc, &asked, Some(&theirs.text), Some("nowhere")).await;
        assert_eq!(there.text(), absent.text(), "{}: an answer tells that the tenant is there", rpc.path);
        assert_eq!(there.code(), Code::NotFound, "{}: {}", rpc.path, there.text());
        let answer = ask(&calls, rpc, &asked, Some(&theirs.text), None).await;
        let expected = if rpc.route.contains("{key}") { Code::NotFound } else { code(row(rpc).2) };
        assert_eq!(answer.code(), expected, "{}: {}", rpc.path, answer.text());
        assert!(!answer.text().contains(OURS), "{}: {}", rpc.path, answer.text());
    }
    // The word is where it should be, so that its absence means something.
    for (key, canary) in [(&ours, OURS), (&theirs, THEIRS)] {
        world.furnish(if canary == OURS { "ours" } else { "theirs" }, canary);
        for name in
            ["ListCollections", "ListAliases", "Fetch", "Search", "ScrollStream", "Facet", "ListApiKeys", "ListHolds"]
        {
            let rpc = calls.rpc(name);
            let answer = ask(&calls, rpc, &body(rpc, "docs", "-"), Some(&key.text), None).await;
            assert!(answer.text().contains(canary), "{name}: {}", answer.text());
        }
    }
}

/// The writes of the matrix, over gRPC: told the same whether somebody else's record is there or none.
#[tokio::test]
async fn a_key_for_some_data_subjects_writes_as_if_nobody_else_were_there() {
    let world = World::new().await;
    let calls = Calls::of(&world.server);
    let docs = world.server.database.environment("ours").unwrap().open_collection("docs").unwrap();
    let key = world.key("ours", ApiKeyClass::Secret, &["Developer"], |request| {
        request.entity_types = Some(vec![OURS.to_owned()]);
    });
    let mut next = 1000;
    for (route, text) in WRITES {
        let is_its = |rpc: &&Rpc| format!("{} {}", rpc.method.as_str().to_lowercase(), rpc.route) == route;
        for rpc in calls.schema.rpcs.iter().filter(is_its) {
            let (theirs, nobodys) = (next, next + 1);
            next += 2;
            let stored = docs.upsert([Record::new(theirs, vec![1.0, 0.0]).entity("other:many")]).unwrap().sequence;
            let mut told = Vec::new();
            for id in [theirs, nobodys] {
                let mut body: Value = serde_json::from_str(&text.replace("ID", &id.to_string())).unwrap();
                body["collection"] = json!("docs");
                let answer = ask(&calls, rpc, &body, Some(&key.text), None).await;
                let mut messages = answer.messages.clone();
                messages.iter_mut().for_each(|message| drop(message["as_of"].take()));
                told.push((answer.code(), messages));
            }
            assert_eq!(told[0], told[1], "{} {text}", rpc.path);
            let found = docs.get(theirs).unwrap().unwrap();
            assert_eq!((found.sequence(), found.entity_id()), (stored, Some("other:many")), "{} {text}", rpc.path);
        }
    }
    let rpc = calls.rpc("Upsert");
    let body = json!({"collection": "docs", "records": [{"id": 1, "entity": "other:many", "vector": [0, 1]}]});
    assert_eq!(ask(&calls, rpc, &body, Some(&key.text), None).await.code(), Code::PermissionDenied);
}
