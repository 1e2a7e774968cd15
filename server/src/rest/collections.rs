//! Vector spaces: make, list, describe, drop.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::{
    Collection, CollectionInfo, ErrorKind, IndexKind, Limits, Metric, Permission, Schema, SegmentInfo, Upkeep,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::error::{Problem, Refusal, Refused};
use super::indexes::IndexAnswer;
use super::rules::{LimitsShape, SchemaShape};
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{KeptAnswer, Object};

/// A vector space to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionBody {
    /// Numbers in a vector, from 1 to 4096.
    dimension: usize,
    /// What near means.
    #[schema(value_type = MetricName)]
    metric: Metric,
    /// What payloads must be like; anything if absent.
    #[schema(value_type = Option<SchemaShape>)]
    schema: Option<Object<Schema>>,
    /// How much it may hold; as much as fits if absent.
    #[schema(value_type = Option<LimitsShape>)]
    limits: Option<Object<Limits>>,
}

/// How the schema shows a metric.
#[derive(ToSchema)]
#[schema(as = Metric, rename_all = "lowercase")]
#[allow(dead_code, reason = "read by the schema alone")]
pub enum MetricName {
    /// Cosine similarity: higher is nearer.
    Cosine,
    /// Dot product: higher is nearer.
    Dot,
    /// Euclidean distance: lower is nearer.
    L2,
}

/// A vector space as it stands.
#[derive(Serialize, ToSchema)]
pub struct CollectionAnswer {
    name: String,
    /// As what the audit log and statements to approve name it.
    id: String,
    /// The other names it goes by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
    dimension: usize,
    #[schema(value_type = MetricName)]
    metric: Metric,
    /// Records that a search can find.
    records: u64,
    /// Immutable sets of rows.
    segments: u64,
    /// Records that are in no segment yet.
    memtable_records: u64,
    /// Size of its files.
    disk_bytes: u64,
    /// Memory that its loaded indexes take.
    resident_bytes: u64,
    /// Whether the system keeps the codes and graphs in it out of swap.
    is_locked: bool,
    /// Segments that lost rows to an erasure and whose graph waits to be rebuilt from the rows that are left.
    repaired_segments: u64,
    /// Damaged segments, which every answer leaves out, as paths inside the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<String>,
    /// Fields of payloads that are indexed because somebody said so.
    payload_indexes: Vec<IndexAnswer>,
    /// What payloads must be like; absent if they may be anything.
    #[serde(skip_serializing_if = "Schema::is_empty")]
    #[schema(value_type = Option<SchemaShape>)]
    schema: Schema,
    /// How much it may hold.
    #[schema(value_type = LimitsShape)]
    limits: Limits,
    /// How long it keeps a record after its last write; absent if for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<KeptAnswer>,
    /// Its segments, oldest first, where one collection is described.
    #[serde(skip_serializing_if = "Option::is_none")]
    segment_details: Option<Vec<SegmentAnswer>>,
}

/// A segment as it stands.
#[derive(Serialize, ToSchema)]
pub struct SegmentAnswer {
    /// The path of its files inside the environment.
    name: String,
    records: u64,
    /// Rows whose bytes go when it is rewritten.
    dead_rows: u64,
    disk_bytes: u64,
    resident_bytes: u64,
    /// What searches in it use.
    #[schema(value_type = IndexKindName)]
    index: IndexKind,
    /// What upkeep is to do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<UpkeepName>)]
    due: Option<Upkeep>,
}

/// How the schema shows what searches in a segment use.
#[derive(ToSchema)]
#[schema(as = IndexKind, rename_all = "snake_case")]
#[allow(dead_code, reason = "read by the schema alone")]
enum IndexKindName {
    /// A graph.
    Graph,
    /// All codes: there are too few rows for a graph.
    Flat,
    /// Nothing yet: the index is loaded when it is needed first.
    Unloaded,
    /// Nothing: the segment is damaged.
    Damaged,
}

/// How the schema shows what upkeep is to do.
#[derive(ToSchema)]
#[schema(as = Upkeep, rename_all = "snake_case")]
#[allow(dead_code, reason = "read by the schema alone")]
enum UpkeepName {
    /// Build its graph from the rows that an erasure left.
    Rebuild,
    /// Write it anew, because its index lacks a field or is damaged.
    Mend,
    /// Merge it with others, or rid it of dead rows.
    Compact,
}

impl From<SegmentInfo> for SegmentAnswer {
    fn from(info: SegmentInfo) -> Self {
        let SegmentInfo { name, records, dead_rows, disk_bytes, resident_bytes, index, due } = info;
        Self { name, records, dead_rows, disk_bytes, resident_bytes, index, due }
    }
}

impl CollectionAnswer {
    /// All that is to be said of one.
    fn detailed(collection: &Collection) -> Self {
        let segments = collection.segments().into_iter().map(SegmentAnswer::from).collect();
        Self { segment_details: Some(segments), ..Self::from(collection.info()) }
    }
}

impl From<CollectionInfo> for CollectionAnswer {
    fn from(info: CollectionInfo) -> Self {
        Self {
            name: info.name,
            id: info.id,
            aliases: info.aliases,
            dimension: info.dimension,
            metric: info.metric,
            records: info.records,
            segments: info.segments,
            memtable_records: info.memtable_records,
            disk_bytes: info.disk_bytes,
            resident_bytes: info.resident_bytes,
            is_locked: info.is_locked,
            repaired_segments: info.repaired_segments,
            damaged: info.damaged,
            payload_indexes: info.payload_indexes.into_iter().map(IndexAnswer::from).collect(),
            schema: info.schema,
            limits: info.limits,
            retention: info.retention.map(KeptAnswer::from),
            segment_details: None,
        }
    }
}

/// All vector spaces of an environment.
#[derive(Serialize, ToSchema)]
pub struct CollectionsAnswer {
    collections: Vec<CollectionAnswer>,
}

/// Lists the collections of the environment.
#[utoipa::path(get, operation_id = "list_collections", path = "/v1/collections", tag = "collections", params(Header), responses(
    (status = 200, description = "as it stands", body = CollectionsAnswer),
    Refused,
))]
pub async fn list(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        let environment = tenant.open(database)?;
        environment.demand(Permission::CollectionList)?;
        let collections = environment.collections().into_iter().map(CollectionAnswer::from).collect();
        Ok(answer(StatusCode::OK, &CollectionsAnswer { collections }))
    })
    .await
}

/// Makes a collection, and its environment if that does not exist. Repeating it changes nothing.
#[utoipa::path(put, operation_id = "put_collection", path = "/v1/collections/{collection}", tag = "collections", params(
    ("collection" = String, Path, description = "1 to 64 letters, digits, `_` or `-`, a letter or digit first"),
    Header,
), request_body = CollectionBody, responses(
    (status = 201, description = "made", body = CollectionAnswer),
    (status = 200, description = "it was there, with this dimension and metric, and with the schema and limits if any are named", body = CollectionAnswer),
    Refused,
))]
pub async fn put(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<CollectionBody>,
) -> Result<Response, Problem> {
    let Path(name) = path?;
    app.run(move |database| {
        let environment = tenant.open_or_create(database)?;
        let wanted = || {
            let mut wanted = environment.collection(&name).dimension(body.dimension).metric(body.metric);
            if let Some(Object(schema)) = &body.schema {
                wanted = wanted.schema(schema.clone());
            }
            if let Some(Object(limits)) = &body.limits {
                wanted = wanted.limits(*limits);
            }
            wanted
        };
        let (status, collection) = match wanted().create() {
            Err(error) if error.kind() == ErrorKind::Conflict => (StatusCode::OK, wanted().open_or_create()?),
            created => (StatusCode::CREATED, created?),
        };
        Ok(answer(status, &CollectionAnswer::detailed(&collection)))
    })
    .await
}

/// Describes a collection.
#[utoipa::path(get, operation_id = "describe_collection", path = "/v1/collections/{collection}", tag = "collections", params(
    ("collection" = String, Path), Header,
), responses(
    (status = 200, description = "as it stands", body = CollectionAnswer),
    Refused,
))]
pub async fn get(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(name) = path?;
    app.run(move |database| {
        let environment = tenant.open(database)?;
        environment.demand(Permission::CollectionList)?;
        let collection = environment.open_collection(&name)?;
        Ok(answer(StatusCode::OK, &CollectionAnswer::detailed(&collection)))
    })
    .await
}

/// Drops a collection with all its records and aliases. An alias is refused: what goes is said by its own name.
#[utoipa::path(delete, operation_id = "drop_collection", path = "/v1/collections/{collection}", tag = "collections", params(
    ("collection" = String, Path), Header,
), responses(
    (status = 204, description = "dropped"),
    Refused,
))]
pub async fn delete(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(name) = path?;
    app.run(move |database| {
        if !tenant.open(database)?.drop_collection(&name)? {
            return Err(Problem::new(Refusal::NotFound, "there is no such collection"));
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}
