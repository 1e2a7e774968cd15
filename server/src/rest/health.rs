//! Is the process alive, and does it want requests. Never queued behind the engine, so that load cannot hide them.

use axum::extract::State;

use super::error::{Problem, Refusal, Refused};
use super::state::App;

/// The process runs.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "alive", body = String)))]
pub async fn livez() -> &'static str {
    "alive"
}

/// The database is open and the server is not shutting down.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "ready", body = String),
    Refused,
))]
pub async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    if app.is_ready() { Ok("ready") } else { Err(Problem::new(Refusal::Overloaded, "the server is shutting down")) }
}
