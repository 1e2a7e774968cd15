//! Secrets and people's data on their way through the real server: what is asked with a key and the token of an end user that
//! are good, answered and refused, over both faces, leaves no trace in answers, counts, the audit log, or the log however
//! much of it is asked for.
//!
//! A test target of the server's package, so that cargo builds the binary for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts the real server and talks to it over loopback")]

use std::fs;
use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use engine::{Clock, SystemClock};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tests::server::{Installation, Server};
use tonic::transport::Channel;
use tonic::{Code, Request};

use proto::records_client::RecordsClient;
use proto::{CountRequest, Query, ScrollRequest, SearchRequest};

/// What a client in Rust is made of the `.proto` files.
#[allow(missing_docs, unused_qualifications, clippy::all, reason = "generated")]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/client/lethedb.v1.rs"));
}

/// The organisation and the person that the token names, whose records these are; what is in one; and a coordinate, with more
/// digits before its point than a second of a time in a log has.
const ORG: &str = "org-c4n4ry";
const PERSON: &str = "person-c4n4ry";
const TEXT: &str = "text-c4n4ry";
const NUMBER: &str = "27182.8";
const SEARCH: &str = "/v1/collections/docs/search";

/// Signs the tokens of end users.
fn issuer() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn key_set() -> Value {
    let public = BASE64URL_NOPAD.encode(issuer().public_key().as_ref());
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": public}]})
}

fn token() -> String {
    let claims = json!({"iss": "https://id.example", "aud": "docs", "exp": SystemClock.now_ms() / 1000 + 3600,
        "sub": PERSON, "org": ORG, "email": "mail-c4n4ry"});
    let part = |json: Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
    let message = format!("{}.{}", part(json!({"alg": "EdDSA", "kid": "ed"})), part(claims));
    format!("{message}.{}", BASE64URL_NOPAD.encode(issuer().sign(message.as_bytes()).as_ref()))
}

/// A server that was set up at the command line, its log, and a key for pages in everybody's hands.
struct Scene {
    server: Server,
    log: std::path::PathBuf,
    key: String,
    owner: String,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let program = Path::new(env!("CARGO_BIN_EXE_lethedb"));
        let installation = Installation::new(program, dir.path().join("data"), log.clone()).unwrap();
        let run = |line: &[&str]| {
            let mut command = installation.command().unwrap();
            let ran = command.env("RUST_LOG", "trace").args(["--output", "json"]).args(line).output().unwrap();
            assert!(ran.status.success(), "{line:?}: {}", fs::read_to_string(&log).unwrap());
            serde_json::from_slice::<Value>(&ran.stdout).unwrap()
        };
        let [records, keys] = ["records.jsonl", "keys.json"].map(|name| dir.path().join(name));
        let record =
            |id: u64| json!({"id": id, "entity": PERSON, "vector": [1, 27182.8], "payload": {"org": ORG, "t": TEXT}});
        fs::write(&records, (0..3).map(|id| format!("{}\n", record(id))).collect::<String>()).unwrap();
        fs::write(&keys, key_set().to_string()).unwrap();
        run(&["collections", "create", "--collection", "docs", "--dimension", "2"]);
        run(&["import", records.to_str().unwrap(), "--collection", "docs"]);
        let keys = keys.display().to_string();
        run(&["end-users", "trust", "--issuer", "https://id.example", "--audience", "docs", "--keys", &keys]);
        let shown = "payload.org == claims.org and entity == claims.sub";
        let rules = ["query", "search", "stream"].map(|asked| format!("{asked}: {shown}"));
        run(&["rules", "set", "docs", "--rule", &rules[0], "--rule", &rules[1], "--rule", &rules[2]]);
        let key = |class: &str, role: &str| {
            let made = run(&["api-keys", "create", "--class", class, "--role", role, "--label", "web"]);
            made["key"].as_str().unwrap().to_owned()
        };
        let (public, owner) = (key("pk", "ReadOnly"), key("ak", "Owner"));
        let server = Server::start(installation.command().unwrap().env("RUST_LOG", "trace")).unwrap();
        Self { server, log, key: public, owner, _dir: dir }
    }

    /// Asks over REST; gives the status, and all that was answered.
    fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
        let headers = format!(
            "Authorization: Bearer {}\r\nX-User-Token: {token}\r\nContent-Type: application/json\r\n",
            self.key
        );
        let (status, head, body) = self.server.send(method, path, &headers, body.as_bytes()).unwrap();
        (status, head + &body)
    }

    fn owned(&self, path: &str) -> String {
        let headers = format!("X-API-Key: {}\r\n", self.owner);
        let (status, head, body) = self.server.send("GET", path, &headers, b"").unwrap();
        assert_eq!(status, 200, "{body}");
        head + &body
    }

    /// The same over gRPC.
    async fn call(&self, token: &str) -> Vec<String> {
        let address = format!("http://{}", self.server.grpc_address());
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        let mut records = RecordsClient::new(channel);
        let (key, token) = (format!("Bearer {}", self.key), token.to_owned());
        fn with<M>(message: M, key: &str, token: &str) -> Request<M> {
            let mut request = Request::new(message);
            request.metadata_mut().insert("authorization", key.parse().unwrap());
            request.metadata_mut().insert("x-user-token", token.parse().unwrap());
            request
        }
        let count = CountRequest { collection: "docs".into(), filter: None };
        let counted = records.count(with(count, &key, &token)).await.unwrap();
        assert_eq!(counted.get_ref().count, 3);
        let bare = Query { with_payload: Some(false), with_entity: Some(false), ..Query::default() };
        let query = Query { vector: vec![1.0, 27182.8], ..bare };
        let search = SearchRequest { collection: "docs".into(), search: Some(query) };
        let found = records.search(with(search, &key, &token)).await.unwrap();
        assert_eq!(found.get_ref().hits.len(), 3);
        let scroll = ScrollRequest { collection: "docs".into(), ..ScrollRequest::default() };
        let mut pages = records.scroll_stream(with(scroll, &key, &token)).await.unwrap();
        let headers = format!("{:?}", pages.metadata());
        while pages.get_mut().message().await.unwrap().is_some() {}
        let wrong = Query { vector: vec![27182.8; 3], ..Query::default() };
        let wrong = SearchRequest { collection: "docs".into(), search: Some(wrong) };
        let refused = records.search(with(wrong, &key, &token)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        vec![format!("{counted:?}"), format!("{found:?}"), headers, format!("{refused:?}")]
    }
}

#[tokio::test]
async fn what_a_good_token_says_is_seen_by_nobody() {
    let scene = Scene::new();
    let token = token();
    let near = format!(r#"{{"vector": [1, {NUMBER}], "limit": 3, "with_payload": false, "with_entity": false}}"#);
    let mut told = Vec::new();
    for (method, path, body, status) in [
        ("POST", "/v1/collections/docs/count", "{}", 200),
        ("POST", SEARCH, &*near, 200),
        ("POST", SEARCH, r#"{"vector": [27182.8, 1, 1]}"#, 400),
        ("POST", SEARCH, r#"{"vector": [1, 0], "filter": {"key": "text-c4n4ry[", "match": {"value": 1}}}"#, 400),
        ("POST", SEARCH, r#"{"text-c4n4ry": "#, 400),
        ("POST", "/v1/collections/docs/records/delete", r#"{"filter": {"entity": "person-c4n4ry"}}"#, 403),
        ("PUT", "/v1/collections/docs/records", r#"{"records": [{"id": 9, "vector": [1, 27182.8]}]}"#, 403),
        ("GET", "/v1/collections/text-c4n4ry/records/9", "", 404),
        ("DELETE", "/v1/admin/entity/person-c4n4ry", "", 403),
    ] {
        let answer = scene.ask(method, path, &token, body);
        assert_eq!(answer.0, status, "{method} {path} {body}: {}", answer.1);
        told.push(answer.1);
    }
    // One that was good, but for its last letter; and one that is nothing but the claims.
    let forged = format!("{}{}", &token[..token.len() - 2], if token.ends_with("AA") { "BB" } else { "AA" });
    for bad in [&*forged, token.split('.').nth(1).unwrap()] {
        let answer = scene.ask("POST", SEARCH, bad, &near);
        assert_eq!(answer.0, 401, "{}", answer.1);
        told.push(answer.1);
    }
    told.extend(scene.call(&token).await);
    for path in ["/metrics", "/v1/admin/audit?limit=1000", "/v1/admin/api-keys"] {
        told.push(scene.owned(path));
    }
    let Scene { server, log, key, owner, _dir } = scene;
    drop(server);
    let logged = fs::read_to_string(log).unwrap();
    assert!(logged.contains("/v1/collections/{collection}/search"), "it was logged: {logged}");
    told.push(logged);
    let parts = token.split('.').skip(1).chain([&*key, &owner].map(|key| key.rsplit('_').nth(1).unwrap()));
    for canary in parts.chain([ORG, PERSON, TEXT, NUMBER, "mail-c4n4ry", "c4n4ry"]) {
        assert!(canary.len() > 5);
        for text in &told {
            let line = text.lines().find(|line| line.contains(canary));
            assert!(line.is_none(), "{canary}: {}", line.unwrap_or_default());
        }
    }
}
