//! Records: store, get, change, delete.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::{Collection, Filter, Record, RecordId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::cost;
use super::error::{Problem, Refusal, Refused};
use super::filter::FilterBody;
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{AsOfAnswer, Id, Object, Payload, RecordAnswer, RecordBody};

/// Records to store.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpsertBody {
    /// Each replaces the record of the same id; of several with one id the last counts.
    #[schema(value_type = Vec<RecordBody>)]
    pub records: Vec<Object<RecordBody>>,
    /// Whether all are stored or none; true if absent. If false, the answer tells which could not be stored.
    pub all_or_nothing: Option<bool>,
}

/// What was stored.
#[derive(Serialize, ToSchema)]
pub struct UpsertAnswer {
    /// How many records were stored.
    pub upserted: u64,
    /// Those that were not, where others are stored all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<RecordProblem>,
    pub as_of: AsOfAnswer,
}

/// Why a record was not stored.
#[derive(Serialize, ToSchema)]
pub struct RecordProblem {
    /// Its place in the request, from 0.
    pub at: usize,
    /// As in problems: `invalid` or `conflict`.
    pub code: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

impl From<(usize, engine::Error)> for RecordProblem {
    fn from((at, error): (usize, engine::Error)) -> Self {
        Self { at, code: error.kind().as_str(), detail: error.to_string() }
    }
}

/// Records to delete: exactly one of the members.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteBody {
    /// Ids that do not exist are passed over.
    #[schema(value_type = Option<Vec<Id>>)]
    pub ids: Option<Vec<RecordId>>,
    /// All records that match. One without a condition is refused.
    #[schema(value_type = Option<FilterBody>)]
    pub filter: Option<Object<Filter>>,
    /// Every record of the collection; false if absent.
    #[serde(default)]
    pub all: bool,
}

/// What was deleted.
#[derive(Serialize, ToSchema)]
pub struct DeleteAnswer {
    /// How many of the ids existed, or how many records matched.
    pub deleted: u64,
    pub as_of: AsOfAnswer,
}

/// Changes to make, in this order, and to which records: exactly one of `ids`, `filter` and `all`, and at least one change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateBody {
    /// Ids that do not exist are passed over.
    #[schema(value_type = Option<Vec<Id>>)]
    pub ids: Option<Vec<RecordId>>,
    /// All records that match. One without a condition is refused.
    #[schema(value_type = Option<FilterBody>)]
    pub filter: Option<Object<Filter>>,
    /// Every record of the collection; false if absent.
    #[serde(default)]
    pub all: bool,
    /// The new vector.
    pub vector: Option<Vec<f32>>,
    /// The new payload.
    #[schema(value_type = Option<serde_json::Value>)]
    pub overwrite: Option<Payload>,
    /// Whether the payload goes; false if absent.
    #[serde(default)]
    pub clear: bool,
    /// Key paths whose values go.
    pub delete_keys: Option<Vec<String>>,
    /// Members to set; the others stay.
    #[schema(value_type = Option<serde_json::Value>)]
    pub set: Option<Payload>,
    /// Where to set them: the key path of an object, made if it is missing; the payload itself if absent.
    pub key: Option<String>,
}

/// What was changed.
#[derive(Serialize, ToSchema)]
pub struct UpdateAnswer {
    /// How many of the ids existed, or how many records matched.
    pub updated: u64,
    pub as_of: AsOfAnswer,
}

impl UpsertBody {
    /// Stores its records.
    pub fn on(self, collection: &Collection) -> Result<UpsertAnswer, Problem> {
        let upserted = self.records.len() as u64;
        let records = self.records.into_iter().map(|record| Record::from(record.0));
        if self.all_or_nothing.unwrap_or(true) {
            return Ok(UpsertAnswer { upserted, errors: Vec::new(), as_of: collection.upsert(records)?.into() });
        }
        let stored = collection.upsert_each(records)?;
        let errors = stored.errors.into_iter().map(RecordProblem::from).collect();
        Ok(UpsertAnswer { upserted: stored.written, errors, as_of: stored.as_of.into() })
    }
}

impl DeleteBody {
    /// What finding its records costs.
    pub fn units(&self) -> u32 {
        named(self.ids.as_deref())
    }

    /// Deletes what it names.
    pub fn on(self, collection: &Collection) -> Result<DeleteAnswer, Problem> {
        let deleted = match chosen(self.ids, self.filter, self.all)? {
            Chosen::Ids(ids) => collection.delete(ids)?,
            Chosen::Matching(filter) => collection.delete_matching(&filter)?,
        };
        Ok(DeleteAnswer { deleted: deleted.count, as_of: deleted.as_of.into() })
    }
}

impl UpdateBody {
    /// What finding its records costs.
    pub fn units(&self) -> u32 {
        named(self.ids.as_deref())
    }

    /// Makes its changes.
    pub fn on(self, collection: &Collection) -> Result<UpdateAnswer, Problem> {
        let mut update = match chosen(self.ids, self.filter, self.all)? {
            Chosen::Ids(ids) => collection.update(ids),
            Chosen::Matching(filter) => collection.update_matching(*filter),
        };
        if let Some(vector) = self.vector {
            update = update.vector(vector);
        }
        if let Some(payload) = self.overwrite {
            update = update.overwrite(payload.0);
        }
        if self.clear {
            update = update.clear();
        }
        if let Some(keys) = self.delete_keys {
            update = update.delete_keys(keys);
        }
        update = match (self.set, self.key) {
            (Some(members), Some(key)) => update.set_at(&key, members.0),
            (Some(members), None) => update.set(members.0),
            (None, Some(_)) => return Err(Problem::new(Refusal::InvalidBody, "`key` needs `set`")),
            (None, None) => update,
        };
        let updated = update.run()?;
        Ok(UpdateAnswer { updated: updated.count, as_of: updated.as_of.into() })
    }
}

/// Which records are meant to be changed.
enum Chosen {
    Ids(Vec<RecordId>),
    Matching(Box<Filter>),
}

/// Exactly one of the ways to say it; all records only where that is said, and not where a filter was left empty.
fn chosen(ids: Option<Vec<RecordId>>, filter: Option<Object<Filter>>, all: bool) -> Result<Chosen, Problem> {
    match (ids, filter, all) {
        (Some(ids), None, false) => Ok(Chosen::Ids(ids)),
        (None, Some(Object(filter)), false) if filter.has_condition() => Ok(Chosen::Matching(Box::new(filter))),
        (None, Some(_), false) => {
            let detail =
                "a filter without a condition means every record: if that is meant, send `\"all\": true` instead";
            Err(Problem::new(Refusal::InvalidBody, detail).about("filter"))
        }
        (None, None, true) => Ok(Chosen::Matching(Box::new(Filter::all([])))),
        _ => Err(Problem::new(Refusal::InvalidBody, "exactly one of `ids`, `filter` and `all` is expected")),
    }
}

/// Stores records; they are durable and can be found once this answers.
#[utoipa::path(put, operation_id = "upsert_records", path = "/v1/collections/{collection}/records", tag = "records",
    params(("collection" = String, Path), Header), request_body = UpsertBody,
    responses((status = 200, description = "stored", body = UpsertAnswer), Refused))]
pub async fn put(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<UpsertBody>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    app.run(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        Ok(answer(StatusCode::OK, &body.on(&collection)?))
    })
    .await
}

/// Gives one record with its vector and payload.
#[utoipa::path(get, operation_id = "fetch_record", path = "/v1/collections/{collection}/records/{id}", tag = "records",
    params(("collection" = String, Path), ("id" = String, Path, description = "a number or a UUID"), Header),
    responses((status = 200, description = "the record", body = RecordAnswer), Refused))]
pub async fn get(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((collection, id)) = path?;
    let Ok(id) = id.parse::<RecordId>() else {
        return Err(Problem::new(Refusal::InvalidId, "a record id is a number from 0 to 2^64 - 1 or a UUID"));
    };
    app.search(move |database| {
        let found = tenant.open(database)?.open_collection(&collection)?.get(id)?;
        let record = found.ok_or_else(|| Problem::new(Refusal::NotFound, "there is no such record"))?;
        Ok(answer(StatusCode::OK, &RecordAnswer::versioned(record)))
    })
    .await
}

/// Deletes records by id or by filter. Their bytes go when their segments are rewritten; to erase a person, erase the entity.
#[utoipa::path(post, operation_id = "delete_records", path = "/v1/collections/{collection}/records/delete", tag = "records",
    params(("collection" = String, Path), Header), request_body = DeleteBody,
    responses((status = 200, description = "deleted", body = DeleteAnswer), Refused))]
pub async fn delete(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<DeleteBody>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    app.owe(body.units())?;
    app.run(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        Ok(answer(StatusCode::OK, &body.on(&collection)?))
    })
    .await
}

/// Changes payloads or vectors of records. Each is changed as a whole; very many are written in several batches.
#[utoipa::path(post, operation_id = "update_records", path = "/v1/collections/{collection}/records/update", tag = "records",
    params(("collection" = String, Path), Header), request_body = UpdateBody,
    responses((status = 200, description = "changed", body = UpdateAnswer), Refused))]
pub async fn update(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<UpdateBody>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    app.owe(body.units())?;
    app.run(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        Ok(answer(StatusCode::OK, &body.on(&collection)?))
    })
    .await
}

/// What finding records costs: by these ids, or else by a filter.
fn named(ids: Option<&[RecordId]>) -> u32 {
    ids.map_or(cost::SCAN, |ids| cost::records(ids.len()))
}
