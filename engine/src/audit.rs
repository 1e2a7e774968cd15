//! AUDIT: permit → batches told → events of one block after the other, each hashed now → what was asked for → told.
//!
//! Invariant: an event that is answered was read and hashed for this answer and leads to a checkpoint that this
//! environment's key has signed, or to the log in memory, which goes on from it. So an answer is verified, or an error.

use std::sync::Arc;

use privacy::access::Permission;
use privacy::audit::{Act, Actor, Event, Outcome, Source, leaf_hash};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::permit::Permit;
use crate::state::EnvironmentState;

/// Most events of a page.
const LIMIT_MAX: usize = 1000;

/// A question to the audit log being put together.
#[must_use = "call run()"]
pub struct Audit {
    pub(crate) env: Arc<EnvironmentState>,
    pub(crate) permit: Permit,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) action: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) limit: usize,
    pub(crate) cursor: u64,
}

/// Events of the audit log, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditPage {
    /// What was found.
    pub events: Vec<AuditEvent>,
    /// Where to go on; `None` once there are no more.
    pub next: Option<u64>,
    /// How many events the log has.
    pub total: u64,
    /// Whether every event above was hashed for this answer and leads to what was signed. It is never false: an answer
    /// that would not be verified is an error.
    pub chain_verified: bool,
    /// The first event that was looked at.
    pub verified_from: u64,
    /// All before this one were looked at.
    pub verified_through: u64,
    /// When, in milliseconds since the Unix epoch.
    pub verified_at: u64,
    /// The newest signed checkpoint, as a C2SP note; empty before the first.
    pub checkpoint: String,
}

/// An event as an answer tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEvent {
    /// Its place in the log, from 0: its name.
    pub sequence: u64,
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// What, such as `entity.erased`; `unknown` for an act of a later version.
    pub action: String,
    /// Who: `host`, `engine`, `api-key:` and its public part, or `end-user:` and a pseudonym.
    pub actor: String,
    /// By which way: `library`, `rest`, `grpc`, `command_line` or `worker`.
    pub source: &'static str,
    /// What came of it: `done`, `denied` or `failed`.
    pub outcome: &'static str,
    /// What the act tells more: numbers in decimal, bytes in hex.
    pub fields: Vec<(String, String)>,
    /// The value of the chain before it, in hex.
    pub previous: String,
    /// Its leaf in the tree, in hex.
    pub leaf: String,
}

/// What a verification of the audit log found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// The first event that was read and hashed.
    pub from: u64,
    /// All before this one were.
    pub through: u64,
    /// The newest signed checkpoint, as a C2SP note; empty before the first.
    pub checkpoint: String,
}

impl Audit {
    /// Only events from this time on, in milliseconds since the Unix epoch.
    pub fn start(mut self, time_ms: u64) -> Self {
        self.start = time_ms;
        self
    }

    /// Only events before this time, in milliseconds since the Unix epoch.
    pub fn end(mut self, time_ms: u64) -> Self {
        self.end = time_ms;
        self
    }

    /// Only this action, such as `entity.erased`.
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Only this actor, as an event names it.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// At most so many events, 100 unless said otherwise and 1,000 at most.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Goes on where a page ended, by its [`AuditPage::next`].
    pub fn cursor(mut self, cursor: u64) -> Self {
        self.cursor = cursor;
        self
    }

    /// Reads.
    ///
    /// # Errors
    /// `Invalid` for an unusable limit; `Corrupt` if what was read is not what was told.
    pub fn run(self) -> Result<AuditPage> {
        let env = &self.env;
        env.admit(&self.permit, Permission::AuditRead)?;
        if !(1..=LIMIT_MAX).contains(&self.limit) {
            return Err(Error::invalid(format!("a page of the audit log has between 1 and {LIMIT_MAX} events")));
        }
        env.tell_batches()?;
        let total = env.trail.size();
        let (mut events, mut at) = (Vec::new(), self.cursor);
        'pages: while at < total {
            for told in env.trail.read(at)? {
                if told.sequence >= total || events.len() == self.limit {
                    break 'pages;
                }
                at = told.sequence + 1;
                let Some(event) = told.event else { continue };
                let shown = AuditEvent::of(&event, &told.bytes);
                if self.is_asked_for(&shown) {
                    events.push(shown);
                }
            }
        }
        let through = at.min(total);
        if self.cursor < through {
            env.tell(&self.permit, Act::AuditRead { first: self.cursor, last: through - 1 })?;
        }
        Ok(AuditPage {
            events,
            next: (through < total).then_some(through),
            total,
            chain_verified: true,
            verified_from: self.cursor.min(total),
            verified_through: through,
            verified_at: env.shared.clock.now_ms(),
            checkpoint: env.trail.signed_note(),
        })
    }

    fn is_asked_for(&self, event: &AuditEvent) -> bool {
        (self.start..self.end).contains(&event.time_ms)
            && self.action.as_ref().is_none_or(|action| *action == event.action)
            && self.actor.as_ref().is_none_or(|actor| *actor == event.actor)
    }
}

impl AuditEvent {
    fn of(event: &Event, bytes: &[u8]) -> Self {
        let entry = &event.entry;
        Self {
            sequence: event.sequence,
            time_ms: entry.time_ms,
            action: entry.act.action().to_owned(),
            actor: match &entry.actor {
                Actor::Host => "host".to_owned(),
                Actor::Engine => "engine".to_owned(),
                Actor::ApiKey { key, .. } => format!("api-key:{}", key.as_str()),
                Actor::EndUser(subject) => format!("end-user:{}", hex(subject.as_bytes())),
            },
            source: match entry.source {
                Source::Library => "library",
                Source::Rest => "rest",
                Source::Grpc => "grpc",
                Source::CommandLine => "command_line",
                Source::Worker => "worker",
            },
            outcome: match entry.outcome {
                Outcome::Done => "done",
                Outcome::Denied => "denied",
                Outcome::Failed => "failed",
            },
            fields: entry.act.fields().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            previous: hex(&event.previous),
            leaf: hex(&leaf_hash(bytes)),
        }
    }
}

/// Verifies the audit log: from its first event if it is to be `deep`, else from the block that is being filled.
pub(crate) fn verify(env: &EnvironmentState, permit: &Permit, deep: bool) -> Result<AuditReport> {
    env.admit(permit, Permission::AuditVerify)?;
    let checked = env.trail.verify(deep)?;
    Ok(AuditReport { from: checked.from, through: checked.through, checkpoint: env.trail.signed_note() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
