//! Every refusal as `application/problem+json` (RFC 9457).
//!
//! Invariant: `code` is stable and for programs, `detail` is for people, and neither repeats what a client sent:
//! answers end in logs of proxies and clients.

use std::sync::Arc;

use axum::Json;
use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::{ErrorKind, Wrong};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::json::JsonError;

/// The type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
const NOT_FOUND: &str = "There is no such thing";

/// What REST refuses by itself, before or beside the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body is not JSON.
    InvalidJson,
    /// The body is JSON of another shape.
    InvalidBody,
    /// The filter has more in it than one may.
    ComplexFilter,
    /// A part of the path cannot be read.
    InvalidPath,
    /// The query cannot be read.
    InvalidQuery,
    /// The record id is neither a number nor a UUID.
    InvalidId,
    /// A header cannot be read.
    InvalidHeader,
    /// The named collection or record does not exist.
    NotFound,
    /// Nothing lives at this path.
    UnknownRoute,
    /// The path does not know this method.
    WrongMethod,
    /// The client took too long to send its body.
    SlowBody,
    /// The body is over the limit.
    LargeBody,
    /// The body did not arrive as HTTP demands.
    BrokenBody,
    /// The body is not declared as plain JSON.
    MediaType,
    /// `Host` names another machine.
    ForeignHost,
    /// Plain HTTP where TLS is spoken.
    WantsTls,
    /// No turn came within the waiting time.
    Overloaded,
    /// The caller asked for more than they may over time.
    RateLimited,
    /// The request took longer than it may.
    SlowRequest,
    /// No key was shown, or one that is not good.
    Unauthenticated,
    /// The keys that tokens of end users are signed with cannot be had.
    KeysUnavailable,
    /// The server has no root key yet.
    Sealed,
    /// The text is no share of a root key.
    InvalidShare,
    /// The shares do not give the root key of this database.
    WrongShare,
    /// The key of a write was sent with another one.
    KeyReused,
    /// The write of this key still runs.
    InProgress,
    /// The write of this key was done, and its answer is not kept.
    AnswerNotKept,
    /// No more answers can be kept.
    OnceFull,
    /// A fault of this program.
    Internal,
}

impl Refusal {
    fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidJson => (StatusCode::BAD_REQUEST, "invalid_json", "The body is not valid JSON"),
            Self::InvalidBody => (StatusCode::BAD_REQUEST, "invalid_body", "The body does not have the expected shape"),
            Self::ComplexFilter => (StatusCode::BAD_REQUEST, "filter_too_complex", "The filter has too much in it"),
            Self::InvalidPath => (StatusCode::BAD_REQUEST, "invalid_path", "The path cannot be read"),
            Self::InvalidQuery => (StatusCode::BAD_REQUEST, "invalid_query", "The query cannot be read"),
            Self::InvalidId => (StatusCode::BAD_REQUEST, "invalid_id", "The record id is not usable"),
            Self::InvalidHeader => (StatusCode::BAD_REQUEST, "invalid_header", "A header cannot be read"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", NOT_FOUND),
            Self::UnknownRoute => (StatusCode::NOT_FOUND, "unknown_route", "Nothing lives at this path"),
            Self::WrongMethod => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The path does not know this method")
            }
            Self::SlowBody => (StatusCode::REQUEST_TIMEOUT, "body_timeout", "The body took too long to arrive"),
            Self::LargeBody => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is over the limit"),
            Self::BrokenBody => (StatusCode::BAD_REQUEST, "broken_body", "The body did not arrive whole"),
            Self::MediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body is not declared as JSON")
            }
            Self::ForeignHost => {
                (StatusCode::MISDIRECTED_REQUEST, "foreign_host", "The request is meant for another host")
            }
            Self::WantsTls => (StatusCode::BAD_REQUEST, "wants_tls", "This port speaks TLS"),
            Self::Unauthenticated => {
                (StatusCode::UNAUTHORIZED, "unauthenticated", "The request shows no API key that is good")
            }
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "The server is busy"),
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "The caller asks for too much"),
            Self::SlowRequest => (StatusCode::SERVICE_UNAVAILABLE, "request_timeout", "The request takes too long"),
            Self::KeysUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "token_keys_unavailable",
                "The keys of end users' tokens are not there",
            ),
            Self::Sealed => (StatusCode::SERVICE_UNAVAILABLE, "sealed", "The server waits for shares of its root key"),
            Self::InvalidShare => (StatusCode::BAD_REQUEST, "invalid_share", "The text is no share of a root key"),
            Self::WrongShare => (StatusCode::CONFLICT, "wrong_share", "The share does not lead to the root key"),
            Self::KeyReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "The key is that of another request")
            }
            Self::InProgress => (StatusCode::CONFLICT, "request_in_progress", "The first such request still runs"),
            Self::AnswerNotKept => (StatusCode::CONFLICT, "answer_not_kept", "It was done; its answer is not kept"),
            Self::OnceFull => (StatusCode::SERVICE_UNAVAILABLE, "idempotency_full", "No more answers can be kept"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed"),
        }
    }
}

/// A refusal as RFC 9457 has it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:lethedb:problem:` and the code.
    #[serde(rename = "type")]
    kind: Box<str>,
    /// The same for every problem of this code.
    pub title: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// Stable, for programs.
    pub code: &'static str,
    /// After how many seconds it may be asked again; said in a header.
    #[serde(skip)]
    pub retry_seconds: Option<u32>,
    /// The member of the body that is wrong, where that is known and its name is one of ours; `detail` has it, too.
    #[serde(skip)]
    pub field: Option<Box<str>>,
    /// What others are to approve, where that is missing.
    #[serde(flatten)]
    #[schema(value_type = NeededShape)]
    pub approval: Option<Box<NeededBody>>,
}

/// What others are to approve: see `lethedb approve`.
#[derive(Clone, Debug, Serialize)]
pub struct NeededBody {
    /// The canonical operation, in hexadecimal digits: what is signed.
    pub operation: String,
    /// What it does, of which the operation holds the hash.
    pub statement: String,
    /// How many must vote.
    pub votes: usize,
}

/// How the schema shows what an approval needs: a problem has all of it or, as nearly always, nothing.
#[derive(ToSchema)]
#[schema(as = Needed)]
#[allow(dead_code, reason = "read by the schema alone")]
struct NeededShape {
    /// The canonical operation, in hexadecimal digits: what is signed.
    operation: Option<String>,
    /// What it does, of which the operation holds the hash.
    statement: Option<String>,
    /// How many must vote.
    votes: Option<usize>,
}

/// The problem that an answer is, for whoever counts them or says them in another form.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.detail)]
pub struct Told(pub Arc<Problem>);

/// A problem.
#[derive(IntoResponses)]
#[response(status = "default", content_type = "application/problem+json")]
#[allow(dead_code, reason = "read by the API description alone")]
pub struct Refused(Problem);

impl Problem {
    /// A problem that REST itself found. `detail` holds nothing that the client sent.
    pub fn new(refusal: Refusal, detail: impl Into<String>) -> Self {
        let (status, code, title) = refusal.facts();
        Self::of(status, code, title, detail.into())
    }

    /// The same, to be asked again no sooner than after so many seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_seconds = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// The same, of this member of the body.
    pub fn about(mut self, field: impl Into<Box<str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    fn of(status: StatusCode, code: &'static str, title: &'static str, detail: String) -> Self {
        // A full disk is not empty a second later.
        let retry_seconds = match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Some(1),
            StatusCode::INSUFFICIENT_STORAGE => Some(30),
            _ => None,
        };
        let kind = format!("urn:lethedb:problem:{code}").into_boxed_str();
        Self { kind, title, status: status.as_u16(), detail, code, retry_seconds, field: None, approval: None }
    }
}

impl From<engine::Error> for Problem {
    fn from(error: engine::Error) -> Self {
        let (status, title) = status_and_title(error.kind());
        if status.is_server_error() {
            tracing::error!(kind = error.kind().as_str(), %error, "the engine failed");
        }
        let approval = error.approval_needed().map(|needed| {
            Box::new(NeededBody {
                operation: needed.operation.clone(),
                statement: needed.statement.clone(),
                votes: needed.votes,
            })
        });
        let code = match error.wrong() {
            Some(Wrong::Vector) => "invalid_vector",
            Some(Wrong::Range) => "out_of_range",
            None => code(error.kind()),
        };
        Self { approval, ..Self::of(status, code, title, error.to_string()) }
    }
}

/// The code of an engine's error; what concerns the whole storage is told apart from what a request met.
fn code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Full => "disk_full",
        ErrorKind::Poisoned => "storage_poisoned",
        other => other.as_str(),
    }
}

fn status_and_title(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::Invalid => (StatusCode::BAD_REQUEST, "The request is not usable"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, NOT_FOUND),
        ErrorKind::Conflict => (StatusCode::CONFLICT, "What is there is not what the request expects"),
        ErrorKind::Denied => (StatusCode::FORBIDDEN, "The caller may not do this"),
        ErrorKind::Unapproved => (StatusCode::FORBIDDEN, "Others must approve it first"),
        ErrorKind::Erased => (StatusCode::GONE, "The data was erased"),
        ErrorKind::ConsentRevoked => (StatusCode::CONFLICT, "The data subject withdrew consent"),
        ErrorKind::Held => (StatusCode::CONFLICT, "A legal hold keeps the data"),
        ErrorKind::BudgetExhausted => (StatusCode::FORBIDDEN, "The privacy budget is spent"),
        ErrorKind::KeyUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "A key is not available"),
        ErrorKind::Busy => (StatusCode::SERVICE_UNAVAILABLE, "Something else holds what is needed"),
        ErrorKind::Full => (StatusCode::INSUFFICIENT_STORAGE, "The disk is full"),
        ErrorKind::LimitReached => (StatusCode::CONFLICT, "The collection holds as much as its limits allow"),
        ErrorKind::Poisoned => (StatusCode::SERVICE_UNAVAILABLE, "A sync failed; writes wait for a restart"),
        ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "Stored bytes are damaged"),
        ErrorKind::Unsupported => (StatusCode::NOT_IMPLEMENTED, "This build cannot do it"),
        ErrorKind::Closed => (StatusCode::SERVICE_UNAVAILABLE, "The database is closed"),
        // `Io`, and kinds that a later engine adds.
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "The operating system refused an operation"),
    }
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        let refusal = match error {
            JsonError::Syntax { .. } => Refusal::InvalidJson,
            _ if error.is_complex_filter() => Refusal::ComplexFilter,
            JsonError::Shape { .. } | JsonError::Member { .. } => Refusal::InvalidBody,
        };
        let problem = Self::new(refusal, error.to_string());
        match error.field() {
            Some(field) => problem.about(field),
            None => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let told = Told(Arc::new(self));
        let mut response = (status, Json(&*told.0)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = told.0.retry_seconds {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(told);
        response
    }
}

/// Turns the plain refusals of the layers below (router, body limit) into problems, so that there is one kind of error.
pub async fn only_problems(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE);
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (refusal, detail) = match status {
        StatusCode::NOT_FOUND => {
            (Refusal::UnknownRoute, "the API is described at /docs, and for programs at /openapi.json")
        }
        StatusCode::METHOD_NOT_ALLOWED => (Refusal::WrongMethod, "the header Allow lists the methods it knows"),
        StatusCode::PAYLOAD_TOO_LARGE => (Refusal::LargeBody, "split the request, or raise server.body_bytes_max"),
        _ => (Refusal::Internal, "no further detail"),
    };
    let mut problem = Problem::new(refusal, detail).into_response();
    if let Some(methods) = response.headers().get(ALLOW) {
        problem.headers_mut().insert(ALLOW, methods.clone());
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_the_contract() {
        let table = [
            (ErrorKind::Invalid, 400),
            (ErrorKind::NotFound, 404),
            (ErrorKind::Conflict, 409),
            (ErrorKind::Denied, 403),
            (ErrorKind::Unapproved, 403),
            (ErrorKind::Erased, 410),
            (ErrorKind::ConsentRevoked, 409),
            (ErrorKind::Held, 409),
            (ErrorKind::BudgetExhausted, 403),
            (ErrorKind::KeyUnavailable, 503),
            (ErrorKind::Busy, 503),
            (ErrorKind::Full, 507),
            (ErrorKind::LimitReached, 409),
            (ErrorKind::Poisoned, 503),
            (ErrorKind::Corrupt, 500),
            (ErrorKind::Io, 500),
            (ErrorKind::Unsupported, 501),
            (ErrorKind::Closed, 503),
        ];
        for (kind, status) in table {
            assert_eq!(status_and_title(kind).0.as_u16(), status, "{kind:?}");
        }
        assert_eq!((code(ErrorKind::Full), code(ErrorKind::Poisoned)), ("disk_full", "storage_poisoned"));
        assert_eq!(code(ErrorKind::Busy), "busy");
    }

    #[test]
    fn a_full_disk_says_when_to_come_back() {
        let (status, title) = status_and_title(ErrorKind::Full);
        let response = Problem::of(status, code(ErrorKind::Full), title, "later".into()).into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[RETRY_AFTER]),
            (507, &HeaderValue::from_static("30"))
        );
    }

    #[test]
    fn a_problem_has_the_five_members() {
        let response = Problem::new(Refusal::Overloaded, "later").into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        let text = serde_json::to_value(Problem::new(Refusal::InvalidId, "no")).unwrap_or_default();
        let expected = serde_json::json!({
            "type": "urn:lethedb:problem:invalid_id", "title": "The record id is not usable",
            "status": 400, "detail": "no", "code": "invalid_id",
        });
        assert_eq!(text, expected);
    }
}
