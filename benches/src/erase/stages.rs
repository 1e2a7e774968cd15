//! One erasure after the other in one store: when each stage was reached, and how fast searches were meanwhile.
//!
//! Invariant: stages are told by the stamps that the engine puts into the receipt, to the millisecond; the answer is timed
//! where it arrives.
#![expect(clippy::disallowed_methods, reason = "gives searches some time to themselves")]

use std::thread;
use std::time::Duration;

use datasets::{Dataset, Distance};
use engine::{Clock, Collection, RootKey, Step, SystemClock};
use serde::Serialize;

use super::asking::{Answers, Span, while_asked};
use super::options::EraseOptions;
use super::plan::{Plan, Victims};
use crate::clustered::{self, SEED};
use crate::median::median;
use crate::runner::RunError;
use crate::stage::Stage;
use crate::store::{self, Store};

pub const DISTANCE: Distance = Distance::Cosine;
/// Neighbours that the searches ask for.
pub const K: usize = 10;
/// Different queries.
const QUERIES: usize = 1000;
/// The collection that is measured.
const COLLECTION: &str = "erase";

/// How long the stages of an erasure took, in milliseconds since it was asked for; medians.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Staged {
    /// Records of the entity.
    pub records: usize,
    /// Until no read returned them.
    pub hidden_ms: f64,
    /// Until their keys were destroyed.
    pub shredded_ms: f64,
    /// Until no live file held a row of theirs.
    pub purged_ms: f64,
    /// Until the answer came, with the receipt.
    pub answered_ms: f64,
    /// Until the graph was one that never knew them, by upkeep that did nothing else.
    pub rebuilt_ms: f64,
    /// Searches a second meanwhile.
    pub searches: Searched,
}

/// Searches a second, all rounds together; null where a stage took no millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Searched {
    /// Before the erasure.
    pub idle_qps: Option<f64>,
    /// Between hidden and shredded.
    pub shredding_qps: Option<f64>,
    /// Between shredded and purged.
    pub purging_qps: Option<f64>,
    /// Between purged and rebuilt.
    pub rebuilding_qps: Option<f64>,
}

/// An erasure of several entities of one record each, in milliseconds since it was asked for; medians.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Together {
    /// Erased at once.
    pub entities: usize,
    /// Until their keys were destroyed.
    pub shredded_ms: f64,
    /// Until the answer came, with the receipt.
    pub answered_ms: f64,
}

/// When what was reached, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
struct Times {
    idle: u64,
    asked: u64,
    hidden: u64,
    shredded: u64,
    purged: u64,
    answered: u64,
    rebuilt: u64,
}

impl Times {
    /// Milliseconds since the erasure was asked for. Stamps are cut to the millisecond, so one may lie before.
    fn ms(&self, of: fn(&Self) -> u64) -> f64 {
        of(self).saturating_sub(self.asked) as f64 / 1e3
    }
}

/// What is erased in a round, followed stage by stage or not.
struct Course<'a> {
    options: &'a EraseOptions,
    store: &'a Store,
    collection: &'a Collection,
    set: &'a Dataset,
}

/// Measures these two parts.
pub fn measure(
    options: &EraseOptions,
    with_stages: bool,
    with_together: bool,
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> Result<(Vec<Staged>, Vec<Together>), RunError> {
    let held: &[usize] = if with_stages { &options.held } else { &[] };
    let together: &[usize] = if with_together { &options.together } else { &[] };
    let rounds = || 0..options.rounds;
    let followed = rounds().flat_map(|_| held.iter().map(|records| (1, *records)));
    let plan = Plan::new(followed.chain(rounds().flat_map(|_| together.iter().map(|entities| (*entities, 1)))));
    let (followed, unfollowed) = plan.victims().split_at(options.rounds * held.len());

    progress(Stage::Synth, 0, 1);
    let mixture = clustered::mixture(options.dimension);
    let (train, test) = (mixture.sample(plan.rows(options.records), SEED), mixture.sample(QUERIES, SEED + 1));
    let set = Dataset { name: COLLECTION.to_owned(), metric: DISTANCE, train, test, neighbors: None };
    let folder = store::folder(options.folder.as_deref(), "lethedb-erase-")?;
    // What is deleted at the end needs no secret.
    let open = || store::open(&folder.path().join("data"), RootKey::bytes([0; 32]), &set, 0);
    let store = open()?;
    store::create(&store, COLLECTION, &set)?;
    let record = |row: usize| store::record(&set, row).entity(plan.owner(row));
    store::import(&store, COLLECTION, 0..set.train.len(), record, progress)?;
    store::settle(&store, COLLECTION, progress)?;
    store.database.close()?;
    let store = open()?;
    let collection = store.environment.open_collection(COLLECTION)?;
    collection.search(set.test.row(0)).with_payload(false).run()?;

    let course = Course { options, store: &store, collection: &collection, set: &set };
    let (times, answers) = course.run(followed, |times, job| course.rebuild(times, job), progress)?;
    let rounds_of = |place: usize, of: usize| (place..).step_by(of).take(options.rounds);
    let stages = held.iter().enumerate().map(|(place, records)| {
        let of_all: Vec<Times> = rounds_of(place, held.len()).filter_map(|at| times.get(at).copied()).collect();
        staged(*records, &of_all, &answers)
    });
    let stages = stages.collect();
    let (times, _) = course.run(unfollowed, |times, _| Ok(times), progress)?;
    let together = together.iter().enumerate().map(|(place, entities)| {
        let of_all: Vec<Times> = rounds_of(place, together.len()).filter_map(|at| times.get(at).copied()).collect();
        let ms = |of: fn(&Times) -> u64| medians(&of_all, of);
        Together {
            entities: *entities,
            shredded_ms: ms(|times| times.shredded),
            answered_ms: ms(|times| times.answered),
        }
    });
    let together = together.collect();
    store.database.close()?;
    folder.close()?;
    Ok((stages, together))
}

fn medians(times: &[Times], of: fn(&Times) -> u64) -> f64 {
    median(times.iter().map(|times| times.ms(of))).unwrap_or_default()
}

fn staged(records: usize, times: &[Times], answers: &Answers) -> Staged {
    let ms = |of: fn(&Times) -> u64| medians(times, of);
    let qps = |span: fn(&Times) -> Span| answers.per_second(times.iter().map(span));
    Staged {
        records,
        hidden_ms: ms(|times| times.hidden),
        shredded_ms: ms(|times| times.shredded),
        purged_ms: ms(|times| times.purged),
        answered_ms: ms(|times| times.answered),
        rebuilt_ms: ms(|times| times.rebuilt),
        searches: Searched {
            idle_qps: qps(|times| (times.idle, times.asked)),
            shredding_qps: qps(|times| (times.hidden, times.shredded)),
            purging_qps: qps(|times| (times.shredded, times.purged)),
            rebuilding_qps: qps(|times| (times.purged, times.rebuilt)),
        },
    }
}

impl Course<'_> {
    /// Erases one after the other, each `then` followed further before the next.
    fn run(
        &self,
        all: &[Victims],
        then: impl Fn(Times, u64) -> engine::Result<Times>,
        progress: &mut dyn FnMut(Stage, u64, u64),
    ) -> Result<(Vec<Times>, Answers), RunError> {
        while_asked(self.collection, &self.set.test, K, |goes_on| {
            let mut times = Vec::new();
            for (done, victims) in all.iter().enumerate().take_while(|_| goes_on()) {
                progress(Stage::Erase, done as u64, all.len() as u64);
                let (reached, job) = self.erase(victims)?;
                times.push(then(reached, job)?);
            }
            Ok(times)
        })
    }

    /// Erases them, and gives the number of the job.
    fn erase(&self, victims: &Victims) -> engine::Result<(Times, u64)> {
        let idle = SystemClock.now_us();
        thread::sleep(Duration::from_millis(self.options.idle_ms));
        let mut names = victims.names.iter();
        let first = names.next().map_or_else(String::new, String::clone);
        let erase = names.fold(self.store.environment.erase(first), |erase, name| erase.and(name));
        let asked = SystemClock.now_us();
        let erasure = erase.run()?;
        let answered = SystemClock.now_us();
        let us = |ms: u64| ms.saturating_mul(1000).max(asked);
        let purged = erasure.purged_at.map_or(answered, us);
        let (hidden, shredded) = (us(erasure.hidden_at), us(erasure.shredded_at.unwrap_or_default()));
        let rebuilt = erasure.rebuilt_at.map_or(0, us);
        Ok((Times { idle, asked, hidden, shredded, purged, answered, rebuilt }, erasure.job))
    }

    /// Does upkeep until there is none, if the erasure left any.
    fn rebuild(&self, times: Times, job: u64) -> engine::Result<Times> {
        let env = &self.store.environment;
        while env.step()? != Step::Idle {}
        let rebuilt = env.receipt(job)?.receipt.view().rebuilt;
        let rebuilt = rebuilt.map_or(SystemClock.now_us(), |stamp| stamp.time_ms.saturating_mul(1000).max(times.asked));
        Ok(Times { rebuilt, ..times })
    }
}
