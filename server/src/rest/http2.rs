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

/// How connections are served; a client that does not answer a ping within `patience` is gone.
pub fn builder(patience: Duration) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
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
