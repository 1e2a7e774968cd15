//! What end users are shown: tokens over the wire, and rules against a model of who may see what.

use std::sync::Arc;

use engine::{
    ApiKeyClass, ApiKeyRequest, Claim, Claims, Credentials, Example, Filter, Record, RecordId, Session, rules_of,
};
use proptest::prelude::*;

use super::*;
use crate::rest::auth::Peer;
use crate::tokens::Keys;
use crate::tokens::tests::{Hand, Issuer, claims};

const RULES: &str =
    r#"{"search": "payload.org == claims.org", "query": "payload.org == claims.org and entity in claims.people"}"#;

/// A server with people of two organisations, whose tokens this issuer makes.
struct World {
    server: Server,
    issuer: Issuer,
}

impl World {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let data = tempfile::tempdir().unwrap();
        let database = Database::builder(data.path().join("data")).root_key(RootKey::bytes([7; 32])).open().unwrap();
        let docs = database.environment("default").unwrap().collection("docs").dimension(2).create().unwrap();
        let record = |id: u64| {
            let org = if id.is_multiple_of(2) { "acme" } else { "evil" };
            let vector = vec![1.0, id as f32 / 100.0];
            Record::new(id, vector).entity(format!("p{}", id % 5)).payload(json!({"org": org, "id": id}))
        };
        docs.upsert((0..20).map(record)).unwrap();
        let keys = Keys::new(Box::new(crate::tokens::tests::Nowhere), Arc::new(Hand::new()));
        let app = App::with_keys(database.clone(), config, keys);
        let routes = router(app.clone());
        let world = Self { server: Server { data, database, app, routes }, issuer: Issuer::new() };
        let body = json!({"issuer": "https://id.example", "audience": "docs", "keys": world.issuer.key_set()});
        let body: crate::json::EndUsersBody = serde_json::from_value(body).unwrap();
        let access = world.server.database.access();
        access.set_trust("default", Some(&body.trust().unwrap())).unwrap();
        let rules: crate::json::RulesBody = serde_json::from_str(RULES).unwrap();
        access.set_rules("default", "docs", &rules_of(rules.texts()).unwrap()).unwrap();
        world
    }

    fn key(&self, class: ApiKeyClass, role: &str) -> String {
        let mut request = ApiKeyRequest::new(class, "default");
        request.roles = vec![role.to_owned()];
        self.server.database.access().create(&request).unwrap().text.to_string()
    }

    fn token(&self, more: Value) -> String {
        self.issuer.token(&json!({"alg": "EdDSA", "kid": "ed"}), &claims(more))
    }

    async fn ask(&self, path: &str, body: &str, key: &str, tokens: &[&str]) -> (u16, Value) {
        let method = if body.is_empty() { Method::GET } else { Method::POST };
        let mut request = request(method, path).header("Content-Type", "application/json");
        if !key.is_empty() {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        for token in tokens {
            request = request.header("X-User-Token", *token);
        }
        let (status, answer, _) = self.server.send(request.body(Body::from(body.to_owned())).unwrap()).await;
        (status.as_u16(), answer)
    }
}

const SEARCH: &str = "/v1/collections/docs/search";
const COUNT: &str = "/v1/collections/docs/count";

#[tokio::test]
async fn a_public_key_shows_what_the_token_earns() {
    let world = World::new();
    let public = world.key(ApiKeyClass::Public, "ReadOnly");
    let near = r#"{"vector": [1, 0], "limit": 20, "with_payload": true}"#;
    let acme = world.token(json!({"org": "acme", "people": ["p0", "p1"]}));
    let (status, found) = world.ask(SEARCH, near, &public, &[&acme]).await;
    assert_eq!((status, found["hits"].as_array().map(Vec::len)), (200, Some(10)), "{found}");
    assert!(!found.to_string().contains("evil"), "{found}");
    let asked =
        r#"{"vector": [1, 0], "limit": 20, "filter": {"should": [{"key": "org", "match": {"value": "evil"}}]}}"#;
    let (_, found) = world.ask(SEARCH, asked, &public, &[&acme]).await;
    assert_eq!(found["hits"], json!([]), "what is asked for cannot widen it");
    let (status, count) = world.ask(COUNT, "{}", &public, &[&acme]).await;
    assert_eq!((status, &count["count"]), (200, &json!(4)), "of these people, in this organisation: {count}");
    // Without a token, with too little in it, and where there is no rule.
    for (path, body, tokens) in [
        (SEARCH, near, vec![]),
        (SEARCH, near, vec![world.token(json!({}))]),
        (COUNT, "{}", vec![world.token(json!({"org": "acme"}))]),
        (COUNT, "{}", vec![world.token(json!({"org": ["acme", "evil"], "people": ["p0"]}))]),
        (SEARCH, r#"{"like": [0], "limit": 3}"#, vec![acme.clone()]),
    ] {
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let refused = world.ask(path, body, &public, &tokens).await;
        assert_eq!((refused.0, refused.1["code"].as_str()), (403, Some("denied")), "{path} {body}");
    }
    let env = world.server.database.environment("default").unwrap();
    let denied = env.audit().action("access.denied").limit(100).run().unwrap().events;
    let counted = env.audit().action("access.denied.counted").limit(100).run().unwrap().events;
    let counted: u64 = counted.iter().map(shown::counted).sum();
    assert_eq!(denied.len() as u64 + counted, 5, "each is told or counted");
}

#[tokio::test]
async fn a_token_narrows_any_key_and_is_never_passed_over() {
    let world = World::new();
    let (secret, admin) = (world.key(ApiKeyClass::Secret, "Developer"), world.key(ApiKeyClass::Admin, "Owner"));
    let acme = world.token(json!({"org": "acme", "people": ["p0"]}));
    for key in [&secret, &admin] {
        assert_eq!(world.ask(COUNT, "{}", key, &[]).await.1["count"], 20);
        assert_eq!(world.ask(COUNT, "{}", key, &[&acme]).await.1["count"], 2);
        let get = async |id: u64| world.ask(&format!("/v1/collections/docs/records/{id}"), "", key, &[&acme]).await;
        assert_eq!(get(0).await.0, 200);
        assert_eq!(get(5).await, get(99).await, "a record of others is as one that is not there");
        for (path, body) in [
            ("/v1/collections/docs/records/delete", r#"{"ids": [0]}"#),
            ("/v1/collections/docs/centroid", r#"{"epsilon": 0.1}"#),
            ("/v1/collections", ""),
            ("/v1/admin/audit", ""),
            ("/v1/admin/entity/erase", r#"{"entity": "p0"}"#),
        ] {
            assert_eq!(world.ask(path, body, key, &[&acme]).await.0, 403, "{path}: end users read alone");
        }
    }
    let other = world.token(json!({"org": "acme", "people": ["p0"], "aud": "other"}));
    for (key, tokens) in [
        (&secret, vec![other.as_str()]),
        (&secret, vec!["x"]),
        (&secret, vec![""]),
        (&secret, vec![&acme, &acme]),
        (&String::new(), vec![&acme]),
    ] {
        let refused = world.ask(COUNT, "{}", key, &tokens).await;
        assert_eq!((refused.0, refused.1["code"].as_str()), (401, Some("unauthenticated")));
        assert!(!refused.1.to_string().contains("p0"));
    }
    world.server.database.access().set_trust("default", None).unwrap();
    assert_eq!(world.ask(COUNT, "{}", &secret, &[&acme]).await.0, 401, "nobody is believed any more");
}

#[tokio::test]
async fn end_users_are_held_to_the_limits_of_the_key_they_come_with() {
    let mut config = Config::default();
    (config.limits.key_units, config.limits.burst_seconds) = (1, 60);
    let world = World::with(config);
    let (public, other) = (world.key(ApiKeyClass::Public, "ReadOnly"), world.key(ApiKeyClass::Public, "ReadOnly"));
    let tokens = ["p0", "p2"].map(|who| world.token(json!({"org": "acme", "people": [who]})));
    let mut served = 0;
    let refused = loop {
        let answer = world.ask(COUNT, "{}", &public, &[&tokens[served % 2]]).await;
        if answer.0 != 200 || served == 500 {
            break answer;
        }
        served += 1;
    };
    assert_eq!((refused.0, refused.1["code"].as_str()), (429, Some("rate_limited")), "after {served}");
    assert!(served >= 30, "{served}");
    assert_eq!(world.ask(COUNT, "{}", &other, &[&tokens[0]]).await.0, 200);
}

#[tokio::test]
async fn tokens_that_are_not_good_are_paid_for_and_answered_like_keys() {
    let mut config = Config::default();
    (config.limits.address_units, config.limits.burst_seconds) = (1, 600);
    let world = World::with(config);
    let key = world.key(ApiKeyClass::Public, "ReadOnly");
    let routes = world.server.routes.clone().layer(axum::Extension(Peer([192, 0, 2, 1].into())));
    let ask = async |token: &str| {
        let sent = request(Method::GET, "/v1/collections").header("Authorization", format!("Bearer {key}"));
        let sent = sent.header("X-User-Token", token).header("X-Request-Id", "ours").body(Body::empty());
        let response = routes.clone().oneshot(sent.unwrap()).await.unwrap();
        assert_eq!(response.headers()["x-request-id"], "ours");
        response.status().as_u16()
    };
    let mut tried = 0;
    while tried < 500 && ask("guess").await == 401 {
        tried += 1;
    }
    assert!((42..70).contains(&tried), "a guess costs more than ten times as much as a request: {tried}");
}

#[tokio::test]
async fn who_has_no_keys_to_check_tokens_with_says_when_to_come_back() {
    let world = World::new();
    let body = json!({"issuer": "https://id.example", "audience": "docs", "keys_url": "https://id.example/keys"});
    let body: crate::json::EndUsersBody = serde_json::from_value(body).unwrap();
    world.server.database.access().set_trust("default", Some(&body.trust().unwrap())).unwrap();
    let sent = request(Method::GET, "/v1/collections/docs/records/0");
    let sent = sent.header("Authorization", format!("Bearer {}", world.key(ApiKeyClass::Public, "ReadOnly")));
    let sent = sent.header("X-User-Token", world.token(json!({"org": "acme"}))).body(Body::empty()).unwrap();
    let (status, problem, response) = world.server.send(sent).await;
    is_problem(&(status, problem), 503, "token_keys_unavailable");
    assert_eq!(response.headers()["retry-after"], "60");
}

/// A rule, and whether it holds for a record.
type Part = (bool, usize, bool, usize);

const PATHS: [&str; 3] = ["org", "team", "meta.level"];
const CLAIMS: [&str; 4] = ["a", "b", "c", "missing"];

fn text_of(parts: &[Part]) -> String {
    let part = |(is_entity, path, is_list, claim): &Part| {
        let left = if *is_entity { "entity".to_owned() } else { format!("payload.{}", PATHS[*path]) };
        format!("{left} {} claims.{}", if *is_list { "in" } else { "==" }, CLAIMS[*claim])
    };
    parts.iter().map(part).collect::<Vec<_>>().join(" and ")
}

/// The model: whether a record is shown; none where it is denied.
fn holds(parts: &[Part], claims: &[Vec<Value>], (entity, payload): &(Option<String>, Value)) -> Option<bool> {
    let mut all = true;
    for (is_entity, path, is_list, claim) in parts {
        let values = claims.get(*claim).filter(|values| !values.is_empty())?;
        if !is_list && values.len() > 1 {
            return None;
        }
        all &= if *is_entity {
            if values.iter().any(|value| !value.is_string()) {
                return None;
            }
            entity.as_ref().is_some_and(|entity| values.contains(&json!(entity)))
        } else {
            let found = PATHS[*path].split('.').try_fold(payload, |value, name| value.get(name));
            match found {
                Some(Value::Array(elements)) => elements.iter().any(|element| values.contains(element)),
                Some(value) => values.contains(value),
                None => false,
            }
        };
    }
    Some(all)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => prop::sample::select(&["x", "y", "z"]).prop_map(|text| json!(text)),
        1 => (0..3i64).prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(|flag| json!(flag)),
    ]
}

fn record() -> impl Strategy<Value = (Option<String>, Value)> {
    let field = || prop_oneof![3 => value(), 1 => prop::collection::vec(value(), 0..3).prop_map(|list| json!(list)), 1 => Just(Value::Null)];
    let entity = prop::option::of(prop::sample::select(&["x", "y", "z"]).prop_map(str::to_owned));
    (entity, field(), field(), prop::option::of(field())).prop_map(|(entity, org, team, level)| {
        let meta = level.map_or_else(|| json!({}), |level| json!({ "level": level }));
        (entity, json!({"org": org, "team": team, "meta": meta}))
    })
}

fn seen(session: &Session) -> [Option<BTreeSet<RecordId>>; 7] {
    let docs = session.environment("default").unwrap().open_collection("docs").unwrap();
    let everybody = || Filter::all([]);
    let ids = |ids: Vec<RecordId>| Some(ids.into_iter().collect::<BTreeSet<_>>());
    let hits = |search: engine::Search<'_>| {
        search.limit(100).run().ok().and_then(|hits| ids(hits.iter().map(|hit| hit.id).collect()))
    };
    let scrolled =
        docs.scroll().limit(100).run().ok().and_then(|page| ids(page.records.iter().map(Record::id).collect()));
    let counted = docs.count().run().ok().map(|counted| counted.count);
    assert_eq!(counted, scrolled.as_ref().map(|ids| ids.len() as u64));
    let sampled = docs.sample(100).run().ok();
    let got = (0..40u64).map(|id| docs.get(id).map(|record| record.map(|record| record.id())));
    [
        scrolled,
        sampled.and_then(|page| ids(page.records.iter().map(Record::id).collect())),
        got.collect::<Result<Vec<_>, _>>().ok().and_then(|found| ids(found.into_iter().flatten().collect())),
        hits(docs.search(&[1.0, 0.0])),
        hits(docs.search(&[1.0, 0.0]).exact(true)),
        hits(docs.search(&[1.0, 0.0]).filter(everybody())),
        hits(docs.recommend([Example::Vector(vec![1.0, 0.0])])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The rows that a token shows are the rows for which the rule holds, whichever way they are asked for.
    #[test]
    fn rows_that_are_shown_are_those_for_which_the_rule_holds(
        records in prop::collection::vec(record(), 40),
        asks in prop::collection::vec(
            (
                prop::collection::vec((any::<bool>(), 0..3usize, any::<bool>(), 0..4usize), 1..3),
                prop::collection::vec(prop::collection::vec(value(), 0..3), 3),
            ),
            8,
        ),
        flushed: bool,
    ) {
        let data = tempfile::tempdir().unwrap();
        let database = Database::builder(data.path().join("data")).root_key(RootKey::bytes([7; 32])).open().unwrap();
        let env = database.environment("default").unwrap();
        let docs = env.collection("docs").dimension(2).create().unwrap();
        docs.upsert(records.iter().enumerate().map(|(id, (entity, payload))| {
            let record = Record::new(id as u64, vec![1.0, id as f32 / 40.0]).payload(payload.clone());
            match entity {
                Some(entity) => record.entity(entity.clone()),
                None => record,
            }
        })).unwrap();
        if flushed {
            env.flush().unwrap();
        }
        let access = database.access();
        let mut request = ApiKeyRequest::new(ApiKeyClass::Secret, "default");
        request.roles = vec!["Developer".to_owned()];
        let key = access.create(&request).unwrap().text;
        for (parts, values) in &asks {
            let text = text_of(parts);
            let all = ["query", "search", "similar"].map(|asked| (asked, text.as_str()));
            access.set_rules("default", "docs", &rules_of(all).unwrap()).unwrap();
            let claim = |value: &Value| match value {
                Value::String(text) => Claim::Text(text.clone()),
                Value::Bool(flag) => Claim::Flag(*flag),
                value => Claim::Integer(value.as_i64().unwrap()),
            };
            let named = CLAIMS.iter().zip(values);
            let claims = named.fold(Claims::default(), |claims, (name, values)| claims.with(name, values.iter().map(claim)));
            let session = database.authorize(&Credentials::api_key(&key)).unwrap().for_end_user(claims).unwrap();
            let expected: Option<Vec<bool>> = records.iter().map(|record| holds(parts, values, record)).collect();
            let expected: Option<BTreeSet<RecordId>> = expected.map(|shown| {
                (0..40u64).filter(|id| shown[*id as usize]).map(RecordId::from).collect()
            });
            for (way, found) in seen(&session).into_iter().enumerate() {
                prop_assert_eq!(&found, &expected, "way {} with {}", way, text);
            }
        }
    }
}

/// Looks at every record, and costs 65 units.
const DEAR: &str = r#"{"filter": {"key": "org", "match": {"value": "acme"}}}"#;

#[tokio::test]
async fn an_end_user_who_spent_their_units_takes_nothing_from_another() {
    let mut config = Config::default();
    // Ten counts, of which thirty units are owed, and half a minute until there is another.
    (config.limits.end_user_units, config.limits.burst_seconds) = (1, 620);
    let world = World::with(config);
    let (public, other) = (world.key(ApiKeyClass::Public, "ReadOnly"), world.key(ApiKeyClass::Public, "ReadOnly"));
    let of = |more: Value| {
        let mut token = json!({"org": "acme", "people": ["p0"]});
        token.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.token(token)
    };
    let ask = async |key: &str, token: &str| world.ask(COUNT, DEAR, key, &[token]).await;
    let (ada, bob) = (of(json!({"sub": "ada-s3cr3t"})), of(json!({"sub": "bob"})));
    // What one person spends, by whichever token, is theirs.
    let mut answered = 0;
    let refused = loop {
        let answer = ask(&public, &of(json!({"sub": "ada-s3cr3t", "jti": answered}))).await;
        if answer.0 != 200 {
            break answer;
        }
        answered += 1;
        assert!(answered < 100, "a bucket pays for few counts");
    };
    is_problem(&(StatusCode::from_u16(refused.0).unwrap(), refused.1.clone()), 429, "rate_limited");
    assert!(!refused.1.to_string().contains("s3cr3t"), "{}", refused.1);
    assert_eq!(ask(&public, &ada).await.0, 429);
    assert_eq!(ask(&public, &bob).await.0, 200, "another person");
    assert_eq!(ask(&other, &ada).await.0, 200, "the same person, by another key");
    // A token that is not good is nobody's, and spends nothing of anybody's.
    let forged = format!("{bob}x");
    assert_eq!(ask(&public, &forged).await.0, 401);
    // Those whom no token names are one.
    for nobody in [json!({"sub": null}), json!({"sub": 7}), json!({"sub": ["a", "b"]})] {
        while ask(&public, &of(nobody.clone())).await.0 == 200 {}
    }
    assert_eq!(ask(&public, &of(json!({"sub": null}))).await.0, 429);
    assert_eq!(world.ask("/v1/collections", "", &public, &[]).await.0, 403, "without a token there is no end user");
}

#[tokio::test]
async fn end_users_together_spend_no_more_than_their_key_has() {
    let mut config = Config::default();
    (config.limits.end_user_units, config.limits.key_units, config.limits.burst_seconds) = (1000, 1, 650);
    let world = World::with(config);
    let public = world.key(ApiKeyClass::Public, "ReadOnly");
    let ask = async |sub: usize| {
        let token = world.token(json!({"org": "acme", "people": ["p0"], "sub": format!("user-{sub}")}));
        world.ask(COUNT, DEAR, &public, &[&token]).await
    };
    let mut asked = 0;
    let refused = loop {
        let answer = ask(asked).await;
        if answer.0 != 200 {
            break answer;
        }
        asked += 1;
        assert!(asked < 100, "each a person of their own, and one key");
    };
    assert!(refused.0 == 429 && refused.1["detail"].as_str().unwrap().contains("this API key"), "{}", refused.1);
}
