//! A record as JSON: what REST and import files take, and what REST gives.
//!
//! Invariant: unknown members are refused, so that a misspelt `entity` cannot store a person's record without an owner.

use engine::{Example, Hit, Record, RecordId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::payload::Payload;

/// A record to store.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordBody {
    /// A number from 0 to 2⁶⁴ − 1, or a UUID.
    #[schema(value_type = Id)]
    pub id: RecordId,
    /// The data subject, at most 256 bytes.
    pub entity: Option<String>,
    /// As many finite numbers as the collection has dimensions.
    pub vector: Vec<f32>,
    /// Any JSON in which no object repeats a member.
    #[schema(value_type = Option<Value>)]
    pub payload: Option<Payload>,
    /// Store it only if there is no record of this id.
    #[serde(default)]
    pub if_absent: bool,
    /// Store it only in the place of this version, as a read gave it. Not looked at beside `if_absent`.
    pub if_version: Option<u64>,
}

impl From<RecordBody> for Record {
    fn from(body: RecordBody) -> Self {
        let mut record = Self::new(body.id, body.vector);
        if let Some(entity) = body.entity {
            record = record.entity(entity);
        }
        if let Some(payload) = body.payload {
            record = record.payload(payload.0);
        }
        match body.if_version {
            _ if body.if_absent => record.if_absent(),
            Some(version) => record.if_version(version),
            None => record,
        }
    }
}

/// A stored record.
#[derive(Serialize, ToSchema)]
pub struct RecordAnswer {
    /// As stored.
    #[schema(value_type = Id)]
    pub id: RecordId,
    /// The data subject, if the record has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// As stored, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f32>>,
    /// As stored, if there is one and it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// What `if_version` can name; it grows with every write of the record. Not in exports, where it means nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

impl RecordAnswer {
    /// The record with its version.
    pub fn versioned(record: Record) -> Self {
        Self { version: Some(record.sequence()), ..Self::from(record) }
    }
}

impl From<Record> for RecordAnswer {
    fn from(record: Record) -> Self {
        Self {
            version: None,
            id: record.id(),
            entity: record.entity_id().map(str::to_owned),
            vector: Some(record.vector().to_vec()).filter(|vector| !vector.is_empty()),
            payload: record.payload_json().cloned(),
        }
    }
}

/// A record found by a search.
#[derive(Serialize, ToSchema)]
pub struct HitAnswer {
    /// As stored.
    #[schema(value_type = Id)]
    pub id: RecordId,
    /// Cosine similarity or dot product, where higher is nearer, or Euclidean distance, where lower is nearer.
    pub score: f32,
    /// How far off the score can be; absent if it is exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_error: Option<f32>,
    /// The data subject, if the record has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// As stored, if there is one and it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// As stored, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f32>>,
}

impl From<Hit> for HitAnswer {
    fn from(hit: Hit) -> Self {
        let score_error = (hit.score_error > 0.0).then_some(hit.score_error);
        Self { id: hit.id, score: hit.score, score_error, entity: hit.entity, payload: hit.payload, vector: hit.vector }
    }
}

/// How the schema shows a record id.
#[derive(ToSchema)]
#[schema(as = RecordId)]
#[serde(untagged)]
#[allow(dead_code, reason = "read by the schema alone")]
pub enum Id {
    /// A number from 0 to 2⁶⁴ − 1.
    Number(u64),
    /// A UUID with or without hyphens.
    #[schema(format = "uuid")]
    Uuid(String),
}

/// What to search near to, or away from.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum ExampleBody {
    Id(RecordId),
    Vector(Vec<f32>),
}

impl From<&ExampleBody> for Example {
    fn from(body: &ExampleBody) -> Self {
        match body {
            ExampleBody::Id(id) => Self::Id(*id),
            ExampleBody::Vector(vector) => Self::Vector(vector.clone()),
        }
    }
}

/// How the schema shows an example.
#[derive(ToSchema)]
#[schema(as = Example)]
#[serde(untagged)]
#[allow(dead_code, reason = "read by the schema alone")]
pub enum ExampleChoice {
    /// The vector of the record of this id.
    Id(Id),
    /// This vector.
    Vector(Vec<f32>),
}
