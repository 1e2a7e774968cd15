//! Connections over loopback whose other end does what no good client does.

#![allow(clippy::disallowed_methods, reason = "talks to the server over loopback")]

use engine::{Database, RootKey};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::config::Config;

/// Nothing here takes as long, unless it would never end.
const NEVER: Duration = Duration::from_secs(60);

struct Running {
    address: SocketAddr,
    grpc: SocketAddr,
    stop: Arc<Notify>,
    served: JoinHandle<Result<(), ServeError>>,
    _data: TempDir,
}

impl Running {
    async fn new(set: impl FnOnce(&mut Server)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let database = Database::builder(data.path().join("data")).root_key(RootKey::bytes([7; 32])).open().unwrap();
        database.environment("default").unwrap();
        let mut config = Config::default();
        config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.server.grpc_listen = config.server.listen;
        set(&mut config.server);
        let (told, address) = tokio::sync::oneshot::channel();
        let stop = Arc::new(Notify::new());
        let (stopped, app) = (stop.clone(), App::new(database, config));
        let served = tokio::spawn(async move {
            let stop = move || {
                let stopped = stopped.clone();
                async move { stopped.notified().await }
            };
            serve(app, Router::new(), None, |address, grpc| told.send((address, grpc.unwrap())).unwrap(), stop).await
        });
        let (address, grpc) = address.await.unwrap();
        Self { address, grpc, stop, served, _data: data }
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Whether the server answers on this connection.
async fn answers(stream: &mut TcpStream) -> bool {
    let sent = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut answer = Vec::new();
    while sent.is_ok() && !answer.ends_with(b"alive") {
        let mut some = [0; 1024];
        match timeout(NEVER, stream.read(&mut some)).await.expect("neither an answer nor an end") {
            Ok(read) if read > 0 => answer.extend_from_slice(&some[..read]),
            _ => return false,
        }
    }
    sent.is_ok()
}

#[tokio::test]
async fn who_does_not_read_is_let_go() {
    let server = Running::new(|server| (server.write_seconds, server.head_seconds) = (1, 3600)).await;
    let mut stream = server.dial().await;
    // Asks on and on and reads nothing, until neither side's system takes any more.
    let asking =
        async { while stream.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n").await.is_ok() {} };
    timeout(NEVER, asking).await.expect("the connection is held for as long as the client likes");
    assert!(answers(&mut server.dial().await).await);
}

#[tokio::test]
async fn one_address_has_no_more_connections_than_it_may() {
    let server = Running::new(|server| server.connections_per_address_max = 2).await;
    let [mut first, mut second] = [server.dial().await, server.dial().await];
    assert!(answers(&mut first).await && answers(&mut second).await);
    assert!(!answers(&mut server.dial().await).await);
    assert!(answers(&mut first).await, "those that are open go on");
    drop(second);
    // Its end is seen as soon as the system tells of it.
    let mut tries = 0;
    while !answers(&mut server.dial().await).await {
        tries += 1;
        assert!(tries < 10_000, "no place comes back");
    }
}

/// Whether a server of gRPC greets on this connection.
async fn greets(stream: &mut TcpStream) -> bool {
    let sent = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let mut greeting = [0; 9];
    let read = timeout(NEVER, stream.read_exact(&mut greeting)).await.expect("neither a greeting nor an end");
    sent.is_ok() && read.is_ok()
}

#[tokio::test]
async fn both_doors_count_together() {
    let server = Running::new(|server| server.connections_per_address_max = 2).await;
    let grpc = async || TcpStream::connect(server.grpc).await.unwrap();
    let [mut first, mut second] = [server.dial().await, grpc().await];
    assert!(answers(&mut first).await && greets(&mut second).await);
    assert!(!answers(&mut server.dial().await).await && !greets(&mut grpc().await).await);
    drop(first);
    let mut tries = 0;
    while !greets(&mut grpc().await).await {
        tries += 1;
        assert!(tries < 10_000, "no place comes back");
    }
}

#[tokio::test]
async fn a_server_that_stops_counts_the_connections_from_before() {
    let set = |server: &mut Server| (server.connections_per_address_max, server.unready_seconds) = (1, 3600);
    let server = Running::new(set).await;
    let mut first = server.dial().await;
    assert!(answers(&mut first).await);
    server.stop.notify_one();
    let unready = async {
        loop {
            first.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            let mut answer = [0; 4096];
            let read = first.read(&mut answer).await.unwrap();
            if answer[..read].starts_with(b"HTTP/1.1 503") {
                return;
            }
        }
    };
    timeout(NEVER, unready).await.expect("it says that it is ready");
    assert!(!answers(&mut server.dial().await).await, "the second time of accepting counts anew");
    server.stop.notify_one();
    assert!(matches!(server.served.await.unwrap(), Err(ServeError::Unfinished)));
}
