//! Reads that say something of many records: how many have which value, and a random sample of them.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::{FacetCount, Facets, Filter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::cost;
use super::error::{Problem, Refused};
use super::filter::FilterBody;
use super::search::ScrollAnswer;
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{AsOfAnswer, Object};

/// What to count by.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FacetBody {
    /// A key path as in filters.
    key: String,
    /// How many values to give, from 1; 10 if absent.
    limit: Option<usize>,
    /// Which records to count; all if absent.
    #[schema(value_type = Option<FilterBody>)]
    filter: Option<Object<Filter>>,
}

/// How many records have which value.
#[derive(Serialize, ToSchema)]
pub struct FacetAnswer {
    /// The commonest values first.
    counts: Vec<FacetCountAnswer>,
    /// How many values there are, those beyond the limit included.
    distinct: u64,
    as_of: AsOfAnswer,
    /// Whether damaged segments were left out.
    partial: bool,
    /// Which, as paths inside the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<String>,
}

/// How many records have a value.
#[derive(Serialize, ToSchema)]
pub struct FacetCountAnswer {
    /// A string, a number, true or false.
    value: serde_json::Value,
    count: u64,
}

impl From<FacetCount> for FacetCountAnswer {
    fn from(fact: FacetCount) -> Self {
        Self { value: fact.value, count: fact.count }
    }
}

/// Which records to sample.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SampleBody {
    /// How many records to give, from 1; 10 if absent.
    limit: Option<usize>,
    /// From which records; from all if absent.
    #[schema(value_type = Option<FilterBody>)]
    filter: Option<Object<Filter>>,
    /// Gives the same records again as long as nothing is written or rewritten in between.
    seed: Option<u64>,
    /// Whether records carry their payload; true if absent.
    with_payload: Option<bool>,
    /// Whether records carry their vector; false if absent.
    with_vector: Option<bool>,
}

/// Counts records by what is at a key. A record with several values counts for each.
#[utoipa::path(post, operation_id = "facet_records", path = "/v1/collections/{collection}/facet", tag = "search",
    params(("collection" = String, Path), Header), request_body = FacetBody,
    responses((status = 200, description = "counted", body = FacetAnswer), Refused))]
pub async fn facet(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<FacetBody>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    app.owe(cost::SCAN)?;
    app.search(move |database| {
        let mut facet = tenant.open(database)?.open_collection(&collection)?.facet(&body.key);
        if let Some(limit) = body.limit {
            facet = facet.limit(limit);
        }
        if let Some(filter) = body.filter {
            facet = facet.filter(filter.0);
        }
        let Facets { counts, distinct, as_of, partial, damaged } = facet.run()?;
        let counts = counts.into_iter().map(FacetCountAnswer::from).collect();
        Ok(answer(StatusCode::OK, &FacetAnswer { counts, distinct, as_of: as_of.into(), partial, damaged }))
    })
    .await
}

/// Gives random records; every set of so many is equally likely.
#[utoipa::path(post, operation_id = "sample_records", path = "/v1/collections/{collection}/sample", tag = "search",
    params(("collection" = String, Path), Header), request_body = SampleBody,
    responses((status = 200, description = "taken, in random order", body = ScrollAnswer), Refused))]
pub async fn sample(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<SampleBody>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    let looked = if body.filter.is_some() { cost::SCAN } else { 0 };
    app.owe(cost::records(body.limit.unwrap_or_default()).saturating_add(looked))?;
    app.search(move |database| {
        let mut sample = tenant.open(database)?.open_collection(&collection)?.sample(body.limit.unwrap_or(10));
        if let Some(filter) = body.filter {
            sample = sample.filter(filter.0);
        }
        if let Some(seed) = body.seed {
            sample = sample.seed(seed);
        }
        let sample = sample.with_payload(body.with_payload.unwrap_or(true));
        let page = sample.with_vector(body.with_vector.unwrap_or(false)).run()?;
        Ok(answer(StatusCode::OK, &ScrollAnswer::from(page)))
    })
    .await
}
