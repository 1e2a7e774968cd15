//! Reading many records: by nearness, in id order, or only their number.
//!
//! Every answer carries `as_of`, the state it shows, and `partial`, true if damaged segments were left out.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::{Counted, Filter, Hits, Page, RecordId, Rerank};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::error::{Problem, Refused};
use super::filter::FilterBody;
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{AsOfAnswer, ExplainAnswer, HitAnswer, Id, Object, RecordAnswer};

/// What to search for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBody {
    /// As many finite numbers as the collection has dimensions.
    vector: Vec<f32>,
    /// How many records to find, from 1; 10 if absent.
    limit: Option<usize>,
    /// Which records may be found.
    #[schema(value_type = Option<FilterBody>)]
    filter: Option<Object<Filter>>,
    /// Width of the graph search: more finds better and takes longer.
    ef: Option<usize>,
    /// Compare with every record instead of asking the graph.
    #[serde(default)]
    exact: bool,
    /// Which hits get exact distances: `auto`, those that decide who is among the hits, if absent.
    #[serde(default)]
    #[schema(value_type = RerankChoice)]
    rerank: Rerank,
    /// Whether hits carry their payload; true if absent.
    with_payload: Option<bool>,
    /// Whether hits carry their vector; false if absent.
    with_vector: Option<bool>,
    /// Whether the answer tells what the search did; false if absent.
    #[serde(default)]
    explain: bool,
}

/// How the schema shows a re-ranking.
#[derive(ToSchema)]
#[schema(as = Rerank, rename_all = "snake_case")]
#[allow(dead_code, reason = "read by the schema alone")]
enum RerankChoice {
    /// Those that decide who is among the hits; the others say how far off their score can be.
    Auto,
    /// All.
    All,
    /// None.
    None,
}

/// What was found.
#[derive(Serialize, ToSchema)]
pub struct SearchAnswer {
    /// Nearest first.
    hits: Vec<HitAnswer>,
    as_of: AsOfAnswer,
    /// Whether damaged segments were left out.
    partial: bool,
    /// Which, as paths inside the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<String>,
    /// What the search did, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<ExplainAnswer>,
}

/// Which page of records to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScrollBody {
    /// The last id of the page before: its `next`.
    #[schema(value_type = Option<Id>)]
    after: Option<RecordId>,
    /// How many records to give, from 1; 100 if absent.
    limit: Option<usize>,
    /// Which records to give.
    #[schema(value_type = Option<FilterBody>)]
    filter: Option<Object<Filter>>,
    /// Whether records carry their payload; true if absent.
    with_payload: Option<bool>,
    /// Whether records carry their vector; false if absent.
    with_vector: Option<bool>,
}

/// A page of records.
#[derive(Serialize, ToSchema)]
pub struct ScrollAnswer {
    /// In the order of their ids, numbers before UUIDs.
    records: Vec<RecordAnswer>,
    /// Where the next page starts: pass it as `after`. Null on the last page.
    #[schema(value_type = Option<Id>)]
    next: Option<RecordId>,
    as_of: AsOfAnswer,
    /// Whether damaged segments were left out.
    partial: bool,
    /// Which, as paths inside the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<String>,
}

/// Which records to count.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountBody {
    /// All records if absent.
    #[schema(value_type = Option<FilterBody>)]
    filter: Option<Object<Filter>>,
}

/// How many records there are.
#[derive(Serialize, ToSchema)]
pub struct CountAnswer {
    count: u64,
    as_of: AsOfAnswer,
    /// Whether damaged segments were left out.
    partial: bool,
    /// Which, as paths inside the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<String>,
}

/// Finds the records nearest to a vector.
#[utoipa::path(post, path = "/v1/collections/{collection}/search", tag = "search",
    params(("collection" = String, Path), Header), request_body = SearchBody,
    responses((status = 200, description = "found", body = SearchAnswer), Refused))]
pub async fn search(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<SearchBody>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    app.run(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        let mut search = collection.search(&body.vector).exact(body.exact).rerank(body.rerank).explain(body.explain);
        if let Some(limit) = body.limit {
            search = search.limit(limit);
        }
        if let Some(ef) = body.ef {
            search = search.ef(ef);
        }
        if let Some(filter) = body.filter {
            search = search.filter(filter.0);
        }
        let search = search.with_payload(body.with_payload.unwrap_or(true));
        let found = search.with_vector(body.with_vector.unwrap_or(false)).run()?;
        let explain = ExplainAnswer::of(&found);
        let Hits { hits, as_of, partial, damaged, .. } = found;
        let hits = hits.into_iter().map(HitAnswer::from).collect();
        Ok(answer(StatusCode::OK, &SearchAnswer { hits, as_of: as_of.into(), partial, damaged, explain }))
    })
    .await
}

/// Gives all records, page by page in the order of their ids.
#[utoipa::path(post, path = "/v1/collections/{collection}/scroll", tag = "search",
    params(("collection" = String, Path), Header), request_body = ScrollBody,
    responses((status = 200, description = "a page", body = ScrollAnswer), Refused))]
pub async fn scroll(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<ScrollBody>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    app.run(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        let mut scroll = collection.scroll();
        if let Some(after) = body.after {
            scroll = scroll.after(after);
        }
        if let Some(limit) = body.limit {
            scroll = scroll.limit(limit);
        }
        if let Some(filter) = body.filter {
            scroll = scroll.filter(filter.0);
        }
        let scroll = scroll.with_payload(body.with_payload.unwrap_or(true));
        let page = scroll.with_vector(body.with_vector.unwrap_or(false)).run()?;
        let Page { records, next, as_of, partial, damaged } = page;
        let records = records.into_iter().map(RecordAnswer::versioned).collect();
        Ok(answer(StatusCode::OK, &ScrollAnswer { records, next, as_of: as_of.into(), partial, damaged }))
    })
    .await
}

/// Counts records.
#[utoipa::path(post, path = "/v1/collections/{collection}/count", tag = "search",
    params(("collection" = String, Path), Header), request_body = CountBody,
    responses((status = 200, description = "counted", body = CountAnswer), Refused))]
pub async fn count(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<CountBody>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    app.run(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        let mut count = collection.count();
        if let Some(filter) = body.filter {
            count = count.filter(filter.0);
        }
        let Counted { count, as_of, partial, damaged } = count.run()?;
        Ok(answer(StatusCode::OK, &CountAnswer { count, as_of: as_of.into(), partial, damaged }))
    })
    .await
}
