//! Reading the audit log.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use engine::{AuditEvent, AuditPage};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::answer;
use super::error::{Problem, Refusal, Refused};
use super::state::App;
use super::tenant::{Header, Tenant};
use crate::json::{millis, rfc3339};

/// Which events.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// From this time on, RFC 3339.
    start: Option<String>,
    /// Before this time, RFC 3339.
    end: Option<String>,
    /// Only this action, such as `entity.erased`.
    action: Option<String>,
    /// Only this actor, as an event names it.
    actor: Option<String>,
    /// At most so many, 1 to 1,000; 100 if absent.
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<u64>,
}

/// Events of the audit log, in their order.
#[derive(Serialize, ToSchema)]
pub struct AuditAnswer {
    events: Vec<AuditEventAnswer>,
    /// Where to go on; null once there are no more.
    next: Option<u64>,
    /// How many events the log has.
    total: u64,
    /// Whether every event above was hashed for this answer and leads to what was signed, and the log has no fault that
    /// the last round over all of it found. Where an event of this answer would not verify, there is an error instead.
    chain_verified: bool,
    /// What is wrong with the log elsewhere, if a round found something.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    /// When all of the log was last hashed, RFC 3339, UTC; null if not yet since the environment was opened.
    verified_whole_at: Option<String>,
    /// The first event that was looked at.
    verified_from: u64,
    /// All before this one were looked at.
    verified_through: u64,
    /// When. RFC 3339, UTC.
    verified_at: String,
    /// The newest signed checkpoint, a C2SP note.
    checkpoint: String,
}

/// An event.
#[derive(Serialize, ToSchema)]
pub struct AuditEventAnswer {
    /// Its place in the log, from 0.
    event_id: u64,
    /// When. RFC 3339, UTC.
    timestamp: String,
    action: String,
    actor: String,
    /// What it is about, such as `collection:` and its id; null for what is about the environment as a whole.
    resource: Option<String>,
    source: &'static str,
    outcome: &'static str,
    /// What the act tells more: an `epsilon` as a number, null for none; all else as text.
    #[schema(value_type = Object)]
    details: serde_json::Map<String, serde_json::Value>,
    /// The value of the chain before it, in hex.
    previous: String,
    /// Its leaf in the tree, in hex.
    leaf: String,
    /// The value of the chain after it, in hex: what the next event names as the one before.
    chain_hash: String,
}

impl From<AuditPage> for AuditAnswer {
    fn from(page: AuditPage) -> Self {
        Self {
            events: page.events.into_iter().map(Into::into).collect(),
            next: page.next,
            total: page.total,
            chain_verified: page.chain_verified,
            fault: page.fault,
            verified_whole_at: page.verified_whole_at.map(rfc3339),
            verified_from: page.verified_from,
            verified_through: page.verified_through,
            verified_at: rfc3339(page.verified_at),
            checkpoint: page.checkpoint,
        }
    }
}

impl From<AuditEvent> for AuditEventAnswer {
    fn from(event: AuditEvent) -> Self {
        Self {
            event_id: event.sequence,
            timestamp: rfc3339(event.time_ms),
            action: event.action,
            actor: event.actor,
            resource: event.resource,
            source: event.source,
            outcome: event.outcome,
            details: event.fields.into_iter().map(detail).collect(),
            previous: event.previous,
            leaf: event.leaf,
            chain_hash: event.chain_hash,
        }
    }
}

/// A field: an ε as a number, as answers about budgets have it.
fn detail((name, value): (String, String)) -> (String, serde_json::Value) {
    let value = if name == "epsilon" { value.parse::<f64>().ok().into() } else { value.into() };
    (name, value)
}

/// What privileged acts there were. Every event is verified for the answer; that it was read is told as well.
#[utoipa::path(get, operation_id = "audit", path = "/v1/admin/audit", tag = "admin", params(AuditQuery, Header),
    responses((status = 200, description = "events", body = AuditAnswer), Refused))]
pub async fn get(
    State(app): State<App>,
    tenant: Tenant,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let time = |text: Option<String>, name: &str| match text {
        None => Ok(None),
        Some(text) => {
            let wrong = || Problem::new(Refusal::InvalidQuery, format!("{name}: a time as in RFC 3339 is due"));
            millis(&text).map(Some).ok_or_else(wrong)
        }
    };
    let (start, end) = (time(query.start, "start")?, time(query.end, "end")?);
    app.run(move |database| {
        let mut audit = tenant.open(database)?.audit().cursor(query.cursor.unwrap_or_default());
        audit = audit.start(start.unwrap_or_default()).end(end.unwrap_or(u64::MAX)).limit(query.limit.unwrap_or(100));
        if let Some(action) = query.action {
            audit = audit.action(action);
        }
        if let Some(actor) = query.actor {
            audit = audit.actor(actor);
        }
        Ok(answer(StatusCode::OK, &AuditAnswer::from(audit.run()?)))
    })
    .await
}
