//! Rows into a collection, batch by batch.
//!
//! Invariant: every row is stored, found stored already, or rejected, and counted as one of these. The first row with an
//! id wins, in every run, so that an import that is repeated changes nothing and one that was interrupted goes on.

use std::collections::HashSet;

use engine::{Collection, Environment, ErrorKind, Record, RecordId};
use serde_json::Value;

use super::rejects::Rejects;
use super::row::{Bad, Loaded};
use crate::cli::failure::{Failure, causes};
use crate::json::RecordAnswer;

/// How large batches get.
#[derive(Clone, Copy)]
pub struct BatchLimits {
    /// Records.
    pub records: usize,
    /// About so many bytes of memory.
    pub bytes: usize,
}

/// A collection that rows go into.
pub struct Store {
    environment: Environment,
    collection: Collection,
    dimension: usize,
    limits: BatchLimits,
    /// Leave a record that is there as it is, even if the row differs.
    keep_existing: bool,
    /// Where rows that cannot be stored go.
    pub rejects: Rejects,
    /// Ids of the rows read, to find those that come again: with a few dozen bytes far less than a record takes.
    seen: HashSet<RecordId>,
    batch: Vec<Loaded>,
    batch_bytes: usize,
    /// Records stored.
    pub imported: u64,
    /// Records that were there.
    pub unchanged: u64,
    /// How far into the file everything is settled.
    pub progress: u64,
}

impl Store {
    /// Nothing stored yet; `collection` is one of `environment`.
    pub fn new(
        environment: Environment,
        collection: Collection,
        limits: BatchLimits,
        keep_existing: bool,
        rejects: Rejects,
    ) -> Self {
        let dimension = collection.info().dimension;
        Self {
            environment,
            collection,
            dimension,
            limits,
            keep_existing,
            rejects,
            seen: HashSet::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            imported: 0,
            unchanged: 0,
            progress: 0,
        }
    }

    /// Takes one row in; `true` if a batch was stored.
    ///
    /// # Errors
    /// Those of the engine that are no fault of a row, and those of rejecting.
    pub fn take(&mut self, row: Result<Loaded, Bad>) -> Result<bool, Failure> {
        let loaded = match row {
            Ok(loaded) => loaded,
            Err(bad) => return self.rejects.add(bad).map(|()| false),
        };
        if let Err(reason) = self.check(&loaded.record) {
            return self.reject(&loaded, reason).map(|()| false);
        }
        self.batch_bytes += loaded.bytes;
        self.batch.push(loaded);
        if self.batch.len() < self.limits.records && self.batch_bytes < self.limits.bytes {
            return Ok(false);
        }
        self.flush()?;
        Ok(true)
    }

    fn check(&mut self, record: &Record) -> Result<(), String> {
        let (found, expected) = (record.vector().len(), self.dimension);
        if found != expected {
            return Err(format!("the vector has {found} numbers, those of the collection have {expected}"));
        }
        if !record.vector().iter().all(|value| value.is_finite()) {
            return Err("the vector holds a number that is not finite, or that no 32-bit float can hold".into());
        }
        if self.seen.insert(record.id()) { Ok(()) } else { Err("the id is that of an earlier row".into()) }
    }

    /// Stores what is waiting.
    ///
    /// # Errors
    /// As [`Store::take`].
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        let progress = batch.last().map_or(self.progress, |last| last.progress);
        let mut parts = vec![self.new_ones(batch)?];
        // A batch with a record that the engine refuses is halved until that record is alone.
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.collection.upsert(part.iter().map(|loaded| loaded.record.clone())) {
                Ok(_) => self.imported += part.len() as u64,
                Err(error) if error.kind() == ErrorKind::Invalid => match part.as_slice() {
                    [alone] => {
                        let reason = causes(&error);
                        let reason = reason.strip_prefix("records[0]: ").unwrap_or(&reason);
                        self.reject(alone, reason.to_owned())?;
                    }
                    _ => {
                        let rest = part.split_off(part.len() / 2);
                        parts.extend([rest, part]);
                    }
                },
                // Rows come faster than segments are built: wait for those, there is nobody to come back to.
                Err(error) if error.kind() == ErrorKind::Busy => {
                    self.environment.flush()?;
                    parts.push(part);
                }
                Err(source) => return Err(Failure::Batch { source }),
            }
        }
        self.progress = progress;
        Ok(())
    }

    /// The rows of a batch that say something new.
    fn new_ones(&mut self, batch: Vec<Loaded>) -> Result<Vec<Loaded>, Failure> {
        let mut new = Vec::with_capacity(batch.len());
        for loaded in batch {
            let stored = self.collection.get(loaded.record.id())?;
            if stored.is_some_and(|stored| self.keep_existing || is_same(&stored, &loaded.record)) {
                self.unchanged += 1;
            } else {
                new.push(loaded);
            }
        }
        Ok(new)
    }

    fn reject(&mut self, loaded: &Loaded, reason: String) -> Result<(), Failure> {
        let data: Option<Value> = serde_json::to_value(RecordAnswer::from(loaded.record.clone())).ok();
        self.rejects.add(Bad { place: loaded.place, reason, data })
    }
}

/// Whether two records hold the same, bit by bit.
fn is_same(one: &Record, other: &Record) -> bool {
    let bits = |record: &Record| record.vector().iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    one.entity_id() == other.entity_id() && one.payload_json() == other.payload_json() && bits(one) == bits(other)
}
