//! JSON bodies, in and out.
//!
//! Invariant: a body is read only if it is declared as plain JSON, within the size and time limits, and parsed strictly
//! on a thread where long work is allowed.

use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::error::{Problem, Refusal};
use super::state::App;
use crate::json::{self, Object};

/// Bodies up to this size are parsed where they are read: handing them over would cost more.
const SMALL_BYTES_MAX: usize = 64 << 10;

/// A request body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !is_plain_json(request.headers()) {
            let detail = "send Content-Type: application/json without a content encoding";
            return Err(Problem::new(Refusal::MediaType, detail));
        }
        let bytes = read(request, app).await?;
        if bytes.len() <= SMALL_BYTES_MAX {
            return Ok(Self(json::parse::<Object<T>>(&bytes)?.0));
        }
        let parsed = spawn_blocking(move || json::parse::<Object<T>>(&bytes)).await;
        let parsed = parsed.map_err(|_| Problem::new(Refusal::Internal, "the body was not read to its end"))?;
        Ok(Self(parsed?.0))
    }
}

/// The bytes of a body, within the limits of size and time.
///
/// # Errors
/// `body_timeout`, `body_too_large`, `broken_body`.
pub async fn read(request: Request, app: &App) -> Result<Bytes, Problem> {
    let server = &app.config().server;
    let body = to_bytes(request.into_body(), server.body_bytes_max);
    match timeout(Duration::from_secs(server.body_seconds), body).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Err(_) => Err(Problem::new(Refusal::SlowBody, "send it faster, or raise server.body_seconds")),
        Ok(Err(error)) if is_over_limit(&error) => {
            Err(Problem::new(Refusal::LargeBody, "split the request, or raise server.body_bytes_max"))
        }
        Ok(Err(_)) => Err(Problem::new(Refusal::BrokenBody, "it ended early, or its chunks cannot be read")),
    }
}

fn is_over_limit(error: &(dyn Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_over_limit)
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") && !headers.contains_key(CONTENT_ENCODING)
}

/// An answer, written while still on the thread where long work is allowed.
pub fn answer(status: StatusCode, value: &impl Serialize) -> Response {
    (status, Json(value)).into_response()
}
