//! Accepting connections, and letting go of them at shutdown.
//!
//! Invariant: a connection that does not send a whole request head in time is closed (hyper enforces this only where it
//! is given a timer, which `axum::serve` does not do), and no more than `connections_max` are open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::auth::Peer;
use super::router::router;
use super::state::App;

/// How long to wait after the system refused to accept, mostly for want of file descriptors.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Anyone on the network could read and erase.
    #[error(
        "{0} is not a loopback address: without TLS and keys the server listens on this machine alone, unless --insecure says otherwise"
    )]
    NotLoopback(SocketAddr),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
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

/// Serves `app` until the first `stop`, then finishes the running requests until the drain time is over or `stop` comes
/// again.
/// `listening` is told the address once requests are welcome; its port is that of the settings, or a free one for 0.
///
/// # Errors
/// If it cannot start or cannot end; see [`ServeError`].
pub async fn serve<Stop: Future<Output = ()>>(
    app: App,
    listening: impl FnOnce(SocketAddr),
    stop: impl Fn() -> Stop,
) -> Result<(), ServeError> {
    let server = app.config().server.clone();
    let address = server.listen;
    if !server.insecure {
        check_address(address)?;
    }
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
    listening(listener.local_addr().unwrap_or(address));

    let connections = GracefulShutdown::new();
    tokio::select! {
        () = accept(&listener, &connections, &app) => {}
        () = stop() => {}
    }
    drop(listener);
    app.drain();
    tokio::select! {
        () = connections.shutdown() => Ok(()),
        () = sleep(Duration::from_secs(server.drain_seconds)) => Err(ServeError::Unfinished),
        () = stop() => Err(ServeError::Unfinished),
    }
}

async fn accept(listener: &TcpListener, connections: &GracefulShutdown, app: &App) {
    let server = &app.config().server;
    let places = Arc::new(Semaphore::new(server.connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(server.head_seconds));
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
        let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
        let served = connections.watch(served);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
}
