//! What is known of every request from outside: its id, how long it took, and what it came to.
//!
//! Invariant: a request has one id, that of its client if that is short and plain, or else one of ours; it is in the
//! answer, in the log and in its span. Nothing else that a client sent is, and nothing at all of a client becomes a label.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use engine::{Clock, SystemClock};
use tracing::Span;

use super::error::Told;
use super::metrics::Known;
use super::state::App;
use crate::telemetry::{Answered, Timeline, parent_in};

/// Where the id of a request stands.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids are replaced: they would only fill the log.
const ID_BYTES_MAX: usize = 64;

/// The id of a request.
#[derive(Clone)]
struct RequestId(HeaderValue);

/// Gives every request an id and has it counted.
pub async fn observed(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = id_in(request.headers()).unwrap_or_else(made);
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, route) = (Known::of(request.method()), route(&request).to_owned());
    let (running, begun_us) = (app.metrics().begin(), SystemClock.now_us());
    let timeline = app.traces().map(|_| Timeline::new(begun_us, parent_in(request.headers())));
    let told = Traced { app: &app, timeline: timeline.clone(), method: method.as_str(), route: &route, id: &id };
    let mut response = Timeline::scope(timeline, next.run(request)).await;
    drop(running);
    let took = SystemClock.now_us().saturating_sub(begun_us);
    let problem = response.extensions().get::<Told>().map(|Told(problem)| problem.code);
    told.answered(status_of(&response), problem);
    app.metrics().answered(method, &route, status_of(&response), problem, took);
    response.headers_mut().insert(HEADER, id);
    response
}

/// A request that is traced, if it is; told to the collector when it is answered, or when its client went before.
struct Traced<'a> {
    app: &'a App,
    timeline: Option<Arc<Timeline>>,
    method: &'static str,
    route: &'a str,
    id: &'a HeaderValue,
}

impl Traced<'_> {
    fn answered(mut self, status: StatusCode, problem: Option<&'static str>) {
        self.tell(Some(status.as_u16()), problem);
    }

    fn tell(&mut self, status: Option<u16>, problem: Option<&'static str>) {
        let (Some(traces), Some(timeline)) = (self.app.traces(), self.timeline.take()) else { return };
        let (method, route, request_id) = (self.method, self.route, self.id.to_str().unwrap_or_default());
        let ended_us = SystemClock.now_us();
        traces.tell(&timeline, &Answered { method, route, request_id, status, problem, ended_us });
    }
}

impl Drop for Traced<'_> {
    fn drop(&mut self) {
        self.tell(None, None);
    }
}

/// The status that an answer comes to: that of its problem, which gRPC tells in an answer of status 200.
fn status_of(response: &Response) -> StatusCode {
    let told = response.extensions().get::<Told>();
    told.and_then(|Told(problem)| StatusCode::from_u16(problem.status).ok()).unwrap_or_else(|| response.status())
}

/// Ends the line of a request: how long it took, and what it came to.
pub fn answered(response: &Response, took: Duration, _: &Span) {
    let (latency_ms, status) = (took.as_millis(), status_of(response).as_u16());
    tracing::info!(target: "tower_http::trace", latency_ms, status, "answered");
}

/// One line a request: method, route, id and duration, and never the path itself.
pub fn span(request: &Request) -> Span {
    let id = request.extensions().get::<RequestId>().and_then(|RequestId(id)| id.to_str().ok()).unwrap_or_default();
    tracing::info_span!("request", method = Known::of(request.method()).as_str(), route = route(request), id)
}

fn route(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str)
}

/// The id that a client gave, if it gave one that can stand in a log.
pub fn id_in(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut ids = headers.get_all(HEADER).iter();
    let (Some(id), None) = (ids.next(), ids.next()) else { return None };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let is_good = (1..=ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(is_plain);
    is_good.then(|| id.clone())
}

/// An id of ours: which start of the server, and the how manieth request.
fn made() -> HeaderValue {
    static START: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(()));
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = format!("{:016x}-{:x}", *START, COUNT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("none"))
}
