//! Is the process alive, and does it want requests. Never queued behind the engine, so that load cannot hide them.

use axum::Json;
use axum::extract::State;
use engine::Health;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{Problem, Refusal, Refused};
use super::state::App;

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
    Ok(Json(Readiness { status: database.health(), damaged }))
}
