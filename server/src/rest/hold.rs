//! Legal holds: whose data stays although somebody asks for its erasure. Ids stand in bodies, where no proxy logs them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use engine::Environment;
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::error::{Problem, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{HoldAnswer, HoldsAnswer};

/// Whom to hold, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldBody {
    /// The data subject, exactly as its records name it.
    entity: String,
    /// Why, at most 1024 bytes; it should not name the person.
    reason: String,
}

/// Whom it is about.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldBody {
    /// The data subject, exactly as its records name it.
    entity: String,
}

/// Lists the holds, without whose they are.
#[utoipa::path(get, operation_id = "list_holds", path = "/v1/admin/holds", tag = "admin", params(Header),
    responses((status = 200, description = "all holds", body = HoldsAnswer), Refused))]
pub async fn list(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        let holds = tenant.open(database)?.holds()?.into_iter().map(Into::into).collect();
        Ok(answer(StatusCode::OK, &HoldsAnswer { holds }))
    })
    .await
}

/// Holds a data subject: its erasure is refused, and retention passes it over, until it is released. Ordinary deletes and
/// updates go on. Repeating it replaces the reason.
#[utoipa::path(post, operation_id = "place_hold", path = "/v1/admin/holds", tag = "admin", params(Header),
    request_body = HoldBody, responses((status = 200, description = "held", body = HoldAnswer), Refused))]
pub async fn place(State(app): State<App>, tenant: Tenant, Body(body): Body<HoldBody>) -> Result<Response, Problem> {
    app.run(move |database| {
        let environment = tenant.open(database)?;
        environment.hold(&body.entity, &body.reason)?;
        show(&environment, body.entity)
    })
    .await
}

/// Releases a data subject. Of its hold nothing is kept.
#[utoipa::path(post, operation_id = "release_hold", path = "/v1/admin/holds/release", tag = "admin", params(Header),
    request_body = HeldBody, responses((status = 200, description = "not held", body = HoldAnswer), Refused))]
pub async fn release(State(app): State<App>, tenant: Tenant, Body(body): Body<HeldBody>) -> Result<Response, Problem> {
    app.run(move |database| {
        let environment = tenant.open(database)?;
        environment.release_hold(&body.entity)?;
        show(&environment, body.entity)
    })
    .await
}

/// Tells whether a data subject is held.
#[utoipa::path(post, operation_id = "get_hold", path = "/v1/admin/holds/state", tag = "admin", params(Header),
    request_body = HeldBody, responses((status = 200, description = "whether it is held", body = HoldAnswer), Refused))]
pub async fn state(State(app): State<App>, tenant: Tenant, Body(body): Body<HeldBody>) -> Result<Response, Problem> {
    app.run(move |database| show(&tenant.open(database)?, body.entity)).await
}

fn show(environment: &Environment, entity_id: String) -> Result<Response, Problem> {
    let hold = environment.hold_of(&entity_id)?.map(Into::into);
    Ok(answer(StatusCode::OK, &HoldAnswer { entity_id, hold }))
}
