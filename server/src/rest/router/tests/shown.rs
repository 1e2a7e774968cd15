//! What whoever is not shown every record learns of the others: nothing by explaining, refusing or naming, and what ends with
//! a collection.

use engine::{ApiKeyClass, ApiKeyRequest, Claim, Claims, Credentials, ErrorKind, Record, Session, rules_of};
use serde_json::json;

use super::*;

/// A server that indexes no field by itself and opens few records for a filter.
fn strict(limit: u64) -> Server {
    let data = tempfile::tempdir().unwrap();
    let settings =
        engine::Settings { automatic_fields: 0, unindexed_filter_limit: limit, ..engine::Settings::default() };
    let builder = Database::builder(data.path().join("data")).settings(settings).root_key(RootKey::bytes([7; 32]));
    let database = builder.open().unwrap();
    database.environment("default").unwrap();
    let app = App::new(database.clone(), Config::default());
    Server { data, database, routes: router(app.clone()), app }
}

/// `docs` with so many records of the organisation `acme` and so many of another, all in a segment.
fn fill(server: &Server, acme: u64, others: u64) {
    let env = server.database.environment("default").unwrap();
    let docs = env.collection("docs").dimension(2).create().unwrap();
    let record = |id: u64| {
        let org = if id < acme { "acme" } else { "evil" };
        let payload = json!({"org": org, "colour": if id.is_multiple_of(2) { "red" } else { "blue" }});
        Record::new(id, vec![1.0, id as f32 / 100.0]).entity(format!("{org}:{id}")).payload(payload)
    };
    docs.upsert((0..acme + others).map(record)).unwrap();
    env.flush().unwrap();
    let rule = [("query", "payload.org == claims.org"), ("search", "payload.org == claims.org")];
    server.database.access().set_rules("default", "docs", &rules_of(rule).unwrap()).unwrap();
}

/// How many an event counts.
pub fn counted(event: &engine::AuditEvent) -> u64 {
    event.fields.iter().find(|(name, _)| name == "count").unwrap().1.parse().unwrap()
}

fn key(server: &Server, class: ApiKeyClass, change: impl FnOnce(&mut ApiKeyRequest)) -> Session {
    let mut request = ApiKeyRequest::new(class, "default");
    request.roles = vec!["ReadOnly".to_owned()];
    change(&mut request);
    let text = server.database.access().create(&request).unwrap().text;
    server.database.authorize(&Credentials::api_key(&text)).unwrap()
}

fn of_acme(server: &Server) -> Session {
    let claims = Claims::default().with("org", [Claim::Text("acme".to_owned())]);
    key(server, ApiKeyClass::Public, |_| {}).for_end_user(claims).unwrap()
}

fn red() -> engine::Filter {
    serde_json::from_value(json!({"must": [{"key": "colour", "match": {"value": "red"}}]})).unwrap()
}

#[test]
fn whether_a_read_is_refused_depends_on_what_is_shown_alone() {
    let answers = |acme: u64, others: u64| {
        let server = strict(8);
        fill(&server, acme, others);
        let docs = of_acme(&server).environment("default").unwrap().open_collection("docs").unwrap();
        let hits = |found: engine::Result<engine::Hits>| {
            found.map(|found| found.hits.iter().map(|hit| hit.id).collect::<Vec<_>>()).map_err(|error| error.kind())
        };
        (
            docs.count().run().map(|counted| counted.count).map_err(|error| error.kind()),
            docs.count().filter(red()).run().map(|counted| counted.count).map_err(|error| error.kind()),
            docs.scroll().filter(red()).limit(100).run().map(|page| page.records.len()).map_err(|error| error.kind()),
            hits(docs.search(&[1.0, 0.0]).limit(100).run()),
            hits(docs.search(&[1.0, 0.0]).limit(100).filter(red()).run()),
        )
    };
    for others in [0, 1, 9, 200] {
        let (count, red, page, all, hits) = answers(8, others);
        assert_eq!(
            (count, red, page, all.map(|all| all.len()), hits.map(|hits| hits.len())),
            (Ok(8), Ok(4), Ok(4), Ok(8), Ok(4)),
            "{others}"
        );
        let refused = answers(9, others);
        let invalid = ErrorKind::Invalid;
        assert_eq!(refused, (Err(invalid), Err(invalid), Err(invalid), Err(invalid), Err(invalid)), "{others}");
    }
    // Whoever is shown all of it learns that it is too much.
    let server = strict(8);
    fill(&server, 8, 1);
    let docs =
        key(&server, ApiKeyClass::Secret, |_| {}).environment("default").unwrap().open_collection("docs").unwrap();
    assert_eq!(docs.count().filter(red()).run().unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn what_a_search_did_is_told_to_whoever_is_shown_all_of_it() {
    let server = strict(1000);
    fill(&server, 8, 50);
    let explained = |session: Session| {
        let docs = session.environment("default").unwrap().open_collection("docs").unwrap();
        let one = docs.search(&[1.0, 0.0]).explain(true).run().unwrap();
        let batch = docs.search_batch([docs.search(&[1.0, 0.0]).explain(true)]).unwrap().remove(0);
        assert!(!one.hits.is_empty() && one.hits == batch.hits);
        [one, batch].map(|hits| (hits.counters != engine::Counters::default(), hits.phases.is_some()))
    };
    assert_eq!(explained(key(&server, ApiKeyClass::Secret, |_| {})), [(true, true); 2]);
    assert_eq!(explained(of_acme(&server)), [(false, false); 2]);
    let of_one = |request: &mut ApiKeyRequest| request.entities = Some(vec!["acme:1".to_owned()]);
    assert_eq!(explained(key(&server, ApiKeyClass::Secret, of_one)), [(false, false); 2]);
}

#[tokio::test]
async fn rules_end_with_their_collection() {
    let server = strict(1000);
    fill(&server, 3, 3);
    let env = server.database.environment("default").unwrap();
    let access = server.database.access();
    let sees = |name: &str| of_acme(&server).environment("default").unwrap().open_collection(name).map(drop);
    assert!(sees("docs").is_ok() && access.rules("default").unwrap().len() == 1);
    let count = of_acme(&server).environment("default").unwrap().open_collection("docs").unwrap();
    assert!(env.drop_collection("docs").unwrap());
    assert!(access.rules("default").unwrap().is_empty());
    // Another of its name is another collection.
    let docs = env.collection("docs").dimension(2).create().unwrap();
    docs.upsert([Record::new(1, vec![1.0, 0.0]).payload(json!({"org": "acme"}))]).unwrap();
    assert_eq!(sees("docs").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(count.count().run().map(|counted| counted.count).ok(), Some(0), "who holds the old one finds nothing");
    assert!(access.rules("default").unwrap().is_empty());
    let rule = rules_of([("query", "payload.org == claims.org")]).unwrap();
    access.set_rules("default", "docs", &rule).unwrap();
    assert!(sees("docs").is_ok());
    // Restarted, they are still this one's.
    let Server { data, database, .. } = server;
    drop((env, docs, count));
    database.close().unwrap();
    let database = Database::builder(data.path().join("data")).root_key(RootKey::bytes([7; 32])).open().unwrap();
    assert_eq!(database.access().rules("default").unwrap().get("docs"), Some(&rule));
}

#[tokio::test]
async fn a_collection_without_rules_is_to_end_users_as_one_that_is_not_there() {
    let server = strict(1000);
    fill(&server, 3, 3);
    server.database.environment("default").unwrap().collection("hidden").dimension(2).create().unwrap();
    let mut request = ApiKeyRequest::new(ApiKeyClass::Public, "default");
    request.roles = vec!["ReadOnly".to_owned()];
    let key = server.database.access().create(&request).unwrap().text;
    for path in ["search", "count", "scroll", "records/1"] {
        let ask = async |collection: &str| {
            let method = if path == "records/1" { Method::GET } else { Method::POST };
            let sent = super::request(method, &format!("/v1/collections/{collection}/{path}"));
            let sent =
                sent.header("Content-Type", "application/json").header("Authorization", format!("Bearer {}", &*key));
            let body = if path == "search" { r#"{"vector": [1, 0]}"# } else { "{}" };
            let (status, answer, _) = server.send(sent.body(Body::from(body)).unwrap()).await;
            (status, answer)
        };
        let (hidden, absent) = (ask("hidden").await, ask("absent").await);
        assert_eq!(hidden, absent, "{path}");
        assert_eq!(hidden.0, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(
            ask("docs").await.0,
            StatusCode::FORBIDDEN,
            "{path}: it is known, and nobody in particular is shown it"
        );
    }
}

#[test]
fn a_flood_of_refusals_is_told_in_few_events() {
    let server = strict(1000);
    fill(&server, 3, 3);
    let env = server.database.environment("default").unwrap();
    let nobody = key(&server, ApiKeyClass::Public, |_| {});
    let docs = nobody.environment("default").unwrap().open_collection("docs").unwrap();
    let before = env.audit().run().unwrap().total;
    for _ in 0..500 {
        assert_eq!(docs.count().run().unwrap_err().kind(), ErrorKind::Denied);
    }
    let page = env.audit().limit(1000).run().unwrap();
    let told = page.total - before;
    assert!(told <= 2 * 3, "{told} events in at most three minutes, and one that the log was read");
    let of = |action: &str| page.events.iter().filter(|event| event.action == action).collect::<Vec<_>>();
    let more: u64 = of("access.denied.counted").iter().map(|event| counted(event)).sum();
    assert_eq!(of("access.denied").len() as u64 + more, 500, "each is told or counted");
    assert!(
        of("access.denied.counted")
            .iter()
            .all(|event| event.actor.starts_with("api-key:") && event.outcome == "denied")
    );
}

#[tokio::test]
async fn the_secrets_of_a_key_share_what_it_may_spend() {
    let mut config = Config::default();
    (config.limits.key_units, config.limits.burst_seconds) = (1, 600);
    let server = Server::with_docs(config).await;
    let mut request = ApiKeyRequest::new(ApiKeyClass::Secret, "default");
    request.roles = vec!["ReadOnly".to_owned()];
    let access = server.database.access();
    let made = access.create(&request).unwrap();
    let next = access.rotate("default", &made.info.id, 60_000).unwrap().text;
    let ask = async |key: &str| {
        let sent = super::request(Method::GET, "/v1/collections/docs/records/1")
            .header("Authorization", format!("Bearer {key}"));
        server.send(sent.body(Body::empty()).unwrap()).await.0.as_u16()
    };
    let served_with = async |key: &str| {
        let mut served = 0;
        while served < 1200 && ask(key).await == 200 {
            served += 1;
        }
        served
    };
    let [first, second] = [served_with(&made.text).await, served_with(&next).await];
    // All of the bucket, and what comes back in a few minutes.
    assert!((300..900).contains(&first) && second < 300, "a second secret is no second key: {first}, {second}");
}
