//! JSON bodies, in and out.
//!
//! Invariant: a body is read only if it is declared as plain JSON, within the limits of size, time and memory, and parsed
//! strictly on a thread where long work is allowed. What it takes of the [`pantry`](super::pantry) it keeps until its request
//! is answered, because it waits for a turn meanwhile.

use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::body::{Body as Frames, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::cost;
use super::error::{Problem, Refusal};
use super::pantry::{NoRoom, Share};
use super::state::App;
use super::visit::Visit;
use crate::json::{self, Object};
use crate::telemetry::{Stage, Stopwatch};

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

/// The bytes of a body, within the limits of size, time and the memory for all bodies.
///
/// # Errors
/// `body_timeout`, `body_too_large`, `broken_body`.
pub async fn read(request: Request, app: &App) -> Result<Bytes, Problem> {
    let patience = Duration::from_secs(app.config().server.body_seconds);
    let is_paid = request.headers().contains_key(CONTENT_LENGTH);
    let mut share = app.pantry().share();
    let mut stopwatch = Stopwatch::start();
    let bytes = timeout(patience, collect(request.into_body(), app, is_paid, &mut share)).await;
    stopwatch.lap(Stage::Body);
    Visit::keep(share);
    bytes.unwrap_or_else(|_| Err(Problem::new(Refusal::SlowBody, "send it faster, or raise server.body_seconds")))
}

/// Takes a body in as it arrives. One whose length was not announced pays for it meanwhile.
async fn collect(mut body: Frames, app: &App, is_paid: bool, share: &mut Share) -> Result<Bytes, Problem> {
    let large = || Problem::new(Refusal::LargeBody, "split the request, or raise server.body_bytes_max");
    let most = app.config().server.body_bytes_max;
    let (mut bytes, mut paid) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match is_over_limit(&error) {
            true => large(),
            false => Problem::new(Refusal::BrokenBody, "it ended early, or its chunks cannot be read"),
        })?;
        let Ok(chunk) = frame.into_data() else { continue };
        let length = bytes.len() + chunk.len();
        if length > most {
            return Err(large());
        }
        share.grow(chunk.len()).map_err(|NoRoom| {
            let detail = "the bodies of other requests take all of limits.bodies_bytes_max; try again later";
            Problem::new(Refusal::Overloaded, detail)
        })?;
        if !is_paid {
            let due = cost::bytes(length as u64);
            app.owe(due - paid)?;
            paid = due;
        }
        if bytes.is_empty() && body.is_end_stream() {
            return Ok(chunk);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
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
