//! What new entities cost a flush.
//!
//! Invariant: of two flushes of as many records, one after the other in one store, the first has entities that nobody knew
//! and the second the same again. Neither builds a graph, which takes as long either way.

use datasets::{Dataset, Distance};
use engine::{Clock, RootKey, Settings, SystemClock};
use serde::Serialize;

use super::epochs::Files;
use super::options::EraseOptions;
use crate::clustered::{self, SEED};
use crate::median::median;
use crate::runner::RunError;
use crate::stage::Stage;
use crate::store;

/// The collection that is flushed.
const COLLECTION: &str = "flush";

/// A flush; medians.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Flushed {
    /// Records that it wrote.
    pub records: usize,
    /// Entities of theirs that it made keys for.
    pub new_entities: usize,
    /// Milliseconds.
    pub ms: f64,
    /// Records a second.
    pub records_per_second: f64,
    /// Bytes of segments that it made.
    pub segment_bytes: f64,
    /// Bytes that it wrote into the keyring.
    pub keyring_bytes: f64,
}

/// Measures a flush with new entities, and one without.
pub fn measure(options: &EraseOptions, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<Vec<Flushed>, RunError> {
    let (records, entities) = (options.flush_records, options.flush_entities);
    let mixture = clustered::mixture(options.dimension);
    let (train, test) = (mixture.sample(records, SEED), mixture.sample(1, SEED + 1));
    let set = Dataset { name: COLLECTION.to_owned(), metric: Distance::L2, train, test, neighbors: None };
    let folder = store::folder(options.folder.as_deref(), "lethedb-erase-")?;
    let data = folder.path().join("data");
    let settings = Settings { flat_below: usize::MAX, ..store::settings(&set, 0) };
    // What is deleted at the end needs no secret.
    let store = store::open_with(&data, RootKey::bytes([0; 32]), settings)?;
    store::create(&store, COLLECTION, &set)?;
    let flush = || -> Result<[f64; 3], RunError> {
        let folders = ["seg", "keyring"].map(|name| store::path(&data, name));
        let [segments, keyring] = [Files::of(&folders[0])?, Files::of(&folders[1])?];
        let start = SystemClock.now_us();
        store.environment.flush()?;
        let ms = SystemClock.now_us().saturating_sub(start) as f64 / 1e3;
        let made = |before: &Files, folder| Ok::<_, RunError>(before.made_since(&Files::of(folder)?) as f64);
        Ok([ms, made(&segments, &folders[0])?, made(&keyring, &folders[1])?])
    };
    let mut flushes = [Vec::new(), Vec::new()];
    for round in 0..options.rounds {
        for (turn, flushes) in flushes.iter_mut().enumerate() {
            let owned = |row: usize| {
                let id = (round * 2 + turn) * records + row;
                let record = engine::Record::new(id as u64, set.train.row(row).to_vec());
                record.entity(format!("entity-{round}-{}", row % entities))
            };
            store::import(&store, COLLECTION, 0..records, owned, progress)?;
            flushes.push(flush()?);
        }
    }
    store.database.close()?;
    folder.close()?;
    let [new, known] = flushes;
    Ok(vec![flushed(records, entities, &new), flushed(records, 0, &known)])
}

fn flushed(records: usize, new_entities: usize, rounds: &[[f64; 3]]) -> Flushed {
    let of = |place: usize| median(rounds.iter().map(|figures| figures[place])).unwrap_or_default();
    let ms = of(0);
    Flushed {
        records,
        new_entities,
        ms,
        records_per_second: records as f64 * 1e3 / ms.max(f64::MIN_POSITIVE),
        segment_bytes: of(1),
        keyring_bytes: of(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_flush_are_medians() {
        let Flushed { ms, records_per_second, segment_bytes, keyring_bytes, .. } =
            flushed(50, 5, &[[9.0, 1.0, 7.0], [10.0, 5.0, 8.0], [100.0, 3.0, 9.0]]);
        assert_eq!([ms, records_per_second, segment_bytes, keyring_bytes], [10.0, 5000.0, 3.0, 8.0]);
    }
}
