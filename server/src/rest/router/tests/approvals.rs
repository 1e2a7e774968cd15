//! Approval of critical operations: what is refused, what is done, and that nothing is done twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{Approval, Clock, ErrorKind, Operation, VoterKey, new_voter_key, quorum_of};

use super::*;

struct Council {
    server: Server,
    voters: Vec<VoterKey>,
}

impl Council {
    /// A server whose budgets two of three approve.
    async fn new() -> Self {
        Self::of(Server::with_docs(Config::default()).await).await
    }

    async fn of(server: Server) -> Self {
        let voters: Vec<VoterKey> = (0..3).map(|_| new_voter_key().unwrap()).collect();
        let council = Self { server, voters };
        let (status, answer) = council.send(Method::PUT, "/v1/admin/approvers", council.quorum(2), "").await;
        assert_eq!(status, 200, "nobody has to approve the first: {answer}");
        council
    }

    fn quorum(&self, threshold: usize) -> Value {
        let keys: Vec<String> = self.voters.iter().map(|key| key.public().to_string()).collect();
        json!({"threshold": threshold, "approvers": keys})
    }

    async fn send(&self, method: Method, path: &str, body: Value, approval: &str) -> (u16, Value) {
        let mut request = request(method, path).header("Content-Type", "application/json");
        if !approval.is_empty() {
            request = request.header("Lethe-Approval", approval);
        }
        let (status, answer, _) = self.server.send(request.body(Body::from(body.to_string())).unwrap()).await;
        (status.as_u16(), answer)
    }

    async fn raise(&self, epsilon: f64, approval: &str) -> (u16, Value) {
        self.send(Method::PUT, "/v1/admin/budget", json!({"collection": "docs", "epsilon": epsilon}), approval).await
    }

    /// The refusal's operation, with the votes of these.
    fn votes(&self, refusal: &Value, who: &[usize]) -> String {
        let operation: Operation = refusal["operation"].as_str().unwrap().parse().unwrap();
        let statement = refusal["statement"].as_str().unwrap();
        let votes = who.iter().map(|who| self.voters[*who].vote(&operation, statement).unwrap()).collect();
        Approval { operation, votes }.to_string()
    }
}

#[tokio::test]
async fn a_budget_is_raised_by_enough_votes_once() {
    let council = Council::new().await;
    let refusal = council.raise(20.0, "").await;
    is_problem(&(StatusCode::FORBIDDEN, refusal.1.clone()), 403, "unapproved");
    let refusal = refusal.1;
    assert_eq!(refusal["votes"], 2);
    assert!(refusal["statement"].as_str().unwrap().ends_with("to epsilon 20 and delta 0"), "{refusal}");
    let few = council.raise(20.0, &council.votes(&refusal, &[1])).await;
    assert!(few.0 == 403 && few.1["detail"].as_str().unwrap().contains("1 of the 2"), "{few:?}");
    let thrice = council.raise(20.0, &council.votes(&refusal, &[1, 1, 1])).await;
    assert_eq!(thrice.0, 403, "one who votes thrice");
    let all = council.votes(&refusal, &[0, 2]);
    assert_eq!(council.raise(21.0, &all).await.0, 403, "votes for less");
    let other = json!({"epsilon": 20.0});
    assert_eq!(council.send(Method::PUT, "/v1/admin/budget", other, "").await.0, 200, "the first of the environment");
    let other = json!({"epsilon": 21.0});
    assert_eq!(council.send(Method::PUT, "/v1/admin/budget", other, &all).await.0, 403, "votes for another budget");
    assert_eq!(council.send(Method::DELETE, "/v1/admin/approvers", json!({}), &all).await.0, 403, "for another act");
    let stranger = new_voter_key().unwrap();
    let operation: Operation = refusal["operation"].as_str().unwrap().parse().unwrap();
    let strange = stranger.vote(&operation, refusal["statement"].as_str().unwrap()).unwrap();
    let with_stranger = format!("{} {strange}", council.votes(&refusal, &[0]));
    assert_eq!(council.raise(20.0, &with_stranger).await.0, 403, "a key that nobody named");
    let (status, raised) = council.raise(20.0, &all).await;
    assert_eq!((status, &raised["epsilon"]), (200, &json!(20.0)), "{raised}");
    // Lowering needs nobody, and then the same votes, still in time, are shown again.
    assert_eq!(council.raise(5.0, "").await.0, 200);
    let again = council.raise(20.0, &all).await;
    assert!(again.0 == 403 && again.1["detail"].as_str().unwrap().contains("used already"), "{again:?}");
    let standing = council.server.ask(Method::GET, "/v1/admin/budget", Value::Null).await.1;
    assert!(standing.to_string().contains("\"epsilon\":5.0"), "{standing}");
    let env = council.server.database.environment("default").unwrap();
    let told = council.server.database.access().approvers("default").unwrap().unwrap();
    assert_eq!(told.threshold(), 2);
    assert_eq!(env.audit().action("budget.set").limit(100).run().unwrap().events.len(), 3, "told as often as done");
}

/// A clock that the test turns.
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Votes are good for a day: up to the last millisecond, and in none after it, however often they are shown.
#[tokio::test]
async fn votes_are_refused_after_their_day() {
    const START_MS: u64 = 1_700_000_000_000;
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let (data, hand) = (tempfile::tempdir().unwrap(), Arc::new(Hand(AtomicU64::new(START_MS))));
    let builder = Database::builder(data.path().join("data")).root_key(RootKey::bytes([7; 32]));
    let database = builder.clock(Arc::clone(&hand) as Arc<dyn Clock>).open().unwrap();
    database.environment("default").unwrap();
    let app = App::new(database.clone(), Config::default());
    let council = Council::of(Server { data, database, routes: router(app.clone()), app }).await;
    let docs = json!({"dimension": 2, "metric": "cosine"});
    assert_eq!(council.send(Method::PUT, "/v1/collections/docs", docs, "").await.0, 201);
    let refused = async |epsilon: f64| council.votes(&council.raise(epsilon, "").await.1, &[0, 1]);
    let (first, second) = (refused(20.0).await, refused(30.0).await);
    let turn = |ms: u64| hand.0.store(START_MS + ms, Ordering::Relaxed);
    turn(DAY_MS - 1);
    assert_eq!(council.raise(20.0, &first).await.0, 200, "the last millisecond of the day");
    for late in [DAY_MS, DAY_MS + 1, 100 * DAY_MS] {
        turn(late);
        let answer = council.raise(30.0, &second).await;
        is_problem(&(StatusCode::FORBIDDEN, answer.1.clone()), 403, "unapproved");
        assert!(answer.0 == 403 && answer.1["detail"].as_str().unwrap().contains("has expired"), "{answer:?}");
    }
    let standing = council.server.ask(Method::GET, "/v1/admin/budget", Value::Null).await.1;
    assert!(standing.to_string().contains("\"epsilon\":20.0"), "{standing}");
    assert_eq!(council.raise(30.0, &refused(30.0).await).await.0, 200, "other votes, of this day");
}

#[tokio::test]
async fn who_approves_says_who_approves() {
    let council = Council::new().await;
    let path = "/v1/admin/approvers";
    let (status, refusal) = council.send(Method::PUT, path, council.quorum(3), "").await;
    assert_eq!(status, 403);
    let votes = council.votes(&refusal, &[0, 1]);
    let (status, remove) = council.send(Method::DELETE, path, json!({}), "").await;
    assert_eq!((status, remove["code"].as_str()), (403, Some("unapproved")));
    assert_eq!(council.send(Method::DELETE, path, json!({}), &votes).await.0, 403, "votes for something else");
    assert_eq!(council.send(Method::PUT, path, council.quorum(3), &votes).await.0, 200);
    let (_, remove) = council.send(Method::DELETE, path, json!({}), "").await;
    assert_eq!(council.send(Method::DELETE, path, json!({}), &council.votes(&remove, &[0, 1])).await.0, 403);
    let votes = council.votes(&remove, &[0, 1, 2]);
    assert_eq!(council.send(Method::DELETE, path, json!({}), &votes).await.0, 204);
    assert_eq!(council.raise(50.0, "").await.0, 200, "nobody approves any more");
    let tokens: Value = json!({"issuer": "https://id", "audience": "a", "keys_url": "https://id/keys"});
    assert_eq!(council.send(Method::PUT, "/v1/admin/end-users", tokens.clone(), "").await.0, 200);
    assert_eq!(council.send(Method::PUT, path, council.quorum(2), "").await.0, 200);
    let (status, refusal) = council.send(Method::PUT, "/v1/admin/end-users", tokens.clone(), "").await;
    assert_eq!((status, refusal["code"].as_str()), (403, Some("unapproved")));
    let votes = council.votes(&refusal, &[1, 2]);
    assert_eq!(council.send(Method::PUT, "/v1/admin/end-users", tokens, &votes).await.0, 200);
    for wrong in ["x", "00", &votes[1..]] {
        let refused = council.send(Method::DELETE, "/v1/admin/end-users", json!({}), wrong).await;
        assert_eq!((refused.0, refused.1["code"].as_str()), (400, Some("invalid_header")));
    }
    assert_eq!(
        council.send(Method::DELETE, "/v1/admin/end-users", json!({}), "").await.0,
        204,
        "believing nobody is free"
    );
}

#[tokio::test]
async fn what_shows_end_users_more_is_approved_and_what_shows_less_is_free() {
    let council = Council::new().await;
    let path = "/v1/collections/docs/rules";
    let rules = |search: &str| json!({ "search": search });
    let (org, both) = ("payload.org == claims.org", "payload.org == claims.org and entity == claims.sub");
    let (status, refusal) = council.send(Method::PUT, path, rules(org), "").await;
    is_problem(&(StatusCode::from_u16(status).unwrap(), refusal.clone()), 403, "unapproved");
    let statement = refusal["statement"].as_str().unwrap();
    assert!(statement.contains("collection \"docs\" (") && statement.ends_with(&format!("rules: search: {org}")));
    let votes = council.votes(&refusal, &[0, 1]);
    assert_eq!(council.send(Method::PUT, path, rules(both), &votes).await.0, 403, "votes for other rules");
    assert_eq!(council.send(Method::PUT, path, rules(org), &votes).await.0, 200);
    assert_eq!(council.send(Method::PUT, path, rules(org), "").await.0, 200, "the same once more");
    assert_eq!(council.send(Method::PUT, path, rules(both), "").await.0, 200, "less");
    let others = [
        rules(org),
        rules("payload.org in claims.org and entity == claims.sub"),
        rules("payload.org == claims.org and entity in claims.sub"),
        rules("payload.team == claims.org"),
        json!({"search": both, "query": both}),
        json!({"query": both}),
    ];
    for wider in &others {
        let (status, refusal) = council.send(Method::PUT, path, wider.clone(), "").await;
        assert_eq!((status, refusal["code"].as_str()), (403, Some("unapproved")), "{wider}");
    }
    assert_eq!(council.send(Method::PUT, path, rules(org), &votes).await.0, 403, "votes are for once");
    assert_eq!(council.send(Method::PUT, path, json!({}), "").await.0, 200, "nothing");
    assert_eq!(council.send(Method::PUT, path, rules(both), "").await.0, 403, "and so anything is more");
    let now = council.server.ask(Method::GET, "/v1/admin/rules", Value::Null).await.1;
    assert_eq!(now, json!({"rules": {}}));
}

/// What a statement says can be read in one way alone, whatever an administrator calls their issuer.
#[tokio::test]
async fn a_statement_cannot_be_made_to_say_something_else() {
    let council = Council::new().await;
    let says = async |issuer: &str, audience: &str| {
        let body = json!({"issuer": issuer, "audience": audience, "keys_url": "https://id.example/keys"});
        let (status, refusal) = council.send(Method::PUT, "/v1/admin/end-users", body, "").await;
        assert_eq!(status, 403, "{refusal}");
        refusal["statement"].as_str().unwrap().split_once("Z: ").unwrap().1.to_owned()
    };
    assert_ne!(says("a", "b for c").await, says("a for b", "c").await);
    assert_ne!(says("a\" for \"b", "c").await, says("a", "b\" for \"c").await);
    assert!(says("a\u{202e}b", "c").await.is_ascii(), "no letter that turns the others around");
}

/// Several who all find nobody there who approves: one of them is the first.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "threads that race")]
async fn the_first_approvers_are_named_once() {
    for _ in 0..8 {
        let server = Server::new(Config::default());
        let named: usize = std::thread::scope(|scope| {
            let set = |_| {
                let keys: Vec<String> = (0..2).map(|_| new_voter_key().unwrap().public().to_string()).collect();
                let (access, quorum) = (server.database.access(), quorum_of(2, &keys).unwrap());
                scope.spawn(move || access.set_approvers("default", Some(&quorum)))
            };
            let all: Vec<_> = (0..8).map(set).collect();
            all.into_iter().map(|one| usize::from(one.join().unwrap().is_ok())).sum()
        });
        assert_eq!(named, 1, "whoever comes after the first needs their votes");
    }
}

fn keys_of(voters: &[VoterKey]) -> Vec<String> {
    voters.iter().map(|key| key.public().to_string()).collect()
}

/// The votes of all of these for what a refusal asks.
fn approval(refused: &engine::Error, voters: &[VoterKey]) -> Approval {
    assert_eq!(refused.kind(), ErrorKind::Unapproved);
    let needed = refused.approval_needed().unwrap();
    let operation: Operation = needed.operation.parse().unwrap();
    let votes = voters.iter().map(|key| key.vote(&operation, &needed.statement).unwrap()).collect();
    Approval { operation, votes }
}

#[tokio::test]
async fn the_root_key_is_replaced_by_the_key_that_was_voted_for() {
    // The approvers of an environment have no say in it, and cannot hold it up.
    let council = Council::new().await;
    let database = &council.server.database;
    assert!(database.rotate_root_key(&RootKey::bytes([8; 32])).is_ok());
    let voters: Vec<VoterKey> = (0..2).map(|_| new_voter_key().unwrap()).collect();
    let quorum = quorum_of(2, &keys_of(&voters)).unwrap();
    database.access().set_database_approvers(Some(&quorum)).unwrap();
    assert_eq!(database.access().database_approvers().unwrap(), Some(quorum));
    let (ninth, tenth) = (|| RootKey::bytes([9; 32]), || RootKey::bytes([10; 32]));
    let before = database.key_status().unwrap().root_key;
    let of_ninth = approval(&database.rotate_root_key(&ninth()).unwrap_err(), &voters);
    let refused = database.rotate_root_key_approved(&tenth(), Some(&of_ninth)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unapproved, "another key than they saw");
    let few = Approval { votes: of_ninth.votes[..1].to_vec(), ..of_ninth.clone() };
    assert_eq!(database.rotate_root_key_approved(&ninth(), Some(&few)).unwrap_err().kind(), ErrorKind::Unapproved);
    let of_tenants = approval(&database.rotate_root_key(&ninth()).unwrap_err(), &council.voters[..2]);
    assert_eq!(
        database.rotate_root_key_approved(&ninth(), Some(&of_tenants)).unwrap_err().kind(),
        ErrorKind::Unapproved,
        "approvers of an environment are nobody here"
    );
    assert_eq!(database.key_status().unwrap().root_key, before);
    assert!(database.rotate_root_key_approved(&ninth(), Some(&of_ninth)).is_ok());
    let named = database.key_status().unwrap().root_key;
    assert_ne!(named, before);
    let again = database.rotate_root_key_approved(&tenth(), Some(&of_ninth)).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Unapproved, "votes are for one key, and once");
    // The fingerprint that was voted for is that of the key.
    let refused = database.rotate_root_key(&tenth()).unwrap_err();
    assert!(refused.approval_needed().unwrap().statement.contains(&format!("replace the root key {named} by ")));
    let removed = database.access().set_database_approvers(None).unwrap_err();
    let votes = approval(&removed, &voters);
    database.access().approved_by(&votes).set_database_approvers(None).unwrap();
    assert!(database.rotate_root_key(&tenth()).is_ok(), "nobody approves any more");
}

#[tokio::test]
async fn no_api_key_names_who_approves_for_the_whole_database() {
    let server = Server::new(Config::default());
    let mut request = engine::ApiKeyRequest::new(engine::ApiKeyClass::Admin, "default");
    request.roles = vec!["Owner".to_owned()];
    let text = server.database.access().create(&request).unwrap().text;
    let owner = server.database.authorize(&engine::Credentials::api_key(&text)).unwrap().access();
    assert_eq!(owner.set_database_approvers(None).unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(owner.database_approvers().unwrap_err().kind(), ErrorKind::Denied);
}
