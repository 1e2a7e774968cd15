//! Retention: how long collections keep records, and the removal of what is past that.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use engine::{Error, Permission, Window};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::error::{Problem, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{ClockAnswer, RetentionAnswer, WindowAnswer, WindowsAnswer};

/// How long a collection is to keep records.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowBody {
    /// The collection, or an alias.
    collection: String,
    /// The window in milliseconds, an hour at least; null keeps records for ever.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    window_ms: Option<u64>,
}

/// What to do about records past their window.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionBody {
    /// Whether to tell what would go, and do nothing; false if absent.
    #[serde(default)]
    dry_run: bool,
}

/// Tells how long every collection keeps records.
#[utoipa::path(get, operation_id = "get_retention", path = "/v1/admin/retention", tag = "admin", params(Header),
    responses((status = 200, description = "every collection", body = WindowsAnswer), Refused))]
pub async fn get(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        let environment = tenant.open(database)?;
        environment.demand(Permission::RetentionRead)?;
        let collections = environment.collections().into_iter().map(Into::into).collect();
        Ok(answer(StatusCode::OK, &WindowsAnswer { collections }))
    })
    .await
}

/// Has a collection keep a record for a window after its last write, or for ever. A record goes with its key, which writes
/// share for a sixteenth of the window (an hour at least, a day at most), hence up to that much later. What goes is gone
/// from every backup, too.
#[utoipa::path(put, operation_id = "put_retention", path = "/v1/admin/retention", tag = "admin", params(Header),
    request_body = WindowBody, responses((status = 200, description = "the window", body = WindowAnswer), Refused))]
pub async fn put(State(app): State<App>, tenant: Tenant, Body(body): Body<WindowBody>) -> Result<Response, Problem> {
    app.run(move |database| {
        let collection = tenant.open(database)?.open_collection(&body.collection)?;
        collection.set_retention(body.window_ms.map(Window::from_ms).transpose().map_err(Error::from)?)?;
        Ok(answer(StatusCode::OK, &WindowAnswer::from(collection.info())))
    })
    .await
}

/// Removes what is past its window, as the server does by itself every hour, or tells what would go. It is refused while
/// the clock is doubted, because it ran back or leapt by more than a day; or, while the server was down, by more than half
/// of the shortest window.
#[utoipa::path(post, operation_id = "run_retention", path = "/v1/admin/retention", tag = "admin", params(Header),
    request_body = RetentionBody,
    responses((status = 200, description = "what went, or would go", body = RetentionAnswer), Refused))]
pub async fn post(
    State(app): State<App>,
    tenant: Tenant,
    Body(body): Body<RetentionBody>,
) -> Result<Response, Problem> {
    app.run(move |database| {
        let retain = tenant.open(database)?.retain();
        let told: RetentionAnswer = if body.dry_run { retain.dry_run()?.into() } else { retain.run()?.into() };
        Ok(answer(StatusCode::OK, &told))
    })
    .await
}

/// Believes the clock as it is, after it was doubted. Look at another clock first: what is past by this one goes for ever.
#[utoipa::path(post, operation_id = "confirm_clock", path = "/v1/admin/retention/clock", tag = "admin", params(Header),
    responses((status = 200, description = "what the clock shows", body = ClockAnswer), Refused))]
pub async fn clock(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        let now_ms = tenant.open(database)?.retain().confirm_clock()?;
        Ok(answer(StatusCode::OK, &ClockAnswer::at(now_ms)))
    })
    .await
}
