//! Which environment a request works in, and as whom.
//!
//! Invariant: the header is read here and nowhere else. With a key, the environment is that of the key: another name in
//! the header answers as one that is not there. Without the decision of `auth` nothing is opened.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use engine::{Access, Database, Environment, Source};
use utoipa::IntoParams;

use super::auth::Caller;
use super::error::{Problem, Refusal};
use super::state::App;

/// Names the environment, where no key does.
pub const HEADER: &str = "Lethe-Environment";

/// The header, for the API description.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "read by the API description alone")]
pub struct Header {
    /// The environment to work in; without it, that of the API key, or else the server's default.
    #[param(rename = "Lethe-Environment")]
    environment: Option<String>,
}

/// The environment of a request: that of its key, or what the header `Lethe-Environment` names, or the server's default.
pub struct Tenant {
    name: String,
    caller: Caller,
}

impl Tenant {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The environment, which must exist.
    pub fn open(&self, database: &Database) -> Result<Environment, Problem> {
        Ok(match &self.caller {
            Caller(Some(session)) => session.environment(&self.name)?,
            Caller(None) => database.open_environment(&self.name)?.by_way_of(Source::Rest),
        })
    }

    /// The environment, made if it does not exist and nobody had to show a key.
    pub fn open_or_create(&self, database: &Database) -> Result<Environment, Problem> {
        match &self.caller {
            Caller(Some(_)) => self.open(database),
            Caller(None) => Ok(database.environment(&self.name)?.by_way_of(Source::Rest)),
        }
    }

    /// API keys and roles, as far as the caller reaches.
    pub fn access(&self, database: &Database) -> Access {
        match &self.caller {
            Caller(Some(session)) => session.access(),
            Caller(None) => database.access().by_way_of(Source::Rest),
        }
    }
}

impl FromRequestParts<App> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Problem::new(Refusal::Unauthenticated, "nobody looked for a key"))?;
        let mut values = parts.headers.get_all(HEADER).iter();
        let name = match (values.next(), values.next()) {
            (None, _) => Some(match &caller {
                Caller(Some(session)) => session.environment_name(),
                Caller(None) => app.config().store.environment.as_str(),
            }),
            (Some(value), None) => value.to_str().ok(),
            (Some(_), Some(_)) => None,
        };
        match name {
            Some(name) => Ok(Self { name: name.to_owned(), caller: caller.clone() }),
            None => Err(Problem::new(Refusal::InvalidHeader, format!("{HEADER} must appear once and be plain ASCII"))),
        }
    }
}
