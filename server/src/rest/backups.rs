//! Backups: made, listed, read again and removed in the one archive that the settings name. A restore is no request: it changes
//! under a server what the server serves, so it is a command.

use std::path::PathBuf;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::Archive;
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::error::{Problem, Refusal, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{BackupMadeAnswer, BackupVerifiedAnswer, BackupsAnswer, PrunedAnswer};

/// How a backup is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupBody {
    /// Make it although the loss of the data's volume would take along what opens it.
    #[serde(default)]
    unrecoverable: bool,
}

/// Copies what the environment holds now into the archive. Answers once it was read again and is whole.
#[utoipa::path(post, operation_id = "make_backup", path = "/v1/admin/backups", tag = "admin", params(Header), request_body = BackupBody,
    responses((status = 201, description = "made", body = BackupMadeAnswer), Refused))]
pub async fn post(State(app): State<App>, tenant: Tenant, Body(body): Body<BackupBody>) -> Result<Response, Problem> {
    let path = configured(&app)?;
    app.run(move |database| {
        let archive = Archive::create(path)?;
        let made = tenant.open(database)?.backup(&archive).unrecoverable(body.unrecoverable).run()?;
        Ok(answer(StatusCode::CREATED, &BackupMadeAnswer::from(made)))
    })
    .await
}

/// Lists the backups of the environment.
#[utoipa::path(get, operation_id = "list_backups", path = "/v1/admin/backups", tag = "admin", params(Header),
    responses((status = 200, description = "all of them", body = BackupsAnswer), Refused))]
pub async fn list(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    let path = configured(&app)?;
    app.run(move |database| {
        let listed = tenant.open(database)?.backups(&Archive::open(path)?)?;
        Ok(answer(StatusCode::OK, &BackupsAnswer::from(listed)))
    })
    .await
}

/// Reads and authenticates every byte of a backup.
#[utoipa::path(post, operation_id = "verify_backup", path = "/v1/admin/backups/{number}/verify", tag = "admin",
    params(("number" = u64, Path), Header),
    responses((status = 200, description = "all is as it was written", body = BackupVerifiedAnswer), Refused))]
pub async fn verify(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<u64>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(number) = path?;
    let path = configured(&app)?;
    app.run(move |database| {
        let verified = tenant.open(database)?.verify_backup(&Archive::open(path)?, Some(number))?;
        Ok(answer(StatusCode::OK, &BackupVerifiedAnswer::from(verified)))
    })
    .await
}

/// How many backups are to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PruneBody {
    /// The newest so many, at least one.
    keep: usize,
}

/// Removes all but the newest backups, and the files that no other backup names.
#[utoipa::path(post, operation_id = "prune_backups", path = "/v1/admin/backups/prune", tag = "admin", params(Header), request_body = PruneBody,
    responses((status = 200, description = "what is kept, and what was removed", body = PrunedAnswer), Refused))]
pub async fn prune(State(app): State<App>, tenant: Tenant, Body(body): Body<PruneBody>) -> Result<Response, Problem> {
    let path = configured(&app)?;
    app.run(move |database| {
        let pruned = tenant.open(database)?.prune_backups(&Archive::open(path)?, body.keep)?;
        Ok(answer(StatusCode::OK, &PrunedAnswer::from(pruned)))
    })
    .await
}

/// The archive that the settings name: a request never names a directory of the server.
fn configured(app: &App) -> Result<PathBuf, Problem> {
    let missing = || Problem::new(Refusal::NotFound, "this server has no archive: set store.archive");
    app.config().store.archive.clone().ok_or_else(missing)
}
