//! Retention as a program asks for it, and what it is told.

use std::sync::Arc;

use privacy::access::Permission;
use privacy::erasure::{Expired, Stage};
use serde::Serialize;

use crate::doubt;
use crate::error::Result;
use crate::permit::Permit;
use crate::retain::{self, Past, Ran, keeps_for_a_time, past, past_writes};
use crate::state::EnvironmentState;
use crate::worker::Bell;

/// What is done about records past their window.
#[must_use = "call run()"]
pub struct Retain {
    pub(crate) env: Arc<EnvironmentState>,
    pub(crate) permit: Permit,
    pub(crate) bell: Bell,
}

/// What a run of retention removed, with its times in milliseconds since the Unix epoch; they are absent if nothing was
/// past its window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetentionRun {
    /// The collections that lost live records, in name order.
    pub collections: Vec<ExpiredRecords>,
    /// Live records that went.
    pub records_removed: u64,
    /// Keys that were destroyed: no copy of any file opens for them, as far as the anchor stores reach.
    pub keys_destroyed: u64,
    /// Entities that a legal hold keeps although something of theirs is past its window.
    pub entities_held: u64,
    /// Segments that were rewritten or removed.
    pub segments_purged: u64,
    /// From here on no read returns what went.
    pub hidden_at: Option<u64>,
    /// From here on no copy of any file opens for what went.
    pub shredded_at: Option<u64>,
    /// Why the keys are not destroyed yet, above all an anchor store or a mirror that is away; upkeep tries again.
    pub pending: Option<String>,
    /// From here on no live file holds a row of it. Absent while the disk has no room for that: upkeep does it.
    pub purged_at: Option<u64>,
}

/// What a run of retention would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetentionPlan {
    /// The collections that would lose live records, in name order.
    pub collections: Vec<ExpiredRecords>,
    /// Live records that would go; of what was written last, those of held entities as well.
    pub records: u64,
    /// Keys that would be destroyed, those not counted that what was written last has yet to be given.
    pub keys: u64,
    /// Entities that a legal hold keeps although something of theirs is past its window.
    pub entities_held: u64,
}

/// Records past their window, in one collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpiredRecords {
    /// The collection's name.
    pub collection: String,
    /// How many.
    pub records: u64,
}

impl Retain {
    /// Removes everything that is past its window, in every collection, with one change of the keys; what upkeep does by
    /// itself every [`Settings::retention_check_minutes`](crate::Settings::retention_check_minutes). The entities that a
    /// legal hold keeps are passed over.
    ///
    /// # Errors
    /// `Conflict` while the clock is doubted, because it ran back, or shows a day more than the time that passed since it was
    /// believed; or, after the database was closed for more than a day, more than half of the shortest window. Put it
    /// right, or [confirm](Retain::confirm_clock) it. Other errors as for an erasure: a run that has begun goes on by itself.
    pub fn run(self) -> Result<RetentionRun> {
        let ran = retain::retain(&self.env, &self.permit)?;
        self.bell.ring();
        // What it removes tells of itself; that somebody had it look is told where there is nothing.
        self.env.looked(&self.permit, Permission::RetentionWrite, None, 1)?;
        Ok(told(&self.env, ran))
    }

    /// What it would do. Changes nothing, and tells nobody.
    ///
    /// # Errors
    /// As for [`Retain::run`].
    pub fn dry_run(self) -> Result<RetentionPlan> {
        self.env.admit(&self.permit, Permission::RetentionRead)?;
        if !keeps_for_a_time(&self.env) {
            return Ok(RetentionPlan::default());
        }
        let now = doubt::glance(&self.env)?;
        let Past { keys, held } = past(&self.env, now);
        let mut plan =
            RetentionPlan { keys: keys.len() as u64, entities_held: held.len() as u64, ..RetentionPlan::default() };
        for state in self.env.all() {
            // A view that nobody else sees.
            let in_segments = (*state.view()).clone().mask_keys(&keys, &self.env.keys)?;
            let records = in_segments + past_writes(&state, now);
            plan.records += records;
            if records > 0 {
                plan.collections.push(ExpiredRecords { collection: state.name.clone(), records });
            }
        }
        Ok(plan)
    }

    /// Believes the clock as it is now, after it was doubted: whoever calls this has looked at another one. The audit log
    /// tells it. Returns what the clock shows, in milliseconds since the Unix epoch.
    pub fn confirm_clock(self) -> Result<u64> {
        self.env.admit(&self.permit, Permission::RetentionWrite)?;
        let _one = self.env.maintenance.lock();
        self.env.check_open()?;
        doubt::confirm(&self.env, &self.permit).map(|now| now.as_ms())
    }
}

fn told(env: &EnvironmentState, Ran { progress, held, pending }: Ran) -> RetentionRun {
    let Some(progress) = progress else { return RetentionRun { entities_held: held, ..RetentionRun::default() } };
    let expired = progress.expired().unwrap_or_default();
    let name = |one: &Expired| {
        let of = env.all().into_iter().find(|state| state.id.0 == one.collection)?;
        Some(ExpiredRecords { collection: of.name.clone(), records: one.records })
    };
    let at = |stage| progress.reached(stage).map(|stamp| stamp.time_ms);
    let mut collections: Vec<_> = expired.iter().filter_map(name).collect();
    collections.sort_unstable_by(|one, other| one.collection.cmp(&other.collection));
    RetentionRun {
        collections,
        records_removed: expired.iter().map(|one| one.records).sum(),
        keys_destroyed: progress.shredding().map_or(0, |shredding| shredding.destroyed.len() as u64),
        entities_held: held,
        segments_purged: progress.purging().map_or(0, |purging| purging.purged),
        hidden_at: at(Stage::Hidden),
        shredded_at: at(Stage::Shredded),
        pending: pending.map(|error| error.to_string()),
        purged_at: at(Stage::Purged),
    }
}
