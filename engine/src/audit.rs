//! AUDIT: permit → batches told → events of one block after the other, each hashed now → what was asked for → told.
//!
//! Invariant: an event that is answered was read and hashed for this answer and leads to a checkpoint that this
//! environment's key has signed, or to the log in memory, which goes on from it. So an answer is verified, or an error.

use std::sync::Arc;

use privacy::access::Permission;
use privacy::audit::{Act, Log};
use serde::Serialize;

use crate::audit_event::AuditEvent;
use crate::audit_line;
use crate::balance::audit_field;
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
    /// Whether every event above was hashed for this answer and leads to what was signed, and the log has no fault that
    /// the last round over all of it found. An answer whose own events would not be verified is an error.
    pub chain_verified: bool,
    /// What is wrong with the log elsewhere, if a round found something.
    pub fault: Option<String>,
    /// When all of the log was last hashed, in milliseconds since the Unix epoch; none if not yet since it was opened.
    pub verified_whole_at: Option<u64>,
    /// The first event that was looked at.
    pub verified_from: u64,
    /// All before this one were looked at.
    pub verified_through: u64,
    /// When, in milliseconds since the Unix epoch.
    pub verified_at: u64,
    /// The newest signed checkpoint, as a C2SP note; empty before the first.
    pub checkpoint: String,
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
    /// `Invalid` for an unusable limit or an action that there is not; `Corrupt` if what was read is not what was told.
    pub fn run(self) -> Result<AuditPage> {
        let env = &self.env;
        env.admit(&self.permit, Permission::AuditRead)?;
        if !(1..=LIMIT_MAX).contains(&self.limit) {
            return Err(Error::out_of_range(format!("a page of the audit log has between 1 and {LIMIT_MAX} events")));
        }
        if self.action.as_ref().is_some_and(|action| !Act::ACTIONS.contains(&action.as_str())) {
            // Nothing found would read as nothing done.
            return Err(Error::invalid("no act has this name; events name theirs, such as `entity.erased`"));
        }
        env.tell_counts()?;
        let total = env.trail.size();
        let (mut events, mut at) = (Vec::new(), self.cursor);
        'pages: while at < total {
            for told in env.trail.read(at)? {
                if told.sequence >= total || events.len() == self.limit {
                    break 'pages;
                }
                at = told.sequence + 1;
                let Some(event) = told.event else { continue };
                let mut shown = AuditEvent::of(&event, &told.bytes, &told.chain);
                for (name, value) in &mut shown.fields {
                    *value = audit_field(name, value);
                }
                if self.is_asked_for(&shown) {
                    events.push(shown);
                }
            }
        }
        let through = at.min(total);
        if self.cursor < through {
            env.tell(&self.permit, Act::AuditRead { first: self.cursor, last: through - 1 })?;
        }
        let watch = env.trail.watch();
        Ok(AuditPage {
            events,
            next: (through < total).then_some(through),
            total,
            chain_verified: watch.fault.is_none(),
            fault: watch.fault,
            verified_whole_at: watch.whole_at,
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

/// Verifies the audit log: from its first event if it is to be `deep`, else from the block that is being filled.
pub(crate) fn verify(env: &EnvironmentState, permit: &Permit, deep: bool) -> Result<AuditReport> {
    env.admit(permit, Permission::AuditVerify)?;
    env.looked(permit, Permission::AuditVerify, None, 1)?;
    let checked = env.trail.verify(deep)?;
    Ok(AuditReport { from: checked.from, through: checked.through, checkpoint: env.trail.signed_note() })
}

/// The audit log as lines of JSON, block by block: a head, every event, and the signed checkpoint over them.
pub struct AuditExport {
    env: Arc<EnvironmentState>,
    log: Log,
    through: u64,
    note: String,
    stage: Stage,
}

#[derive(PartialEq)]
enum Stage {
    Head,
    Events,
    Done,
}

impl AuditExport {
    /// How many events it has.
    pub fn events(&self) -> u64 {
        self.through
    }

    fn next_lines(&mut self) -> Result<String> {
        let trail = &self.env.trail;
        match self.stage {
            Stage::Head => {
                self.stage = Stage::Events;
                Ok(audit_line::head(trail.origin(), &trail.verifying_key(), &self.log))
            }
            Stage::Events if self.log.size() < self.through => trail.lines(&mut self.log, self.through),
            _ => {
                self.stage = Stage::Done;
                Ok(audit_line::checkpoint(&self.note))
            }
        }
    }
}

impl Iterator for AuditExport {
    type Item = Result<String>;

    /// Whole lines, each with its end; an error ends it.
    fn next(&mut self) -> Option<Self::Item> {
        if self.stage == Stage::Done {
            return None;
        }
        let lines = self.next_lines();
        if lines.is_err() {
            self.stage = Stage::Done;
        }
        Some(lines)
    }
}

/// Begins an export of all that was told, that it is exported included.
pub(crate) fn export(env: &Arc<EnvironmentState>, permit: &Permit) -> Result<AuditExport> {
    env.admit(permit, Permission::AuditExport)?;
    env.tell_counts()?;
    let size = env.trail.size();
    env.tell(permit, Act::AuditRead { first: 0, last: size.saturating_sub(1) })?;
    let (through, note) = env.trail.sealed()?;
    Ok(AuditExport { env: Arc::clone(env), log: Log::start(env.scope), through, note, stage: Stage::Head })
}
