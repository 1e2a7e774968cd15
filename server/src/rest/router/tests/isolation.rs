//! Who may do what, and who learns of whom: every route × every kind of caller, each cell asked for.
//!
//! The rows are the routes of the router's own source: a route that this table does not know fails the test, and so does
//! one that is gone. Each tenant has a word of its own in everything that it can name, and no answer to anybody else has it.

use std::collections::BTreeMap;

use engine::{ApiKeyClass, ApiKeyRequest, BuiltInRole, Permission, Permissions, Record};

use super::*;

pub const OURS: &str = "canaryours";
pub const THEIRS: &str = "canarytheirs";

const END_USERS: &str = r#"{"issuer": "https://id", "audience": "docs", "keys": {"keys": [
    {"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}"#;
const APPROVERS: &str = r#"{"threshold": 2, "approvers": [
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"]}"#;

/// What a route needs, a body with which it works, and what it answers then. Nothing is needed where a key is not.
pub const ROUTES: &[(&str, &[&str], &str, u16)] = &[
    ("get /livez", &[], "", 200),
    ("get /readyz", &[], "", 200),
    ("get /metrics", &["metrics.read"], "", 200),
    ("get /openapi.json", &[], "", 200),
    ("get /docs", &[], "", 200),
    ("post /v1/admin/keys/unseal", &[], "{}", 200),
    ("get /v1/collections", &["collection.list"], "", 200),
    ("put /v1/collections/{collection}", &["collection.create"], r#"{"dimension": 2, "metric": "cosine"}"#, 200),
    ("get /v1/collections/{collection}", &["collection.list"], "", 200),
    ("delete /v1/collections/{collection}", &["collection.delete"], "", 204),
    ("put /v1/collections/{collection}/schema", &["collection.update"], "{}", 200),
    ("put /v1/collections/{collection}/limits", &["collection.update"], "{}", 200),
    ("get /v1/aliases", &["collection.list"], "", 200),
    ("put /v1/aliases/{alias}", &["collection.update"], r#"{"collection": "docs"}"#, 200),
    ("get /v1/aliases/{alias}", &["collection.list"], "", 200),
    ("delete /v1/aliases/{alias}", &["collection.update"], "", 200),
    ("put /v1/collections/{collection}/indexes", &["collection.update"], r#"{"field": "n", "type": "integer"}"#, 200),
    ("delete /v1/collections/{collection}/indexes/{field}", &["collection.update"], "", 204),
    (
        "put /v1/collections/{collection}/records",
        &["record.write"],
        r#"{"records": [{"id": 7, "vector": [0, 1]}]}"#,
        200,
    ),
    ("get /v1/collections/{collection}/records/{id}", &["record.read"], "", 200),
    ("post /v1/collections/{collection}/records/delete", &["record.delete"], r#"{"ids": [7]}"#, 200),
    ("post /v1/collections/{collection}/records/update", &["record.write"], r#"{"ids": [7], "set": {"n": 8}}"#, 200),
    ("post /v1/collections/{collection}/search", &["search.query"], r#"{"vector": [1, 0]}"#, 200),
    ("post /v1/collections/{collection}/search/batch", &["search.query"], r#"{"searches": [{"vector": [1, 0]}]}"#, 200),
    (
        "post /v1/collections/{collection}/search/groups",
        &["search.query"],
        r#"{"search": {"vector": [1, 0]}, "group_by": "n"}"#,
        200,
    ),
    ("post /v1/collections/{collection}/scroll", &["search.scan"], "{}", 200),
    ("post /v1/collections/{collection}/count", &["search.scan"], "{}", 200),
    ("post /v1/collections/{collection}/facet", &["search.scan"], r#"{"key": "who"}"#, 200),
    ("post /v1/collections/{collection}/sample", &["search.scan"], "{}", 200),
    ("post /v1/collections/{collection}/centroid", &["aggregate.dp"], r#"{"epsilon": 0.01}"#, 200),
    (
        "post /v1/collections/{collection}/aggregate",
        &["aggregate.dp"],
        r#"{"aggregate": "count", "epsilon": 0.01}"#,
        200,
    ),
    ("get /v1/admin/budget", &["dp.read"], "", 200),
    ("put /v1/admin/budget", &["dp.grant"], r#"{"epsilon": 100}"#, 200),
    ("delete /v1/admin/entity/{id}", &["entity.erase"], "", 200),
    ("post /v1/admin/entity/erase", &["entity.erase"], r#"{"entity": "nobody"}"#, 200),
    ("delete /v1/admin/entity/erase", &["entity.erase"], "", 200),
    ("get /v1/admin/receipts/{job}", &["entity.read"], "", 200),
    ("get /v1/admin/audit", &["audit.read"], "", 200),
    ("get /v1/admin/consent", &["consent.read"], "", 200),
    ("post /v1/admin/consent", &["consent.revoke", "consent.read"], r#"{"entity": "nobody"}"#, 200),
    ("post /v1/admin/consent/state", &["consent.read"], r#"{"entity": "nobody"}"#, 200),
    ("get /v1/admin/holds", &["entity.read"], "", 200),
    ("post /v1/admin/holds", &["entity.hold", "entity.read"], r#"{"entity": "held", "reason": "a case"}"#, 200),
    ("post /v1/admin/holds/release", &["entity.hold", "entity.read"], r#"{"entity": "held"}"#, 200),
    ("post /v1/admin/holds/state", &["entity.read"], r#"{"entity": "held"}"#, 200),
    ("get /v1/admin/retention", &["retention.read"], "", 200),
    ("put /v1/admin/retention", &["retention.write"], r#"{"collection": "docs", "window_ms": null}"#, 200),
    ("post /v1/admin/retention", &["retention.write"], "{}", 200),
    ("post /v1/admin/retention/clock", &["retention.write"], "", 200),
    ("get /v1/admin/entity/{id}/export", &["entity.export"], "", 200),
    ("post /v1/admin/entity/export", &["entity.export"], r#"{"entity": "nobody"}"#, 200),
    ("delete /v1/admin/entity/export", &["entity.erase"], "", 200),
    ("post /v1/admin/backups", &["snapshot.create"], r#"{"unrecoverable": true}"#, 201),
    ("get /v1/admin/backups", &["snapshot.create"], "", 200),
    ("post /v1/admin/backups/{number}/verify", &["snapshot.create"], "", 200),
    ("post /v1/admin/backups/prune", &["snapshot.delete"], r#"{"keep": 1000}"#, 200),
    ("get /v1/admin/api-keys", &["apikey.list"], "", 200),
    (
        "post /v1/admin/api-keys",
        &["apikey.create", "role.assign"],
        r#"{"class": "ik", "roles": ["Ingest"], "label": "made"}"#,
        201,
    ),
    ("delete /v1/admin/api-keys/{key}", &["apikey.revoke"], "", 204),
    ("post /v1/admin/api-keys/{key}/rotate", &["apikey.create"], "{}", 200),
    ("get /v1/admin/roles", &["role.read"], "", 200),
    ("put /v1/admin/roles/{role}", &["role.write"], r#"{"permissions": ["record.read"]}"#, 200),
    ("delete /v1/admin/roles/{role}", &["role.write"], "", 204),
    ("get /v1/admin/rules", &["rule.read"], "", 200),
    ("put /v1/collections/{collection}/rules", &["rule.write"], r#"{"search": "payload.who == claims.sub"}"#, 200),
    ("get /v1/admin/end-users", &["token.read"], "", 200),
    ("put /v1/admin/end-users", &["token.write"], END_USERS, 200),
    ("delete /v1/admin/end-users", &["token.write"], "", 204),
    ("get /v1/admin/approvers", &["approval.read"], "", 200),
    ("delete /v1/admin/approvers", &["approval.write"], "", 204),
    // The last: from here on, others have to approve.
    ("put /v1/admin/approvers", &["approval.write"], APPROVERS, 200),
];

/// Writes of a record for a data subject of `OURS`, each by the route that does it; the record's id stands where `ID` does.
pub const WRITES: [(&str, &str); 9] = [
    (PUT, r#"{"records": [{"id": ID, "entity": "canaryours:2", "vector": [0, 1]}]}"#),
    (PUT, r#"{"records": [{"id": ID, "entity": "canaryours:2", "vector": [0, 1], "if_absent": true}]}"#),
    (PUT, r#"{"records": [{"id": ID, "entity": "canaryours:2", "vector": [0, 1], "if_version": 1}]}"#),
    (PUT, r#"{"records": [{"id": ID, "entity": "canaryours:2", "vector": [0, 1]}], "all_or_nothing": false}"#),
    (
        PUT,
        r#"{"records": [{"id": ID, "entity": "canaryours:2", "vector": [0, 1], "if_version": 1},
            {"id": 5, "entity": "canaryours:2", "vector": [0, 1]}], "all_or_nothing": false}"#,
    ),
    (DELETE, r#"{"ids": [ID]}"#),
    (DELETE, r#"{"filter": {"has_id": [ID]}}"#),
    (UPDATE, r#"{"ids": [ID], "set": {"n": 2}}"#),
    (UPDATE, r#"{"filter": {"has_id": [ID]}, "overwrite": {"n": 2}}"#),
];
const PUT: &str = "put /v1/collections/{collection}/records";
const DELETE: &str = "post /v1/collections/{collection}/records/delete";
const UPDATE: &str = "post /v1/collections/{collection}/records/update";

/// Two tenants, and keys of every kind for the first.
pub struct World {
    pub server: Server,
    _archive: TempDir,
}

impl World {
    pub async fn new() -> Self {
        let archive = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.archive = Some(archive.path().join("backups"));
        config.engine.background = false;
        let world = Self { server: Server::new(config), _archive: archive };
        for (tenant, canary) in [("ours", OURS), ("theirs", THEIRS)] {
            let env = world.server.database.environment(tenant).unwrap();
            world.furnish(tenant, canary);
            env.collection(canary).dimension(2).create().unwrap();
            env.collection("hidden").dimension(2).create().unwrap();
            env.erase("somebody").run().unwrap();
            env.hold(format!("{canary}-held"), canary).unwrap();
            let permits = Permission::RecordRead.into();
            world.server.database.access().define_role(tenant, canary, permits).unwrap();
            world.key(tenant, ApiKeyClass::Admin, &["Owner"], |request| request.label = canary.to_owned());
        }
        world
    }

    /// Puts back what a cell may have taken away.
    pub fn furnish(&self, tenant: &str, canary: &str) {
        let env = self.server.database.environment(tenant).unwrap();
        let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
        let mine = Record::new(1, vec![1.0, 0.0]).entity(format!("{canary}:1")).payload(json!({"who": canary, "n": 1}));
        docs.upsert([mine, Record::new(2, vec![0.0, 1.0]).entity(format!("other:{canary}"))]).unwrap();
        docs.create_payload_index("who", engine::FieldType::Keyword).unwrap();
        env.set_alias(&format!("{canary}-alias"), "docs").unwrap();
        env.set_alias("spare", "docs").unwrap();
        let access = self.server.database.access();
        access.define_role(tenant, "spare", Permission::RecordRead.into()).unwrap();
        if access.trust(tenant).unwrap().is_none() {
            let body: crate::json::EndUsersBody = serde_json::from_str(END_USERS).unwrap();
            access.set_trust(tenant, Some(&body.trust().unwrap())).unwrap();
        }
    }

    pub fn key(&self, tenant: &str, class: ApiKeyClass, roles: &[&str], with: impl FnOnce(&mut ApiKeyRequest)) -> Key {
        let mut request = ApiKeyRequest::new(class, tenant);
        request.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        with(&mut request);
        let issued = self.server.database.access().create(&request).unwrap();
        Key { id: issued.info.id, text: issued.text.to_string() }
    }

    /// The id of a key that a route may end, if it names one.
    pub fn spare(&self, route: &str) -> String {
        if !route.contains("{key}") {
            return "-".to_owned();
        }
        self.key("ours", ApiKeyClass::Ingest, &["Ingest"], |_| {}).id
    }

    /// Sends a route with a key, if one is to be shown, to a tenant, if one is to be named.
    pub(super) async fn ask(
        &self,
        (route, body): (&str, &str),
        key: Option<&str>,
        tenant: Option<&str>,
    ) -> (u16, String) {
        let (method, path) = route.split_once(' ').unwrap();
        let mut request = request(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), path);
        if let Some(key) = key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        if let Some(tenant) = tenant {
            request = request.header("Lethe-Environment", tenant);
        }
        let request = request.header("Content-Type", "application/json").body(Body::from(body.to_owned())).unwrap();
        let (status, answer, _) = self.server.send(request).await;
        (status.as_u16(), answer.to_string())
    }
}

pub struct Key {
    pub id: String,
    pub text: String,
}

/// The route with what its path names, in `collection`.
pub(super) fn filled(route: &str, collection: &str, key: &str) -> String {
    let id = if route.contains("/records/") { "1" } else { "nobody" };
    let parts = [
        ("{collection}", collection),
        ("{id}", id),
        ("{alias}", "spare"),
        ("{field}", "who"),
        ("{job}", "1"),
        ("{number}", "1"),
        ("{key}", key),
        ("{role}", "spare"),
    ];
    parts.into_iter().fold(route.to_owned(), |route, (name, value)| route.replace(name, value))
}

pub fn needed(names: &[&str]) -> Permissions {
    names.iter().map(|name| Permission::parse(name).unwrap()).collect()
}

#[test]
fn every_route_is_in_the_matrix() {
    let listed: BTreeSet<String> = ROUTES.iter().map(|(route, ..)| (*route).to_owned()).collect();
    assert_eq!(listed, routes(), "say in this table what a new route needs");
    let open: BTreeSet<&str> =
        ROUTES.iter().filter(|(_, needs, ..)| needs.is_empty()).map(|(route, ..)| *route).collect();
    let stated = super::super::super::auth::OPEN.map(|path| path.to_owned());
    assert_eq!(
        open.iter().map(|route| route.split_once(' ').unwrap().1.to_owned()).collect::<BTreeSet<_>>(),
        stated.into()
    );
}

#[tokio::test]
async fn without_a_key_that_is_good_nothing_is_told() {
    let world = World::new().await;
    let good = world.key("ours", ApiKeyClass::Admin, &["Owner"], |_| {});
    let expired = world.key("ours", ApiKeyClass::Admin, &["Owner"], |request| request.expires_ms = Some(1));
    let revoked = world.key("ours", ApiKeyClass::Admin, &["Owner"], |_| {});
    assert!(world.server.database.access().revoke("ours", &revoked.id).unwrap());
    let before = world.key("ours", ApiKeyClass::Admin, &["Owner"], |_| {});
    world.server.database.access().rotate("ours", &before.id, 0).unwrap();
    let elsewhere = Server::new(Config::default());
    let request =
        ApiKeyRequest { roles: vec!["Owner".to_owned()], ..ApiKeyRequest::new(ApiKeyClass::Admin, "default") };
    let unknown = elsewhere.database.access().create(&request).unwrap().text.to_string();
    let far = world.key("ours", ApiKeyClass::Admin, &["Owner"], |request| request.networks = vec!["10.0.0.0/8".into()]);
    let mistyped = good.text.replace("_ak_", "_sk_");
    let bad = [&expired.text, &revoked.text, &before.text, &unknown, &far.text, &mistyped, "", "lethe_ak_x", "Owner"];
    let mut told = BTreeSet::new();
    for (route, needs, body, _) in ROUTES {
        let asked = (&*filled(route, "docs", &good.id), *body);
        let (status, answer) = world.ask(asked, None, None).await;
        assert_eq!(status == 401, !needs.is_empty(), "{route} without a key: {status} {answer}");
        for key in &bad {
            let (status, answer) = world.ask(asked, Some(key), None).await;
            assert_eq!(status == 401, !needs.is_empty(), "{route} with a bad key: {status} {answer}");
            assert!(!answer.contains(OURS) && !answer.contains(THEIRS), "{route}: {answer}");
            if key.starts_with("lethe_ak_") && key.len() == 70 && status == 401 {
                told.insert(answer);
            }
        }
    }
    assert_eq!(told.len(), 1, "what is wrong with a key is not told: {told:?}");
    assert_eq!(world.ask(("get /v1/collections", ""), Some(&good.text), None).await.0, 200);
    assert_eq!(world.ask(("get /v1/nothing", ""), None, None).await.0, 401, "not even which routes there are");
}

#[tokio::test]
async fn every_role_may_do_on_every_route_what_it_permits() {
    let world = World::new().await;
    let keys: BTreeMap<BuiltInRole, Key> = BuiltInRole::ALL
        .into_iter()
        .map(|role| (role, world.key("ours", ApiKeyClass::Admin, &[role.as_str()], |_| {})))
        .collect();
    let mut cells = 0;
    for (route, needs, body, done) in ROUTES {
        for (role, key) in &keys {
            world.furnish("ours", OURS);
            let spare = world.spare(route);
            let (status, answer) = world.ask((&filled(route, "docs", &spare), body), Some(&key.text), None).await;
            let expected = if role.permissions().covers(needed(needs)) { *done } else { 403 };
            assert_eq!(status, expected, "{route} as {role:?}: {answer}");
            assert!(!answer.contains(THEIRS), "{route} as {role:?}: {answer}");
            cells += 1;
        }
    }
    assert_eq!(cells, ROUTES.len() * 9);
    // What was refused is told, by the key that asked.
    let env = world.server.database.environment("ours").unwrap();
    let denied = env.audit().action("access.denied").limit(1000).run().unwrap().events;
    assert!(denied.len() > 100 && denied.iter().all(|event| event.actor != "host"), "{}", denied.len());
}

#[tokio::test]
async fn another_tenant_is_as_one_that_is_not_there() {
    let world = World::new().await;
    let ours = world.key("ours", ApiKeyClass::Admin, &["Owner"], |_| {});
    let theirs = world.key("theirs", ApiKeyClass::Admin, &["Owner"], |_| {});
    for (route, needs, body, done) in ROUTES.iter().filter(|(_, needs, ..)| !needs.is_empty()) {
        assert!(!needs.is_empty());
        world.furnish("theirs", THEIRS);
        let spare = world.spare(route);
        let asked = filled(route, "docs", &spare);
        let there = world.ask((&asked, body), Some(&theirs.text), Some("ours")).await;
        let absent = world.ask((&asked, body), Some(&theirs.text), Some("nowhere")).await;
        assert_eq!(there, absent, "{route}: an answer tells that the tenant is there");
        assert_eq!(there.0, 404, "{route}: {}", there.1);
        // In one's own tenant, with names that both have, and ids of the other's.
        let (status, answer) = world.ask((&asked, body), Some(&theirs.text), None).await;
        let names_a_key = route.contains("{key}");
        assert_eq!(status, if names_a_key { 404 } else { *done }, "{route}: {answer}");
        assert!(!answer.contains(OURS), "{route}: {answer}");
    }
    // The word is where it should be, so that its absence means something.
    for (key, canary) in [(&ours, OURS), (&theirs, THEIRS)] {
        world.furnish(if canary == OURS { "ours" } else { "theirs" }, canary);
        for (route, body) in [
            ("get /v1/collections", ""),
            ("get /v1/aliases", ""),
            ("get /v1/collections/docs/records/1", ""),
            ("post /v1/collections/docs/facet", r#"{"key": "who"}"#),
            ("get /v1/admin/api-keys", ""),
            ("get /v1/admin/roles", ""),
            ("get /v1/admin/holds", ""),
        ] {
            let (_, answer) = world.ask((route, body), Some(&key.text), None).await;
            assert!(answer.contains(canary), "{route}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_collection_outside_of_the_scope_is_as_one_that_is_not_there() {
    let world = World::new().await;
    let scoped = world.key("ours", ApiKeyClass::Admin, &["Owner"], |request| {
        request.collections = Some(vec!["docs".to_owned()]);
    });
    for (route, _, body, done) in ROUTES.iter().filter(|(route, ..)| route.contains("{collection}")) {
        world.furnish("ours", OURS);
        let ask = async |collection| {
            let key = Some(&*scoped.text);
            world.ask((&filled(route, collection, "-"), body), key, None).await
        };
        let (hidden, absent) = (ask("hidden").await, ask("absent").await);
        assert_eq!(hidden, absent, "{route}: an answer tells that the collection is there");
        assert_eq!(hidden.0, 404, "{route}");
        assert_eq!(ask("docs").await.0, *done, "{route}");
    }
    let (_, listed) = world.ask(("get /v1/collections", ""), Some(&scoped.text), None).await;
    let is_listed = |name: &str| listed.contains(&format!(r#""name":"{name}""#));
    assert!(is_listed("docs") && !is_listed("hidden") && !is_listed(OURS), "{listed}");
    for route in ["get /v1/admin/audit", "delete /v1/admin/entity/nobody", "get /v1/admin/api-keys"] {
        assert_eq!(world.ask((route, ""), Some(&scoped.text), None).await.0, 403, "{route} reaches beyond");
    }
}

#[tokio::test]
async fn a_key_for_some_data_subjects_is_shown_no_others() {
    let world = World::new().await;
    let docs = world.server.database.environment("ours").unwrap().open_collection("docs").unwrap();
    let many = (10..40).map(|id| Record::new(id, vec![1.0, 0.01]).entity("other:many").payload(json!({"who": "many"})));
    docs.upsert(many).unwrap();
    for flushed in [false, true] {
        if flushed {
            world.server.database.environment("ours").unwrap().flush().unwrap();
        }
        for (types, ids) in [(Some(vec![OURS.to_owned()]), None), (None, Some(vec![format!("{OURS}:1")]))] {
            let key = world.key("ours", ApiKeyClass::Secret, &["Owner"], |request| {
                (request.entity_types, request.entities) = (types, ids);
            });
            let ask = async |route, body| world.ask((route, body), Some(&key.text), None).await;
            let (status, found) = ask("post /v1/collections/docs/search", r#"{"vector": [1, 0], "limit": 30}"#).await;
            let found: Value = serde_json::from_str(&found).unwrap();
            assert_eq!((status, found["hits"].as_array().map(Vec::len)), (200, Some(1)), "{found}");
            assert_eq!(found["hits"][0]["id"], 1, "recall on one's own");
            let (_, count) = ask("post /v1/collections/docs/count", "{}").await;
            assert!(count.contains(r#""count":1"#), "{count}");
            for (route, body) in [
                ("post /v1/collections/docs/scroll", "{}"),
                ("post /v1/collections/docs/scroll", r#"{"order_by": {"key": "who"}}"#),
                ("post /v1/collections/docs/sample", r#"{"limit": 50}"#),
                ("post /v1/collections/docs/facet", r#"{"key": "who"}"#),
                ("post /v1/collections/docs/search/groups", r#"{"search": {"vector": [1, 0]}, "group_by": "who"}"#),
                ("post /v1/collections/docs/search", r#"{"vector": [1, 0], "filter": {"entity": "other:many"}}"#),
                ("post /v1/collections/docs/search", r#"{"vector": [1, 0], "filter": {"should": [{"has_id": [10]}]}}"#),
            ] {
                let (status, answer) = ask(route, body).await;
                assert!(status == 200 && !answer.contains("many"), "{route}: {status} {answer}");
            }
            let there = ask("get /v1/collections/docs/records/10", "").await;
            let absent = ask("get /v1/collections/docs/records/99", "").await;
            assert_eq!(there, absent, "a record of others is as one that is not there");
            let like = |id: u64| format!(r#"{{"like": [{id}], "limit": 3}}"#);
            let (like_others, like_nobody) = (like(10), like(99));
            let there = ask("post /v1/collections/docs/search", &like_others).await;
            assert_eq!(there, ask("post /v1/collections/docs/search", &like_nobody).await, "nor is it an example");
            for (route, body) in [
                ("put /v1/collections/docs/records", r#"{"records": [{"id": 1, "vector": [0, 1]}]}"#),
                (
                    "put /v1/collections/docs/records",
                    r#"{"records": [{"id": 1, "entity": "other:many", "vector": [0, 1]}]}"#,
                ),
                ("put /v1/collections/docs/schema", "{}"),
                ("delete /v1/collections/docs", ""),
                ("delete /v1/admin/entity/other:many", ""),
            ] {
                assert_eq!(ask(route, body).await.0, 403, "{route} reaches beyond");
            }
        }
    }
}

/// Whoever writes for some data subjects is told the same whether somebody else's record is there or none.
#[tokio::test]
async fn a_key_for_some_data_subjects_writes_as_if_nobody_else_were_there() {
    let world = World::new().await;
    let env = world.server.database.environment("ours").unwrap();
    let docs = env.open_collection("docs").unwrap();
    let key = world.key("ours", ApiKeyClass::Secret, &["Developer"], |request| {
        request.entity_types = Some(vec![OURS.to_owned()]);
    });
    let ask = async |route: &str, body: &str, id: u64| {
        let (route, body) = (filled(route, "docs", "-"), body.replace("ID", &id.to_string()));
        let (status, answer) = world.ask((&route, &body), Some(&key.text), None).await;
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        let sequence = answer["as_of"].take()["sequence"].as_u64();
        (status, answer, sequence)
    };
    let (mut next, mut cells) = (1000, 0);
    for flushed in [false, true] {
        for (route, body) in WRITES {
            let (theirs, nobodys) = (next, next + 1);
            next += 2;
            let other = Record::new(theirs, vec![1.0, 0.0]).entity("other:many").payload(json!({"n": 1}));
            let stored = docs.upsert([other]).unwrap().sequence;
            if flushed {
                env.flush().unwrap();
            }
            let there = ask(route, body, theirs).await;
            let absent = ask(route, body, nobodys).await;
            assert_eq!((there.0, &there.1), (absent.0, &absent.1), "{route} {body}");
            // Not even the number of the write tells one from the other.
            let (there, absent) = (there.2.map(|last| last - stored), absent.2.map(|last| last - stored));
            assert_eq!(there.map(|step| step * 2), absent, "{route} {body}");
            let found = docs.get(theirs).unwrap().unwrap();
            assert_eq!((found.sequence(), found.entity_id()), (stored, Some("other:many")), "{route} {body}");
            cells += 1;
        }
    }
    assert_eq!(cells, 2 * WRITES.len());
    // What is theirs they write like anybody.
    let mine = ask(WRITES[0].0, WRITES[0].1, 5).await;
    assert_eq!((mine.0, &mine.1["upserted"]), (200, &json!(1)), "{}", mine.1);
    assert_eq!(ask(UPDATE, r#"{"all": true, "set": {"n": 9}}"#, 0).await.0, 200);
    assert_eq!(docs.get(5).unwrap().unwrap().payload_json(), Some(&json!({"n": 9})));
    assert_eq!(docs.get(2).unwrap().unwrap().payload_json(), None, "a filter that names nobody reaches no further");
    assert_eq!(ask(DELETE, r#"{"all": true}"#, 0).await.0, 200);
    assert!(docs.get(5).unwrap().is_none() && docs.get(2).unwrap().is_some());
}

#[tokio::test]
async fn a_change_counts_from_the_next_request_on() {
    let world = World::new().await;
    let owner = world.key("ours", ApiKeyClass::Admin, &["Owner"], |_| {});
    let key = world.key("ours", ApiKeyClass::Secret, &["spare"], |_| {});
    let read = async || world.ask(("get /v1/collections/docs/records/1", ""), Some(&key.text), None).await.0;
    let count = async || world.ask(("post /v1/collections/docs/count", "{}"), Some(&key.text), None).await.0;
    assert_eq!((read().await, count().await), (200, 403));
    let put = ("put /v1/admin/roles/spare", r#"{"permissions": ["search.scan"]}"#);
    assert_eq!(world.ask(put, Some(&owner.text), None).await.0, 200);
    assert_eq!((read().await, count().await), (403, 200));
    let rotate = format!("post /v1/admin/api-keys/{}/rotate", key.id);
    let (_, rotated) = world.ask((&rotate, r#"{"overlap_seconds": 3600}"#), Some(&owner.text), None).await;
    let rotated: Value = serde_json::from_str(&rotated).unwrap();
    let renewed = rotated["key"].as_str().unwrap();
    let with = async |text: &str| world.ask(("post /v1/collections/docs/count", "{}"), Some(text), None).await.0;
    assert_eq!((with(renewed).await, with(&key.text).await), (200, 200), "both are taken for a while");
    let revoke = format!("delete /v1/admin/api-keys/{}", key.id);
    assert_eq!(world.ask((&revoke, ""), Some(&owner.text), None).await.0, 204);
    assert_eq!((with(renewed).await, with(&key.text).await), (401, 401));
    assert_eq!(world.ask((&revoke, ""), Some(&owner.text), None).await.0, 404, "it has ended");
    let (_, listed) = world.ask(("get /v1/admin/api-keys", ""), Some(&owner.text), None).await;
    let secret = key.text.split('_').nth(3).unwrap();
    assert!(listed.contains(&key.id) && !listed.contains(secret), "a key is shown once");
}

#[tokio::test]
async fn nobody_makes_a_key_for_more_than_they_have() {
    let world = World::new().await;
    let admin = world.key("ours", ApiKeyClass::Admin, &["Admin"], |_| {});
    let owner = world.key("ours", ApiKeyClass::Admin, &["Owner"], |_| {});
    let ask = async |route: &str, body: &str| world.ask((route, body), Some(&admin.text), None).await.0;
    let make = "post /v1/admin/api-keys";
    assert_eq!(ask(make, r#"{"class": "ak", "roles": ["Admin"]}"#).await, 201);
    assert_eq!(ask(make, r#"{"class": "ak", "roles": ["Owner"]}"#).await, 403);
    assert_eq!(ask(make, r#"{"class": "sk", "roles": ["Owner"]}"#).await, 201, "a key of this class may do less");
    assert_eq!(ask(make, r#"{"class": "pk", "roles": ["ReadOnly"]}"#).await, 409, "without rules there are none");
    assert_eq!(ask(make, r#"{"class": "ak", "roles": ["Nobody"]}"#).await, 404);
    assert_eq!(ask("put /v1/admin/roles/strong", r#"{"permissions": ["dp.grant"]}"#).await, 403);
    assert_eq!(ask("put /v1/admin/roles/owner", r#"{"permissions": []}"#).await, 409);
    assert_eq!(ask(&format!("post /v1/admin/api-keys/{}/rotate", owner.id), "{}").await, 403, "nor takes one over");
}

#[tokio::test]
async fn a_server_without_keys_works_for_who_reaches_it_unless_told_otherwise() {
    let server = Server::new(Config::default());
    assert_eq!(server.ask(Method::GET, "/v1/collections", Value::Null).await.0, StatusCode::OK);
    let made = json!({"class": "ak", "roles": ["Owner"]});
    let (status, _) = server.ask(Method::POST, "/v1/admin/api-keys", made).await;
    assert_eq!(status, StatusCode::CREATED);
    let refused = server.ask(Method::GET, "/v1/collections", Value::Null).await;
    is_problem(&refused, 401, "unauthenticated");
    let mut config = Config::default();
    config.server.auth = true;
    let refused = Server::new(config).ask(Method::GET, "/v1/collections", Value::Null).await;
    is_problem(&refused, 401, "unauthenticated");
}
