//! `bench payload`: what the index of payloads takes on disk and in memory, field by field.
//!
//! Invariant: the same records are stored again and again, with nothing indexed, with each field alone, and with all, in
//! stores that are closed and opened from disk; what a field takes is the difference to nothing indexed. No store has a
//! graph, which would take the same everywhere.

mod field;
mod indexed;

use std::path::PathBuf;

use datasets::{Dataset, Distance, Matrix};
use engine::{RootKey, Settings};

use crate::runner::RunError;
use crate::stage::Stage;
use crate::store;
use field::Typical;

pub use indexed::{Indexed, Indexes};

/// The collection that is measured.
const COLLECTION: &str = "payload";
/// Numbers in a vector: few, because they are not what is measured.
const DIMENSION: usize = 8;

/// What to measure.
#[derive(Clone, Debug)]
pub struct PayloadOptions {
    /// Records to store, at least 1.
    pub records: usize,
    /// Where each store gets a directory of its own; the system's temporary directory if absent.
    pub folder: Option<PathBuf>,
}

/// Runs the measurement that `options` describe. `progress` hears what is done: stage, steps done, steps in all.
pub fn payload(options: &PayloadOptions, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<Indexes, RunError> {
    if options.records == 0 {
        return Err(RunError::NoRecords);
    }
    let none = stored(options, &[], progress)?;
    let mut fields = Vec::new();
    for field in Typical::ALL {
        let one = stored(options, &[field], progress)?;
        fields.push(none.to(&one, field.name(), field.describe()));
    }
    let all = stored(options, &Typical::ALL, progress)?;
    let payload_bytes: usize =
        (0..options.records).map(|row| field::payload(row, &Typical::ALL).to_string().len()).sum();
    Ok(Indexes {
        engine: "lethedb",
        version: env!("CARGO_PKG_VERSION"),
        records: options.records,
        payload_bytes: payload_bytes as f64 / options.records as f64,
        fields,
        all: none.to(&all, "all", "together"),
    })
}

/// The bytes of one store.
#[derive(Clone, Copy)]
struct Bytes {
    records: usize,
    disk: u64,
    memory: u64,
}

impl Bytes {
    /// What another store takes more, by record.
    fn to(&self, other: &Self, field: &'static str, what: &'static str) -> Indexed {
        let more = |before: u64, after: u64| (after as f64 - before as f64) / self.records as f64;
        Indexed { field, what, disk_bytes: more(self.disk, other.disk), memory_bytes: more(self.memory, other.memory) }
    }
}

/// Stores the records with these fields indexed, opens the store from disk, and removes it.
fn stored(
    options: &PayloadOptions,
    indexed: &[Typical],
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> Result<Bytes, RunError> {
    let numbers = (0..options.records * DIMENSION).map(|at| (at % 251) as f32 - 125.5).collect();
    let train = Matrix::new(DIMENSION, numbers).ok_or(RunError::NoRecords)?;
    let test = Matrix::new(DIMENSION, Vec::new()).ok_or(RunError::NoRecords)?;
    let set = Dataset { name: COLLECTION.to_owned(), metric: Distance::L2, train, test, neighbors: None };
    let settings = Settings { automatic_fields: 0, flat_below: usize::MAX, ..store::settings(&set, 0) };
    let folder = store::folder(options.folder.as_deref(), "lethedb-payload-")?;
    // What is deleted at the end needs no secret.
    let open = || store::open_with(&folder.path().join("data"), RootKey::bytes([0; 32]), settings.clone());

    let store = open()?;
    let collection = store::create(&store, COLLECTION, &set)?;
    for field in indexed {
        collection.create_payload_index(field.name(), field.kind())?;
    }
    let record = |row: usize| store::record(&set, row).payload(field::payload(row, &Typical::ALL));
    store::import(&store, COLLECTION, 0..options.records, record, progress)?;
    store::settle(&store, COLLECTION, progress)?;
    store.database.close()?;
    let store = open()?;
    let collection = store.environment.open_collection(COLLECTION)?;
    collection.search(set.train.row(0)).with_payload(false).run()?;
    let info = collection.info();
    let bytes = Bytes { records: options.records, disk: info.disk_bytes, memory: info.resident_bytes };
    store.database.close()?;
    folder.close()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
