//! The encrypted store that a run searches: made from the data set, or found as an earlier run left it.
//!
//! Invariant: after [`settle`] all rows lie in one segment, with their positions as ids, whatever was there before.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use datasets::{Dataset, Distance, synthetic};
use engine::{Collection, Database, Environment, Metric, Record, RootKey, Settings};
use tempfile::TempDir;

use crate::stage::Stage;

/// Name of the environment that benchmarks work in.
const ENVIRONMENT: &str = "bench";
/// Rows stored at once.
const BATCH_ROWS: usize = 5_000;
/// The seed of who owns which row.
const OWNERS_SEED: u64 = 0;
/// Zipf's own exponent.
const OWNERS_EXPONENT: f64 = 1.0;
/// Memory that a row takes beside its vector, generously.
const ROW_OVERHEAD_BYTES: usize = 1024;

/// The name of the invented entity of this `rank`, counted from 0.
pub fn entity_name(rank: u32) -> String {
    format!("entity-{rank:07}")
}

/// An open store.
pub struct Store {
    /// To be closed before it is opened again.
    pub database: Database,
    /// Where benchmarks work.
    pub environment: Environment,
}

/// A directory for stores that are gone after the measurement, in `place` or else where the system keeps such.
pub fn folder(place: Option<&Path>, prefix: &str) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(prefix);
    place.map_or_else(|| builder.tempdir(), |place| builder.tempdir_in(place))
}

/// Settings with room for all rows of `set` in one memtable, hence one segment, which `threads` threads build; 0 for one
/// on each core.
pub fn settings(set: &Dataset, threads: usize) -> Settings {
    let rows = set.train.len().max(1);
    let row_bytes = set.train.dimension() * size_of::<f32>() + ROW_OVERHEAD_BYTES;
    Settings {
        memtable_rows_max: rows,
        memtable_bytes_max: rows.saturating_mul(row_bytes),
        background: false,
        threads,
        ..Settings::default()
    }
}

/// Opens or makes the store in `data` with [`settings`] for `set`.
pub fn open(data: &Path, root_key: RootKey, set: &Dataset, threads: usize) -> engine::Result<Store> {
    open_with(data, root_key, settings(set, threads))
}

/// Opens or makes the store in `data`.
pub fn open_with(data: &Path, root_key: RootKey, settings: Settings) -> engine::Result<Store> {
    let database = Database::builder(data).root_key(root_key).settings(settings).open()?;
    let environment = database.environment(ENVIRONMENT)?;
    Ok(Store { database, environment })
}

/// Where the room `name` of the environment lies in a data directory.
pub fn path(data: &Path, name: &str) -> PathBuf {
    data.join("env").join(ENVIRONMENT).join(name)
}

/// The name of the collection for `set`: its file name as far as it fits, and the number of owners.
pub fn collection_name(set: &Dataset, entities: u32) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = set.name.chars().map(safe).take(40).collect();
    format!("b{entities}-{name}")
}

/// Whether `collection` holds `set` already: its shape, and rows sampled from it.
pub fn holds(collection: &Collection, set: &Dataset) -> engine::Result<bool> {
    let info = collection.info();
    let rows = set.train.len();
    if info.records != rows as u64 || info.metric != our_metric(set.metric) || info.dimension != set.train.dimension() {
        return Ok(false);
    }
    for position in [0, rows / 3, rows / 2, rows.saturating_sub(1)] {
        let record = collection.get(position as u64)?;
        if record.is_none_or(|record| record.vector() != set.train.row(position)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Stores the rows of `set` at these positions in the collection `name`.
pub fn fill(
    store: &Store,
    name: &str,
    set: &Dataset,
    rows: Range<usize>,
    entities: u32,
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> engine::Result<()> {
    create(store, name, set)?;
    let owners = match entities {
        0 => Vec::new(),
        entities => synthetic::owners(set.train.len(), entities, OWNERS_EXPONENT, OWNERS_SEED),
    };
    let owned = |position: usize| {
        let record = record(set, position);
        match owners.get(position) {
            Some(owner) => record.entity(entity_name(*owner)),
            None => record,
        }
    };
    import(store, name, rows, owned, progress)
}

/// Opens or makes the collection `name` for vectors as `set` has them.
pub fn create(store: &Store, name: &str, set: &Dataset) -> engine::Result<Collection> {
    let builder = store.environment.collection(name);
    builder.dimension(set.train.dimension()).metric(our_metric(set.metric)).open_or_create()
}

/// The row of `set` at this position, which is its id.
pub fn record(set: &Dataset, position: usize) -> Record {
    Record::new(position as u64, set.train.row(position).to_vec())
}

/// Stores the records of these rows in the collection `name`.
pub fn import(
    store: &Store,
    name: &str,
    rows: Range<usize>,
    record: impl Fn(usize) -> Record,
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> engine::Result<()> {
    let collection = store.environment.open_collection(name)?;
    for start in rows.clone().step_by(BATCH_ROWS) {
        progress(Stage::Import, start as u64, rows.end as u64);
        collection.upsert((start..rows.end.min(start + BATCH_ROWS)).map(&record))?;
    }
    Ok(())
}

/// Puts the rows of the collection `name` into one segment.
pub fn settle(store: &Store, name: &str, progress: &mut dyn FnMut(Stage, u64, u64)) -> engine::Result<()> {
    progress(Stage::Build, 0, 1);
    store.environment.flush()?;
    if store.environment.open_collection(name)?.info().segments > 1 {
        store.environment.compact()?;
    }
    Ok(())
}

fn our_metric(distance: Distance) -> Metric {
    match distance {
        Distance::Cosine => Metric::Cosine,
        Distance::Dot => Metric::Dot,
        Distance::L2 => Metric::L2,
    }
}
