//! lethedb itself as what is measured: a store built from a data set, closed, and reopened from disk.
//!
//! Invariant: what is asked is what a user of the library gets: an encrypted environment, searched through the façade.
//! Bodies are not opened, as in every vector benchmark, so queries ask for no payload.
#![expect(clippy::disallowed_methods, reason = "a measurement reads time")]

use std::path::PathBuf;
use std::time::Instant;

use datasets::Dataset;
use engine::{Collection, Counters, RecordId, RootKey};

use crate::report::Build;
use crate::stage::Stage;
use crate::store::{self, Store};

/// Where the store of a measurement lies, and what is in it.
pub struct Place {
    /// The data directory.
    pub data: PathBuf,
    /// Whether it stays after the measurement.
    pub is_kept: bool,
    /// Entities that own the rows; 0 for none.
    pub entities: u32,
    /// Threads that build; 0 for one on each core.
    pub threads: usize,
}

impl Place {
    /// Opens the store. One that is deleted at the end needs no secret; one that stays has the user's root key.
    pub fn open(&self, set: &Dataset) -> engine::Result<Store> {
        let root_key = if self.is_kept { RootKey::sources() } else { RootKey::bytes([0; 32]) };
        store::open(&self.data, root_key, set, self.threads)
    }

    /// The collection of `set` in the open store.
    pub fn collection(&self, store: &Store, set: &Dataset) -> engine::Result<Collection> {
        store.environment.open_collection(&store::collection_name(set, self.entities))
    }

    /// Makes the store unless it is there, and closes it.
    pub fn build(&self, set: &Dataset, progress: &mut dyn FnMut(Stage, u64, u64)) -> engine::Result<Build> {
        let store = self.open(set)?;
        let is_there = match self.collection(&store, set) {
            Ok(collection) => store::holds(&collection, set)?,
            Err(_) => false,
        };
        let name = store::collection_name(set, self.entities);
        let start = Instant::now();
        if !is_there {
            store::fill(&store, &name, set, 0..set.train.len(), self.entities, progress)?;
        }
        store::settle(&store, &name, progress)?;
        let seconds = (!is_there).then(|| start.elapsed().as_secs_f64());
        store.database.close()?;
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Build { seconds, threads: if self.threads == 0 { all() } else { self.threads } })
    }
}

/// Positions of the `k` rows that a search of width `ef` finds nearest to `query`.
pub fn search(collection: &Collection, query: &[f32], k: usize, ef: usize) -> engine::Result<Vec<u32>> {
    Ok(search_counted(collection, query, k, ef)?.0)
}

/// [`search`], and what it cost.
pub fn search_counted(
    collection: &Collection,
    query: &[f32],
    k: usize,
    ef: usize,
) -> engine::Result<(Vec<u32>, Counters)> {
    let search = collection.search(query).limit(k).ef(ef);
    // Ids and scores, as other engines answer.
    let found = search.with_entity(false).with_payload(false).run()?;
    let position = |id| match id {
        RecordId::Num(position) => u32::try_from(position).ok(),
        RecordId::Uuid(_) => None,
    };
    Ok((found.iter().filter_map(|hit| position(hit.id)).collect(), found.counters))
}
