//! API keys and roles of the environment.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::{ApiKeyClass, ApiKeyRequest, BuiltInRole, Permission, Permissions};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{Body, answer};
use super::error::{Problem, Refusal, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{ApiKeysAnswer, IssuedAnswer, RoleAnswer, RolesAnswer, millis};

/// For whom a key is.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum ClassBody {
    /// A program that works with data.
    Sk,
    /// A page or an app in the hands of end users.
    Pk,
    /// Whatever only delivers records.
    Ik,
    /// Whoever administers.
    Ak,
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyBody {
    /// For whom it is.
    class: ClassBody,
    /// Its roles.
    roles: Vec<String>,
    /// What people call it; name no data subject in it.
    #[serde(default)]
    label: String,
    /// The collections that it reaches; all if absent.
    collections: Option<Vec<String>>,
    /// The types of data subjects that it is shown: what their ids have before the first `:`.
    entity_types: Option<Vec<String>>,
    /// The data subjects that it is shown.
    entities: Option<Vec<String>>,
    /// From when on it is refused: RFC 3339.
    expires_at: Option<String>,
    /// Addresses and networks from where it may be used; from anywhere if there are none.
    #[serde(default)]
    networks: Vec<String>,
}

/// How a key is given another secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateBody {
    /// How long the secret before is taken, too; an hour if absent.
    #[serde(default = "an_hour")]
    overlap_seconds: u64,
}

/// What a role permits.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    /// Names of permissions.
    permissions: Vec<String>,
}

fn an_hour() -> u64 {
    3600
}

/// Lists the API keys of the environment, revoked and expired ones too.
#[utoipa::path(get, operation_id = "list_api_keys", path = "/v1/admin/api-keys", tag = "access", params(Header),
    responses((status = 200, description = "all keys", body = ApiKeysAnswer), Refused))]
pub async fn list_keys(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        let api_keys = tenant.access(database).list(tenant.name())?.into_iter().map(Into::into).collect();
        Ok(answer(StatusCode::OK, &ApiKeysAnswer { api_keys }))
    })
    .await
}

/// Makes an API key. It is in the answer and nowhere else. From the first one on the server asks everybody for a key.
#[utoipa::path(post, operation_id = "create_api_key", path = "/v1/admin/api-keys", tag = "access", params(Header),
    request_body = ApiKeyBody,
    responses((status = 201, description = "made", body = IssuedAnswer), Refused))]
pub async fn create_key(
    State(app): State<App>,
    tenant: Tenant,
    Body(body): Body<ApiKeyBody>,
) -> Result<Response, Problem> {
    let class = match body.class {
        ClassBody::Sk => ApiKeyClass::Secret,
        ClassBody::Pk => ApiKeyClass::Public,
        ClassBody::Ik => ApiKeyClass::Ingest,
        ClassBody::Ak => ApiKeyClass::Admin,
    };
    let wrong = || Problem::new(Refusal::InvalidBody, "expires_at: an RFC 3339 time after 1970 is expected");
    let expires_ms = body.expires_at.map(|time| millis(&time).ok_or_else(wrong)).transpose()?;
    let request = ApiKeyRequest {
        label: body.label,
        roles: body.roles,
        collections: body.collections,
        entity_types: body.entity_types,
        entities: body.entities,
        expires_ms,
        networks: body.networks,
        ..ApiKeyRequest::new(class, tenant.name())
    };
    app.run(move |database| {
        let issued = tenant.access(database).create(&request)?;
        Ok(answer(StatusCode::CREATED, &IssuedAnswer::from(issued)))
    })
    .await
}

/// Revokes an API key, for good and from the next request on.
#[utoipa::path(delete, operation_id = "revoke_api_key", path = "/v1/admin/api-keys/{key}", tag = "access",
    params(("key" = String, Path, description = "the public part of the key"), Header),
    responses((status = 204, description = "revoked"), Refused))]
pub async fn revoke_key(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = path?;
    app.run(move |database| {
        if !tenant.access(database).revoke(tenant.name(), &id)? {
            return Err(Problem::new(Refusal::NotFound, "there is no such key, or it was revoked"));
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Gives an API key another secret. The one before is taken for a while, too.
#[utoipa::path(post, operation_id = "rotate_api_key", path = "/v1/admin/api-keys/{key}/rotate", tag = "access",
    params(("key" = String, Path, description = "the public part of the key"), Header), request_body = RotateBody,
    responses((status = 200, description = "rotated", body = IssuedAnswer), Refused))]
pub async fn rotate_key(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<RotateBody>,
) -> Result<Response, Problem> {
    let Path(id) = path?;
    app.run(move |database| {
        let overlap_ms = body.overlap_seconds.saturating_mul(1000);
        let issued = tenant.access(database).rotate(tenant.name(), &id, overlap_ms)?;
        Ok(answer(StatusCode::OK, &IssuedAnswer::from(issued)))
    })
    .await
}

/// Lists the roles that keys of the environment can have.
#[utoipa::path(get, operation_id = "list_roles", path = "/v1/admin/roles", tag = "access", params(Header),
    responses((status = 200, description = "all roles", body = RolesAnswer), Refused))]
pub async fn list_roles(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        let custom = tenant.access(database).roles(tenant.name())?;
        let custom = custom.into_iter().map(|(role, permits)| RoleAnswer::custom(role, permits));
        let roles = BuiltInRole::ALL.into_iter().map(RoleAnswer::built_in).chain(custom).collect();
        Ok(answer(StatusCode::OK, &RolesAnswer { roles }))
    })
    .await
}

/// Says what a role permits, for every key that has it. Nobody grants what they lack.
#[utoipa::path(put, operation_id = "put_role", path = "/v1/admin/roles/{role}", tag = "access",
    params(("role" = String, Path), Header), request_body = RoleBody,
    responses((status = 200, description = "defined", body = RoleAnswer), Refused))]
pub async fn put_role(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<RoleBody>,
) -> Result<Response, Problem> {
    let Path(role) = path?;
    let wrong = || Problem::new(Refusal::InvalidBody, "permissions: a name is unknown; the roles list all there are");
    let permits: Option<Permissions> = body.permissions.iter().map(|name| Permission::parse(name)).collect();
    let permits = permits.ok_or_else(wrong)?;
    app.run(move |database| {
        tenant.access(database).define_role(tenant.name(), &role, permits)?;
        Ok(answer(StatusCode::OK, &RoleAnswer::custom(role, permits)))
    })
    .await
}

/// Takes a role away that no key has.
#[utoipa::path(delete, operation_id = "delete_role", path = "/v1/admin/roles/{role}", tag = "access",
    params(("role" = String, Path), Header), responses((status = 204, description = "gone"), Refused))]
pub async fn delete_role(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(role) = path?;
    app.run(move |database| {
        tenant.access(database).remove_role(tenant.name(), &role)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}
