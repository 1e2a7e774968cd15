//! Admission: what is refused before any work is done for it, because its caller asks for too much.
//!
//! Invariant: who asks for too much is told so at once, with the time after which to ask again, and costs others nothing:
//! buckets are one for each key, environment and address. An address pays before it is asked for a key, so that trying
//! keys is paid for, and ten times for one that is not good: who cannot pay that is not told what came of it. Nor is a body
//! read for which no turn would come in time. A request that takes too long is answered, not undone.
//!
//! What a head tells of the [`cost`] is paid here, as is what its caller owes; the rest once the body was read ([`App::owe`]).

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::auth::{Caller, OPEN, Peer};
use super::cost;
use super::end_user::USER_TOKEN;
use super::error::{Problem, Refusal};
use super::gate;
use super::queue::Lane;
use super::route::{is_search, may_wait, method_of, path_of};
use super::state::{App, crowded};
use super::tenant;
use super::visit::Visit;

/// The address that pays for a request at its door, and how much.
pub fn entry(request: &Request) -> Option<(IpAddr, u32)> {
    let Peer(address) = request.extensions().get::<Peer>()?;
    // Before its signature is looked at, which is far more work than anything else that needs no key.
    let token = if request.headers().contains_key(USER_TOKEN) { cost::TOKEN } else { 0 };
    Some((*address, 1 + token))
}

/// Refuses an address that asks for more than it may; for another, does what `answers`.
pub async fn only_within_means(
    app: &App,
    entry: Option<(IpAddr, u32)>,
    answers: impl Future<Output = Response>,
) -> Response {
    let Some((address, units)) = entry else { return answers.await };
    if let Err(problem) = app.purses().charge_address(address, units) {
        return problem.into_response();
    }
    let response = answers.await;
    if response.status() == StatusCode::UNAUTHORIZED
        && let Err(problem) = app.purses().fine_address(address, cost::BAD_KEY)
    {
        return problem.into_response();
    }
    response
}

/// Refuses a key and an environment that ask for more than they may, and stops waiting for what takes too long.
pub async fn only_in_measure(app: &App, request: Request, next: Next) -> Response {
    let Some(visit) = visit(app, &request) else { return next.run(request).await };
    let (cost, patience) = (units(&request), patience(app, &request));
    gate::remember(app, &request, (&visit).into());
    let turns = (!may_wait(request.method())).then(|| app.turns_of(is_search(path_of(&request))));
    let lane = Lane::clone(&visit.lane);
    let answered = visit.scope(async {
        if let Err(problem) = app.charge(cost) {
            return problem.into_response();
        }
        if turns.is_some_and(|turns| turns.are_hopeless(&lane)) {
            return crowded().into_response();
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
    Some(Visit::new(environment, key_id).for_end_user(caller.end_user))
}

/// What a request costs, as far as its head tells.
fn units(request: &Request) -> u32 {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let is_admin = is_admin(request) && method_of(request) != Method::GET;
    cost::bytes(length.unwrap_or_default()).saturating_add(if is_admin { cost::ADMIN } else { 1 })
}

fn patience(app: &App, request: &Request) -> Option<Duration> {
    let seconds = app.config().limits.request_seconds;
    (seconds > 0 && !is_admin(request)).then(|| Duration::from_secs(seconds))
}

fn is_admin(request: &Request) -> bool {
    path_of(request).starts_with("/v1/admin/")
}
