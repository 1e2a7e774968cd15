//! The routes, what lies in front of them, and their description in OpenAPI.
//!
//! Invariant: every route is described, which a test checks; no request path is logged, because it can name a person.

use std::net::IpAddr;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::trace::TraceLayer;
use utoipa::OpenApi;

use super::admission::{entry, only_in_measure, only_within_means};
use super::auth::{asked_for_a_key, authorised};
use super::error::{Problem, Refusal, only_problems};
use super::filter::{MinShould, Nested};
use super::observe::{answered, observed, span};
use super::repeats::only_once;
use super::route::path_of;
use super::state::App;
use super::{
    access, admin, aliases, audit, backups, collections, consent, docs, health, hold, indexes, keys, policy, portable,
    private, records, retention, rules, search, searches, tallies,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "lethedb", description = "The vector database that can forget."),
    paths(
        health::livez,
        health::readyz,
        health::metrics,
        collections::list,
        collections::put,
        collections::get,
        collections::delete,
        rules::put_schema,
        rules::put_limits,
        aliases::list,
        aliases::get,
        aliases::put,
        aliases::delete,
        indexes::put,
        indexes::delete,
        records::put,
        records::get,
        records::delete,
        records::update,
        search::search,
        searches::batch,
        searches::groups,
        search::scroll,
        search::count,
        tallies::facet,
        tallies::sample,
        private::centroid,
        private::aggregate,
        private::budget,
        private::put_budget,
        admin::delete,
        admin::post,
        admin::receipt,
        audit::get,
        consent::list,
        consent::revoke,
        consent::state,
        hold::list,
        hold::place,
        hold::release,
        hold::state,
        retention::get,
        retention::put,
        retention::post,
        retention::clock,
        portable::get,
        portable::post,
        backups::post,
        backups::list,
        backups::verify,
        backups::prune,
        keys::unseal,
        access::list_keys,
        access::create_key,
        access::revoke_key,
        access::rotate_key,
        access::list_roles,
        access::put_role,
        access::delete_role,
        policy::end_users,
        policy::put_end_users,
        policy::delete_end_users,
        policy::rules,
        policy::put_rules,
        policy::approvers,
        policy::put_approvers,
        policy::delete_approvers,
    ),
    // What only a default answer and a filter in a filter point at is not found by itself.
    components(schemas(Problem, MinShould, Nested))
)]
struct Description;

/// The description, made when somebody asks for it first.
static DOCUMENT: LazyLock<docs::Description> = LazyLock::new(|| docs::Description::of(&Description::openapi()));

/// What a server without its root key answers; all else is refused.
const WHILE_SEALED: [&str; 4] = ["/livez", "/openapi.json", "/docs", "/v1/admin/keys/unseal"];

fn routes() -> Router<App> {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(|asked: HeaderMap| async move { DOCUMENT.json(&asked) }))
        .route("/docs", get(|asked: HeaderMap| async move { DOCUMENT.page(&asked) }))
        .route("/v1/collections", get(collections::list))
        .route("/v1/collections/{collection}", put(collections::put).get(collections::get).delete(collections::delete))
        .route("/v1/collections/{collection}/schema", put(rules::put_schema))
        .route("/v1/collections/{collection}/limits", put(rules::put_limits))
        .route("/v1/aliases", get(aliases::list))
        .route("/v1/aliases/{alias}", put(aliases::put).get(aliases::get).delete(aliases::delete))
        .route("/v1/collections/{collection}/indexes", put(indexes::put))
        .route("/v1/collections/{collection}/indexes/{field}", delete(indexes::delete))
        .route("/v1/collections/{collection}/records", put(records::put))
        .route("/v1/collections/{collection}/records/{id}", get(records::get))
        .route("/v1/collections/{collection}/records/delete", post(records::delete))
        .route("/v1/collections/{collection}/records/update", post(records::update))
        .route("/v1/collections/{collection}/search", post(search::search))
        .route("/v1/collections/{collection}/search/batch", post(searches::batch))
        .route("/v1/collections/{collection}/search/groups", post(searches::groups))
        .route("/v1/collections/{collection}/scroll", post(search::scroll))
        .route("/v1/collections/{collection}/count", post(search::count))
        .route("/v1/collections/{collection}/facet", post(tallies::facet))
        .route("/v1/collections/{collection}/sample", post(tallies::sample))
        .route("/v1/collections/{collection}/centroid", post(private::centroid))
        .route("/v1/collections/{collection}/aggregate", post(private::aggregate))
        .route("/v1/admin/budget", get(private::budget).put(private::put_budget))
        .route("/v1/admin/entity/{id}", delete(admin::delete))
        .route("/v1/admin/entity/erase", post(admin::post).delete(admin::delete_erase))
        .route("/v1/admin/receipts/{job}", get(admin::receipt))
        .route("/v1/admin/audit", get(audit::get))
        .route("/v1/admin/consent", get(consent::list).post(consent::revoke))
        .route("/v1/admin/consent/state", post(consent::state))
        .route("/v1/admin/holds", get(hold::list).post(hold::place))
        .route("/v1/admin/holds/release", post(hold::release))
        .route("/v1/admin/holds/state", post(hold::state))
        .route("/v1/admin/retention", get(retention::get).put(retention::put).post(retention::post))
        .route("/v1/admin/retention/clock", post(retention::clock))
        .route("/v1/admin/entity/{id}/export", get(portable::get))
        .route("/v1/admin/entity/export", post(portable::post).delete(admin::delete_export))
        .route("/v1/admin/backups", post(backups::post).get(backups::list))
        .route("/v1/admin/backups/{number}/verify", post(backups::verify))
        .route("/v1/admin/backups/prune", post(backups::prune))
        .route("/v1/admin/keys/unseal", post(keys::unseal).layer(RequestBodyLimitLayer::new(keys::BYTES_MAX)))
        .route("/v1/admin/api-keys", get(access::list_keys).post(access::create_key))
        .route("/v1/admin/api-keys/{key}", delete(access::revoke_key))
        .route("/v1/admin/api-keys/{key}/rotate", post(access::rotate_key))
        .route("/v1/admin/roles", get(access::list_roles))
        .route("/v1/admin/roles/{role}", put(access::put_role).delete(access::delete_role))
        .route("/v1/admin/rules", get(policy::rules))
        .route("/v1/collections/{collection}/rules", put(policy::put_rules))
        .route(
            "/v1/admin/end-users",
            get(policy::end_users).put(policy::put_end_users).delete(policy::delete_end_users),
        )
        .route(
            "/v1/admin/approvers",
            get(policy::approvers).put(policy::put_approvers).delete(policy::delete_approvers),
        )
}

/// All routes, with limits, log and problems around them.
pub fn router(app: App) -> Router {
    let routes = routes().layer(from_fn_with_state(app.clone(), only_once));
    let routes = routes.layer(RequestBodyLimitLayer::new(app.config().server.body_bytes_max));
    watched(guarded(routes.layer(from_fn(only_problems)), &app), &app).with_state(app)
}

/// All routes, for who has already let the request in.
pub fn handlers(app: App) -> Router {
    routes().layer(from_fn(only_problems)).with_state(app)
}

/// `routes` behind everything that decides whether a request is let in. One layer: each clones, twice for every request,
/// whatever lies below it.
pub fn guarded(routes: Router<App>, app: &App) -> Router<App> {
    routes.layer(from_fn_with_state(app.clone(), only_welcome))
}

/// `routes` with a line in the log and a count for every request.
pub fn watched(routes: Router<App>, app: &App) -> Router<App> {
    routes
        // The answer's line says its status; what failed in the engine has one of its own.
        .layer(TraceLayer::new_for_http().make_span_with(span).on_response(answered).on_failure(()))
        .layer(from_fn_with_state(app.clone(), observed))
}

async fn only_welcome(State(app): State<App>, request: Request, next: Next) -> Response {
    only_within_means(&app, entry(&request), let_in(&app, request, next)).await
}

async fn let_in(app: &App, mut request: Request, next: Next) -> Response {
    if let Err(problem) = can_be_served(app, &request) {
        return problem.into_response();
    }
    if let Err(problem) = authorised(app, &mut request).await {
        return asked_for_a_key(problem);
    }
    only_in_measure(app, request, next).await
}

/// Refuses, before anything of it is read, what needs the database while that is sealed, and requests that were meant for
/// another host: a web page may resolve its own name to this machine and would otherwise read everything through its
/// visitor's browser (DNS rebinding). No page can do that with an address.
fn can_be_served(app: &App, request: &Request) -> Result<(), Problem> {
    if !is_for_us(request, &app.config().server.hosts) {
        let detail = "Host must be an address, localhost, or a name listed in server.hosts";
        return Err(Problem::new(Refusal::ForeignHost, detail));
    }
    if WHILE_SEALED.contains(&path_of(request)) { Ok(()) } else { app.seal().database().map(|_| ()) }
}

/// Whether every host that `request` names is ours, and it names one.
fn is_for_us(request: &Request, names: &[String]) -> bool {
    let named = request.headers().get_all(HOST).iter().map(|value| value.to_str().unwrap_or_default());
    let mut hosts = named.chain(request.uri().host()).peekable();
    hosts.peek().is_some() && hosts.all(|host| is_ours(host, names))
}

fn is_ours(host: &str, names: &[String]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    is_address || name.eq_ignore_ascii_case("localhost") || names.iter().any(|ours| ours.eq_ignore_ascii_case(name))
}

#[cfg(test)]
pub mod tests;
