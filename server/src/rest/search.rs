//! Reading many records: by nearness, in id order, or only their number.
//!
//! Every answer carries `as_of`, the state it shows, and `partial`, true if damaged segments were left out.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::{
    Collection, Counted, Database, Example, Filter, Hits, Operand, Order, Page, RecordId, Rerank, Scroll, Search,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::cost;
use super::error::{Problem, Refusal, Refused};
use super::filter::FilterBody;
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{AsOfAnswer, ExampleBody, ExampleChoice, ExplainAnswer, HitAnswer, Id, Object, RecordAnswer};

/// So many hits are few: each has a payload to open.
const NARROW_HITS: usize = 64;
/// So wide a search takes a millisecond or less.
const NARROW_EF: usize = 2048;

/// What to search for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBody {
    /// What to search near to, as many finite numbers as the collection has dimensions: either this or `like`.
    pub vector: Option<Vec<f32>>,
    /// Ids of records, or vectors, to search near to the mean of. Those records are not among the hits.
    #[schema(value_type = Option<Vec<ExampleChoice>>)]
    pub like: Option<Vec<ExampleBody>>,
    /// The same to move away from: the search is near `q + (q - n)`, where `n` is their mean.
    #[serde(default)]
    #[schema(value_type = Option<Vec<ExampleChoice>>)]
    pub unlike: Vec<ExampleBody>,
    /// How many records to find, from 1; 10 if absent.
    pub limit: Option<usize>,
    /// How many of the nearest records to pass over; 0 if absent.
    pub offset: Option<usize>,
    /// The worst score of a hit.
    pub score_threshold: Option<f32>,
    /// Which records may be found.
    #[schema(value_type = Option<FilterBody>)]
    pub filter: Option<Object<Filter>>,
    /// Width of the graph search: more finds better and takes longer.
    pub ef: Option<usize>,
    /// Compare with every record instead of asking the graph.
    #[serde(default)]
    pub exact: bool,
    /// Which hits get exact distances: `auto`, those that decide who is among the hits, if absent.
    #[serde(default)]
    #[schema(value_type = RerankChoice)]
    pub rerank: Rerank,
    /// Whether hits carry their entity; true if absent.
    pub with_entity: Option<bool>,
    /// Whether hits carry their payload; true if absent.
    pub with_payload: Option<bool>,
    /// Whether hits carry their vector; false if absent.
    pub with_vector: Option<bool>,
    /// Whether the answer tells what the search did; false if absent. It is told to nobody who is not shown every record.
    #[serde(default)]
    pub explain: bool,
}

impl SearchBody {
    /// How many hits it asks for, as far as it says so.
    pub fn given(&self) -> usize {
        self.limit.unwrap_or_default().saturating_add(self.offset.unwrap_or_default())
    }

    /// What it costs beside what its head told.
    pub fn units(&self) -> u32 {
        let examples = self.like.as_ref().map_or(0, Vec::len) + self.unlike.len();
        let looked = self.given().saturating_add(self.ef.filter(|_| !self.exact).unwrap_or_default());
        cost::records(looked.saturating_add(examples)).saturating_add(if self.exact { cost::SCAN } else { 0 })
    }

    /// Whether it looks at few records, whatever there are, and gives few: so none that has to open records to know whether
    /// they may be found, or vectors to know what to search near to.
    fn is_narrow(&self) -> bool {
        let gives = self.limit.unwrap_or_default().saturating_add(self.offset.unwrap_or_default());
        let looks = gives <= NARROW_HITS && self.ef.is_none_or(|ef| ef <= NARROW_EF) && self.rerank != Rerank::All;
        let opens = self.filter.is_some() || self.exact || self.like.is_some() || !self.unlike.is_empty();
        looks && !opens && self.with_vector != Some(true)
    }

    /// What it finds, as told by `tell`, when its turn comes.
    ///
    /// # Errors
    /// Those of [`App::owe`], [`App::run`], of what is named, and of the search.
    pub async fn run<A: Send + 'static>(
        self,
        app: &App,
        tenant: Tenant,
        collection: String,
        tell: impl FnOnce(Hits) -> A + Send + 'static,
    ) -> Result<A, Problem> {
        app.owe(self.units())?;
        let kind = app.kind(|database| {
            let is_warm = || Ok::<_, Problem>(tenant.open(database)?.open_collection(&collection)?.is_warm());
            self.is_narrow() && database.is_open(tenant.name()) && is_warm().unwrap_or_default()
        })?;
        let work = move |database: &Database| {
            let collection = tenant.open(database)?.open_collection(&collection)?;
            Ok(tell(self.on(&collection)?.run()?))
        };
        app.turn(app.turns_of(true), kind, work).await
    }

    /// The search that it describes.
    ///
    /// # Errors
    /// If it does not say what to search near to, or says it twice.
    pub fn on<'a>(&'a self, collection: &Collection) -> Result<Search<'a>, Problem> {
        let mut search = match (&self.vector, &self.like) {
            (Some(vector), None) => collection.search(vector),
            (None, Some(like)) => collection.recommend(like.iter().map(Example::from)),
            _ => return Err(Problem::new(Refusal::InvalidBody, "exactly one of `vector` and `like` is expected")),
        };
        search = search.unlike(self.unlike.iter().map(Example::from));
        search = search.exact(self.exact).rerank(self.rerank).explain(self.explain);
        if let Some(limit) = self.limit {
            search = search.limit(limit);
        }
        if let Some(offset) = self.offset {
            search = search.offset(offset);
        }
        if let Some(score) = self.score_threshold {
            search = search.score_threshold(score);
        }
        if let Some(ef) = self.ef {
            search = search.ef(ef);
        }
        if let Some(filter) = &self.filter {
            search = search.filter(filter.0.clone());
        }
        let search = search.with_entity(self.with_entity.unwrap_or(true));
        let search = search.with_payload(self.with_payload.unwrap_or(true));
        Ok(search.with_vector(self.with_vector.unwrap_or(false)))
    }
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
    pub hits: Vec<HitAnswer>,
    as_of: AsOfAnswer,
    /// Whether damaged segments were left out.
    partial: bool,
    /// Which, as paths inside the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
    /// What the search did, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<ExplainAnswer>,
}

impl From<Hits> for SearchAnswer {
    fn from(found: Hits) -> Self {
        let explain = ExplainAnswer::of(&found);
        let Hits { hits, as_of, partial, damaged, .. } = found;
        let hits = hits.into_iter().map(HitAnswer::from).collect();
        Self { hits, as_of: as_of.into(), partial, damaged, explain }
    }
}

/// How many records a page has that was not asked for so many.
const PAGE_RECORDS: usize = 100;

/// Which page of records to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScrollBody {
    /// The last id of the page before: its `next`.
    #[schema(value_type = Option<Id>)]
    pub after: Option<RecordId>,
    /// In which order to give the records; that of their ids if absent.
    #[schema(value_type = Option<OrderBody>)]
    pub order_by: Option<Object<OrderBody>>,
    /// How many records to give, from 1; 100 if absent.
    pub limit: Option<usize>,
    /// Which records to give.
    #[schema(value_type = Option<FilterBody>)]
    pub filter: Option<Object<Filter>>,
    /// Whether records carry their payload; true if absent.
    pub with_payload: Option<bool>,
    /// Whether records carry their vector; false if absent.
    pub with_vector: Option<bool>,
}

/// The order of what is at a key. Records without a string, number, true or false there are left out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderBody {
    /// A key path as in filters.
    pub key: String,
    /// From which end; `asc`, the least first, if absent.
    #[serde(default)]
    #[schema(value_type = Direction)]
    pub direction: Order,
    /// The first value: where a page begins, or `next_value` of the page before, together with its `next` as `after`.
    #[schema(value_type = Option<serde_json::Value>)]
    pub start_from: Option<serde_json::Value>,
}

impl OrderBody {
    fn on(&self, scroll: Scroll) -> Result<Scroll, Problem> {
        let scroll = scroll.order_by(&self.key, self.direction);
        match self.start_from.as_ref().map(Operand::try_from) {
            None => Ok(scroll),
            Some(Ok(value)) => Ok(scroll.start_from(value)),
            Some(Err(_)) => {
                let detail = "`start_from` must be a string, a number, true or false";
                Err(Problem::new(Refusal::InvalidBody, detail))
            }
        }
    }
}

/// How the schema shows a direction.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, reason = "read by the schema alone")]
enum Direction {
    /// The least first.
    Asc,
    /// The greatest first.
    Desc,
}

/// A page of records.
#[derive(Serialize, ToSchema)]
pub struct ScrollAnswer {
    /// In the order that was asked for; that of ids has numbers before UUIDs.
    records: Vec<RecordAnswer>,
    /// Where the next page starts: pass it as `after`. Null on the last page.
    #[schema(value_type = Option<Id>)]
    next: Option<RecordId>,
    /// With `order_by`, what to pass as its `start_from` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_value: Option<serde_json::Value>,
    as_of: AsOfAnswer,
    /// Whether damaged segments were left out.
    partial: bool,
    /// Which, as paths inside the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<String>,
}

impl From<Page> for ScrollAnswer {
    fn from(page: Page) -> Self {
        let Page { records, next, next_value, as_of, partial, damaged } = page;
        let records = records.into_iter().map(RecordAnswer::versioned).collect();
        Self { records, next, next_value, as_of: as_of.into(), partial, damaged }
    }
}

/// Which records to count.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountBody {
    /// All records if absent.
    #[schema(value_type = Option<FilterBody>)]
    pub filter: Option<Object<Filter>>,
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

impl ScrollBody {
    /// What it costs.
    pub fn units(&self) -> u32 {
        // A page in another order than that of ids is found by looking at all records.
        let looked = if self.order_by.is_some() { cost::SCAN } else { 0 };
        cost::records(self.limit.unwrap_or(PAGE_RECORDS)).saturating_add(looked)
    }

    /// The page.
    pub fn on(self, collection: &Collection) -> Result<Page, Problem> {
        let mut scroll = collection.scroll();
        if let Some(after) = self.after {
            scroll = scroll.after(after);
        }
        if let Some(limit) = self.limit {
            scroll = scroll.limit(limit);
        }
        if let Some(filter) = self.filter {
            scroll = scroll.filter(filter.0);
        }
        if let Some(order) = self.order_by {
            scroll = order.0.on(scroll)?;
        }
        let scroll = scroll.with_payload(self.with_payload.unwrap_or(true));
        Ok(scroll.with_vector(self.with_vector.unwrap_or(false)).run()?)
    }
}

impl CountBody {
    /// What it costs.
    pub fn units(&self) -> u32 {
        if self.filter.is_some() { cost::SCAN } else { 0 }
    }

    /// The number.
    pub fn on(self, collection: &Collection) -> Result<Counted, Problem> {
        let mut count = collection.count();
        if let Some(filter) = self.filter {
            count = count.filter(filter.0);
        }
        Ok(count.run()?)
    }
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
    body.run(&app, tenant, collection, |found| answer(StatusCode::OK, &SearchAnswer::from(found))).await
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
    app.owe(body.units())?;
    app.search(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        Ok(answer(StatusCode::OK, &ScrollAnswer::from(body.on(&collection)?)))
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
    app.owe(body.units())?;
    app.search(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        let Counted { count, as_of, partial, damaged } = body.on(&collection)?;
        Ok(answer(StatusCode::OK, &CountAnswer { count, as_of: as_of.into(), partial, damaged }))
    })
    .await
}
