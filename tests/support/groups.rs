//! Groups of records in an engine: written, deleted and erased whole, and read in every way there is, each taken down
//! in a history. It stands here because real threads and explored schedules do the same things.

use engine::{Collection, Database, Environment, Error, ErrorKind, Metric, Record};
use storage::sync::thread;

use crate::history::{GROUP, History, Seen, versions};

/// The entity that a group belongs to; it has one group in every `ENTITIES`.
pub const ENTITIES: u64 = 3;

/// The name of the entity of `group`.
#[must_use]
pub fn entity(group: u64) -> String {
    format!("entity-{}", group % ENTITIES)
}

/// Opens the collection `name` of the environment that all such tests use.
pub fn open(db: &Database, name: &str) -> Result<(Environment, Collection), Error> {
    let env = db.environment("acme")?;
    let collection = env.collection(name).dimension(3).metric(Metric::L2).open_or_create()?;
    Ok((env, collection))
}

/// Does `act` until upkeep has caught up with it.
fn patiently<T>(act: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match act() {
            Err(error) if error.kind() == ErrorKind::Busy => thread::yield_now(),
            done => return done,
        }
    }
}

/// A collection whose records come in `groups` groups, with its history.
pub struct Groups {
    /// The collection.
    pub collection: Collection,
    /// How many groups there are.
    pub groups: u64,
    /// What happened.
    pub history: History,
}

impl Groups {
    /// A collection without a past.
    #[must_use]
    pub fn new(collection: Collection, groups: u64) -> Self {
        Self { collection, groups, history: History::default() }
    }

    /// Writes `group` in `version`; returns the sequence.
    pub fn write(&self, group: u64, version: u64) -> Result<u64, Error> {
        let record = |i| {
            let vector = vec![group as f32 + 1.0, i as f32, version as f32];
            Record::new(group * GROUP + i, vector).entity(entity(group)).payload(version.into())
        };
        self.history.write(group, Some(version), || {
            patiently(|| self.collection.upsert((0..GROUP).map(record))).map(|as_of| as_of.sequence)
        })
    }

    /// Deletes `group`; an erasure may have left nothing to delete.
    pub fn delete(&self, group: u64) -> Result<(), Error> {
        let ids = || (0..GROUP).map(|i| group * GROUP + i);
        let delete = || match patiently(|| self.collection.delete(ids())) {
            Ok(deleted) if deleted.count == 0 => Err(None),
            other => other.map(|deleted| deleted.as_of.sequence).map_err(Some),
        };
        match self.history.write(group, None, delete) {
            Err(Some(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Erases the entity of `group` with all its groups.
    pub fn erase(&self, env: &Environment, group: u64) -> Result<(), Error> {
        let its = (0..self.groups).filter(|other| other % ENTITIES == group % ENTITIES);
        self.history.erase(its, || env.erase(entity(group)).run()).map(|_| ())
    }

    /// Reads in the `way`-th of five ways.
    ///
    /// # Errors
    /// What the engine says, or which answer cannot be one, in words.
    pub fn read(&self, way: u64) -> Result<(), String> {
        self.history.read(|| self.seen(way, None))
    }

    /// Reads everything once more after a restart, which may have given sequences anew.
    ///
    /// # Errors
    /// As [`Groups::read`].
    pub fn read_after_restart(&self, reopened: &Collection) -> Result<(), String> {
        let reopened = Self::new(reopened.clone(), self.groups);
        self.history.read(|| reopened.seen(0, Some(u64::MAX)))
    }

    fn seen(&self, way: u64, as_of: Option<u64>) -> Result<Seen, String> {
        let limit = (self.groups * GROUP) as usize + 1;
        let told = |error: Error| error.to_string();
        let number = |id: engine::RecordId| match id {
            engine::RecordId::Num(number) => number,
            engine::RecordId::Uuid(_) => u64::MAX,
        };
        let version =
            |payload: Option<&serde_json::Value>| payload.and_then(serde_json::Value::as_u64).unwrap_or(u64::MAX);
        match way % 5 {
            0 => {
                let page = self.collection.scroll().limit(limit).run().map_err(told)?;
                let records = page.records.iter().map(|record| (number(record.id()), version(record.payload_json())));
                Ok(Seen::Versions(as_of.unwrap_or(page.as_of.sequence), versions(self.groups, records)?))
            }
            way @ (1 | 2) => {
                let near = [1.0, 0.0, 0.0];
                let hits = self.collection.search(&near).limit(limit).exact(way == 1).run().map_err(told)?;
                let records = hits.iter().map(|hit| (number(hit.id), version(hit.payload.as_ref())));
                Ok(Seen::Versions(hits.as_of.sequence, versions(self.groups, records)?))
            }
            3 => {
                let counted = self.collection.count().run().map_err(told)?;
                Ok(Seen::Total(counted.as_of.sequence, counted.count))
            }
            _ => {
                let group = way / 5 % self.groups;
                let found = self.collection.get(group * GROUP).map_err(told)?;
                Ok(Seen::Record(group, found.map(|record| (record.sequence(), version(record.payload_json())))))
            }
        }
    }
}
