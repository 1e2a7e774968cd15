//! How long a private centroid takes, and where its time goes.
//!
//! Invariant: the store is encrypted and opened from disk, and what is timed is what a user calls. Steps are told apart by
//! what is left out: a count opens no vector, and a question about nobody reads nothing; bounding and noise are timed by
//! themselves. That adds up on one thread only, so that is where the shares are from.
#![expect(clippy::disallowed_methods, reason = "a measurement reads time")]

use std::path::Path;
use std::time::Instant;

use datasets::{Dataset, Distance, Matrix};
use engine::{Aggregate, BudgetOf, RootKey, Settings};
use privacy::dp::{Clip, Epsilon, Guarantee, Sum};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::errors::{draw, plan};
use super::found::{Pace, Step};
use super::options::{NoiseOptions, unusable};
use crate::median::median;
use crate::runner::RunError;
use crate::stage::Stage;
use crate::store;

/// The collection that is measured.
const COLLECTION: &str = "speed";
/// One like it without records.
const EMPTY: &str = "empty";
/// Each question is answered this often, and the median counts.
const ROUNDS: usize = 7;
/// Of each question.
const EPSILON: f64 = 1.0;
/// Enough for all of them.
const BUDGET: f64 = 1000.0;

/// Milliseconds of the questions that tell the steps apart.
struct Asked {
    centroid: f64,
    count: f64,
    nobody: f64,
}

/// Stores records of as many entities and asks for their centroid.
pub(super) fn measure(options: &NoiseOptions, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<Pace, RunError> {
    let (records, dimension) = (options.records, options.dimension);
    let rng = &mut StdRng::seed_from_u64(1);
    let mut numbers = vec![0.0; records * dimension];
    numbers.chunks_mut(dimension.max(1)).for_each(|vector| draw(vector, rng));
    let matrix = |numbers| Matrix::new(dimension, numbers).ok_or_else(|| unusable("vectors have a dimension"));
    let (train, test) = (matrix(numbers)?, matrix(Vec::new())?);
    let set = Dataset { name: COLLECTION.to_owned(), metric: Distance::L2, train, test, neighbors: None };
    let folder = store::folder(options.folder.as_deref(), "lethedb-privacy-")?;
    let data = folder.path().join("data");

    let made = open(&data, &set, 0)?;
    for name in [COLLECTION, EMPTY] {
        store::create(&made, name, &set)?;
        made.environment.budget().set(BudgetOf::Collection(name), BUDGET, None)?;
    }
    let record = |row: usize| store::record(&set, row).entity(store::entity_name(row as u32));
    store::import(&made, COLLECTION, 0..records, record, progress)?;
    store::settle(&made, COLLECTION, progress)?;
    made.database.close()?;

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let one = asked(&data, &set, 1, progress)?;
    let all = asked(&data, &set, cores, progress)?;
    let (added, bounded, drawn) = bound(&set)?;
    let step = |what, ms: f64| Step { what, ms: ms.max(0.0) };
    let steps = vec![
        step("debit synced and told, answer stored", one.nobody - drawn),
        step("records gathered by entity", one.count - one.nobody),
        step("vectors opened", one.centroid - one.count - added - bounded),
        step("mean of each entity", added),
        step("clipped, checked and added up", bounded),
        step("noise drawn", drawn),
    ];
    folder.close()?;
    Ok(Pace { records, dimension, steps, one_ms: one.centroid, threads: cores, all_ms: all.centroid })
}

fn open(data: &Path, set: &Dataset, threads: usize) -> engine::Result<store::Store> {
    // A graph has no part in it; and what is deleted at the end needs no secret.
    let settings = Settings { flat_below: usize::MAX, ..store::settings(set, threads) };
    store::open_with(data, RootKey::bytes([0; 32]), settings)
}

/// Asks on so many threads.
fn asked(
    data: &Path,
    set: &Dataset,
    threads: usize,
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> Result<Asked, RunError> {
    let store = open(data, set, threads)?;
    let collection = store.environment.open_collection(COLLECTION)?;
    let mut time = |ask: Aggregate| -> Result<f64, RunError> {
        let mut rounds = Vec::new();
        // The first one finds nothing in memory.
        for round in 0..=ROUNDS {
            progress(Stage::Search, round as u64, ROUNDS as u64);
            let begun = Instant::now();
            ask.clone().epsilon(EPSILON).refresh(true).release()?;
            rounds.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok(median(rounds.into_iter().skip(1)).unwrap_or_default())
    };
    let found = Asked {
        centroid: time(collection.centroid())?,
        count: time(collection.aggregate())?,
        nobody: time(store.environment.open_collection(EMPTY)?.centroid())?,
    };
    drop(collection);
    store.database.close()?;
    Ok(found)
}

/// Milliseconds that the means, the rest of bounding, and the noise of one answer take by themselves.
fn bound(set: &Dataset) -> Result<(f64, f64, f64), RunError> {
    let clip = Clip::new(set.train.dimension(), 1.0, None).map_err(unusable)?;
    let plan = plan(&clip, Guarantee::pure(Epsilon::new(EPSILON).map_err(unusable)?))?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (mut sum, mut added, mut bounded) = (Sum::new(clip.bound()), 0.0, 0.0);
        for row in 0..set.train.len() {
            let begun = Instant::now();
            let mut gather = clip.gather();
            gather.add(set.train.row(row));
            let between = Instant::now();
            sum.add(&gather.take());
            added += between.duration_since(begun).as_secs_f64();
            bounded += between.elapsed().as_secs_f64();
        }
        let begun = Instant::now();
        plan.release(&sum, &mut StdRng::seed_from_u64(0));
        rounds.push((added * 1e3, bounded * 1e3, begun.elapsed().as_secs_f64() * 1e3));
    }
    let of = |part: fn(&(f64, f64, f64)) -> f64| median(rounds.iter().map(part)).unwrap_or_default();
    Ok((of(|round| round.0), of(|round| round.1), of(|round| round.2)))
}
