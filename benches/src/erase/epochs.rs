//! What a change of keys costs by how many entities the keyring has.
//!
//! Invariant: bytes are those of the files that the change made in the keyring's directory.
#![expect(clippy::disallowed_methods, reason = "looks how large the files of a keyring are")]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use datasets::{Dataset, Distance};
use engine::{Clock, RootKey, Settings, Step, SystemClock, Wait};
use serde::Serialize;

use super::options::EraseOptions;
use crate::clustered::{self, SEED};
use crate::median::median;
use crate::runner::RunError;
use crate::stage::Stage;
use crate::store;

/// Numbers in a vector: few, because vectors are not what is measured.
const DIMENSION: usize = 8;
/// The collection that the entities are in.
const COLLECTION: &str = "epochs";
/// Where the keyring lies in the data directory.
const KEYRING: &str = "keyring";

/// What a change of keys costs; medians.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Epoch {
    /// In the keyring, with one record each.
    pub entities: usize,
    /// Milliseconds of an epoch that removes nothing.
    pub rotated_ms: f64,
    /// Bytes that it wrote into the keyring.
    pub rotated_bytes: f64,
    /// Milliseconds between hidden and shredded where one entity is erased.
    pub shredding_ms: f64,
    /// Bytes that this wrote into the keyring.
    pub shredding_bytes: f64,
}

/// Measures a keyring of so many entities.
pub fn measure(
    options: &EraseOptions,
    entities: usize,
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> Result<Epoch, RunError> {
    let mixture = clustered::mixture(DIMENSION);
    let (train, test) = (mixture.sample(entities, SEED), mixture.sample(1, SEED + 1));
    let set = Dataset { name: COLLECTION.to_owned(), metric: Distance::L2, train, test, neighbors: None };
    let folder = store::folder(options.folder.as_deref(), "lethedb-erase-")?;
    let settings = Settings { flat_below: usize::MAX, ..store::settings(&set, 0) };
    // What is deleted at the end needs no secret.
    let store = store::open_with(&folder.path().join("data"), RootKey::bytes([0; 32]), settings)?;
    store::create(&store, COLLECTION, &set)?;
    let name = |row: usize| format!("entity-{row}");
    store::import(&store, COLLECTION, 0..entities, |row| store::record(&set, row).entity(name(row)), progress)?;
    store::settle(&store, COLLECTION, progress)?;

    let keyring = store::path(&folder.path().join("data"), KEYRING);
    let (mut rotated, mut shredded) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        progress(Stage::Erase, round as u64, options.rounds as u64);
        let (before, start) = (Files::of(&keyring)?, SystemClock.now_us());
        store.environment.rotate_kek()?;
        rotated
            .push((SystemClock.now_us().saturating_sub(start) as f64 / 1e3, before.made_since(&Files::of(&keyring)?)));
        let before = Files::of(&keyring)?;
        let erasure = store.environment.erase(name(round % entities)).wait(Wait::Shred).run()?;
        let ms = erasure.shredded_at.unwrap_or_default().saturating_sub(erasure.hidden_at) as f64;
        shredded.push((ms, before.made_since(&Files::of(&keyring)?)));
        while store.environment.step()? != Step::Idle {}
    }
    store.database.close()?;
    folder.close()?;
    let ms = |of: &[(f64, u64)]| median(of.iter().map(|(ms, _)| *ms)).unwrap_or_default();
    let bytes = |of: &[(f64, u64)]| median(of.iter().map(|(_, bytes)| *bytes as f64)).unwrap_or_default();
    Ok(Epoch {
        entities,
        rotated_ms: ms(&rotated),
        rotated_bytes: bytes(&rotated),
        shredding_ms: ms(&shredded),
        shredding_bytes: bytes(&shredded),
    })
}

/// The files of a directory, with their lengths.
pub struct Files(BTreeMap<String, u64>);

impl Files {
    /// What lies there now.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            files.insert(entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len());
        }
        Ok(Self(files))
    }

    /// Bytes that came since: all of new files, and by how much old ones grew.
    pub fn made_since(&self, after: &Self) -> u64 {
        let grown =
            |(name, bytes): (&String, &u64)| bytes.saturating_sub(self.0.get(name).copied().unwrap_or_default());
        after.0.iter().map(grown).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_counted_and_what_went_is_not() {
        let files = |all: &[(&str, u64)]| Files(all.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect());
        let before = files(&[("root-1", 100), ("buckets-1", 5000), ("new.log", 40)]);
        let after = files(&[("root-2", 110), ("buckets-1", 5000), ("buckets-2", 700), ("new.log", 64)]);
        assert_eq!(before.made_since(&after), 110 + 700 + 24);
        assert_eq!(before.made_since(&before), 0);
    }
}
