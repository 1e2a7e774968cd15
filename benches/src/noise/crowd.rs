//! That very many records of one entity weigh as one.
//!
//! Invariant: what is wanted is computed from who there is, never from what was answered; at the largest ε noise hides none
//! of the difference that one record more would make if it counted.
#![expect(clippy::disallowed_methods, reason = "a measurement reads time")]

use std::time::Instant;

use engine::{Aggregate, BudgetOf, Metric, Record, RootKey, Settings};

use super::found::{Asked, Crowd};
use super::options::NoiseOptions;
use crate::runner::RunError;
use crate::stage::Stage;
use crate::store;

/// The collection that is measured.
const COLLECTION: &str = "crowd";
/// Numbers in a vector.
const DIMENSION: usize = 2;
/// Entities of one record each, beside the one that has many.
const OTHERS: usize = 99;
/// The largest that there is.
const EPSILON: f64 = 64.0;
/// Segments that the many are in, beside the memtable.
const SEGMENTS: usize = 3;
/// Records stored at once.
const BATCH: usize = 5_000;

/// Stores the records and asks how many entities there are, and for their centroid, mean and sum.
pub(super) fn measure(options: &NoiseOptions, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<Crowd, RunError> {
    let records = options.crowd;
    let folder = store::folder(options.folder.as_deref(), "lethedb-crowd-")?;
    let settings = Settings {
        memtable_rows_max: records + OTHERS,
        memtable_bytes_max: usize::MAX,
        flat_below: usize::MAX,
        background: false,
        ..Settings::default()
    };
    let store = store::open_with(&folder.path().join("data"), RootKey::bytes([0; 32]), settings)?;
    let collection =
        store.environment.collection(COLLECTION).dimension(DIMENSION).metric(Metric::L2).open_or_create()?;
    let begun = Instant::now();
    let payload = || serde_json::json!({"n": 1});
    let other =
        |id: usize| Record::new(id as u64, vec![0.0, 1.0]).entity(store::entity_name(id as u32)).payload(payload());
    collection.upsert((1..=OTHERS).map(other))?;
    let part = records.div_ceil(SEGMENTS + 1).max(1);
    let one = |at: usize| {
        Record::new((OTHERS + 1 + at) as u64, vec![1.0, 0.0]).entity(store::entity_name(0)).payload(payload())
    };
    for (number, first) in (0..records).step_by(part).enumerate() {
        let end = records.min(first + part);
        for start in (first..end).step_by(BATCH) {
            progress(Stage::Import, start as u64, records as u64);
            collection.upsert((start..end.min(start + BATCH)).map(one))?;
        }
        if number < SEGMENTS {
            store.environment.flush()?;
        }
    }
    let import_seconds = begun.elapsed().as_secs_f64();
    store.environment.budget().set(BudgetOf::Collection(COLLECTION), 4.0 * EPSILON, None)?;
    let everybody = (OTHERS + 1) as f64;
    let questions: [(&'static str, Aggregate, Vec<f64>); 4] = [
        ("count", collection.aggregate(), vec![everybody]),
        ("centroid", collection.centroid(), vec![1.0 / everybody, OTHERS as f64 / everybody]),
        ("mean", collection.aggregate().mean("n", 0.0, 4.0), vec![1.0]),
        // Of the many records, 4 are what one entity may add.
        ("sum", collection.aggregate().sum("n", 0.0, 4.0), vec![OTHERS as f64 + (records as f64).min(4.0)]),
    ];
    let mut asked = Vec::new();
    for (number, (what, ask, wanted)) in questions.into_iter().enumerate() {
        progress(Stage::Search, number as u64, 4);
        let begun = Instant::now();
        let released = ask.epsilon(EPSILON).release()?;
        let seconds = begun.elapsed().as_secs_f64();
        let found = released.groups.into_iter().next().and_then(|group| group.values).unwrap_or_default();
        asked.push(Asked { what, wanted, found, seconds });
    }
    drop(collection);
    store.database.close()?;
    folder.close()?;
    Ok(Crowd { records, entities: OTHERS + 1, import_seconds, asked })
}
