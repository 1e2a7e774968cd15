//! Legal holds, as JSON and as text.

use std::fmt;

use engine::LegalHold;
use serde::Serialize;
use utoipa::ToSchema;

use super::time::rfc3339;

/// Why somebody's data must stay for now.
#[derive(Serialize, ToSchema)]
pub struct HoldFacts {
    /// As whoever placed it said.
    reason: String,
    /// Since then. RFC 3339, UTC.
    since: String,
}

impl From<LegalHold> for HoldFacts {
    fn from(hold: LegalHold) -> Self {
        Self { reason: hold.reason, since: rfc3339(hold.since) }
    }
}

/// Whether one data subject is held.
#[derive(Serialize, ToSchema)]
pub struct HoldAnswer {
    /// The data subject, as the request names it.
    pub entity_id: String,
    /// The hold; null if there is none.
    pub hold: Option<HoldFacts>,
}

/// Every hold, without whose it is: the database knows the ids of those held only when it is told them.
#[derive(Serialize, ToSchema)]
pub struct HoldsAnswer {
    /// Those placed first come first.
    pub holds: Vec<HoldFacts>,
}

impl fmt::Display for HoldFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "held since {}: {}", self.since, self.reason)
    }
}

impl fmt::Display for HoldAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hold {
            Some(hold) => hold.fmt(f),
            None => f.write_str("not held"),
        }
    }
}

impl fmt::Display for HoldsAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} held", self.holds.len())?;
        self.holds.iter().try_for_each(|hold| write!(f, "\n{hold}"))
    }
}
