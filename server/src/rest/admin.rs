//! Erasing a person: the one act that cannot be undone.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::error::{Problem, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::EraseAnswer;

/// Whom to erase.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseBody {
    /// The data subject, exactly as the records name it.
    entity: String,
    /// Why, for the audit log.
    reason: Option<String>,
}

/// Erases an entity: its records, their codes, graph, log entries and keys. Answers when all is done.
#[utoipa::path(delete, operation_id = "erase_entity", path = "/v1/admin/entity/{id}", tag = "admin",
    params(("id" = String, Path, description = "the entity, percent-encoded"), Header),
    responses((status = 200, description = "erased", body = EraseAnswer), Refused))]
pub async fn delete(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(entity) = path?;
    erase(app, tenant, EraseBody { entity, reason: None }).await
}

/// Erases the entity whose id is `erase`: for it alone the path of [`delete`] is that of [`post`].
pub async fn delete_erase(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    erase(app, tenant, EraseBody { entity: "erase".into(), reason: None }).await
}

/// Erases the entity whose id is `export`, which is a path of its own for the same reason.
pub async fn delete_export(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    erase(app, tenant, EraseBody { entity: "export".into(), reason: None }).await
}

/// Erases an entity whose id stands in the body, where no proxy logs it.
#[utoipa::path(post, operation_id = "erase_entity_in_body", path = "/v1/admin/entity/erase", tag = "admin", params(Header), request_body = EraseBody,
    responses((status = 200, description = "erased", body = EraseAnswer), Refused))]
pub async fn post(State(app): State<App>, tenant: Tenant, Body(body): Body<EraseBody>) -> Result<Response, Problem> {
    erase(app, tenant, body).await
}

async fn erase(app: App, tenant: Tenant, body: EraseBody) -> Result<Response, Problem> {
    app.run(move |database| {
        let environment = tenant.open(database)?;
        let mut erase = environment.erase(&body.entity);
        if let Some(reason) = body.reason {
            erase = erase.reason(reason);
        }
        let erasure = erase.run()?;
        Ok(answer(StatusCode::OK, &EraseAnswer::new(body.entity, &erasure)))
    })
    .await
}
