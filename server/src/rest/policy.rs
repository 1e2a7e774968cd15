//! What is decided of end users, and who approves critical operations.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::{TokenKeys, quorum_of, rules_of};

use super::body::{Body, answer};
use super::error::{Problem, Refusal, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{ApproversAnswer, ApproversBody, EndUsersBody, RulesAnswer, RulesBody};
use crate::tokens::{Reach, check_inline};

/// Tells whose tokens of end users are believed.
#[utoipa::path(get, operation_id = "get_end_users", path = "/v1/admin/end-users", tag = "access", params(Header),
    responses((status = 200, description = "whose", body = EndUsersBody), Refused))]
pub async fn end_users(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        let trust = tenant.access(database).trust(tenant.name())?;
        let none = || Problem::new(Refusal::NotFound, "no tokens of end users are believed here");
        Ok(answer(StatusCode::OK, &EndUsersBody::from(&trust.ok_or_else(none)?)))
    })
    .await
}

/// Says whose tokens of end users are believed, in the header `X-User-Token` beside a key. Keys at a URL are fetched when a
/// token needs them: from no private address unless the server's settings name it, without following redirects.
#[utoipa::path(put, operation_id = "put_end_users", path = "/v1/admin/end-users", tag = "access", params(Header),
    request_body = EndUsersBody, responses((status = 200, description = "whose", body = EndUsersBody), Refused))]
pub async fn put_end_users(
    State(app): State<App>,
    tenant: Tenant,
    Body(body): Body<EndUsersBody>,
) -> Result<Response, Problem> {
    let unusable = |error: String| Problem::new(Refusal::InvalidBody, error);
    let trust = body.trust().map_err(unusable)?;
    match trust.keys() {
        TokenKeys::Inline(set) => check_inline(set).map_err(|error| unusable(error.to_string()))?,
        TokenKeys::Url(url) => {
            let reach = Reach::new(&app.config().server.private_issuers);
            reach.check(url).map_err(|error| unusable(error.to_string()))?;
        }
    }
    app.run(move |database| {
        tenant.access(database).set_trust(tenant.name(), Some(&trust))?;
        Ok(answer(StatusCode::OK, &EndUsersBody::from(&trust)))
    })
    .await
}

/// Believes nobody's tokens any more: every request with one is refused.
#[utoipa::path(delete, operation_id = "delete_end_users", path = "/v1/admin/end-users", tag = "access", params(Header),
    responses((status = 204, description = "nobody's"), Refused))]
pub async fn delete_end_users(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        tenant.access(database).set_trust(tenant.name(), None)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Tells the rules for end users of every collection that has any.
#[utoipa::path(get, operation_id = "get_rules", path = "/v1/admin/rules", tag = "access", params(Header),
    responses((status = 200, description = "all rules", body = RulesAnswer), Refused))]
pub async fn rules(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        let rules = tenant.access(database).rules(tenant.name())?;
        Ok(answer(StatusCode::OK, &RulesAnswer::from(&rules)))
    })
    .await
}

/// Gives a collection, by its own name, these rules for end users instead of those it has. A rule reads
/// `payload.PATH == claims.NAME`, with `in` where the claim is a list, `entity` instead of the path for whose the record
/// is, and ` and ` between conditions. An operation without a rule is refused to end users.
#[utoipa::path(put, operation_id = "put_rules", path = "/v1/collections/{collection}/rules", tag = "access",
    params(("collection" = String, Path), Header), request_body = RulesBody,
    responses((status = 200, description = "the rules", body = RulesBody), Refused))]
pub async fn put_rules(
    State(app): State<App>,
    tenant: Tenant,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<RulesBody>,
) -> Result<Response, Problem> {
    let Path(collection) = path?;
    app.run(move |database| {
        let rules = rules_of(body.texts())?;
        tenant.access(database).set_rules(tenant.name(), &collection, &rules)?;
        Ok(answer(StatusCode::OK, &RulesBody::from(&rules)))
    })
    .await
}

/// Tells who approves critical operations.
#[utoipa::path(get, operation_id = "get_approvers", path = "/v1/admin/approvers", tag = "access", params(Header),
    responses((status = 200, description = "who; nobody, where there are none", body = ApproversAnswer), Refused))]
pub async fn approvers(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        let quorum = tenant.access(database).approvers(tenant.name())?;
        Ok(answer(StatusCode::OK, &ApproversAnswer::from(quorum.as_ref())))
    })
    .await
}

/// Says who approves critical operations of this environment from now on: raising a privacy budget, believing other
/// tokens of end users, rules that do not merely narrow what those are shown, and changing this. Such a request is answered 403 with the operation that they are to sign; it is
/// done once it comes again with enough votes in the header `Lethe-Approval`.
#[utoipa::path(put, operation_id = "put_approvers", path = "/v1/admin/approvers", tag = "access", params(Header),
    request_body = ApproversBody, responses((status = 200, description = "who", body = ApproversAnswer), Refused))]
pub async fn put_approvers(
    State(app): State<App>,
    tenant: Tenant,
    Body(body): Body<ApproversBody>,
) -> Result<Response, Problem> {
    app.run(move |database| {
        let quorum = quorum_of(body.threshold, &body.approvers)?;
        tenant.access(database).set_approvers(tenant.name(), Some(&quorum))?;
        Ok(answer(StatusCode::OK, &ApproversAnswer::from(Some(&quorum))))
    })
    .await
}

/// Has nobody approve anything any more, which those who do must approve.
#[utoipa::path(delete, operation_id = "delete_approvers", path = "/v1/admin/approvers", tag = "access", params(Header),
    responses((status = 204, description = "nobody"), Refused))]
pub async fn delete_approvers(State(app): State<App>, tenant: Tenant) -> Result<Response, Problem> {
    app.run(move |database| {
        tenant.access(database).set_approvers(tenant.name(), None)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}
