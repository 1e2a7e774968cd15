//! Indexes of payloads: which fields a collection has indexed because somebody said so.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::{FieldType, PayloadIndex};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::error::{Problem, Refusal, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};

/// A field to index.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexBody {
    /// Its key path, as in filters.
    field: String,
    /// As what it is indexed.
    #[schema(value_type = FieldTypeName)]
    r#type: FieldType,
}

/// An indexed field.
#[derive(Serialize, ToSchema)]
pub struct IndexAnswer {
    field: String,
    #[schema(value_type = FieldTypeName)]
    r#type: FieldType,
    /// Segments whose loaded index has it.
    ready_segments: u64,
    /// Segments whose loaded index lacks it until upkeep rewrites them.
    pending_segments: u64,
}

impl From<PayloadIndex> for IndexAnswer {
    fn from(index: PayloadIndex) -> Self {
        let PayloadIndex { field, kind, ready_segments, pending_segments } = index;
        Self { field, r#type: kind, ready_segments, pending_segments }
    }
}

/// The fields of a collection.
#[derive(Serialize, ToSchema)]
pub struct IndexesAnswer {
    /// In the order of their names.
    payload_indexes: Vec<IndexAnswer>,
}

/// How the schema shows a kind of index. Filters mean the same whatever it is.
#[derive(ToSchema)]
#[schema(as = FieldType, rename_all = "lowercase")]
#[allow(dead_code, reason = "read by the schema alone")]
pub enum FieldTypeName {
    /// Texts that are compared whole, or by how they start.
    Keyword,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Float,
    /// True or false.
    Bool,
    /// Moments as in RFC 3339.
    Time,
    /// Texts that are found by their words.
    Text,
}

/// Has a field of payloads indexed in every segment. Those that are there get it when upkeep rewrites them. Repeating it
/// changes nothing, another type replaces the one before.
#[utoipa::path(put, operation_id = "put_payload_index", path = "/v1/collections/{collection}/indexes", tag = "collections",
    params(("collection" = String, Path), Header), request_body = IndexBody,
    responses((status = 200, description = "all indexed fields", body = IndexesAnswer), Refused))]
pub async fn put(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<IndexBody>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    app.run(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        collection.create_payload_index(&body.field, body.r#type)?;
        let payload_indexes = collection.payload_indexes().into_iter().map(IndexAnswer::from).collect();
        Ok(answer(StatusCode::OK, &IndexesAnswer { payload_indexes }))
    })
    .await
}

/// Has a field indexed no longer, unless most records of a segment have it.
#[utoipa::path(delete, operation_id = "drop_payload_index", path = "/v1/collections/{collection}/indexes/{field}",
    tag = "collections", params(("collection" = String, Path), ("field" = String, Path, description = "a key path"), Header),
    responses((status = 204, description = "dropped"), Refused))]
pub async fn delete(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((collection, field)) = path?;
    app.run(move |database| {
        if !tenant.open(database)?.open_collection(&collection)?.drop_payload_index(&field)? {
            return Err(Problem::new(Refusal::NotFound, "the field is not indexed because somebody said so"));
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}
