//! Aliases: other names of collections, which every route takes in the place of a collection's own.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::{Alias, Permission};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::error::{Problem, Refusal, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};

/// What an alias is to stand for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AliasBody {
    /// A collection that is there, by its own name or another alias.
    collection: String,
}

/// An alias.
#[derive(Serialize, ToSchema)]
pub struct AliasAnswer {
    alias: String,
    /// The own name of the collection that it stands for.
    collection: String,
}

/// What an alias stands for now, and before.
#[derive(Serialize, ToSchema)]
pub struct AliasChangeAnswer {
    alias: String,
    /// What it stands for now; null if it is gone.
    collection: Option<String>,
    /// What it stood for before; null if it is new.
    before: Option<String>,
}

/// All aliases of an environment.
#[derive(Serialize, ToSchema)]
pub struct AliasesAnswer {
    /// In their order.
    aliases: Vec<AliasAnswer>,
}

impl From<Alias> for AliasAnswer {
    fn from(Alias { alias, collection }: Alias) -> Self {
        Self { alias, collection }
    }
}

/// Lists the aliases of the environment.
#[utoipa::path(get, operation_id = "list_aliases", path = "/v1/aliases", tag = "aliases", params(Header),
    responses((status = 200, description = "all of them", body = AliasesAnswer), Refused))]
pub async fn list(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        let environment = tenant.open(database)?;
        environment.demand(Permission::CollectionList)?;
        let aliases = environment.aliases().into_iter().map(AliasAnswer::from).collect();
        Ok(answer(StatusCode::OK, &AliasesAnswer { aliases }))
    })
    .await
}

/// Says what an alias stands for.
#[utoipa::path(get, operation_id = "describe_alias", path = "/v1/aliases/{alias}", tag = "aliases",
    params(("alias" = String, Path), Header),
    responses((status = 200, description = "what it stands for", body = AliasAnswer), Refused))]
pub async fn get(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(alias) = path?;
    app.run(move |database| {
        let environment = tenant.open(database)?;
        environment.demand(Permission::CollectionList)?;
        let found = environment.aliases().into_iter().find(|found| found.alias == alias);
        Ok(answer(StatusCode::OK, &AliasAnswer::from(found.ok_or_else(missing)?)))
    })
    .await
}

/// Has an alias stand for a collection, in one step in the place of another if it stood for one.
#[utoipa::path(put, operation_id = "put_alias", path = "/v1/aliases/{alias}", tag = "aliases",
    params(("alias" = String, Path, description = "a name as collections have, which none has"), Header),
    request_body = AliasBody,
    responses((status = 200, description = "it stands for this now", body = AliasChangeAnswer), Refused))]
pub async fn put(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<AliasBody>,
) -> Result<Response, Problem> {
    let Path(alias) = path?;
    app.run(move |database| {
        let environment = tenant.open(database)?;
        let before = environment.set_alias(&alias, &body.collection)?;
        let collection = Some(environment.open_collection(&body.collection)?.name().to_owned());
        Ok(answer(StatusCode::OK, &AliasChangeAnswer { alias, collection, before }))
    })
    .await
}

/// Takes an alias away, and nothing of its collection.
#[utoipa::path(delete, operation_id = "delete_alias", path = "/v1/aliases/{alias}", tag = "aliases",
    params(("alias" = String, Path), Header),
    responses((status = 200, description = "it is gone", body = AliasChangeAnswer), Refused))]
pub async fn delete(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(alias) = path?;
    app.run(move |database| {
        let before = tenant.open(database)?.remove_alias(&alias)?.ok_or_else(missing)?;
        Ok(answer(StatusCode::OK, &AliasChangeAnswer { alias, collection: None, before: Some(before) }))
    })
    .await
}

fn missing() -> Problem {
    Problem::new(Refusal::NotFound, "there is no such alias")
}
