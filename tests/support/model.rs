//! The naive model: a sorted map of records, searched by comparing with every one.

use std::collections::BTreeMap;

use engine::{Metric, Record};

/// What the model knows of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its vector.
    pub vector: Vec<f32>,
    /// Its data subject.
    pub entity: Option<String>,
    /// The number in its payload.
    pub tag: u64,
}

/// Records by id.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// All of them.
    pub records: BTreeMap<u64, Entry>,
}

impl Model {
    /// Stores a record, replacing one of the same id.
    pub fn upsert(&mut self, id: u64, entry: Entry) {
        self.records.insert(id, entry);
    }

    /// Deletes; returns whether it was there.
    pub fn delete(&mut self, id: u64) -> bool {
        self.records.remove(&id).is_some()
    }

    /// Erases an entity; returns how many records that took.
    pub fn erase(&mut self, entity: &str) -> usize {
        let before = self.records.len();
        self.records.retain(|_, entry| entry.entity.as_deref() != Some(entity));
        before - self.records.len()
    }

    /// Ids and distances of the nearest `limit` records, by distance, then id.
    #[must_use]
    pub fn nearest(&self, metric: Metric, query: &[f32], limit: usize, entity: Option<&str>) -> Vec<(u64, f64)> {
        let mut all: Vec<(u64, f64)> = self
            .records
            .iter()
            .filter(|(_, entry)| entity.is_none_or(|entity| entry.entity.as_deref() == Some(entity)))
            .map(|(id, entry)| (*id, distance(metric, query, &entry.vector)))
            .collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        all.truncate(limit);
        all
    }
}

/// A distance in double precision: smaller is nearer.
#[must_use]
pub fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(x, y)| (f64::from(*x), f64::from(*y)));
    let dot: f64 = pairs().map(|(x, y)| x * y).sum();
    let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    match metric {
        Metric::Cosine => 1.0 - dot / (norm(a) * norm(b)),
        Metric::Dot => -dot,
        Metric::L2 => pairs().map(|(x, y)| (x - y).powi(2)).sum(),
    }
}

/// A record of the engine for an entry of the model.
#[must_use]
pub fn record(id: u64, entry: &Entry) -> Record {
    let record = Record::new(id, entry.vector.clone()).payload(serde_json::json!({ "tag": entry.tag }));
    match &entry.entity {
        Some(entity) => record.entity(entity),
        None => record,
    }
}
