//! The real server over gRPC, on a loopback socket and with a client that another made: what is acknowledged is durable, what
//! is asked for is answered, and who dawdles is let go.
//!
//! A test target of the server's package, so that cargo builds the binary for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts the real server and talks to it over loopback")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tests::server::{COLLECTION, Installation, Server, signal};
use tokio::sync::mpsc;
use tonic::Code;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1alpha;
use tonic_types::StatusExt;

use proto::records_client::RecordsClient;
use proto::{CountRequest, NewRecord, Query, RecordId, ScrollRequest, SearchRequest, UpsertRequest, record_id};

/// What a client in Rust is made of the `.proto` files.
#[allow(missing_docs, unused_qualifications, clippy::all, reason = "generated")]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/client/lethedb.v1.rs"));
}

fn start(dir: &Path, settings: &[(&str, &str)]) -> Server {
    let installation = Installation::new(Path::new(env!("CARGO_BIN_EXE_lethedb")), dir.join("data"), dir.join("log"));
    let mut command = installation.unwrap().command().unwrap();
    for (name, value) in settings {
        command.env(format!("LETHEDB__{name}"), value);
    }
    let server = Server::start(&mut command).unwrap();
    server.ok("PUT", COLLECTION, &json!({ "dimension": 2, "metric": "cosine" })).unwrap();
    server
}

async fn channel(server: &Server) -> Channel {
    Channel::from_shared(format!("http://{}", server.grpc_address())).unwrap().connect().await.unwrap()
}

fn batch(ids: std::ops::Range<u64>) -> UpsertRequest {
    let record = |id| NewRecord {
        id: Some(RecordId { id: Some(record_id::Id::Number(id)) }),
        vector: vec![1.0, id as f32],
        ..NewRecord::default()
    };
    UpsertRequest { collection: "docs".into(), records: ids.map(record).collect(), all_or_nothing: None }
}

fn count() -> CountRequest {
    CountRequest { collection: "docs".into(), filter: None }
}

#[tokio::test]
async fn a_client_stores_finds_and_asks_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[]);
    let channel = channel(&server).await;
    let mut records = RecordsClient::new(channel.clone());
    assert_eq!(records.upsert(batch(0..100)).await.unwrap().into_inner().upserted, 100);
    let query = Query { vector: vec![0.0, 1.0], limit: Some(3), ..Query::default() };
    let search = SearchRequest { collection: "docs".into(), search: Some(query) };
    let found = records.search(search).await.unwrap();
    assert!(found.metadata().contains_key("x-request-id"));
    assert_eq!(found.get_ref().hits[0].id, Some(RecordId { id: Some(record_id::Id::Number(99)) }));
    let mut pages = records
        .scroll_stream(ScrollRequest { collection: "docs".into(), limit: Some(30), ..ScrollRequest::default() })
        .await
        .unwrap()
        .into_inner();
    let mut ids = Vec::new();
    while let Some(page) = pages.message().await.unwrap() {
        ids.extend(page.records.into_iter().map(|record| record.id));
    }
    assert_eq!(ids.len(), 100);
    let mut other = count();
    other.collection = "absent".into();
    let status = records.count(other).await.unwrap_err();
    assert_eq!(
        (status.code(), status.get_error_details().error_info().unwrap().reason.as_str()),
        (Code::NotFound, "not_found")
    );

    let health = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(health.into_inner().status, 1);
    let (sender, receiver) = mpsc::channel(1);
    let list = MessageRequest::ListServices(String::new());
    sender.send(ServerReflectionRequest { host: String::new(), message_request: Some(list) }).await.unwrap();
    let mut told = ServerReflectionClient::new(channel.clone())
        .server_reflection_info(ReceiverStream::new(receiver))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(services)) = told.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services");
    };
    let mut services: BTreeSet<_> = services.service.into_iter().map(|service| service.name).collect();
    services.remove("grpc.reflection.v1.ServerReflection");
    for service in ["Access", "Admin", "Analysis", "Collections", "Records"] {
        assert!(services.contains(&format!("lethedb.v1.{service}")), "{services:?}");
    }
    assert!(services.contains("grpc.health.v1.Health"), "{services:?}");
    assert_eq!(of_old(channel).await, services, "who asks by the name of before is told the same");
    let counts = server.send("GET", "/metrics", "", b"").unwrap().2;
    assert!(counts.contains("route=\"/lethedb.v1.Records/Search\""), "{counts}");
    let refused = |line: &str| line.contains("/lethedb.v1.Records/Count") && line.contains("code=\"404\"");
    assert!(counts.lines().any(refused), "a refusal counts as what it is: {counts}");
}

/// The services but that of reflection, by which other libraries and older tools ask for them.
async fn of_old(channel: Channel) -> BTreeSet<String> {
    let list = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let list = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let (sender, receiver) = mpsc::channel(1);
    sender.send(list).await.unwrap();
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let mut told = client.server_reflection_info(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let told = told.message().await.unwrap().unwrap().message_response;
    let Some(v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(services)) = told else {
        panic!("no list of services");
    };
    let names = services.service.into_iter().map(|service| service.name);
    names.filter(|name| name != "grpc.reflection.v1alpha.ServerReflection").collect()
}

#[tokio::test]
async fn what_a_stream_acknowledged_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..3 {
        let server = start(dir.path(), &[]);
        let mut records = RecordsClient::new(channel(&server).await);
        let (sender, receiver) = mpsc::channel(4);
        let mut answers = records.upsert_stream(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        let from = round * 1000;
        let sending = tokio::spawn(async move {
            for at in 0..100 {
                if sender.send(batch(from + at * 10..from + at * 10 + 10)).await.is_err() {
                    return;
                }
            }
        });
        let mut here = 0;
        while here < 20 + round
            && answers.message().await.is_ok_and(|answer| answer.is_some_and(|answer| answer.upserted == 10))
        {
            here += 1;
        }
        signal(&server.child, Signal::KILL).unwrap();
        drop(server);
        // What is under way when the server dies may be stored or not.
        while let Ok(Some(answer)) = answers.message().await {
            assert_eq!(answer.upserted, 10);
            here += 1;
        }
        sending.abort();
        assert!(here >= 20, "{here}");
        let server = start(dir.path(), &[]);
        let ids = server.ids().unwrap();
        acknowledged += here * 10;
        for id in from..from + here * 10 {
            assert!(ids.contains(&id), "record {id} of {here} batches was acknowledged in round {round}");
        }
        assert!(ids.len() as u64 >= acknowledged);
    }
}

#[tokio::test]
async fn a_server_that_goes_ends_its_streams_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = start(dir.path(), &[]);
    let mut records = RecordsClient::new(channel(&server).await);
    let (sender, receiver) = mpsc::channel(4);
    let mut answers = records.upsert_stream(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    sender.send(batch(0..10)).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().upserted, 10);
    signal(&server.child, Signal::TERM).unwrap();
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let ended = tokio::task::spawn_blocking(move || server.child.wait().unwrap());
    assert!(ended.await.unwrap().success(), "the drain ended by itself");
}

#[tokio::test]
async fn who_watches_is_told_of_the_end_and_leaves_places_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = start(dir.path(), &[]);
    let mut health = HealthClient::new(channel(&server).await);
    let mut watched = Vec::new();
    let refused = loop {
        match health.watch(HealthCheckRequest::default()).await {
            Ok(watch) => watched.push(watch.into_inner()),
            Err(status) => break status,
        }
        assert_eq!(watched.last_mut().unwrap().message().await.unwrap().unwrap().status, 1);
        assert!(watched.len() < 100, "an address takes all places there are");
    };
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    watched.pop();
    let mut tries = 0;
    while health.watch(HealthCheckRequest::default()).await.is_err() {
        tries += 1;
        assert!(tries < 10_000, "no place comes back");
    }
    signal(&server.child, Signal::TERM).unwrap();
    for mut watch in watched {
        assert_eq!(watch.message().await.unwrap().unwrap().status, 2, "not serving");
        assert!(!matches!(watch.message().await, Ok(Some(_))), "it was the last word");
    }
    let ended = tokio::task::spawn_blocking(move || server.child.wait().unwrap());
    assert!(ended.await.unwrap().success(), "the drain ended by itself");
}

/// The kind of a frame that begins an answer (RFC 9113 §6.2).
const HEADERS: u8 = 1;
/// Of one that tells the settings (§6.5).
const SETTINGS: u8 = 4;
/// And of one that says which calls were heard before the end (§6.8).
const GOAWAY: u8 = 7;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const NO_SETTINGS: &[u8] = &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];

/// The kinds of the frames of HTTP/2 in these bytes (RFC 9113 §4.1).
fn frame_kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        kinds.push(head[3]);
        bytes = rest.get(length..).unwrap_or_default();
    }
    kinds
}

/// A client that is idle, and does not even answer pings, is told that the server goes, and does not hold it up.
#[test]
fn a_server_that_goes_tells_who_is_idle() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = start(dir.path(), &[("SERVER__HEAD_SECONDS", "1")]);
    let mut stream = TcpStream::connect(server.grpc_address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(&[PREFACE, NO_SETTINGS].concat()).unwrap();
    let mut first = [0; 9];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(first[3], SETTINGS);
    signal(&server.child, Signal::TERM).unwrap();
    let mut rest = Vec::new();
    _ = stream.read_to_end(&mut rest);
    let kinds = frame_kinds(&[&first[..], &rest].concat());
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
    assert!(server.child.wait().unwrap().success(), "the drain ended by itself");
}

#[test]
fn who_dawdles_is_let_go_and_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[("SERVER__HEAD_SECONDS", "1"), ("SERVER__BODY_SECONDS", "1")]);
    // A head of a request whose end never comes: HEADERS without END_HEADERS.
    let endless: &[u8] = &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
    for (what, sent) in [
        ("nothing", Vec::new()),
        ("half a preface", PREFACE[..9].to_vec()),
        ("no request", [PREFACE, NO_SETTINGS].concat()),
        ("half a head", [PREFACE, NO_SETTINGS, endless].concat()),
        ("HTTP/1", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
    ] {
        let mut stream = TcpStream::connect(server.grpc_address()).unwrap();
        stream.write_all(&sent).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut answer = Vec::new();
        // Until the server closes, in order or not: a hang is a failure.
        let waited = stream.read_to_end(&mut answer).map_err(|error| error.kind());
        assert!(!matches!(waited, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{what}");
        let kinds = frame_kinds(&answer);
        assert!(!kinds.contains(&HEADERS) && !answer.starts_with(b"HTTP/"), "{what}: it was answered: {kinds:?}");
        let is_told = kinds.contains(&GOAWAY);
        assert!(is_told || !sent.starts_with(PREFACE), "{what}: a client of HTTP/2 is told before: {kinds:?}");
    }
    assert_eq!(server.send("GET", "/livez", "", b"").unwrap().0, 200);
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}
