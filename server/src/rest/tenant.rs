//! Which environment a request works in, and as whom.
//!
//! Invariant: the header is read here and nowhere else. With a key, the environment is that of the key: another name in
//! the header answers as one that is not there. Without the decision of `auth` nothing is opened.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use engine::{Access, Approval, Database, Environment};
use utoipa::IntoParams;

use super::auth::Caller;
use super::error::{Problem, Refusal};
use super::state::App;

/// Names the environment, where no key does.
pub const HEADER: &str = "Lethe-Environment";
const APPROVAL: &str = "Lethe-Approval";

/// The header, for the API description.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "read by the API description alone")]
pub struct Header {
    /// The environment to work in; without it, that of the API key, or else the server's default.
    #[param(rename = "Lethe-Environment", pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    environment: Option<String>,
    /// The token of the end user for whom the request is made.
    #[param(rename = "X-User-Token")]
    user_token: Option<String>,
    /// For a critical operation: the operation that was refused for want of approval, and votes for it, with spaces between.
    #[param(rename = "Lethe-Approval", pattern = "^[0-9A-Fa-f]{186}( +[^ ]+)*$")]
    approval: Option<String>,
    /// For a write: a name for it, so that it is not done again if it is sent again within a day; a repeat gets the first
    /// one's answer.
    #[param(rename = "Idempotency-Key", pattern = "^[!-~]{1,255}$")]
    idempotency_key: Option<String>,
}

/// The environment of a request: that of its key, or what the header `Lethe-Environment` names, or the server's default.
pub struct Tenant {
    name: String,
    caller: Caller,
    approval: Option<Approval>,
}

impl Tenant {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The environment, which must exist.
    pub fn open(&self, database: &Database) -> Result<Environment, Problem> {
        let environment = match &self.caller.session {
            Some(session) => session.environment(&self.name)?,
            None => database.open_environment(&self.name)?.by_way_of(self.caller.source),
        };
        Ok(self.approval.as_ref().map(|votes| environment.approved_by(votes)).unwrap_or(environment))
    }

    /// The environment, made if it does not exist and nobody had to show a key.
    pub fn open_or_create(&self, database: &Database) -> Result<Environment, Problem> {
        match &self.caller.session {
            Some(_) => self.open(database),
            None => Ok(database.environment(&self.name)?.by_way_of(self.caller.source)),
        }
    }

    /// API keys and roles, as far as the caller reaches.
    pub fn access(&self, database: &Database) -> Access {
        let access = match &self.caller.session {
            Some(session) => session.access(),
            None => database.access().by_way_of(self.caller.source),
        };
        self.approval.as_ref().map(|votes| access.approved_by(votes)).unwrap_or(access)
    }
}

impl FromRequestParts<App> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>();
        let caller = caller.ok_or_else(|| Problem::new(Refusal::Unauthenticated, "nobody looked for a key"))?;
        Self::of(&parts.headers, caller, app)
    }
}

impl Tenant {
    /// What a request with these headers works in, if this caller made it.
    pub fn of(headers: &HeaderMap, caller: &Caller, app: &App) -> Result<Self, Problem> {
        let mut values = headers.get_all(HEADER).iter();
        let approval = approval(headers)?;
        let name = match (values.next(), values.next()) {
            (None, _) => Some(match &caller.session {
                Some(session) => session.environment_name(),
                None => app.config().store.environment.as_str(),
            }),
            (Some(value), None) => value.to_str().ok(),
            (Some(_), Some(_)) => None,
        };
        match name {
            Some(name) => Ok(Self { name: name.to_owned(), caller: caller.clone(), approval }),
            None => Err(Problem::new(Refusal::InvalidHeader, format!("{HEADER} must appear once and be plain ASCII"))),
        }
    }
}

/// The votes that the headers show, if they show any.
fn approval(headers: &HeaderMap) -> Result<Option<Approval>, Problem> {
    let mut values = headers.get_all(APPROVAL).iter();
    let wrong = |detail: String| Problem::new(Refusal::InvalidHeader, format!("{APPROVAL}: {detail}"));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let approval = value.to_str().unwrap_or_default().parse::<Approval>();
            approval.map(Some).map_err(|error| wrong(error.to_string()))
        }
        (Some(_), Some(_)) => Err(wrong("show it once".to_owned())),
    }
}
