//! The handle of a collection: it forwards to the walks and holds no logic of its own.

pub(crate) mod scroll;
pub(crate) mod search;
pub(crate) mod update;

use std::sync::Arc;

use index::Metric;
use serde::Serialize;

use crate::declare;
use crate::declared::FieldType;
use crate::error::Result;
use crate::filter::Filter;
use crate::permit::Permit;
use crate::query::{AsOf, Deleted, Upserted};
use crate::read;
use crate::record::{Record, RecordId};
use crate::segment::Index;
use crate::snapshot::paths;
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

/// Facts about a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CollectionInfo {
    /// Its name, unique in the environment.
    pub name: String,
    /// Numbers in a vector.
    pub dimension: usize,
    /// How nearness is measured.
    pub metric: Metric,
    /// Records that a read could return.
    pub records: u64,
    /// Segments on disk.
    pub segments: u64,
    /// Records that are in no segment yet.
    pub memtable_records: u64,
    /// Bytes of its segments on disk.
    pub disk_bytes: u64,
    /// Bytes of its loaded indexes and of its memtable.
    pub resident_bytes: u64,
    /// Of [`CollectionInfo::disk_bytes`] those of the indexes of payloads, as far as they are loaded: what sealing adds, a
    /// few in a thousand, not counted.
    pub payload_index_disk_bytes: u64,
    /// Of [`CollectionInfo::resident_bytes`] those of the loaded indexes of payloads.
    pub payload_index_resident_bytes: u64,
    /// Whether the system keeps all codes and graphs among them out of swap. It refuses beyond its limit on locked
    /// memory (`ulimit -l`).
    pub is_locked: bool,
    /// Segments from which an erasure removed rows and whose graph waits to be built from those that are left.
    pub repaired_segments: u64,
    /// Segments that are damaged and left out of every answer, as paths inside the environment.
    pub damaged: Vec<String>,
    /// Fields of payloads that are indexed because somebody said so, in the order of their names.
    pub payload_indexes: Vec<PayloadIndex>,
}

/// A field of payloads that is indexed because somebody said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PayloadIndex {
    /// Its key path.
    pub field: String,
    /// As what it is indexed.
    #[serde(rename = "type")]
    pub kind: FieldType,
}

impl Collection {
    /// The collection's name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Facts about it now.
    pub fn info(&self) -> CollectionInfo {
        let view = self.state.view();
        let (served, hidden) = view.served();
        let manifest = self.env.manifest.lock();
        let segments = manifest.collection(self.state.id).map(|entry| entry.segments.as_slice()).unwrap_or_default();
        let loaded = || view.segments.iter().filter_map(|view| view.segment.resident());
        CollectionInfo {
            name: self.state.name.clone(),
            dimension: self.state.space.dimension(),
            metric: self.state.metric,
            records: served.live(),
            segments: view.segments.len() as u64,
            memtable_records: view.memtable.live_len() as u64,
            disk_bytes: segments.iter().map(|segment| segment.rec_bytes + segment.idx_bytes).sum(),
            resident_bytes: (loaded().map(|index| index.resident_bytes()).sum::<usize>()
                + view.memtable.resident_bytes()) as u64,
            payload_index_disk_bytes: loaded().map(|index| index.fields.encoded_len()).sum::<usize>() as u64,
            payload_index_resident_bytes: loaded().map(|index| index.fields.resident_bytes()).sum::<usize>() as u64,
            is_locked: loaded().all(Index::is_locked) && view.memtable.is_locked(),
            repaired_segments: segments.iter().filter(|segment| segment.repaired_at.is_some()).count() as u64,
            damaged: paths(&hidden),
            payload_indexes: self.payload_indexes(),
        }
    }

    /// The fields of payloads that are indexed because somebody said so. Beside them every segment indexes by itself the
    /// fields that most of its records have, see [`Settings::automatic_fields`](crate::Settings::automatic_fields).
    pub fn payload_indexes(&self) -> Vec<PayloadIndex> {
        let index = |(field, kind): (&str, FieldType)| PayloadIndex { field: field.to_owned(), kind };
        self.state.declared().iter().map(index).collect()
    }

    /// Has a field of payloads indexed in every segment: a key path as in filters. Segments that are there get it when
    /// upkeep rewrites them; until then, as always, filters open the records that no index knows. For a field that is
    /// indexed already this changes as what.
    ///
    /// # Errors
    /// `Invalid` for a field that is no path, or the 65th.
    pub fn create_payload_index(&self, field: &str, kind: FieldType) -> Result<()> {
        declare::declare(&self.env, &self.state, &self.permit, |declared| declared.with(field, kind))?;
        self.bell.ring();
        Ok(())
    }

    /// Has a field indexed no longer because somebody said so; `false` if it was not.
    ///
    /// # Errors
    /// `Invalid` for a field that is no path.
    pub fn drop_payload_index(&self, field: &str) -> Result<bool> {
        let mut was_there = false;
        declare::declare(&self.env, &self.state, &self.permit, |declared| {
            let rest = declared.without(field)?;
            was_there = rest.is_some();
            Ok(rest.unwrap_or_else(|| declared.clone()))
        })?;
        self.bell.ring();
        Ok(was_there)
    }

    /// Stores records as one batch, all or nothing, replacing those with the same ids. Durable and visible
    /// when this returns.
    ///
    /// # Errors
    /// `Invalid` naming the record's place in the batch, from 0; `Conflict` naming that of one whose
    /// [`Record::if_absent`] or [`Record::if_version`] does not hold; `Full`, `Poisoned` from the log; `Busy` where
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

    fn stamp(&self, sequence: u64) -> AsOf {
        AsOf { sequence, time_ms: self.env.shared.clock.now_ms() }
    }
}
