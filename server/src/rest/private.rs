//! Private answers over REST, and the budgets they are paid from.
//!
//! Invariant: when an answer is sent depends on the time since its request came only in steps of ten milliseconds, so that
//! timing tells little of what was read, and less of the noise.

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::{Aggregate, BudgetOf, Filter, Operand};
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::cost;
use super::error::{Problem, Refusal, Refused};
use super::filter::FilterBody;
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{BudgetAnswer, Object, PredictedAnswer, PrivateAnswer, StandingAnswer};

/// Answers are sent at multiples of this after their request came.
const GRID: Duration = Duration::from_millis(10);

/// A private question.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrivateBody {
    /// What is asked. If absent, `…/centroid` gives a centroid, which is all it gives, and `…/aggregate` a count.
    aggregate: Option<AggregateChoice>,
    /// The key path of the values of a histogram, or of the numbers of a mean or sum.
    field: Option<String>,
    /// The values of a histogram: strings, numbers, true or false.
    values: Option<Vec<serde_json::Value>>,
    /// Numbers of a mean, and an entity's part of a sum, are at least this.
    low: Option<f64>,
    /// And at most this.
    high: Option<f64>,
    /// How much the answer may tell of anybody: 1/1024 to 64.
    epsilon: f64,
    /// Allows for Gaussian noise: how likely the promise of ε may fail. The collection's budget must have a δ, too.
    delta: Option<f64>,
    /// Which records; all if absent. No condition on entities.
    #[schema(value_type = Option<FilterBody>)]
    filter: Option<Object<Filter>>,
    /// What an entity's vector is clipped to, in L2; 1 if absent.
    clip: Option<f64>,
    /// And in L1; √dimension times as much if absent.
    clip_l1: Option<f64>,
    /// Whether a centroid is pulled back to the norm that vectors are clipped to.
    #[serde(default)]
    project: bool,
    /// The noisy count below which no numbers are given; 20 if absent.
    least_group: Option<u64>,
    /// One answer for each of these groups instead of one for all.
    groups: Option<GroupsBody>,
    /// Whether to ask, and to pay, anew where the same was answered before; false if absent.
    #[serde(default)]
    refresh: bool,
    /// Only tells how far the answer will probably be off if so many entities match. Free.
    plan: Option<u64>,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AggregateChoice {
    /// How many entities match.
    Count,
    /// The mean over entities of their mean vectors.
    Centroid,
    /// How many entities have each of the values.
    Histogram,
    /// The mean over entities of their numbers.
    Mean,
    /// The sum over entities of their numbers.
    Sum,
}

/// Groups that the caller names: filters, or values at a key path, or points to be nearest to.
#[derive(Deserialize, ToSchema)]
#[schema(as = PrivateGroups)]
#[serde(deny_unknown_fields)]
pub struct GroupsBody {
    /// One group for each filter; each is paid for.
    #[schema(value_type = Option<Vec<FilterBody>>)]
    filters: Option<Vec<Object<Filter>>>,
    /// The key path of the values.
    field: Option<String>,
    /// One group for each value; each is paid for.
    values: Option<Vec<serde_json::Value>>,
    /// One group for each point, of the entities nearest to it; all of them are paid for once.
    nearest: Option<Vec<Vec<f32>>>,
}

/// Which budget, and how much.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetBody {
    /// The collection, or an alias; the environment if absent.
    collection: Option<String>,
    /// The ε of all that may ever be spent.
    epsilon: f64,
    /// The δ that goes with it; absent for pure ε.
    delta: Option<f64>,
}

fn unusable(what: &str) -> Problem {
    Problem::new(Refusal::InvalidBody, what)
}

fn operands(values: &[serde_json::Value]) -> Result<Vec<Operand>, Problem> {
    let operand = |value| Operand::try_from(value).map_err(|e| unusable(&format!("a value is not usable: {e}")));
    values.iter().map(operand).collect()
}

impl PrivateBody {
    /// `ask` with everything that this says.
    fn on(self, choice: AggregateChoice, ask: Aggregate) -> Result<Aggregate, Problem> {
        let mut ask = self.asking(choice, ask)?.epsilon(self.epsilon).refresh(self.refresh);
        if let Some(delta) = self.delta {
            ask = ask.delta(delta);
        }
        if let Some(filter) = self.filter {
            ask = ask.filter(filter.0);
        }
        if let Some(l2) = self.clip {
            ask = ask.clip(l2);
        }
        if let Some(l1) = self.clip_l1 {
            ask = ask.clip_l1(l1);
        }
        if self.project {
            ask = ask.project();
        }
        if let Some(least) = self.least_group {
            ask = ask.least_group(least);
        }
        match self.groups {
            None => Ok(ask),
            Some(groups) => groups.on(ask),
        }
    }

    fn asking(&self, choice: AggregateChoice, ask: Aggregate) -> Result<Aggregate, Problem> {
        let given = (self.field.as_deref(), self.values.as_deref(), self.low.zip(self.high));
        let is_bounded = self.low.is_some() || self.high.is_some();
        match (choice, given) {
            (AggregateChoice::Count, (None, None, None)) if !is_bounded => Ok(ask.count()),
            (AggregateChoice::Centroid, (None, None, None)) if !is_bounded => Ok(ask.centroid()),
            (AggregateChoice::Histogram, (Some(field), values, None)) if !is_bounded => {
                Ok(ask.histogram(field, operands(values.unwrap_or_default())?))
            }
            (AggregateChoice::Mean, (Some(field), None, Some((low, high)))) => Ok(ask.mean(field, low, high)),
            (AggregateChoice::Sum, (Some(field), None, Some((low, high)))) => Ok(ask.sum(field, low, high)),
            _ => Err(unusable(
                "a histogram has a `field` and its `values`, a mean or sum a `field`, `low` and `high`, a count or centroid \
                 none of these",
            )),
        }
    }
}

impl GroupsBody {
    fn on(self, ask: Aggregate) -> Result<Aggregate, Problem> {
        match self {
            GroupsBody { filters: Some(filters), field: None, values: None, nearest: None } => {
                Ok(ask.group_by(filters.into_iter().map(|filter| filter.0)))
            }
            GroupsBody { filters: None, field: Some(field), values: Some(values), nearest: None } => {
                Ok(ask.group_by_values(&field, operands(&values)?))
            }
            GroupsBody { filters: None, field: None, values: None, nearest: Some(points) } => {
                Ok(ask.group_by_nearest(points))
            }
            _ => Err(unusable(
                "groups are `filters`, or `field` with its `values` listed, or `nearest` points: groups that are found \
                 in the data would themselves tell of it",
            )),
        }
    }
}

/// Runs `work` and answers on the grid.
async fn on_grid(work: impl Future<Output = Result<Response, Problem>>) -> Result<Response, Problem> {
    let mut grid = interval(GRID);
    grid.set_missed_tick_behavior(MissedTickBehavior::Skip);
    grid.tick().await;
    let done = work.await;
    // The first of these comes at once if its time is over; the second is in its place.
    grid.tick().await;
    grid.tick().await;
    done
}

/// Answers what is asked of a collection.
async fn private(
    app: App,
    tenant: Tenant,
    collection: String,
    choice: AggregateChoice,
    body: PrivateBody,
) -> Result<Response, Problem> {
    app.owe(cost::SCAN)?;
    on_grid(app.run(move |database| {
        let collection = tenant.open(database)?.open_collection(&collection)?;
        let (plan, is_grouped) = (body.plan, body.groups.is_some());
        let ask = body.on(choice, collection.aggregate())?;
        Ok(match plan {
            Some(entities) => answer(StatusCode::OK, &PredictedAnswer::from(ask.plan(entities)?)),
            None => {
                let is_centroid = choice == AggregateChoice::Centroid;
                answer(StatusCode::OK, &PrivateAnswer::of(ask.release()?, is_centroid, is_grouped))
            }
        })
    }))
    .await
}

/// Gives the noisy mean of vectors, every entity counting once. The same question is given the same answer again and pays
/// nothing; what is not answered before the debit is not charged.
#[utoipa::path(post, operation_id = "private_centroid", path = "/v1/collections/{collection}/centroid", tag = "private",
    params(("collection" = String, Path), Header), request_body = PrivateBody,
    responses((status = 200, description = "the answer, or with `plan` how far it would be off", body = PrivateAnswer), Refused))]
pub async fn centroid(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<PrivateBody>,
) -> Result<Response, Problem> {
    if body.aggregate.is_some_and(|choice| choice != AggregateChoice::Centroid) {
        return Err(unusable("this path gives centroids; ask …/aggregate for other aggregates"));
    }
    private(app, tenant, path?.0, AggregateChoice::Centroid, body).await
}

/// Gives a noisy count, centroid, histogram, mean or sum, every entity counting once; else as a centroid.
#[utoipa::path(post, operation_id = "private_aggregate", path = "/v1/collections/{collection}/aggregate", tag = "private",
    params(("collection" = String, Path), Header), request_body = PrivateBody,
    responses((status = 200, description = "the answer, or with `plan` how far it would be off", body = PrivateAnswer), Refused))]
pub async fn aggregate(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<PrivateBody>,
) -> Result<Response, Problem> {
    let choice = body.aggregate.unwrap_or(AggregateChoice::Count);
    private(app, tenant, path?.0, choice, body).await
}

/// Tells what may be spent of people's privacy, and what was.
#[utoipa::path(get, operation_id = "get_budget", path = "/v1/admin/budget", tag = "admin", params(Header),
    responses((status = 200, description = "every budget", body = BudgetAnswer), Refused))]
pub async fn budget(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        let report = tenant.open(database)?.budget().report()?;
        Ok(answer(StatusCode::OK, &BudgetAnswer::from(report)))
    })
    .await
}

/// Gives a collection or the environment another budget, over all that was and will be spent. More weakens the promise
/// made to people; the answer says what was spent so far.
#[utoipa::path(put, operation_id = "put_budget", path = "/v1/admin/budget", tag = "admin", params(Header),
    request_body = BudgetBody, responses((status = 200, description = "the budget", body = StandingAnswer), Refused))]
pub async fn put_budget(
    State(app): State<App>,
    tenant: Tenant,
    Body(body): Body<BudgetBody>,
) -> Result<Response, Problem> {
    app.run(move |database| {
        let of = body.collection.as_deref().map_or(BudgetOf::Environment, BudgetOf::Collection);
        let standing = tenant.open(database)?.budget().set(of, body.epsilon, body.delta)?;
        Ok(answer(StatusCode::OK, &StandingAnswer::from(standing)))
    })
    .await
}
