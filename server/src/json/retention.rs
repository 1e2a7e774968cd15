//! Retention, as JSON and as text: how long collections keep records, and what a run removed or would remove.

use std::fmt;

use engine::{CollectionInfo, ExpiredRecords, Retention, RetentionPlan, RetentionRun};
use serde::Serialize;
use utoipa::ToSchema;

use super::plural::count;
use super::time::rfc3339;

/// A window of retention.
#[derive(Serialize, ToSchema)]
pub struct KeptAnswer {
    /// The window in milliseconds.
    window_ms: u64,
    /// Since when there is one: what was stored before counts from then. RFC 3339, UTC.
    since: String,
}

impl From<Retention> for KeptAnswer {
    fn from(Retention { window_ms, since_ms }: Retention) -> Self {
        Self { window_ms, since: rfc3339(since_ms) }
    }
}

impl fmt::Display for KeptAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.window_ms as f64 / 3_600_000.0;
        if hours >= 48.0 {
            write!(f, "{} days, since {}", hours / 24.0, self.since)
        } else {
            write!(f, "{hours} hours, since {}", self.since)
        }
    }
}

/// How long one collection keeps a record after its last write.
#[derive(Serialize, ToSchema)]
pub struct WindowAnswer {
    /// The collection's name.
    collection: String,
    /// The window in milliseconds; null keeps records for ever.
    window_ms: Option<u64>,
    /// Since when there is one: what was stored before counts from then. RFC 3339, UTC.
    since: Option<String>,
}

impl From<CollectionInfo> for WindowAnswer {
    fn from(info: CollectionInfo) -> Self {
        let (window_ms, since) = info.retention.map(KeptAnswer::from).map(|kept| (kept.window_ms, kept.since)).unzip();
        Self { collection: info.name, window_ms, since }
    }
}

/// How long every collection keeps records.
#[derive(Serialize, ToSchema)]
pub struct WindowsAnswer {
    /// In name order.
    pub collections: Vec<WindowAnswer>,
}

/// Records past their window, in one collection.
#[derive(Serialize, ToSchema)]
pub struct ExpiredAnswer {
    /// The collection's name.
    collection: String,
    /// How many.
    records: u64,
}

/// What a run of retention removed, or would remove.
#[derive(Serialize, ToSchema)]
pub struct RetentionAnswer {
    /// Whether nothing was done.
    dry_run: bool,
    /// The collections that lose live records, in name order.
    collections: Vec<ExpiredAnswer>,
    /// Live records that go.
    records_removed: u64,
    /// Keys that are destroyed; what is written last has yet to be given some and is not counted by a dry run.
    keys_destroyed: u64,
    /// Entities that a legal hold keeps although something of theirs is past its window.
    entities_held: u64,
    /// Segments that were rewritten or removed.
    segments_purged: u64,
    /// From here on no read returns what went; null if nothing did. RFC 3339, UTC.
    hidden_at: Option<String>,
    /// From here on no copy of any file opens for it.
    shredded_at: Option<String>,
    /// Why the keys are not destroyed yet, above all an anchor store or a keyring mirror that is away; null where they are.
    pending: Option<String>,
    /// From here on no live file holds a row of it; null while the disk has no room to write what is left anew.
    purged_at: Option<String>,
}

fn expired(collections: Vec<ExpiredRecords>) -> Vec<ExpiredAnswer> {
    let one = |ExpiredRecords { collection, records }| ExpiredAnswer { collection, records };
    collections.into_iter().map(one).collect()
}

impl From<RetentionRun> for RetentionAnswer {
    fn from(ran: RetentionRun) -> Self {
        Self {
            dry_run: false,
            collections: expired(ran.collections),
            records_removed: ran.records_removed,
            keys_destroyed: ran.keys_destroyed,
            entities_held: ran.entities_held,
            segments_purged: ran.segments_purged,
            hidden_at: ran.hidden_at.map(rfc3339),
            shredded_at: ran.shredded_at.map(rfc3339),
            pending: ran.pending,
            purged_at: ran.purged_at.map(rfc3339),
        }
    }
}

impl From<RetentionPlan> for RetentionAnswer {
    fn from(plan: RetentionPlan) -> Self {
        Self {
            dry_run: true,
            collections: expired(plan.collections),
            records_removed: plan.records,
            keys_destroyed: plan.keys,
            entities_held: plan.entities_held,
            segments_purged: 0,
            hidden_at: None,
            shredded_at: None,
            pending: None,
            purged_at: None,
        }
    }
}

/// The clock after somebody answered for it.
#[derive(Serialize, ToSchema)]
pub struct ClockAnswer {
    /// What it shows. RFC 3339, UTC.
    now: String,
}

impl ClockAnswer {
    /// The clock that shows `now_ms`.
    pub fn at(now_ms: u64) -> Self {
        Self { now: rfc3339(now_ms) }
    }
}

impl fmt::Display for WindowAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.collection;
        match (self.window_ms, &self.since) {
            (Some(window_ms), Some(since)) => {
                write!(f, "{name}: {}", KeptAnswer { window_ms, since: since.clone() })
            }
            _ => write!(f, "{name}: for ever"),
        }
    }
}

impl fmt::Display for WindowsAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&count(self.collections.len() as u64, "collection"))?;
        self.collections.iter().try_for_each(|one| write!(f, "\n{one}"))
    }
}

impl fmt::Display for RetentionAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let did = if self.dry_run { "would be removed" } else { "removed" };
        let (records, keys) = (count(self.records_removed, "record"), count(self.keys_destroyed, "key"));
        write!(f, "{records} {did}, {keys} destroyed")?;
        if let Some(pending) = &self.pending {
            write!(f, "; KEYS NOT DESTROYED YET: {pending}; upkeep tries again while the database is open")?;
        }
        if self.entities_held > 0 {
            write!(f, "; {} entities are held and keep theirs", self.entities_held)?;
        }
        self.collections.iter().try_for_each(|one| write!(f, "\n{}: {}", one.collection, one.records))
    }
}

impl fmt::Display for ClockAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the clock is believed: {}", self.now)
    }
}
