//! Consent: revoking it for good, and how it stands. The id stands in bodies, where no proxy logs it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use engine::Permission;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::error::{Problem, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::ConsentAnswer;

/// Whose consent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentBody {
    /// The data subject, exactly as its records name it.
    entity: String,
}

/// How many have revoked.
#[derive(Serialize, ToSchema)]
pub struct ConsentsAnswer {
    /// Data subjects whose data is never taken in again.
    revoked: u64,
}

/// Tells how many data subjects have revoked consent. Who they are nothing tells.
#[utoipa::path(get, operation_id = "get_consents", path = "/v1/admin/consent", tag = "admin", params(Header),
    responses((status = 200, description = "the number", body = ConsentsAnswer), Refused))]
pub async fn list(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        let environment = tenant.open(database)?;
        environment.demand(Permission::ConsentRead)?;
        let revoked = environment.revoked_consents();
        Ok(answer(StatusCode::OK, &ConsentsAnswer { revoked }))
    })
    .await
}

/// Revokes the consent of a data subject, for good: no write of its data is taken any more. What is stored stays until it
/// is deleted or erased. Repeating it changes nothing.
#[utoipa::path(post, operation_id = "revoke_consent", path = "/v1/admin/consent", tag = "admin", params(Header),
    request_body = ConsentBody,
    responses((status = 200, description = "revoked", body = ConsentAnswer), Refused))]
pub async fn revoke(
    State(app): State<App>,
    tenant: Tenant,
    Body(body): Body<ConsentBody>,
) -> Result<Response, Problem> {
    app.run(move |database| {
        let environment = tenant.open(database)?;
        environment.revoke_consent(&body.entity)?;
        let consent = environment.consent(&body.entity)?;
        Ok(answer(StatusCode::OK, &ConsentAnswer { entity_id: body.entity, consent }))
    })
    .await
}

/// Tells how the consent of a data subject stands.
#[utoipa::path(post, operation_id = "get_consent", path = "/v1/admin/consent/state", tag = "admin", params(Header),
    request_body = ConsentBody,
    responses((status = 200, description = "how it stands", body = ConsentAnswer), Refused))]
pub async fn state(State(app): State<App>, tenant: Tenant, Body(body): Body<ConsentBody>) -> Result<Response, Problem> {
    app.run(move |database| {
        let consent = tenant.open(database)?.consent(&body.entity)?;
        Ok(answer(StatusCode::OK, &ConsentAnswer { entity_id: body.entity, consent }))
    })
    .await
}
