//! A server without its root key: what it answers, and how shares open it.

use tokio::time::Instant;

use super::super::super::seal::PAUSE;
use super::*;

const UNSEAL: &str = "/v1/admin/keys/unseal";

/// A sealed server over a store with a record in it, and shares of a root key.
struct Sealed {
    server: Unopened,
    shares: Vec<String>,
}

/// As [`Server`], with no database to hand.
struct Unopened {
    data: TempDir,
    routes: Router,
}

/// Shares of `key`, as text.
fn split(key: u8, threshold: u8, count: u8) -> Vec<String> {
    let scratch = tempfile::tempdir().unwrap();
    let database = Database::builder(scratch.path()).root_key(RootKey::bytes([key; 32])).open().unwrap();
    let shares = database.split_root_key(threshold, count).unwrap();
    shares.iter().map(|share| share.format().to_string()).collect()
}

/// What a sealed server serves, where its store is, and so many shares of which so many open it.
pub async fn sealed(threshold: u8, count: u8) -> (App, TempDir, Vec<String>) {
    let Server { data, database, .. } = Server::with_docs(Config::default()).await;
    let shares = database.split_root_key(threshold, count).unwrap();
    database.close().unwrap();
    let path = data.path().join("data");
    let open = move |root_key| Database::builder(&path).root_key(root_key).create(false).open();
    let shares = shares.iter().map(|share| share.format().to_string()).collect();
    (App::sealed(open, Config::default()), data, shares)
}

impl Sealed {
    async fn new(threshold: u8, count: u8) -> Self {
        let (app, data, shares) = sealed(threshold, count).await;
        Self { server: Unopened { data, routes: router(app) }, shares }
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let request = request(method, path).header("Content-Type", "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        let (parts, body) = self.server.routes.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.into()).unwrap();
        assert!(self.shares.iter().all(|share| !text.contains(&share[12..30])), "{text}");
        // While it is sealed it asks for shares, and looks at nobody's key.
        assert!(!parts.headers.contains_key("WWW-Authenticate"), "{text}");
        (parts.status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn give(&self, share: &str) -> (StatusCode, Value) {
        self.ask(Method::POST, UNSEAL, json!({ "share": share })).await
    }

    async fn is_sealed(&self) -> bool {
        let (status, problem) = self.ask(Method::GET, "/readyz", Value::Null).await;
        status != StatusCode::OK && problem["code"] == "sealed"
    }
}

fn told(needed: Option<u8>, given: u8, sealed: bool) -> (StatusCode, Value) {
    (StatusCode::OK, json!({"needed": needed, "given": given, "sealed": sealed, "given_before": false}))
}

#[tokio::test]
async fn a_sealed_server_answers_nothing_until_there_are_enough_shares() {
    let sealed = Sealed::new(2, 3).await;
    for route in routes() {
        let (method, path) = route.split_once(' ').unwrap();
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let answer = sealed.ask(method, &path.replace(['{', '}'], ""), json!({})).await;
        match path {
            "/livez" | "/openapi.json" | "/docs" | UNSEAL => assert_eq!(answer.0, StatusCode::OK, "{route}"),
            _ => is_problem(&answer, 503, "sealed"),
        }
    }
    is_problem(&sealed.ask(Method::GET, "/v1/nowhere", Value::Null).await, 503, "sealed");

    let step = async |share: usize| sealed.give(&sealed.shares[share]).await;
    assert_eq!(sealed.ask(Method::POST, UNSEAL, json!({})).await, told(None, 0, true));
    assert_eq!(step(2).await, told(Some(2), 1, true));
    let mut again = told(Some(2), 1, true);
    again.1["given_before"] = true.into();
    assert_eq!((step(2).await, step(2).await), (again.clone(), again), "the same share twice is one, and told as such");
    assert_eq!(
        sealed.ask(Method::POST, UNSEAL, json!({})).await,
        told(Some(2), 1, true),
        "who has none learns nothing"
    );
    let (_, problem) = sealed.ask(Method::GET, "/v1/collections/docs/records/1", Value::Null).await;
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("lethedb keys unseal")), "{problem}");
    assert_eq!(step(0).await, told(None, 0, false));

    assert_eq!(sealed.ask(Method::GET, "/readyz", Value::Null).await.0, StatusCode::OK);
    let (status, record) = sealed.ask(Method::GET, "/v1/collections/docs/records/1", Value::Null).await;
    assert_eq!((status, &record["entity"]), (StatusCode::OK, &json!("ada")));
    // Whoever comes late is told that it is done, whatever they bring.
    assert_eq!(step(1).await, told(None, 0, false));
    assert_eq!(sealed.give("anything").await, told(None, 0, false));
}

#[tokio::test(start_paused = true)]
async fn wrong_shares_are_refused_and_leave_the_server_sealed() {
    let sealed = Sealed::new(2, 3).await;
    let mistyped = sealed.shares[0].replacen(|c: char| c.is_ascii_digit(), "q", 1);
    for text in ["", "s3cr3t", &mistyped, &sealed.shares[0][..60]] {
        let answer = sealed.give(text).await;
        is_problem(&answer, 400, "invalid_share");
        assert!(!answer.1.to_string().contains("s3cr3t"));
    }
    assert_eq!(sealed.give(&sealed.shares[0]).await, told(Some(2), 1, true));
    let others = split(7, 2, 3);
    is_problem(&sealed.give(&others[1]).await, 409, "wrong_share");
    assert_eq!(sealed.ask(Method::POST, UNSEAL, json!({})).await, told(Some(2), 1, true), "the first stays");

    // Shares of another key give that key, which opens nothing here.
    let strange = split(8, 2, 2);
    let reset = sealed.ask(Method::POST, UNSEAL, json!({"reset": true, "share": strange[0]})).await;
    assert_eq!(reset, told(Some(2), 1, true));
    let answer = sealed.give(&strange[1]).await;
    is_problem(&answer, 409, "wrong_share");
    assert!(!answer.1["detail"].to_string().contains(&strange[1][12..30]), "{}", answer.1);
    assert!(sealed.is_sealed().await);
    assert_eq!(sealed.ask(Method::POST, UNSEAL, json!({})).await, told(None, 0, true), "nothing of it is kept");

    // Any set of the right key will do, and the store was left free.
    assert_eq!(sealed.give(&others[0]).await, told(Some(2), 1, true));
    assert_eq!(sealed.ask(Method::POST, UNSEAL, json!({"reset": true})).await, told(None, 0, true));
    assert_eq!(sealed.give(&others[1]).await, told(Some(2), 1, true));
    assert_eq!(sealed.give(&others[2]).await, told(None, 0, false));
    assert!(!sealed.is_sealed().await);
}

/// An environment that is not there would be made under whatever key came, beside others that this key does not open.
#[tokio::test(start_paused = true)]
async fn a_strange_key_makes_nothing_beside_what_it_does_not_open() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("data");
    let database = Database::builder(&path).root_key(RootKey::bytes([7; 32])).open().unwrap();
    database.environment("elsewhere").unwrap();
    database.close().unwrap();
    let at = path.clone();
    let open = move |root_key| Database::builder(&at).root_key(root_key).create(false).open();
    let routes = router(App::sealed(open, Config::default()));
    let sealed = Sealed { server: Unopened { data, routes }, shares: split(8, 2, 2) };
    assert_eq!(sealed.give(&sealed.shares[0]).await, told(Some(2), 1, true));
    is_problem(&sealed.give(&sealed.shares[1]).await, 409, "wrong_share");
    assert!(sealed.is_sealed().await);
    let database = Database::builder(&path).root_key(RootKey::bytes([7; 32])).open().unwrap();
    assert_eq!(database.environments().unwrap(), ["elsewhere"]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_share_keeps_the_next_one_waiting() {
    let sealed = Sealed::new(2, 2).await;
    let start = Instant::now();
    let (one, other) = tokio::join!(sealed.give("wrong"), sealed.give("wrong"));
    for answer in [one, other] {
        is_problem(&answer, 400, "invalid_share");
    }
    assert!(start.elapsed() >= 2 * PAUSE, "one after the other: {:?}", start.elapsed());
    let start = Instant::now();
    for share in &sealed.shares {
        assert_eq!(sealed.give(share).await.0, StatusCode::OK);
    }
    assert!(start.elapsed() < PAUSE, "right ones wait for nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_that_come_at_once_open_it_once() {
    let sealed = Sealed::new(4, 6).await;
    let give = |share: usize| sealed.give(&sealed.shares[share]);
    let (a, b, c, d, e, f) = tokio::join!(give(0), give(1), give(2), give(3), give(4), give(5));
    let answers = [a, b, c, d, e, f];
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::OK), "{answers:?}");
    let mut given: Vec<u64> = answers.iter().filter_map(|(_, answer)| answer["given"].as_u64()).collect();
    given.sort_unstable();
    assert_eq!(given, [0, 0, 0, 1, 2, 3], "the fourth opens it, and those after find it open");
    assert!(!sealed.is_sealed().await);
    // It is open here alone.
    let path = sealed.server.data.path().join("data");
    let again = Database::builder(path).root_key(RootKey::bytes([7; 32])).open();
    assert_eq!(again.map(drop).unwrap_err().kind(), engine::ErrorKind::Busy);
}
