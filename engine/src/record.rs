//! A record as callers see it: id, vector, and optionally the entity it belongs to and a JSON payload.
//!
//! Invariant: `Debug` prints the id alone, because records are people's data and end in logs otherwise.

use std::fmt;

pub use storage::id::{ParseRecordIdError, RecordId};

/// One vector with its id, its owner and its payload.
#[derive(Clone, PartialEq)]
pub struct Record {
    pub(crate) id: RecordId,
    pub(crate) vector: Vec<f32>,
    pub(crate) entity: Option<String>,
    pub(crate) payload: Option<serde_json::Value>,
    pub(crate) sequence: u64,
    pub(crate) expected: Expected,
}

/// What a record that is stored is to replace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Expected {
    #[default]
    Anything,
    Absent,
    /// The version that this write stored.
    Version(u64),
}

impl Record {
    /// A record without entity and payload. `vector` must have the collection's dimension.
    pub fn new(id: impl Into<RecordId>, vector: Vec<f32>) -> Self {
        Self { id: id.into(), vector, entity: None, payload: None, sequence: 0, expected: Expected::Anything }
    }

    /// Names the data subject; the record is sealed under that entity's own key.
    #[must_use]
    pub fn entity(mut self, entity: impl Into<String>) -> Self {
        self.entity = Some(entity.into());
        self
    }

    /// Attaches a JSON payload.
    #[must_use]
    pub fn payload(mut self, payload: serde_json::Value) -> Self {
        self.payload = Some(payload);
        self
    }

    /// Store it only if there is no record of this id; otherwise the write ends with `Conflict`. Of this and
    /// [`Record::if_version`] the last one counts.
    #[must_use]
    pub fn if_absent(mut self) -> Self {
        self.expected = Expected::Absent;
        self
    }

    /// Store it only in the place of this version, the [`Record::sequence`] that a read gave; otherwise the write ends
    /// with `Conflict`.
    #[must_use]
    pub fn if_version(mut self, version: u64) -> Self {
        self.expected = Expected::Version(version);
        self
    }

    /// The record's id.
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// The vector; empty where a read did not ask for it.
    pub fn vector(&self) -> &[f32] {
        &self.vector
    }

    /// The data subject, if the record has one.
    pub fn entity_id(&self) -> Option<&str> {
        self.entity.as_deref()
    }

    /// The payload, if there is one and the read asked for it.
    pub fn payload_json(&self) -> Option<&serde_json::Value> {
        self.payload.as_ref()
    }

    /// The record's version: the number of the write that stored it, greater every time; 0 before it is stored.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("id", &self.id).finish_non_exhaustive()
    }
}
