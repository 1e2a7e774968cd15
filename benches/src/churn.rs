//! `bench churn`: what deletes and updates leave behind once they were compacted, beside a fresh store of the same records.
//!
//! Invariant: both stores hold the same records under the same ids, each is closed and opened again from disk before it
//! is measured, and both are asked in turns on the same core. The truth is exact. Updates bring vectors that were in no
//! store before.
#![expect(clippy::disallowed_methods, reason = "a measurement reads time")]

mod changes;
mod churned;

use std::path::{Path, PathBuf};
use std::time::Instant;

use datasets::{Dataset, Matrix, truth};
use engine::{Collection, Counters, Record, RecordId, RootKey};

use crate::affinity::{Pin, allowed};
use crate::bandwidth::Bandwidth;
use crate::machine::Machine;
use crate::measure::Pass;
use crate::runner::{RunError, known_neighbors};
use crate::stage::Stage;
use crate::store::{self, Store};
use changes::Changes;

pub use churned::{Churn, Churned, Found};

/// The collection that is measured.
const COLLECTION: &str = "churn";
/// Records that one delete names.
const BATCH_ROWS: usize = 5_000;

/// What to measure.
#[derive(Clone, Debug)]
pub struct ChurnOptions {
    /// A file with train, test and neighbors.
    pub dataset: PathBuf,
    /// The share of the records that changes: half of them are deleted, half get another vector. From 0 to 1.
    pub share: f64,
    /// Neighbours to ask for and score, at least 1.
    pub k: usize,
    /// Widths of the graph search.
    pub ef: Vec<usize>,
    /// How often each is measured, at least 1.
    pub rounds: usize,
    /// The core on which all search; the last one allowed if absent.
    pub core: Option<usize>,
    /// Where the stores get a directory of their own; the system's temporary directory if absent.
    pub folder: Option<PathBuf>,
}

/// Runs the measurement that `options` describe. `progress` hears what is done: stage, steps done, steps in all.
pub fn churn(options: &ChurnOptions, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<Churn, RunError> {
    let set = datasets::open(&options.dataset)?;
    let counts = [options.rounds, options.ef.iter().copied().min().unwrap_or(0)];
    known_neighbors(&set, options.k, &counts)?;
    if !(0.0..=1.0).contains(&options.share) {
        return Err(RunError::Share);
    }
    let cores = allowed();
    let core = options.core.or(cores.last().copied()).filter(|core| cores.contains(core));
    let core = core.ok_or(RunError::Core { allowed: cores.clone() })?;
    let changes = Changes::new(set.train.len(), options.share);
    let after = Left::of(&set, &changes, options.k).ok_or(RunError::NoQueries)?;

    let folder = store::folder(options.folder.as_deref(), "lethedb-churn-")?;
    let old = folder.path().join("changed");
    let start = Instant::now();
    change(&old, &set, &changes, progress)?;
    let change_seconds = start.elapsed().as_secs_f64();
    let machine = {
        let _pin = Pin::to(core);
        Machine::measure(cores.len(), &Bandwidth::new())
    };
    let waiting = Stand::open(&old, &set)?;
    let mut stores = measure(options, &set, &after, core, &[("changed", &waiting)], progress)?;
    waiting.store.database.close()?;

    let start = Instant::now();
    compact(&old, &set, progress)?;
    let compact_seconds = start.elapsed().as_secs_f64();
    let new = folder.path().join("fresh");
    let start = Instant::now();
    build(&new, &set, &after, progress)?;
    let fresh_seconds = start.elapsed().as_secs_f64();
    let (compacted, fresh) = (Stand::open(&old, &set)?, Stand::open(&new, &set)?);
    let both = [("compacted", &compacted), ("fresh", &fresh)];
    stores.extend(measure(options, &set, &after, core, &both, progress)?);
    compacted.store.database.close()?;
    fresh.store.database.close()?;
    folder.close()?;
    Ok(Churn {
        engine: "lethedb",
        version: env!("CARGO_PKG_VERSION"),
        dataset: set.name.clone(),
        dim: set.train.dimension(),
        metric: set.metric.to_string(),
        k: options.k,
        queries: set.test.len(),
        core,
        machine,
        records: changes.records(),
        deleted: changes.deleted().len(),
        updated: changes.updated().len(),
        left: after.ids.len(),
        change_seconds,
        compact_seconds,
        fresh_seconds,
        stores,
    })
}

/// The records that the changes leave, and the right answers among them.
struct Left {
    /// By rising id.
    ids: Vec<usize>,
    /// The row of the set that is the vector of each.
    rows: Vec<usize>,
    vectors: Matrix,
    neighbors: Vec<Vec<u32>>,
}

impl Left {
    fn of(set: &Dataset, changes: &Changes, k: usize) -> Option<Self> {
        let (ids, rows): (Vec<usize>, Vec<usize>) = changes.left().into_iter().unzip();
        let numbers = rows.iter().flat_map(|row| set.train.row(*row)).copied().collect();
        let vectors = Matrix::new(set.train.dimension(), numbers)?;
        let nearest = truth::neighbors(set.metric, &vectors, &set.test, k);
        let neighbors = nearest.iter().map(|all| all.iter().map(|neighbor| neighbor.position).collect()).collect();
        Some(Self { ids, rows, vectors, neighbors })
    }

    /// The place of a record among these.
    fn place(&self, id: RecordId) -> Option<u32> {
        match id {
            RecordId::Num(id) => self.ids.binary_search(&(id as usize)).ok().map(|place| place as u32),
            RecordId::Uuid(_) => None,
        }
    }
}

/// What is deleted at the end needs no secret.
fn open(data: &Path, set: &Dataset) -> engine::Result<Store> {
    store::open(data, RootKey::bytes([0; 32]), set, 0)
}

/// Makes the store, puts it into one segment, and changes it.
fn change(
    data: &Path,
    set: &Dataset,
    changes: &Changes,
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> engine::Result<()> {
    let store = open(data, set)?;
    store::fill(&store, COLLECTION, set, 0..changes.records(), 0, progress)?;
    store::settle(&store, COLLECTION, progress)?;
    progress(Stage::Change, 0, 1);
    let collection = store.environment.open_collection(COLLECTION)?;
    for ids in changes.deleted().chunks(BATCH_ROWS) {
        collection.delete(ids.iter().map(|id| *id as u64))?;
    }
    for records in changes.updated().chunks(BATCH_ROWS) {
        let record = |(id, row): &(usize, usize)| Record::new(*id as u64, set.train.row(*row).to_vec());
        collection.upsert(records.iter().map(record))?;
    }
    store.environment.flush()?;
    store.database.close()
}

/// Merges what the changes left.
fn compact(data: &Path, set: &Dataset, progress: &mut dyn FnMut(Stage, u64, u64)) -> engine::Result<()> {
    progress(Stage::Build, 0, 1);
    let store = open(data, set)?;
    store.environment.compact()?;
    store.database.close()
}

/// Makes the store that never knew anything else.
fn build(data: &Path, set: &Dataset, left: &Left, progress: &mut dyn FnMut(Stage, u64, u64)) -> engine::Result<()> {
    let store = open(data, set)?;
    store::create(&store, COLLECTION, set)?;
    let record = |place: usize| Record::new(left.ids[place] as u64, set.train.row(left.rows[place]).to_vec());
    store::import(&store, COLLECTION, 0..left.ids.len(), record, progress)?;
    store::settle(&store, COLLECTION, progress)?;
    store.database.close()
}

/// An open store.
struct Stand {
    store: Store,
    collection: Collection,
}

impl Stand {
    fn open(data: &Path, set: &Dataset) -> engine::Result<Self> {
        let store = open(data, set)?;
        let collection = store.environment.open_collection(COLLECTION)?;
        collection.search(set.test.row(0)).with_payload(false).run()?;
        Ok(Self { store, collection })
    }
}

/// Measures all widths of all stores, in turns.
fn measure(
    options: &ChurnOptions,
    set: &Dataset,
    left: &Left,
    core: usize,
    stands: &[(&'static str, &Stand)],
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> Result<Vec<Churned>, RunError> {
    let _pin = Pin::to(core);
    let mut found: Vec<Vec<Found>> = stands.iter().map(|_| Vec::new()).collect();
    for (step, &ef) in options.ef.iter().enumerate() {
        let mut best: Vec<Option<Pass>> = stands.iter().map(|_| None).collect();
        for round in 0..options.rounds {
            progress(Stage::Search, (step * options.rounds + round) as u64, (options.ef.len() * options.rounds) as u64);
            for ((_, stand), best) in stands.iter().zip(&mut best) {
                let ask = |query: &[f32]| search(stand, left, query, options.k, ef).map(|(places, _)| places);
                let pass = Pass::run(&set.test, 1, ask)?;
                if best.as_ref().is_none_or(|best| pass.is_faster_than(best)) {
                    *best = Some(pass);
                }
            }
        }
        for (((_, stand), best), found) in stands.iter().zip(best).zip(&mut found) {
            let Some(pass) = best else { continue };
            let mut total = Counters::default();
            for query in set.test.rows() {
                total.compared += search(stand, left, query, options.k, ef)?.1.compared;
            }
            let recall =
                truth::recall(set.metric, &left.vectors, &set.test, &left.neighbors, pass.found(), options.k, 0.0);
            let compared = total.compared as f64 / set.test.len().max(1) as f64;
            found.push(Found { ef, recall, compared, us: pass.mean_us() });
        }
    }
    let mut stores = Vec::new();
    for ((name, stand), found) in stands.iter().zip(found) {
        let info = stand.collection.info();
        stores.push(Churned {
            store: name,
            segments: info.segments,
            disk_bytes: stand.store.environment.disk_bytes()?,
            resident_bytes: info.resident_bytes,
            found,
        });
    }
    Ok(stores)
}

fn search(stand: &Stand, left: &Left, query: &[f32], k: usize, ef: usize) -> engine::Result<(Vec<u32>, Counters)> {
    let found = stand.collection.search(query).limit(k).ef(ef).with_payload(false).run()?;
    // What is no record that is left counts as wrong.
    Ok((found.iter().map(|hit| left.place(hit.id).unwrap_or(u32::MAX)).collect(), found.counters))
}

#[cfg(test)]
mod tests;
