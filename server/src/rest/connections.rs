//! Accepting connections, and letting go of them.
//!
//! Invariant: a connection that does not send a whole request head in time is closed (hyper enforces this only where it
//! is given a timer, which `axum::serve` does not do), and so is one that does not shake hands in time or does not take its
//! answers ([`Brisk`]); no more than `connections_max` are open, counted over the whole life of the server, and of one
//! address no more than `connections_per_address_max`. A connection ends between two requests once the server stops, or
//! once it takes certificates of other authorities than those that let the client in.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::auth::Peer;
use super::brisk::Brisk;
use super::places::Places;
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

    let door = Door::new(listener, app.clone(), certificates);
    tokio::select! {
        () = door.accept() => {}
        () = stop() => {}
    }
    app.drain();
    let unready = Duration::from_secs(server.unready_seconds);
    if !unready.is_zero() {
        tokio::select! {
            () = door.accept() => {}
            () = sleep(unready) => {}
            () = stop() => return Err(ServeError::Unfinished),
        }
    }
    tokio::select! {
        () = door.close() => Ok(()),
        () = sleep(Duration::from_secs(server.drain_seconds)) => Err(ServeError::Unfinished),
        () = stop() => Err(ServeError::Unfinished),
    }
}

/// Where connections come in, and what each of them is given.
struct Door {
    listener: TcpListener,
    app: App,
    routes: Router,
    certificates: Option<Arc<Certificates>>,
    places: Places,
    http: http1::Builder,
    /// How long a client may take to shake hands.
    head: Duration,
    /// How long a client may leave what is written to it unread.
    write: Duration,
    /// Told once when the server stops; every connection listens until it ends.
    stopping: watch::Sender<()>,
}

impl Door {
    fn new(listener: TcpListener, app: App, certificates: Option<Arc<Certificates>>) -> Self {
        let server = &app.config().server;
        let places = Places::new(server.connections_max, server.connections_per_address_max);
        let [head, write] = [server.head_seconds, server.write_seconds].map(Duration::from_secs);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(head);
        let (routes, stopping) = (router(app.clone()), watch::Sender::new(()));
        Self { listener, app, routes, certificates, places, http, head, write, stopping }
    }

    /// Takes connections in until it is dropped; those that are open go on.
    async fn accept(&self) {
        loop {
            let Some(room) = self.places.room().await else { return };
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(REFUSED_PAUSE).await;
                    continue;
                }
            };
            let Some(place) = room.take(peer.ip()) else {
                self.app.metrics().connection_refused();
                tracing::debug!("a connection was closed: its address has server.connections_per_address_max of them");
                continue;
            };
            // Answers are small and written whole; waiting to fill a packet would only delay them.
            _ = stream.set_nodelay(true);
            let guest = self.guest(peer);
            let certificates = self.certificates.clone();
            tokio::spawn(async move {
                let _place = place;
                let Some(certificates) = certificates else { return guest.converse(stream, None).await };
                // From before the handshake: what was trusted then may be trusted no more when it is over.
                let (acceptor, distrusted) = certificates.acceptor();
                let greeted = timeout(guest.head, async {
                    let mut stream = stream;
                    if refuse_plain(&mut stream).await? { Ok(None) } else { acceptor.accept(stream).await.map(Some) }
                });
                match greeted.await {
                    Ok(Ok(Some(stream))) => guest.converse(stream, Some(distrusted)).await,
                    Ok(Ok(None)) => {}
                    Ok(Err(error)) => log_unshaken(&error),
                    Err(_) => tracing::debug!("a client took too long to shake hands"),
                }
            });
        }
    }

    fn guest(&self, peer: SocketAddr) -> Guest {
        Guest {
            http: self.http.clone(),
            routes: self.routes.clone().layer(Extension(Peer(peer.ip()))),
            head: self.head,
            write: self.write,
            stopped: self.stopping.subscribe(),
        }
    }

    /// Takes nobody in any more, and waits until the last connection ended.
    async fn close(self) {
        drop(self.listener);
        self.stopping.send_replace(());
        self.stopping.closed().await;
    }
}

fn log_unshaken(error: &io::Error) {
    tracing::debug!(%error, "a client did not shake hands");
}

/// A connection, and what it needs.
struct Guest {
    http: http1::Builder,
    routes: Router,
    head: Duration,
    write: Duration,
    stopped: watch::Receiver<()>,
}

impl Guest {
    /// Answers requests until the client has none, the server stops, or the client is `distrusted`.
    async fn converse(
        mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        mut distrusted: Option<watch::Receiver<()>>,
    ) {
        let stream = TokioIo::new(Brisk::new(stream, self.write));
        let mut served = pin!(self.http.serve_connection(stream, TowerToHyperService::new(self.routes)));
        let is_distrusted = async {
            match &mut distrusted {
                Some(distrusted) => _ = distrusted.changed().await,
                None => pending().await,
            }
        };
        let ended = tokio::select! {
            ended = served.as_mut() => ended,
            _ = self.stopped.changed() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
            () = is_distrusted => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    }
}

#[cfg(test)]
mod tests;
