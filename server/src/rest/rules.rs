//! What is asked of a collection's records: the schema of payloads, and limits. Both concern later writes alone.

use std::collections::BTreeMap;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::{Limits, Schema};
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::error::{Problem, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};

/// What payloads must be like. It asks for nothing where it is empty.
#[derive(ToSchema)]
#[schema(as = Schema)]
#[allow(dead_code, reason = "read by the schema alone")]
pub struct SchemaShape {
    /// By key path (`lang`, `author.name`, `authors[].name`): `keyword`, `integer`, `float`, `bool`, `time`, `text` or
    /// `any`, or a list of them such as `keyword[]`. A member that is null counts as missing; a null in a
    /// list does not.
    fields: Option<BTreeMap<String, String>>,
    /// Which of the fields must be there.
    required: Option<Vec<String>>,
    /// Whether there may be no other members; false if absent.
    strict: Option<bool>,
}

/// How much a collection may hold.
#[derive(ToSchema)]
#[schema(as = Limits)]
#[allow(dead_code, reason = "read by the schema alone")]
pub struct LimitsShape {
    /// Records; as many as fit if absent.
    records_max: Option<u64>,
    /// Bytes of one payload as JSON text, as far as they are fewer than the server takes.
    payload_bytes_max: Option<u64>,
}

/// Asks something else of payloads. What is stored stays as it is, even where it does not fit.
#[utoipa::path(put, operation_id = "put_schema", path = "/v1/collections/{collection}/schema", tag = "collections",
    params(("collection" = String, Path), Header), request_body = SchemaShape,
    responses((status = 200, description = "the schema, with each path in its one form", body = SchemaShape), Refused))]
pub async fn put_schema(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(schema): Body<Schema>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    app.run(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        collection.set_schema(&schema)?;
        Ok(answer(StatusCode::OK, &collection.schema()))
    })
    .await
}

/// Replaces the limits. What is stored stays, even beyond them.
#[utoipa::path(put, operation_id = "put_limits", path = "/v1/collections/{collection}/limits", tag = "collections",
    params(("collection" = String, Path), Header), request_body = LimitsShape,
    responses((status = 200, description = "the limits", body = LimitsShape), Refused))]
pub async fn put_limits(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(limits): Body<Limits>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    app.run(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        collection.set_limits(limits)?;
        Ok(answer(StatusCode::OK, &collection.limits()))
    })
    .await
}
