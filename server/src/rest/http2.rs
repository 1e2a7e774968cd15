//! HTTP/2, which gRPC is spoken over: how much one connection may ask for at once, and when it is let go.
//!
//! Invariant: a connection without a call that runs, and without a new one for as long as a head may take, is let go; so
//! one that never begins, never ends its head, or is forgotten holds no place. One whose client is gone is noticed by
//! pings. What a client may have the server keep for it (heads, resets, streams) is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::sleep;

/// Calls of one connection at once.
const STREAMS_MAX: u32 = 32;
/// Bytes of the head of a call, after decompression; the details of a status stand in that of an answer.
const HEAD_BYTES_MAX: u32 = 16 << 10;
/// Calls that a client may take back before the server looked at them; more of them end the connection.
const RESETS_MAX: usize = 32;

/// The fewest bytes that all calls of one connection may send before any of them is read (RFC 9113 §6.9.2).
const UNREAD_BYTES_MIN: u32 = 65_535;
/// And the most: more makes nobody faster on a good line.
const UNREAD_BYTES_MAX: usize = 1 << 20;

/// How connections are served; a client that does not answer a ping within `patience` is gone. What all clients may have sent
/// before any of it is read is kept as well as what was read: it takes no more than `bodies_bytes_max` of `connections`, or
/// what HTTP/2 grants each of them.
pub fn builder(patience: Duration, bodies_bytes_max: usize, connections: usize) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let window = (bodies_bytes_max / connections.max(1)).min(UNREAD_BYTES_MAX);
    let window = u32::try_from(window).unwrap_or_default().max(UNREAD_BYTES_MIN);
    // However many calls a connection has, they share its window.
    builder.initial_connection_window_size(window).initial_stream_window_size(window);
    builder.timer(TokioTimer::new()).keep_alive_interval(patience).keep_alive_timeout(patience);
    builder.max_concurrent_streams(STREAMS_MAX).max_header_list_size(HEAD_BYTES_MAX);
    builder.max_pending_accept_reset_streams(RESETS_MAX);
    builder
}

/// The calls of one connection.
#[derive(Clone, Default)]
pub struct Calls(Arc<Counts>);

#[derive(Default)]
struct Counts {
    running: AtomicU64,
    begun: AtomicU64,
}

/// A call that runs; counted as such until it is dropped.
struct Running(Calls);

impl Calls {
    /// `routes`, with every call counted from its head to the end of its answer.
    pub fn counted(&self, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self.clone(), counted))
    }

    /// Ready once none has run for so long.
    pub async fn idle(self, patience: Duration) {
        let Self(counts) = self;
        let mut quiet_since = None;
        loop {
            let begun = counts.begun.load(Ordering::Relaxed);
            let is_quiet = counts.running.load(Ordering::Relaxed) == 0;
            if is_quiet && quiet_since == Some(begun) {
                return;
            }
            quiet_since = is_quiet.then_some(begun);
            sleep(patience).await;
        }
    }

    fn begin(self) -> Running {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.running.fetch_add(1, Ordering::Relaxed);
        Running(self)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn counted(State(calls): State<Calls>, request: Request, next: Next) -> Response {
    let running = calls.begin();
    let response = next.run(request).await;
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            _ = &running;
            frame
        }))
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::timeout;

    use super::*;

    /// A client's first words: the preface, and no settings (RFC 9113 §3.4).
    const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const SETTINGS: u8 = 4;
    const WINDOW_UPDATE: u8 = 8;
    const INITIAL_WINDOW_SIZE: u16 = 4;

    /// What a server of these settings lets one call and one connection send unread.
    async fn windows(bodies_bytes_max: usize, connections: usize) -> (u32, u32) {
        let (mut client, server) = duplex(1 << 16);
        let http2 = builder(Duration::from_secs(60), bodies_bytes_max, connections);
        let nothing = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
        let serving = tokio::spawn(http2.serve_connection(TokioIo::new(server), nothing));
        client.write_all(GREETING).await.unwrap();
        let (mut call, mut connection, mut head) = (65_535, 65_535, [0; 9]);
        // The clock stands still but for this: what is said unasked was said before it.
        while let Ok(read) = timeout(Duration::from_secs(1), client.read_exact(&mut head)).await {
            read.unwrap();
            let mut rest = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            client.read_exact(&mut rest).await.unwrap();
            match head[3] {
                SETTINGS => {
                    for setting in rest.chunks_exact(6) {
                        let (name, value) = setting.split_at(2);
                        if name == INITIAL_WINDOW_SIZE.to_be_bytes() {
                            call = u32::from_be_bytes(value.try_into().unwrap());
                        }
                    }
                }
                WINDOW_UPDATE => connection += u32::from_be_bytes(rest.try_into().unwrap()),
                _ => {}
            }
        }
        serving.abort();
        (call, connection)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_unread_is_bounded_with_what_was_read() {
        for (bodies_bytes_max, connections, expected) in [
            (256 << 20, 1024, 256 << 10),
            (256 << 20, 1, 1 << 20),
            (256 << 20, 0, 1 << 20),
            (100_000 * 16, 16, 100_000),
            // The least there is.
            (1 << 20, 1024, 65_535),
        ] {
            let (call, connection) = windows(bodies_bytes_max, connections).await;
            assert_eq!((call, connection), (expected, expected), "{bodies_bytes_max} of {connections}");
        }
    }
}
