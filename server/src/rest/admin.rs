//! Erasing a person: the one act that cannot be undone.

use std::collections::BTreeSet;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::{Environment, Erase, Wait};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::error::{Problem, Refusal, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{EraseAnswer, ErasePlanAnswer, ReceiptAnswer, from_hex};

/// Whom to erase.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseBody {
    /// The data subject, exactly as the records name it.
    entity: Option<String>,
    /// Several, with one change of the keys for all.
    #[serde(default)]
    entities: Vec<String>,
    /// Why: kept with the receipt, not in it. Name nobody in it.
    reason: Option<String>,
    /// 32 random bytes in hex, one for each entity in their order; made where absent, and given once.
    #[serde(default)]
    salts: Vec<String>,
    /// When to answer.
    #[serde(default)]
    wait: WaitBody,
    /// Whether to tell what would go, and do nothing; false if absent.
    #[serde(default)]
    dry_run: bool,
}

/// What an erasure did, or would do.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum EraseOutcome {
    /// It was done.
    Done(Box<EraseAnswer>),
    /// It was asked what it would do.
    Planned(ErasePlanAnswer),
}

/// When an erasure is answered.
#[derive(Deserialize, ToSchema, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
pub enum WaitBody {
    /// Once the keys are destroyed; the receipt is made later.
    Shred,
    /// Once no live file holds a row of theirs.
    #[default]
    Purge,
}

/// How a path that names an entity is erased.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EraseQuery {
    /// When to answer: `shred` or `purge`; `purge` if absent.
    #[serde(default)]
    #[param(inline)]
    wait: WaitBody,
}

/// Erases an entity: its records, their codes, graph, log entries and keys. Answers when all is done.
#[utoipa::path(delete, operation_id = "erase_entity", path = "/v1/admin/entity/{id}", tag = "admin",
    params(("id" = String, Path, description = "the entity, percent-encoded"), EraseQuery, Header),
    responses((status = 200, description = "erased", body = EraseAnswer), Refused))]
pub async fn delete(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<EraseQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let (Path(entity), Query(query)) = (path?, query?);
    erase(app, tenant, EraseBody::of(entity, query)).await
}

/// Erases the entity whose id is `erase`: for it alone the path of [`delete`] is that of [`post`].
pub async fn delete_erase(
    State(app): State<App>,
    tenant: Tenant,
    query: Result<Query<EraseQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    erase(app, tenant, EraseBody::of("erase".into(), query?.0)).await
}

/// Erases the entity whose id is `export`, which is a path of its own for the same reason.
pub async fn delete_export(
    State(app): State<App>,
    tenant: Tenant,
    query: Result<Query<EraseQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    erase(app, tenant, EraseBody::of("export".into(), query?.0)).await
}

/// Erases an entity whose id stands in the body, where no proxy logs it, or tells what would go.
#[utoipa::path(post, operation_id = "erase_entity_in_body", path = "/v1/admin/entity/erase", tag = "admin", params(Header), request_body = EraseBody,
    responses((status = 200, description = "what was erased, or would be", body = EraseOutcome), Refused))]
pub async fn post(State(app): State<App>, tenant: Tenant, Body(body): Body<EraseBody>) -> Result<Response, Problem> {
    erase(app, tenant, body).await
}

/// The receipt of an erasure, as often as it is asked for.
#[utoipa::path(get, operation_id = "receipt", path = "/v1/admin/receipts/{job}", tag = "admin",
    params(("job" = u64, Path, description = "the number of the erasure"), Header),
    responses((status = 200, description = "the receipt", body = ReceiptAnswer), Refused))]
pub async fn receipt(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<u64>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(job) = path?;
    app.run(move |database| {
        let environment = tenant.open(database)?;
        let stored = environment.receipt(job)?;
        Ok(answer(StatusCode::OK, &ReceiptAnswer::new(&stored, &environment.receipt_key())))
    })
    .await
}

impl EraseBody {
    fn of(entity: String, query: EraseQuery) -> Self {
        let (entity, wait) = (Some(entity), query.wait);
        Self { entity, entities: Vec::new(), reason: None, salts: Vec::new(), wait, dry_run: false }
    }
}

async fn erase(app: App, tenant: Tenant, body: EraseBody) -> Result<Response, Problem> {
    let mut entities: Vec<String> = body.entity.into_iter().chain(body.entities).collect();
    let mut seen = BTreeSet::new();
    entities.retain(|entity| seen.insert(entity.clone()));
    let salts: Option<Vec<[u8; 32]>> = body.salts.iter().map(|salt| from_hex(salt)?.try_into().ok()).collect();
    let salts = salts.filter(|salts| salts.is_empty() || salts.len() == entities.len()).ok_or_else(|| {
        Problem::new(Refusal::InvalidBody, "salts: give one for each entity, 64 hex digits each, or none")
    })?;
    let wait = match body.wait {
        WaitBody::Shred => Wait::Shred,
        WaitBody::Purge => Wait::Purge,
    };
    app.run(move |database| {
        let environment = tenant.open(database)?;
        let erase = erasing(&environment, &entities, &salts);
        let mut erase = erase.ok_or_else(|| Problem::new(Refusal::InvalidBody, "name an entity"))?.wait(wait);
        if body.dry_run {
            let plan = ErasePlanAnswer::from(erase.dry_run()?);
            return Ok(answer(StatusCode::OK, &EraseOutcome::Planned(plan)));
        }
        if let Some(reason) = body.reason {
            erase = erase.reason(reason);
        }
        let erasure = erase.run()?;
        let erased = Box::new(EraseAnswer::new(&entities, &erasure));
        Ok(answer(StatusCode::OK, &EraseOutcome::Done(erased)))
    })
    .await
}

/// The erasure of these entities, with the salts that were given; none if there are no entities.
fn erasing(environment: &Environment, entities: &[String], salts: &[[u8; 32]]) -> Option<Erase> {
    let mut salts = salts.iter();
    let (first, others) = entities.split_first()?;
    let salted = |erase: Erase, salt: Option<&[u8; 32]>| match salt {
        Some(salt) => erase.salt(*salt),
        None => erase,
    };
    let first = salted(environment.erase(first), salts.next());
    Some(others.iter().fold(first, |erase, entity| salted(erase.and(entity), salts.next())))
}
