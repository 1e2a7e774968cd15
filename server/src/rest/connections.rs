//! Accepting connections, and letting go of them.
//!
//! Invariant: a connection that does not send a whole request head in time is closed (hyper enforces this only where it
//! is given a timer, which `axum::serve` does not do), and so is one that does not shake hands in time or does not take its
//! answers ([`Brisk`]); no more than `connections_max` are open, counted over both doors and the whole life of the server,
//! and of one address no more than `connections_per_address_max`. A connection ends between two requests once the server
//! stops, or once it takes certificates of other authorities than those that let the client in; then what still runs has no
//! more time than a head. Over HTTP/2 a client is told before (GOAWAY), so that it knows which of its calls were not heard.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::auth::Peer;
use super::brisk::Brisk;
use super::gate;
use super::http2;
use super::places::{Place, Places};
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

/// Serves `app`, and beside REST the calls of `grpc`, until the first `stop`, then finishes the running requests until the
/// drain time is over or `stop` comes again.
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
        true => {
            let http2 = http2::builder(head, app.config().limits.bodies_bytes_max, server.connections_max);
            Some(Door::open(server.grpc_listen, grpc, Speaks::Http2(http2)).await?)
        }
        false => None,
    };
    listening(rest.address, grpc.as_ref().map(|door| door.address));

    let house = House::new(app.clone(), certificates);
    let second = async || {
        if let Some(grpc) = &grpc {
            house.accept(grpc).await;
        }
    };
    let accept = async || _ = tokio::join!(house.accept(&rest), second());
    // Who was answered finds the signal listened for: it is, before anybody is let in.
    tokio::select! {
        biased;
        () = stop() => {}
        () = accept() => {}
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
        () = house.close() => Ok(()),
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

/// What all doors share.
struct House {
    app: App,
    certificates: Option<Arc<Certificates>>,
    places: Places,
    /// How long a client may take to shake hands.
    head: Duration,
    /// How long a client may leave what is written to it unread.
    write: Duration,
    /// Told once when the server stops; every connection listens until it ends.
    stopping: watch::Sender<()>,
}

impl House {
    fn new(app: App, certificates: Option<Arc<Certificates>>) -> Self {
        let server = &app.config().server;
        let places = Places::new(server.connections_max, server.connections_per_address_max);
        let [head, write] = [server.head_seconds, server.write_seconds].map(Duration::from_secs);
        Self { app, certificates, places, head, write, stopping: watch::Sender::new(()) }
    }

    /// Takes connections in until it is dropped; those that are open go on.
    async fn accept(&self, door: &Door) {
        loop {
            let (stream, peer) = match door.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(REFUSED_PAUSE).await;
                    continue;
                }
            };
            // Not before somebody came: a door that waits for its next client would hold a place.
            let Some(room) = self.places.room().await else { return };
            let Some(place) = room.take(peer.ip()) else {
                self.app.metrics().connection_refused();
                tracing::debug!("a connection was closed: its address has server.connections_per_address_max of them");
                continue;
            };
            // Answers are small and written whole; waiting to fill a packet would only delay them.
            _ = stream.set_nodelay(true);
            let guest = Guest {
                app: self.app.clone(),
                speaks: door.speaks.clone(),
                routes: door.routes.clone(),
                peer: Peer(peer.ip()),
                head: self.head,
                write: self.write,
                stopped: self.stopping.subscribe(),
                _place: place,
            };
            tokio::spawn(guest.received(stream, self.certificates.clone()));
        }
    }

    /// Waits until the last connection ended.
    async fn close(self) {
        self.stopping.send_replace(());
        self.stopping.closed().await;
    }
}

/// A connection, and what it needs.
struct Guest {
    app: App,
    speaks: Speaks,
    routes: Router,
    peer: Peer,
    head: Duration,
    write: Duration,
    stopped: watch::Receiver<()>,
    _place: Place,
}

impl Guest {
    /// Shakes hands if that is done here, and answers; a client that speaks plain HTTP where TLS is asked for is told so.
    async fn received(self, stream: TcpStream, certificates: Option<Arc<Certificates>>) {
        let Some(certificates) = certificates else { return self.converse(stream, None).await };
        // From before the handshake: what was trusted then may be trusted no more when it is over.
        let (acceptor, distrusted) = match self.speaks {
            Speaks::Http1(_) => certificates.acceptor(),
            Speaks::Http2(_) => certificates.http2_acceptor(),
        };
        let greeted = timeout(self.head, async {
            let mut stream = stream;
            if refuse_plain(&mut stream).await? { Ok(None) } else { acceptor.accept(stream).await.map(Some) }
        });
        match greeted.await {
            Ok(Ok(Some(stream))) => self.converse(stream, Some(distrusted)).await,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => log_unshaken(&error),
            Err(_) => tracing::debug!("a client took too long to shake hands"),
        }
    }

    /// Answers requests until the client has none, the server stops, or the client is `distrusted`.
    async fn converse(
        mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        mut distrusted: Option<watch::Receiver<()>>,
    ) {
        let stream = TokioIo::new(Brisk::new(stream, self.write));
        let ending = async {
            let is_distrusted = async {
                match &mut distrusted {
                    Some(distrusted) => _ = distrusted.changed().await,
                    None => pending().await,
                }
            };
            // How long what runs may still take; the drain has a time of its own.
            tokio::select! {
                _ = self.stopped.changed() => Duration::MAX,
                () = is_distrusted => self.head,
            }
        };
        let ended = match self.speaks {
            Speaks::Http1(http) => {
                let mut served = pin!(http.serve_connection(stream, gate::before(self.app, self.routes, self.peer)));
                tokio::select! {
                    ended = served.as_mut() => ended,
                    patience = ending => {
                        served.as_mut().graceful_shutdown();
                        timeout(patience, served).await.unwrap_or(Ok(()))
                    }
                }
            }
            Speaks::Http2(http) => {
                let calls = http2::Calls::default();
                let routes = TowerToHyperService::new(calls.counted(self.routes.layer(Extension(self.peer))));
                let mut served = pin!(http.serve_connection(stream, routes));
                let patience = tokio::select! {
                    ended = served.as_mut() => return log_end(ended),
                    patience = ending => patience,
                    () = calls.clone().idle(self.head) => Duration::MAX,
                };
                served.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = served => ended,
                    // It does not go by itself, and nothing runs that it would be kept for.
                    () = calls.idle(self.head) => Ok(()),
                    () = sleep(patience) => Ok(()),
                }
            }
        };
        log_end(ended);
    }
}

fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

fn log_unshaken(error: &io::Error) {
    tracing::debug!(%error, "a client did not shake hands");
}

#[cfg(test)]
mod tests;
