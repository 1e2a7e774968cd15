//! Which environment a request works in.
//!
//! Invariant: the header is read here and nowhere else, so that credentials, once there are some, can bind it here.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use engine::{Database, Environment, Source};
use utoipa::IntoParams;

use super::error::{Problem, Refusal};
use super::state::App;

const HEADER: &str = "Lethe-Environment";

/// The header, for the API description.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "read by the API description alone")]
pub struct Header {
    /// The environment to work in; without it, the server's default.
    #[param(rename = "Lethe-Environment")]
    environment: Option<String>,
}

/// The name of the environment: the header `Lethe-Environment`, or the server's default.
pub struct Tenant(String);

impl Tenant {
    /// The environment, which must exist.
    pub fn open(&self, database: &Database) -> Result<Environment, Problem> {
        Ok(database.open_environment(&self.0)?.by_way_of(Source::Rest))
    }

    /// The environment, made if it does not exist.
    pub fn open_or_create(&self, database: &Database) -> Result<Environment, Problem> {
        Ok(database.environment(&self.0)?.by_way_of(Source::Rest))
    }
}

impl FromRequestParts<App> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let name = match (values.next(), values.next()) {
            (None, _) => Some(app.config().store.environment.as_str()),
            (Some(value), None) => value.to_str().ok(),
            (Some(_), Some(_)) => None,
        };
        match name {
            Some(name) => Ok(Self(name.to_owned())),
            None => Err(Problem::new(Refusal::InvalidHeader, format!("{HEADER} must appear once and be plain ASCII"))),
        }
    }
}
