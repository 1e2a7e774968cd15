//! The handle of a collection: it forwards to the walks and holds no logic of its own.

pub(crate) mod aggregate;
pub(crate) mod scroll;
pub(crate) mod search;
pub(crate) mod update;

use std::sync::Arc;

use privacy::Window;
use privacy::access::Permission;
use privacy::audit::Act;

use crate::declare;
use crate::declared::FieldType;
use crate::error::Result;
use crate::filter::Filter;
use crate::info::{self, CollectionInfo, PayloadIndex, SegmentInfo};
use crate::kept::Retention;
use crate::limits::Limits;
use crate::permit::Permit;
use crate::query::{AsOf, Deleted, Upserted};
use crate::read;
use crate::record::{Record, RecordId};
use crate::retain;
use crate::schema::Schema;
use crate::state::{CollectionState, EnvironmentState};
use crate::worker::Bell;
use crate::write;

/// A vector space: records of one dimension under one metric. Clones share the same collection.
#[derive(Clone)]
pub struct Collection {
    pub(crate) env: Arc<EnvironmentState>,
    pub(crate) state: Arc<CollectionState>,
    pub(crate) permit: Permit,
    pub(crate) bell: Bell,
}

impl Collection {
    /// The collection's name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Facts about it now.
    pub fn info(&self) -> CollectionInfo {
        info::collection(&self.env, &self.state)
    }

    /// Facts about each of its segments now, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        info::segments(&self.env, &self.state)
    }

    /// The fields of payloads that are indexed because somebody said so. Beside them every segment indexes by itself the
    /// fields that most of its records have, see [`Settings::automatic_fields`](crate::Settings::automatic_fields).
    pub fn payload_indexes(&self) -> Vec<PayloadIndex> {
        info::payload_indexes(&self.state)
    }

    /// Has a field of payloads indexed in every segment: a key path as in filters. Segments that are there get it when
    /// upkeep rewrites them; until then, as always, filters open the records that no index knows. For a field that is
    /// indexed already this changes as what.
    ///
    /// # Errors
    /// `Invalid` for a field that is no path, or the 65th.
    pub fn create_payload_index(&self, field: &str, kind: FieldType) -> Result<()> {
        declare::declare(&self.env, &self.state, &self.permit, |rules| {
            Ok(rules.with_declared(rules.declared.with(field, kind)?))
        })?;
        self.bell.ring();
        Ok(())
    }

    /// Has a field indexed no longer because somebody said so; `false` if it was not.
    ///
    /// # Errors
    /// `Invalid` for a field that is no path.
    pub fn drop_payload_index(&self, field: &str) -> Result<bool> {
        let mut was_there = false;
        declare::declare(&self.env, &self.state, &self.permit, |rules| {
            let rest = rules.declared.without(field)?;
            was_there = rest.is_some();
            Ok(rest.map_or_else(|| rules.clone(), |rest| rules.with_declared(rest)))
        })?;
        self.bell.ring();
        Ok(was_there)
    }

    /// What payloads must be like.
    pub fn schema(&self) -> Schema {
        (*self.state.rules().schema).clone()
    }

    /// Asks something else of payloads, an empty schema nothing. It concerns every write that begins after this returned,
    /// whichever way it comes, and is asked of whole records as they would be stored. Records that are there stay as they
    /// are, even where the new schema is stricter; one that does not fit is refused when it is updated without being
    /// mended.
    ///
    /// # Errors
    /// `Invalid` for a schema that is not usable.
    pub fn set_schema(&self, schema: &Schema) -> Result<()> {
        declare::declare(&self.env, &self.state, &self.permit, |rules| rules.with_schema(schema))
    }

    /// How much it may hold.
    pub fn limits(&self) -> Limits {
        self.state.rules().limits
    }

    /// Gives it other limits, for every write that begins after this returned. What is there stays, even beyond them.
    pub fn set_limits(&self, limits: Limits) -> Result<()> {
        declare::declare(&self.env, &self.state, &self.permit, |rules| Ok(rules.with_limits(limits)))
    }

    /// How long it keeps records; `None` for ever.
    pub fn retention(&self) -> Option<Retention> {
        self.state.rules().retention
    }

    /// Has it keep a record for `window` after its last write, or for ever. What is there counts by when it was written, or
    /// from now on if there was no window then; removing a window and setting one again counts as that. Nothing goes right
    /// now: upkeep removes what is past, and [`Environment::retain`](crate::Environment::retain) does. What goes is gone
    /// from backups, too. See [`Retention`] for how exactly.
    ///
    /// # Errors
    /// `Conflict` for a window while the clock is doubted.
    pub fn set_retention(&self, window: Option<Window>) -> Result<()> {
        retain::set(&self.env, &self.state, &self.permit, window)
    }

    /// Stores records as one batch, all or nothing, replacing those with the same ids. Durable and visible
    /// when this returns.
    ///
    /// # Errors
    /// `Invalid` naming the record's place in the batch, from 0; `Conflict` naming that of one whose
    /// [`Record::if_absent`] or [`Record::if_version`] does not hold; `LimitReached` naming that of the first new one
    /// for which the collection's [`Limits`] leave no room; `Full`, `Poisoned` from the log; `Busy` where
    /// writes come faster than segments are built; `Corrupt` where a damaged segment has lost its ids, so that
    /// nobody can say what a write would replace.
    pub fn upsert(&self, records: impl IntoIterator<Item = Record>) -> Result<AsOf> {
        let sequence = write::upsert(&self.env, &self.state, &self.permit, records)?;
        self.bell.ring();
        Ok(self.stamp(sequence))
    }

    /// Stores those of the records that can be stored, as one batch, and tells what was wrong with the others. Of several
    /// usable ones with one id the last counts, see [`Upserted::errors`].
    ///
    /// # Errors
    /// What concerns no single record: `Invalid` for a batch that is too large, and those of the log.
    pub fn upsert_each(&self, records: impl IntoIterator<Item = Record>) -> Result<Upserted> {
        let (written, errors, sequence) = write::upsert_each(&self.env, &self.state, &self.permit, records)?;
        self.bell.ring();
        Ok(Upserted { written: written as u64, errors, as_of: self.stamp(sequence) })
    }

    /// Deletes records by id; unknown ids are no error. The bytes go when their segment is rewritten; to
    /// make a person unrecoverable, use [`crate::Environment::erase`].
    pub fn delete(&self, ids: impl IntoIterator<Item = impl Into<RecordId>>) -> Result<Deleted> {
        let ids = ids.into_iter().map(Into::into).collect();
        let (count, sequence) = write::delete(&self.env, &self.state, &self.permit, ids)?;
        self.bell.ring();
        Ok(Deleted { count, as_of: self.stamp(sequence) })
    }

    /// Deletes the records that match, all or none, whatever ends it. It is as if their ids had been looked up first: what
    /// others write meanwhile is not looked at again. More than 4,194,304 records are deleted so many at a time; then an
    /// error says how many were.
    ///
    /// # Errors
    /// `Invalid` for an unusable filter; those of [`Collection::delete`].
    pub fn delete_matching(&self, filter: &Filter) -> Result<Deleted> {
        let (count, sequence) = write::delete_matching(&self.env, &self.state, &self.permit, filter)?;
        self.bell.ring();
        Ok(Deleted { count, as_of: self.stamp(sequence) })
    }

    /// The record with this id, with vector and payload.
    ///
    /// # Errors
    /// `Corrupt` if it is in a damaged segment, or if nobody can say that it is not.
    pub fn get(&self, id: impl Into<RecordId>) -> Result<Option<Record>> {
        read::get(&self.env, &self.state, &self.permit, id.into())
    }

    /// Tells the audit log that `count` records will be read out in bulk. Scrolling itself is not told: whoever offers an
    /// export calls this before it.
    pub fn tell_export(&self, count: u64) -> Result<()> {
        self.env.admit_in(&self.permit, Permission::SearchScan, &self.state.name)?;
        self.env.tell(&self.permit, Act::RecordsExported { collection: self.state.id.0, count }).map(drop)
    }

    fn stamp(&self, sequence: u64) -> AsOf {
        AsOf { sequence, time_ms: self.env.shared.clock.now_ms() }
    }
}
