//! Accepting connections, and letting go of them at shutdown.
//!
//! Invariant: a connection that does not send a whole request head in time is closed (hyper enforces this only where it
//! is given a timer, which `axum::serve` does not do), and so is one that does not shake hands in time; no more than
//! `connections_max` are open.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::auth::Peer;
use super::http2;
use super::router::router;
use super::state::App;
use super::tls::{Certificates, refuse_plain};
use crate::config::Server;

/// How long to wait after the system refused to accept, mostly for want of file descriptors.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Anyone on the network could read and erase.
    #[error(
        "{0} is not a loopback address: without TLS and keys the server listens on this machine alone, unless --insecure says otherwise; see --tls-cert and --auth"
    )]
    NotLoopback(SocketAddr),
    /// Anyone on the network could read and erase, over TLS.
    #[error(
        "{0} is not a loopback address, and nobody is asked for a key: make one with `lethedb api-keys create`, or ask from the start with --auth"
    )]
    NoKeys(SocketAddr),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// At shutdown some requests did not end in time, or the operator did not want to wait.
    #[error("stopped while requests were running; each of them happened wholly or not at all")]
    Unfinished,
}

/// Says whether the server may listen on `address`.
///
/// # Errors
/// `NotLoopback`.
pub fn check_address(address: SocketAddr) -> Result<(), ServeError> {
    if address.ip().is_loopback() { Ok(()) } else { Err(ServeError::NotLoopback(address)) }
}

/// Says whether a server that is reached from beyond this machine lets in only who shows a key.
///
/// # Errors
/// `NoKeys`.
pub fn check_keys(server: &Server, are_asked_for: bool) -> Result<(), ServeError> {
    let beyond = server.addresses().find(|address| !address.ip().is_loopback());
    match beyond {
        Some(address) if !server.auth && !are_asked_for => Err(ServeError::NoKeys(address)),
        _ => Ok(()),
    }
}

/// Serves `app`, and beside REST the calls of `grpc`, until the first `stop`, then finishes the running requests until the drain time is over or `stop` comes
/// again.
/// `listening` is told the addresses once requests are welcome; their ports are those of the settings, or free ones for 0.
///
/// # Errors
/// If it cannot start or cannot end; see [`ServeError`].
pub async fn serve<Stop: Future<Output = ()>>(
    app: App,
    grpc: Router,
    certificates: Option<Arc<Certificates>>,
    listening: impl FnOnce(SocketAddr, Option<SocketAddr>),
    stop: impl Fn() -> Stop,
) -> Result<(), ServeError> {
    let server = app.config().server.clone();
    for address in server.addresses() {
        if !server.insecure && certificates.is_none() {
            check_address(address)?;
        }
    }
    let head = Duration::from_secs(server.head_seconds);
    let mut http1 = http1::Builder::new();
    http1.timer(TokioTimer::new()).header_read_timeout(head);
    let rest = Door::open(server.listen, router(app.clone()), Speaks::Http1(http1)).await?;
    let grpc = match server.grpc {
        true => Some(Door::open(server.grpc_listen, grpc, Speaks::Http2(http2::builder(head))).await?),
        false => None,
    };
    listening(rest.address, grpc.as_ref().map(|door| door.address));

    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(server.connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    let accept = async || {
        let accept = |door| accept(door, &connections, &places, head, certificates.clone());
        let second = async {
            if let Some(grpc) = &grpc {
                accept(grpc).await;
            }
        };
        tokio::join!(accept(&rest), second);
    };
    tokio::select! {
        () = accept() => {}
        () = stop() => {}
    }
    app.drain();
    let unready = Duration::from_secs(server.unready_seconds);
    if !unready.is_zero() {
        tokio::select! {
            () = accept() => {}
            () = sleep(unready) => {}
            () = stop() => return Err(ServeError::Unfinished),
        }
    }
    drop((rest, grpc));
    tokio::select! {
        () = connections.shutdown() => Ok(()),
        () = sleep(Duration::from_secs(server.drain_seconds)) => Err(ServeError::Unfinished),
        () = stop() => Err(ServeError::Unfinished),
    }
}

/// Where connections come in, and what is spoken there.
struct Door {
    listener: TcpListener,
    address: SocketAddr,
    routes: Router,
    speaks: Speaks,
}

#[derive(Clone)]
enum Speaks {
    Http1(http1::Builder),
    Http2(hyper::server::conn::http2::Builder<TokioExecutor>),
}

impl Door {
    async fn open(address: SocketAddr, routes: Router, speaks: Speaks) -> Result<Self, ServeError> {
        let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
        Ok(Self { address: listener.local_addr().unwrap_or(address), listener, routes, speaks })
    }
}

async fn accept(
    door: &Door,
    connections: &GracefulShutdown,
    places: &Arc<Semaphore>,
    head: Duration,
    certificates: Option<Arc<Certificates>>,
) {
    loop {
        let (stream, peer) = match door.listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(REFUSED_PAUSE).await;
                continue;
            }
        };
        // Only who is there takes a place, so that a door at which nobody knocks keeps none from the other.
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
        // Answers are small and written whole; waiting to fill a packet would only delay them.
        _ = stream.set_nodelay(true);
        let guest = Guest {
            speaks: door.speaks.clone(),
            routes: door.routes.clone().layer(Extension(Peer(peer.ip()))),
            watcher: connections.watcher(),
            head,
        };
        let certificates = certificates.clone();
        tokio::spawn(async move {
            let _place = place;
            let Some(certificates) = certificates else { return guest.converse(stream).await };
            let acceptor = match guest.speaks {
                Speaks::Http1(_) => certificates.acceptor(),
                Speaks::Http2(_) => certificates.http2_acceptor(),
            };
            match timeout(head, greet(stream, acceptor)).await {
                Ok(Ok(Some(stream))) => guest.converse(stream).await,
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a client did not shake hands"),
                Err(_) => tracing::debug!("a client took too long to shake hands"),
            }
        });
    }
}

/// Shakes hands; none with a client that speaks plain HTTP, which is told so.
async fn greet(
    mut stream: TcpStream,
    acceptor: TlsAcceptor,
) -> io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
    if refuse_plain(&mut stream).await? { Ok(None) } else { acceptor.accept(stream).await.map(Some) }
}

/// A connection, and what it needs.
struct Guest {
    speaks: Speaks,
    routes: Router,
    watcher: Watcher,
    head: Duration,
}

impl Guest {
    /// Answers requests until the client has none or the server stops.
    async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let stream = TokioIo::new(stream);
        let ended = match self.speaks {
            Speaks::Http1(http) => {
                self.watcher.watch(http.serve_connection(stream, TowerToHyperService::new(self.routes))).await
            }
            Speaks::Http2(http) => {
                let calls = http2::Calls::default();
                let routes = TowerToHyperService::new(calls.counted(self.routes));
                tokio::select! {
                    ended = self.watcher.watch(http.serve_connection(stream, routes)) => ended,
                    () = calls.idle(self.head) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    }
}
