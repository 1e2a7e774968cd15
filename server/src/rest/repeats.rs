//! `Idempotency-Key`: a write that is sent again, because its answer was lost, is answered again and not done again.
//!
//! A key belongs to an environment and to the API key that showed it. While the first request runs, a second one is told to
//! wait (`request_in_progress`); once it is done, its answer is given again for a day, with `Idempotency-Replayed: true`.
//! The same key over another method, path or body is refused (`idempotency_key_reused`). The work runs on though its client
//! hangs up, so that whoever asks again learns what came of it. A call of gRPC carries the key in its metadata, and is another
//! request than that of its route; a stream of writes has no one answer, so a key is refused there.
//!
//! Only success is kept: a request that was refused, or failed, changed nothing that it says it did not, and runs again
//! when it is sent again. Answers that hold a secret or name a person (a new API key, an erasure, a hold) are not kept at
//! all: that it was done is, and a repeat is told so (`answer_not_kept`). Reads need no key, and ignore one.
//!
//! Invariant: a request that carries a key runs to its end though nobody waits for it any more, and until then its name is
//! taken; what is kept of its answer is in [`once`](super::once), in memory alone. After a restart nothing of it is left. What may then be done twice, by its kind:
//!
//! - upserts, deletes and updates by id, schemas, limits, aliases, windows, caps, roles and rules set what they set again;
//! - writes `if_absent` or `if_version` find what they did themselves, and say `conflict`: they are not applied twice;
//! - private answers are stored by the ledger, which gives the same one for the same question and charges nothing; with
//!   `refresh` they are paid for again;
//! - an API key, a backup or an erasure is made once more: the key is in the list and can be revoked, a second backup costs
//!   room, a second erasure finds nothing and says so in its receipt.
//!
//! So no write is ever applied with two different outcomes: a repeat has the first one's, or is a request of its own.

use std::future::ready;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tracing::{Instrument, Span};
use zeroize::Zeroizing;

use super::body;
use super::error::{Problem, Refusal, Told};
use super::once::{ANSWER_BYTES_MAX, Digest, Outcome};
use super::route::{CountsAs, method_of};
use super::state::App;
use super::visit::Visit;

/// The header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const KEY_BYTES_MAX: usize = 255;

/// Whether the answer of a write is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It is.
    Answer,
    /// It holds a secret or a name: only that it was done.
    Fact,
}

/// Every route that changes something. A test holds it against the router.
pub const WRITES: &[(&str, Keeping)] = &[
    ("PUT /v1/collections/{collection}", Keeping::Answer),
    ("DELETE /v1/collections/{collection}", Keeping::Answer),
    ("PUT /v1/collections/{collection}/schema", Keeping::Answer),
    ("PUT /v1/collections/{collection}/limits", Keeping::Answer),
    ("PUT /v1/aliases/{alias}", Keeping::Answer),
    ("DELETE /v1/aliases/{alias}", Keeping::Answer),
    ("PUT /v1/collections/{collection}/indexes", Keeping::Answer),
    ("DELETE /v1/collections/{collection}/indexes/{field}", Keeping::Answer),
    ("PUT /v1/collections/{collection}/records", Keeping::Answer),
    ("POST /v1/collections/{collection}/records/delete", Keeping::Answer),
    ("POST /v1/collections/{collection}/records/update", Keeping::Answer),
    ("POST /v1/collections/{collection}/centroid", Keeping::Answer),
    ("POST /v1/collections/{collection}/aggregate", Keeping::Answer),
    ("PUT /v1/admin/budget", Keeping::Answer),
    ("DELETE /v1/admin/entity/{id}", Keeping::Fact),
    ("POST /v1/admin/entity/erase", Keeping::Fact),
    ("DELETE /v1/admin/entity/erase", Keeping::Fact),
    ("DELETE /v1/admin/entity/export", Keeping::Fact),
    ("POST /v1/admin/consent", Keeping::Fact),
    ("POST /v1/admin/holds", Keeping::Fact),
    ("POST /v1/admin/holds/release", Keeping::Fact),
    ("PUT /v1/admin/retention", Keeping::Answer),
    ("POST /v1/admin/retention", Keeping::Answer),
    ("POST /v1/admin/retention/clock", Keeping::Answer),
    ("POST /v1/admin/backups", Keeping::Answer),
    ("POST /v1/admin/backups/prune", Keeping::Answer),
    ("POST /v1/admin/api-keys", Keeping::Fact),
    ("DELETE /v1/admin/api-keys/{key}", Keeping::Answer),
    ("POST /v1/admin/api-keys/{key}/rotate", Keeping::Fact),
    ("PUT /v1/admin/roles/{role}", Keeping::Answer),
    ("DELETE /v1/admin/roles/{role}", Keeping::Answer),
    ("PUT /v1/collections/{collection}/rules", Keeping::Answer),
    ("PUT /v1/admin/end-users", Keeping::Answer),
    ("DELETE /v1/admin/end-users", Keeping::Answer),
    ("PUT /v1/admin/approvers", Keeping::Answer),
    ("DELETE /v1/admin/approvers", Keeping::Answer),
];

/// What a request says, where that is not told by its bytes: others may say the same.
#[derive(Clone)]
pub struct Content(pub Arc<[u8]>);

/// A request that is done under a name; the name is free again if it is dropped.
struct Claim {
    app: App,
    name: Option<Digest>,
    keeping: Keeping,
    is_call: bool,
}

/// How a call of gRPC ended, after its answer.
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Has a write that carries a key done once.
pub async fn only_once(State(app): State<App>, request: Request, next: Next) -> Response {
    let (Some(keeping), Some(visit)) = (keeping(&request), Visit::current()) else { return next.run(request).await };
    match once(app, request, next, keeping, visit).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn once(app: App, request: Request, next: Next, keeping: Keeping, visit: Visit) -> Result<Response, Problem> {
    let Some(key) = key_in(request.headers())? else { return Ok(next.run(request).await) };
    let (parts, content) = request.into_parts();
    let is_call = parts.extensions.get::<CountsAs>().is_some();
    let bytes = match is_call {
        // That of a call was read and paid for.
        true => to_bytes(content, usize::MAX)
            .await
            .map_err(|_| Problem::new(Refusal::BrokenBody, "the message ended early"))?,
        false => body::read(Request::from_parts(parts.clone(), content), &app).await?,
    };
    let name = app.once().digest(&[visit.lane.as_bytes(), shown(&parts.headers).as_bytes(), key.as_bytes()]);
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let said = parts.extensions.get::<Content>().map_or(&*bytes, |Content(said)| said);
    let fingerprint = app.once().digest(&[parts.method.as_str().as_bytes(), target.as_bytes(), said]);
    if let Some(answered) = app.once().begin(name, fingerprint, &visit.lane)? {
        return Ok(if is_call { answered.map(|body| ending(body, Some(done_well()))) } else { answered });
    }
    let claim = Claim { app, name: Some(name), keeping, is_call };
    // It outlives its client: whoever asks again is to learn what came of it.
    let work = async move { claim.finish(next.run(Request::from_parts(parts, Body::from(bytes))).await).await };
    let done = tokio::spawn(visit.scope(work).instrument(Span::current())).await;
    done.map_err(|_| Problem::new(Refusal::Internal, "the request was not finished"))
}

/// `body`, and these trailers after it.
fn ending(body: Body, trailers: Option<HeaderMap>) -> Body {
    match trailers {
        Some(trailers) => Body::new(body.with_trailers(ready(Some(Ok(trailers))))),
        None => body,
    }
}

fn done_well() -> HeaderMap {
    HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))])
}

/// Whether a request is a write, and what is kept of its answer.
fn keeping(request: &Request) -> Option<Keeping> {
    let matched = || request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let counts_as = request.extensions().get::<CountsAs>().map(|route| &*route.path);
    let (asked, route) = (method_of(request).as_str(), counts_as.or_else(matched)?);
    let is_it = |(name, _): &&(&str, Keeping)| {
        name.split_once(' ').is_some_and(|(method, path)| method == asked && path == route)
    };
    WRITES.iter().find(is_it).map(|(_, keeping)| *keeping)
}

fn key_in(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let (Some(value), second) = (values.next(), values.next()) else { return Ok(None) };
    let bytes = value.as_bytes();
    let is_plain = (1..=KEY_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    match value.to_str() {
        Ok(key) if is_plain && second.is_none() => Ok(Some(key.to_owned())),
        _ => {
            let detail = format!("Idempotency-Key: once, with 1 to {KEY_BYTES_MAX} printable ASCII characters");
            Err(Problem::new(Refusal::InvalidHeader, detail))
        }
    }
}

/// The public part of the API key that was shown, which outlives a rotation; nothing without one.
fn shown(headers: &HeaderMap) -> String {
    let shown = headers.get(AUTHORIZATION).or_else(|| headers.get("X-API-Key"));
    let key = shown.and_then(|shown| shown.to_str().ok()?.split_whitespace().next_back()).unwrap_or_default();
    key.split('_').take(3).collect::<Vec<_>>().join("_")
}

impl Claim {
    /// Keeps what was answered, if it is success, and hands it on.
    async fn finish(mut self, response: Response) -> Response {
        // A call that was refused says so in a problem, or in what follows its answer.
        if !response.status().is_success() || response.extensions().get::<Told>().is_some() {
            return response;
        }
        let upper = response.body().size_hint().upper();
        // That of a call is one message, which is there as a whole though it does not say how long it is.
        let is_short = self.is_call || upper.is_some_and(|upper| upper <= ANSWER_BYTES_MAX as u64);
        if (self.keeping == Keeping::Fact && !self.is_call) || !is_short {
            self.end(Outcome::Done);
            return response;
        }
        let (head, content) = response.into_parts();
        let Ok(collected) = content.collect().await else {
            self.end(Outcome::Done);
            return Problem::new(Refusal::Internal, "the answer was not finished, the request was").into_response();
        };
        let (trailers, bytes) = (collected.trailers().cloned(), collected.to_bytes());
        let is_well = trailers.as_ref().and_then(|trailers| trailers.get(STATUS)).is_none_or(|status| status == "0");
        if is_well && (self.keeping == Keeping::Fact || bytes.len() > ANSWER_BYTES_MAX) {
            self.end(Outcome::Done);
        } else if is_well {
            let (status, kind) = (head.status, head.headers.get(CONTENT_TYPE).cloned());
            self.end(Outcome::Answered { status, kind, body: Zeroizing::new(bytes.to_vec()) });
        }
        Response::from_parts(head, ending(bytes.into(), trailers))
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(name) = self.name.take() {
            self.app.once().end(name, Some(outcome));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.app.once().end(name, None);
        }
    }
}
