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
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::auth::Peer;
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
    if server.auth || are_asked_for { Ok(()) } else { Err(ServeError::NoKeys(server.listen)) }
}

/// Serves `app` until the first `stop`, then finishes the running requests until the drain time is over or `stop` comes
/// again.
/// `listening` is told the address once requests are welcome; its port is that of the settings, or a free one for 0.
///
/// # Errors
/// If it cannot start or cannot end; see [`ServeError`].
pub async fn serve<Stop: Future<Output = ()>>(
    app: App,
    certificates: Option<Arc<Certificates>>,
    listening: impl FnOnce(SocketAddr),
    stop: impl Fn() -> Stop,
) -> Result<(), ServeError> {
    let server = app.config().server.clone();
    let address = server.listen;
    if !server.insecure && certificates.is_none() {
        check_address(address)?;
    }
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
    listening(listener.local_addr().unwrap_or(address));

    let connections = GracefulShutdown::new();
    tokio::select! {
        () = accept(&listener, &connections, &app, certificates.clone()) => {}
        () = stop() => {}
    }
    app.drain();
    let unready = Duration::from_secs(server.unready_seconds);
    if !unready.is_zero() {
        tokio::select! {
            () = accept(&listener, &connections, &app, certificates) => {}
            () = sleep(unready) => {}
            () = stop() => return Err(ServeError::Unfinished),
        }
    }
    drop(listener);
    tokio::select! {
        () = connections.shutdown() => Ok(()),
        () = sleep(Duration::from_secs(server.drain_seconds)) => Err(ServeError::Unfinished),
        () = stop() => Err(ServeError::Unfinished),
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &GracefulShutdown,
    app: &App,
    certificates: Option<Arc<Certificates>>,
) {
    let server = &app.config().server;
    let places = Arc::new(Semaphore::new(server.connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    let head = Duration::from_secs(server.head_seconds);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head);
    let routes: Router = router(app.clone());
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(REFUSED_PAUSE).await;
                continue;
            }
        };
        // Answers are small and written whole; waiting to fill a packet would only delay them.
        _ = stream.set_nodelay(true);
        let routes = routes.clone().layer(Extension(Peer(peer.ip())));
        let (http, watcher, certificates) = (http.clone(), connections.watcher(), certificates.clone());
        tokio::spawn(async move {
            let _place = place;
            let Some(certificates) = certificates else { return converse(http, watcher, stream, routes).await };
            match timeout(head, greet(stream, &certificates)).await {
                Ok(Ok(Some(stream))) => converse(http, watcher, stream, routes).await,
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
    certificates: &Certificates,
) -> io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
    if refuse_plain(&mut stream).await? { Ok(None) } else { certificates.acceptor().accept(stream).await.map(Some) }
}

async fn converse(
    http: http1::Builder,
    watcher: Watcher,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
) {
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%error, "a connection broke");
    }
}
