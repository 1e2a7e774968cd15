//! Admission: what is refused before any work is done for it, because its caller asks for too much.
//!
//! Invariant: who asks for too much is told so at once, with the time after which to ask again, and costs others nothing:
//! buckets are one for each key, environment and address. An address pays before it is asked for a key, so that trying
//! keys is paid for, and ten times for one that is not good. A request that takes too long is answered, not undone.
//!
//! A unit is about what reading one record costs. The body's size stands for the dimension and the number of vectors; a
//! search pays more for a wider `ef` and more hits once its body was read ([`App::charge`]).

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::auth::{Caller, OPEN, Peer};
use super::error::{Problem, Refusal};
use super::route::{method_of, path_of};
use super::state::App;
use super::tenant;
use super::visit::Visit;

/// So many bytes of a body cost a unit.
const BYTES_A_UNIT: u64 = 16 << 10;
/// What an act of administration costs: most write to disk and to the audit log.
const ADMIN_UNITS: u32 = 10;
/// What a key that is not good costs on top.
const BAD_KEY_UNITS: u32 = 9;

/// Refuses an address that asks for more than it may.
pub async fn only_within_means(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(Peer(address)) = request.extensions().get::<Peer>().copied() else { return next.run(request).await };
    if let Err(problem) = app.charge_address(address, 1) {
        return problem.into_response();
    }
    let response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        _ = app.charge_address(address, BAD_KEY_UNITS);
    }
    response
}

/// Refuses a key and an environment that ask for more than they may, and stops waiting for what takes too long.
pub async fn only_in_measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(visit) = visit(&app, &request) else { return next.run(request).await };
    let (cost, patience) = (units(&request), patience(&app, &request));
    let answered = visit.scope(async {
        if let Err(problem) = app.charge(cost) {
            return problem.into_response();
        }
        match patience {
            None => next.run(request).await,
            Some(patience) => timeout(patience, next.run(request)).await.unwrap_or_else(|_| {
                let detail = "it took longer than limits.request_seconds; what it began may still be done";
                Problem::new(Refusal::SlowRequest, detail).into_response()
            }),
        }
    });
    answered.await
}

/// Of whom a request is; none where nobody is asked for a key.
fn visit(app: &App, request: &Request) -> Option<Visit> {
    if OPEN.contains(&path_of(request)) {
        return None;
    }
    let caller = request.extensions().get::<Caller>()?;
    let named = || request.headers().get(tenant::HEADER).and_then(|name| name.to_str().ok());
    let (environment, key_id) = match &caller.session {
        Some(session) => (session.environment_name(), Some(session.key_id())),
        None => (named().unwrap_or(app.config().store.environment.as_str()), None),
    };
    Some(Visit::new(environment, key_id))
}

/// What a request costs, as far as its head tells.
fn units(request: &Request) -> u32 {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let is_admin = is_admin(request) && method_of(request) != Method::GET;
    units_of(length.unwrap_or_default()).saturating_add(if is_admin { ADMIN_UNITS } else { 1 })
}

/// What a body of so many bytes costs.
pub fn units_of(bytes: u64) -> u32 {
    u32::try_from(bytes / BYTES_A_UNIT).unwrap_or(u32::MAX)
}

fn patience(app: &App, request: &Request) -> Option<Duration> {
    let seconds = app.config().limits.request_seconds;
    (seconds > 0 && !is_admin(request)).then(|| Duration::from_secs(seconds))
}

fn is_admin(request: &Request) -> bool {
    path_of(request).starts_with("/v1/admin/")
}
