//! Is the process alive, does it want requests, and what came of those it got. Never queued behind the engine, so that load cannot hide them.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use engine::{Health, Permission};
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::error::{Problem, Refusal, Refused};
use super::metrics::Standing;
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::telemetry::Traces;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How the storage is.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`; `full` while the disk is, or `poisoned` after a failed sync until a restart: then reads go on and writes
    /// are refused.
    #[schema(value_type = String)]
    status: Health,
    /// Damaged segments of the environments in use, as paths inside the data directory. Answers leave them out and
    /// say so. Not told where keys are asked for.
    damaged: Vec<String>,
    /// Whether the audit logs in use are what was told, as far as the background thread has found: a log that was altered
    /// makes it false, until it is put right.
    audit_sound: bool,
}

/// The process runs.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "alive", body = String)))]
pub async fn livez() -> &'static str {
    "alive"
}

/// The database answers reads and the server is not shutting down; the status says whether it takes writes.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "ready", body = Readiness),
    Refused,
))]
pub async fn readyz(State(app): State<App>) -> Result<Json<Readiness>, Problem> {
    if !app.is_ready() {
        return Err(Problem::new(Refusal::Overloaded, "the server is shutting down"));
    }
    // Both are known without touching a disk.
    let database = app.seal().database()?;
    // Names of environments are nobody's business who shows no key.
    let damaged = if app.config().server.auth || database.asks_for_keys()? { Vec::new() } else { database.damaged() };
    Ok(Json(Readiness { status: database.health(), damaged, audit_sound: database.audit_faults().is_empty() }))
}

/// What the server counted since it started, in the format of OpenMetrics. Names neither tenants nor collections.
///
/// Counts are of all environments: where keys are asked for it takes one with `metrics.read`, for whoever scrapes them.
#[utoipa::path(get, path = "/metrics", tag = "health", params(Header), responses(
    (status = 200, description = "the counts", body = String, content_type = "application/openmetrics-text"),
    Refused,
))]
pub async fn metrics(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    let unfinished = || Problem::new(Refusal::Internal, "the counts were not written to the end");
    let database = app.seal().database()?.clone();
    // To say no, the audit log is written to.
    let looked = spawn_blocking(move || {
        tenant.open(&database)?.require(Permission::MetricsRead)?;
        Ok::<_, Problem>((database.health(), database.audit_faults().is_empty()))
    });
    let (health, is_audit_sound) = looked.await.map_err(|_| unfinished())??;
    let now = Standing {
        waiting: app.waiting(),
        bodies_bytes: app.pantry().taken(),
        spans: app.traces().map(Traces::spans),
        is_ready: app.is_ready(),
        is_writable: matches!(health, Health::Ready),
        is_audit_sound,
    };
    let text = app.metrics().text(now).map_err(|_| unfinished())?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
