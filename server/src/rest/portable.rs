//! Everything that is stored about one person, for them to have (access and portability).

use std::io;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::Body;
use super::error::{Problem, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::PortableRecord;

/// Whose records.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportBody {
    /// The data subject, exactly as its records name it.
    entity: String,
}

/// Sends every record of an entity, of all collections and of one moment, as lines of JSON: each a record with its
/// vector, payload and the name of its collection. An answer that does not come whole ends with a broken connection.
#[utoipa::path(get, operation_id = "export_entity", path = "/v1/admin/entity/{id}/export", tag = "admin",
    params(("id" = String, Path, description = "the entity, percent-encoded"), Header),
    responses((status = 200, description = "a record a line", content_type = "application/x-ndjson", body = String), Refused))]
pub async fn get(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(entity) = path?;
    export(app, tenant, entity).await
}

/// The same for an entity whose id stands in the body, where no proxy logs it.
#[utoipa::path(post, operation_id = "export_entity_in_body", path = "/v1/admin/entity/export", tag = "admin",
    params(Header), request_body = ExportBody,
    responses((status = 200, description = "a record a line", content_type = "application/x-ndjson", body = String), Refused))]
pub async fn post(State(app): State<App>, tenant: Tenant, Body(body): Body<ExportBody>) -> Result<Response, Problem> {
    export(app, tenant, body.entity).await
}

async fn export(app: App, tenant: Tenant, entity: String) -> Result<Response, Problem> {
    app.stream(move |database| {
        let records = tenant.open(database)?.export_entity(entity)?;
        Ok(records.map(|found| {
            let (collection, record) = found.map_err(io::Error::other)?;
            let mut line = serde_json::to_vec(&PortableRecord::new(&collection, record))?;
            line.push(b'\n');
            Ok(line)
        }))
    })
    .await
}
