//! A round over the audit log: how far it is, and what was found. A leaf, which the trail holds and the
//! [`patrol`](super::patrol) walks.

use privacy::audit::Log;

/// How far the patrol is.
#[derive(Default)]
pub(crate) struct Round {
    /// The log through the blocks of this round.
    pub log: Option<Log>,
    pub block: u64,
    pub through: u64,
    pub fault: Option<String>,
    pub whole_ms: Option<u64>,
    pub next_ms: u64,
}

/// What the audit log is known to be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AuditWatch {
    /// Through which event this round has hashed the log.
    pub through: u64,
    /// When a round last came to the end, in milliseconds since the Unix epoch; none before the first did.
    pub whole_at: Option<u64>,
    /// What is wrong with the log, until a round finds nothing.
    pub fault: Option<String>,
}
