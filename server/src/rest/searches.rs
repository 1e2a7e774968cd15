//! Searches beyond one list of hits: several at once, and by groups.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::{Group, Groups};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::cost;
use super::error::{Problem, Refused};
use super::search::{SearchAnswer, SearchBody};
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{AsOfAnswer, HitAnswer, Object};

/// Searches to run at once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchBody {
    /// All see the same state of the collection.
    #[schema(value_type = Vec<SearchBody>)]
    searches: Vec<Object<SearchBody>>,
}

/// What they found.
#[derive(Serialize, ToSchema)]
pub struct BatchAnswer {
    /// In the order of the searches.
    answers: Vec<SearchAnswer>,
}

/// A search whose hits are grouped.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupsBody {
    /// Its `limit` counts groups.
    #[schema(value_type = SearchBody)]
    search: Object<SearchBody>,
    /// The key path of what hits of a group have in common: a string, a number, true or false.
    group_by: String,
    /// How many hits a group has at most; 3 if absent.
    group_size: Option<usize>,
}

/// What was found.
#[derive(Serialize, ToSchema)]
pub struct GroupsAnswer {
    /// In the order of their nearest hits.
    groups: Vec<GroupAnswer>,
    /// Whether these are all that were asked for and that a search can find.
    complete: bool,
    as_of: AsOfAnswer,
    /// Whether damaged segments were left out.
    partial: bool,
    /// Which, as paths inside the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<String>,
}

/// Hits that have a value in common.
#[derive(Serialize, ToSchema)]
pub struct GroupAnswer {
    /// The value.
    key: serde_json::Value,
    /// Nearest first.
    hits: Vec<HitAnswer>,
}

impl From<Group> for GroupAnswer {
    fn from(group: Group) -> Self {
        Self { key: group.key, hits: group.hits.into_iter().map(HitAnswer::from).collect() }
    }
}

/// Runs several searches at once.
#[utoipa::path(post, operation_id = "search_batch", path = "/v1/collections/{collection}/search/batch", tag = "search",
    params(("collection" = String, Path), Header), request_body = BatchBody,
    responses((status = 200, description = "found", body = BatchAnswer), Refused))]
pub async fn batch(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<BatchBody>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    app.owe(body.searches.iter().fold(0, |sum, search| sum.saturating_add(search.0.units())))?;
    app.search(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        let searches: Result<Vec<_>, Problem> = body.searches.iter().map(|search| search.0.on(&collection)).collect();
        let found = collection.search_batch(searches?)?;
        Ok(answer(StatusCode::OK, &BatchAnswer { answers: found.into_iter().map(SearchAnswer::from).collect() }))
    })
    .await
}

/// Finds the nearest records of each of the nearest groups.
#[utoipa::path(post, operation_id = "search_groups", path = "/v1/collections/{collection}/search/groups", tag = "search",
    params(("collection" = String, Path), Header), request_body = GroupsBody,
    responses((status = 200, description = "found", body = GroupsAnswer), Refused))]
pub async fn groups(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<GroupsBody>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    let each = body.group_size.unwrap_or_default().saturating_mul(body.search.0.given());
    app.owe(body.search.0.units().saturating_add(cost::records(each)))?;
    app.search(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        let mut grouping = body.search.0.on(&collection)?.group_by(&body.group_by);
        if let Some(size) = body.group_size {
            grouping = grouping.group_size(size);
        }
        let Groups { groups, is_complete, as_of, partial, damaged } = grouping.run()?;
        let groups = groups.into_iter().map(GroupAnswer::from).collect();
        let found = GroupsAnswer { groups, complete: is_complete, as_of: as_of.into(), partial, damaged };
        Ok(answer(StatusCode::OK, &found))
    })
    .await
}
