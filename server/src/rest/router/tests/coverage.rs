//! What was done is told: every route asked for once, and the event that it leaves, by whoever asked.
//!
//! The rows are those of the isolation matrix, hence the routes of the router's own source: a route of which this table does
//! not say what it tells fails the test, and so does one that is gone.

use engine::{ApiKeyClass, AuditEvent};

use super::isolation::{OURS, ROUTES, World, filled};
use super::*;

/// What a route tells: an action, or for looks the permission that let them; nothing where nobody is asked who they are.
const TOLD: &[(&str, &str)] = &[
    ("get /livez", ""),
    ("get /readyz", ""),
    ("get /metrics", "read metrics.read"),
    ("get /openapi.json", ""),
    ("get /docs", ""),
    // A server that is open has nothing to unseal; one that was opened by shares tells keys.unsealed.
    ("post /v1/admin/keys/unseal", ""),
    ("get /v1/collections", "read collection.list"),
    ("put /v1/collections/{collection}", "collection.created"),
    ("get /v1/collections/{collection}", "read collection.list"),
    ("delete /v1/collections/{collection}", "collection.dropped"),
    ("put /v1/collections/{collection}/schema", "collection.changed"),
    ("put /v1/collections/{collection}/limits", "collection.changed"),
    ("get /v1/aliases", "read collection.list"),
    ("put /v1/aliases/{alias}", "alias.changed"),
    ("get /v1/aliases/{alias}", "read collection.list"),
    ("delete /v1/aliases/{alias}", "alias.changed"),
    ("put /v1/collections/{collection}/indexes", "collection.changed"),
    ("delete /v1/collections/{collection}/indexes/{field}", "collection.changed"),
    ("put /v1/collections/{collection}/records", "records.written"),
    ("get /v1/collections/{collection}/records/{id}", "read record.read"),
    ("post /v1/collections/{collection}/records/delete", "records.deleted"),
    ("post /v1/collections/{collection}/records/update", "records.written"),
    ("post /v1/collections/{collection}/search", "search.counted"),
    ("post /v1/collections/{collection}/search/batch", "search.counted"),
    ("post /v1/collections/{collection}/search/groups", "search.counted"),
    ("post /v1/collections/{collection}/scroll", "read search.scan"),
    ("post /v1/collections/{collection}/count", "read search.scan"),
    ("post /v1/collections/{collection}/facet", "read search.scan"),
    ("post /v1/collections/{collection}/sample", "read search.scan"),
    ("post /v1/collections/{collection}/centroid", "aggregate.released"),
    ("post /v1/collections/{collection}/aggregate", "aggregate.released"),
    ("get /v1/admin/budget", "read dp.read"),
    ("put /v1/admin/budget", "budget.set"),
    ("delete /v1/admin/entity/{id}", "entity.erased"),
    ("post /v1/admin/entity/erase", "entity.erased"),
    ("delete /v1/admin/entity/erase", "entity.erased"),
    ("get /v1/admin/receipts/{job}", "read entity.read"),
    ("get /v1/admin/audit", "audit.read"),
    ("get /v1/admin/consent", "read consent.read"),
    ("post /v1/admin/consent", "consent.revoked"),
    ("post /v1/admin/consent/state", "read consent.read"),
    ("get /v1/admin/holds", "read entity.read"),
    ("post /v1/admin/holds", "entity.held"),
    ("post /v1/admin/holds/release", "entity.released"),
    ("post /v1/admin/holds/state", "read entity.read"),
    ("get /v1/admin/retention", "read retention.read"),
    ("put /v1/admin/retention", "retention.set"),
    // What it removes is told as retention.ran, by collection.
    ("post /v1/admin/retention", "read retention.write"),
    ("post /v1/admin/retention/clock", "clock.confirmed"),
    ("get /v1/admin/entity/{id}/export", "entity.exported"),
    ("post /v1/admin/entity/export", "entity.exported"),
    ("delete /v1/admin/entity/export", "entity.erased"),
    ("post /v1/admin/backups", "backup.created"),
    ("get /v1/admin/backups", "read snapshot.create"),
    ("post /v1/admin/backups/{number}/verify", "backup.verified"),
    ("post /v1/admin/backups/prune", "backup.pruned"),
    ("get /v1/admin/api-keys", "read apikey.list"),
    ("post /v1/admin/api-keys", "apikey.created"),
    ("delete /v1/admin/api-keys/{key}", "apikey.revoked"),
    ("post /v1/admin/api-keys/{key}/rotate", "apikey.rotated"),
    ("get /v1/admin/roles", "read role.read"),
    ("put /v1/admin/roles/{role}", "role.changed"),
    ("delete /v1/admin/roles/{role}", "role.changed"),
    ("get /v1/admin/rules", "read rule.read"),
    ("put /v1/collections/{collection}/rules", "rules.changed"),
    ("get /v1/admin/end-users", "read token.read"),
    ("put /v1/admin/end-users", "settings.changed"),
    ("delete /v1/admin/end-users", "settings.changed"),
    ("get /v1/admin/approvers", "read approval.read"),
    ("delete /v1/admin/approvers", "settings.changed"),
    ("put /v1/admin/approvers", "settings.changed"),
];

/// Requests that change something where those of the matrix find it as it should be.
const CHANGING: &[(&str, &str, &str)] = &[
    ("put /v1/collections/{collection}", "put /v1/collections/made", r#"{"dimension": 2, "metric": "cosine"}"#),
    ("put /v1/collections/{collection}/schema", "", r#"{"fields": {"n": "integer"}}"#),
    ("put /v1/collections/{collection}/limits", "", r#"{"records_max": 1000}"#),
    ("put /v1/aliases/{alias}", "put /v1/aliases/another", r#"{"collection": "docs"}"#),
    ("put /v1/admin/retention", "", r#"{"collection": "docs", "window_ms": 3600000}"#),
    ("post /v1/collections/{collection}/records/delete", "", r#"{"ids": [2]}"#),
    ("post /v1/collections/{collection}/records/update", "", r#"{"ids": [1], "set": {"n": 8}}"#),
];

#[test]
fn every_route_says_what_it_tells() {
    let listed: BTreeSet<String> = TOLD.iter().map(|(route, _)| (*route).to_owned()).collect();
    assert_eq!(listed, routes(), "say in this table what a new route tells");
    assert_eq!(listed.len(), TOLD.len());
    for (route, told) in TOLD {
        let needs = ROUTES.iter().find(|(of, ..)| of == route).unwrap().1;
        assert_eq!(told.is_empty(), needs.is_empty(), "{route}: whoever is asked for a key is told of");
    }
}

fn is_told(event: &AuditEvent, expected: &str) -> bool {
    let permission = event.fields.iter().find(|(name, _)| name == "permission").map(|(_, value)| value.as_str());
    match expected.split_once(' ') {
        Some((action, permitted)) => event.action == action && permission == Some(permitted),
        None => event.action == expected,
    }
}

#[tokio::test]
async fn every_route_leaves_its_event_by_whoever_asked() {
    let world = World::new().await;
    let key = world.key("ours", ApiKeyClass::Admin, &["Owner"], |_| {});
    let actor = format!("api-key:{}", key.id);
    let env = world.server.database.environment("ours").unwrap();
    let after = |cursor: u64| env.audit().cursor(cursor).limit(1000).run().unwrap();
    let mut missing = Vec::new();
    for (route, _, body, done) in ROUTES {
        world.furnish("ours", OURS);
        let spare = world.spare(route);
        let changing = CHANGING.iter().find(|(of, ..)| of == route);
        let body = changing.map_or(*body, |(_, _, body)| *body);
        let asked = match changing {
            Some((_, asked, _)) if !asked.is_empty() => (*asked).to_owned(),
            _ => filled(route, "docs", &spare),
        };
        let before = after(0).total + 1;
        let (status, answer) = world.ask((&asked, body), Some(&key.text), None).await;
        assert!(status == *done || status == 201, "{route}: {status} {answer}");
        let (_, expected) = TOLD.iter().find(|(of, _)| of == route).unwrap();
        let events = after(before.saturating_sub(1)).events;
        let its: Vec<&AuditEvent> = events.iter().filter(|event| event.actor == actor).collect();
        match expected.is_empty() {
            true => assert!(its.is_empty(), "{route} tells what nobody was asked for"),
            false if its.iter().any(|event| is_told(event, expected) && event.source == "rest") => {}
            false => {
                missing.push((*route, *expected, its.iter().map(|event| event.action.clone()).collect::<Vec<_>>()))
            }
        }
        assert!(its.iter().all(|event| event.outcome == "done"), "{route}: {its:?}");
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[tokio::test]
async fn each_look_is_told_where_that_is_asked_for() {
    let mut config = Config::default();
    config.engine.audit_reads = engine::AuditReads::Each;
    let server = Server::with_docs(config).await;
    for _ in 0..3 {
        assert_eq!(server.search(r#"{"vector": [1, 0]}"#).await.0, StatusCode::OK);
    }
    let env = server.database.environment("default").unwrap();
    let told = env.audit().limit(1000).run().unwrap().events;
    assert_eq!(told.iter().filter(|event| event.action == "search").count(), 3, "one event a search");
    assert!(!told.iter().any(|event| event.action == "search.counted"));
}
