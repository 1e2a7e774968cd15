//! How a consent stands, as JSON and as text.

use std::fmt;

use engine::Consent;
use serde::Serialize;
use utoipa::ToSchema;

/// How the consent of one data subject stands.
#[derive(Serialize, ToSchema)]
pub struct ConsentAnswer {
    /// The data subject, as the request names it.
    pub entity_id: String,
    /// `granted`, unless it was revoked: then `revoked` for good, and no write of its data is taken.
    #[schema(value_type = ConsentName)]
    pub consent: Consent,
}

/// How the schema shows it.
#[derive(ToSchema)]
#[schema(as = Consent, rename_all = "snake_case")]
#[allow(dead_code, reason = "read by the schema alone")]
pub enum ConsentName {
    /// Nobody has revoked it.
    Granted,
    /// It was revoked, for good.
    Revoked,
}

impl fmt::Display for ConsentAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.consent {
            Consent::Granted => f.write_str("consent  granted: nobody has revoked it"),
            Consent::Revoked => f.write_str("consent  revoked, for good: no write of this person's data is taken"),
        }
    }
}
