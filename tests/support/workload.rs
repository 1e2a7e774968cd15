//! Small pieces of work on a furnished store, each with what the store holds after it. Invariant: a workload does the
//! same operations whenever its seed is the same, so that every operation has a number.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use engine::{Clock, Collection, Database, Environment, Error, Filter, Metric, Record, Settings, Window};
use storage::backend::faulty::{Crash, Medium};
use storage::backend::{Faulty, StorageBackend};

use crate::world::{TickingClock, over, small_settings};

/// The environment that everything happens in.
pub const ENVIRONMENT: &str = "acme";
/// The collections of the furnished store.
pub const COLLECTIONS: [&str; 2] = ["docs", "notes"];
/// Numbers in a vector.
pub const DIMENSION: usize = 3;
/// How many data subjects the records belong to, by id.
pub const OWNERS: u64 = 5;
/// Milliseconds of an hour.
const HOUR: u64 = 60 * 60 * 1000;
/// Records in a batch, at most.
const BATCH_RECORDS_MAX: usize = 30;

/// The other name that a collection may have.
pub const ALIAS: &str = "current";
/// What a state holds, without records, where a collection of the furnished store has that name.
pub const ALIASED: [&str; 2] = ["current: docs", "current: notes"];

/// Record id → version.
pub type Records = BTreeMap<u64, u64>;
/// What a store holds, by collection.
pub type State = BTreeMap<&'static str, Records>;

/// One thing done to a store.
#[derive(Clone, Debug)]
pub enum Action {
    /// Upserts these ids of `docs` in this version, as one batch.
    Put(Range<u64>, u64),
    /// Deletes these ids of `docs`.
    Delete(Range<u64>),
    /// Deletes what matches in `docs`: the records of these ids, more than a batch may hold.
    Sweep(Range<u64>),
    /// Makes the memtables segments.
    Flush,
    /// Merges all segments.
    Compact,
    /// One step of upkeep.
    Step,
    /// Erases an owner everywhere.
    Erase(u64),
    /// Has `docs` keep records for an hour only.
    Keep,
    /// The clock goes on by three hours.
    Pass,
    /// Removes what is past its window. Since the clock moved, records were written in this version and later ones.
    Retain(u64),
    /// Replaces the anchor without destroying anybody's keys: an erasure of an entity that nothing is stored about.
    Epoch,
    /// Drops the collection `notes`.
    Drop,
    /// Makes the environment where it is missing.
    Open,
    /// Makes a collection.
    Create(&'static str),
    /// Gives the other name to this collection of the furnished store, by its place there.
    Alias(usize),
    /// Closes the database and opens it again.
    Reopen,
}

/// A named list of actions.
pub struct Workload {
    /// Its name in replay words.
    pub name: String,
    /// Whether it starts from nothing instead of from the furnished store.
    pub bare: bool,
    /// What it does.
    pub actions: Vec<Action>,
    /// How many of its first actions are all that another workload does.
    pub shared: usize,
}

/// Every workload: each kind of work, every pair of two in both orders, and those that need a state of their own.
#[must_use]
pub fn all() -> Vec<Workload> {
    let kinds = kinds();
    let alone = kinds.iter().map(|(name, actions)| ((*name).to_owned(), 0, actions.clone()));
    let pairs = kinds.iter().flat_map(|(first, before)| {
        let pair = |(second, after): &(&str, Vec<Action>)| {
            let after = after.iter().map(Action::again);
            (format!("{first}+{second}"), before.len(), before.iter().cloned().chain(after).collect())
        };
        kinds.iter().map(pair).collect::<Vec<_>>()
    });
    let all = alone.chain(pairs).map(|(name, shared, actions)| Workload { name, bare: false, actions, shared });
    let create = vec![Action::Open, Action::Create("docs"), Action::Create("notes"), Action::Put(0..8, 1)];
    let create = Workload { name: "create".into(), bare: true, actions: create, shared: 0 };
    // The first graph is rebuilt by the process that repaired it, the second by the next one.
    let (more, here) = ([Action::Put(100..130, 7), Action::Flush], [Action::Erase(3), Action::Step]);
    let there = [Action::Erase(0), Action::Reopen, Action::Step];
    let rebuild = here.into_iter().chain(more).chain(there).collect();
    let sweep = vec![Action::Sweep(2..44), Action::Put(20..25, 7), Action::Flush, Action::Sweep(0..99)];
    let alias = vec![
        Action::Alias(0),
        Action::Put(50..54, 7),
        Action::Alias(1),
        Action::Alias(0),
        Action::Flush,
        Action::Alias(1),
        Action::Drop,
        Action::Reopen,
        Action::Alias(0),
    ];
    let others = [("rebuild", rebuild), ("alias", alias), ("sweep", sweep)];
    let others = others.map(|(name, actions)| Workload { name: name.into(), bare: false, actions, shared: 0 });
    all.chain([create]).chain(others).collect()
}

/// Each kind of work, alone.
fn kinds() -> Vec<(&'static str, Vec<Action>)> {
    use Action::{Compact, Create, Delete, Drop, Epoch, Erase, Flush, Pass, Put, Reopen, Retain, Step};
    vec![
        ("put", vec![Put(60..61, 7)]),
        ("batch", vec![Put(50..75, 7)]),
        ("overwrite", vec![Put(30..45, 7)]),
        ("delete", vec![Delete(25..42)]),
        ("flush", vec![Flush]),
        ("compact", vec![Compact]),
        ("step", vec![Put(50..76, 7), Step]),
        ("erase", vec![Erase(3)]),
        ("epoch", vec![Epoch]),
        ("retain", vec![Pass, Put(100..108, 20), Retain(20)]),
        ("drop", vec![Drop, Create("notes")]),
        ("reopen", vec![Reopen]),
    ]
}

/// The workload of this name.
#[must_use]
pub fn named(name: &str) -> Option<Workload> {
    all().into_iter().find(|workload| workload.name == name)
}

/// The vector of a record in a version: the same for ever.
#[must_use]
pub fn vector(id: u64, version: u64) -> Vec<f32> {
    vec![id as f32 + 1.0, version as f32 - 4.5, ((id * 7 + version) % 11) as f32 + 0.25]
}

/// The entity that a record belongs to; every fifth belongs to nobody.
#[must_use]
pub fn owner(id: u64) -> Option<String> {
    (!id.is_multiple_of(OWNERS + 1)).then(|| owner_name(id % OWNERS))
}

/// The name of an owner, long enough to be told from chance bytes.
#[must_use]
pub fn owner_name(owner: u64) -> String {
    format!("data-subject-{owner}")
}

/// A record in a version.
#[must_use]
pub fn record(id: u64, version: u64) -> Record {
    let record =
        Record::new(id, vector(id, version)).payload(serde_json::json!({ "version": version, "of": owner(id) }));
    match owner(id) {
        Some(owner) => record.entity(owner),
        None => record,
    }
}

impl Action {
    /// The same kind of thing, done to other records.
    fn again(&self) -> Self {
        match self {
            Self::Put(ids, version) => Self::Put(ids.start + 7..ids.end + 3, version + 1),
            Self::Delete(ids) => Self::Delete(ids.start - 9..ids.end - 20),
            Self::Erase(owner) => Self::Erase((owner + 2) % OWNERS),
            Self::Retain(version) => Self::Retain(version + 1),
            other => other.clone(),
        }
    }

    /// What a store that held `state` holds after it.
    #[must_use]
    pub fn applied(&self, state: &State) -> State {
        let mut after = state.clone();
        match self {
            Self::Put(ids, version) => after.entry("docs").or_default().extend(ids.clone().map(|id| (id, *version))),
            Self::Delete(ids) | Self::Sweep(ids) => after.entry("docs").or_default().retain(|id, _| !ids.contains(id)),
            Self::Erase(owned) => {
                let name = owner_name(*owned);
                after.values_mut().for_each(|records| records.retain(|id, _| owner(*id).as_ref() != Some(&name)));
            }
            Self::Drop => after.retain(|name, _| !["notes", ALIASED[1]].contains(name)),
            Self::Alias(to) => {
                after.retain(|name, _| !ALIASED.contains(name));
                after.extend([(ALIASED[*to], Records::new())]);
            }
            Self::Create(name) => after.extend([(*name, after.get(name).cloned().unwrap_or_default())]),
            Self::Retain(version) => {
                after.entry("docs").and_modify(|records| records.retain(|_, written| *written >= *version));
            }
            Self::Open
            | Self::Flush
            | Self::Compact
            | Self::Step
            | Self::Epoch
            | Self::Keep
            | Self::Pass
            | Self::Reopen => {}
        }
        after
    }
}

/// An open store.
pub struct Store {
    db: Option<Database>,
    clock: Arc<TickingClock>,
    open: Box<dyn Fn() -> Result<Database, Error>>,
}

impl Store {
    /// Opens the store on `backend`.
    ///
    /// # Errors
    /// Those of opening.
    pub fn open(backend: Arc<dyn StorageBackend>, seed: u64) -> Result<Self, Error> {
        // Each opening draws its own randomness, as each process does.
        let opened = std::cell::Cell::new(0);
        let clock = Arc::new(TickingClock::default());
        let time = Arc::clone(&clock);
        let open = move || {
            opened.set(opened.get() + 1);
            let settings = Settings { batch_records_max: BATCH_RECORDS_MAX, ..small_settings() };
            let builder = over(Arc::clone(&backend), seed.wrapping_mul(1000) + opened.get()).settings(settings);
            builder.clock(Arc::clone(&time) as Arc<dyn Clock>).open()
        };
        let mut store = Self { db: None, clock, open: Box::new(open) };
        store.reopen()?;
        Ok(store)
    }

    fn reopen(&mut self) -> Result<(), Error> {
        self.db.take().map_or(Ok(()), Database::close)?;
        let db = self.db.insert((self.open)()?);
        match db.open_environment(ENVIRONMENT) {
            Err(error) if error.kind() != engine::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The environment.
    ///
    /// # Errors
    /// Those of opening it; `NotFound` if there is none.
    pub fn environment(&self) -> Result<Environment, Error> {
        match &self.db {
            Some(db) => db.open_environment(ENVIRONMENT),
            None => (self.open)()?.open_environment(ENVIRONMENT),
        }
    }

    /// The database, if it is open.
    #[must_use]
    pub fn database(&self) -> Option<&Database> {
        self.db.as_ref()
    }

    /// The collection that most happens in.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn docs(&self) -> Result<Collection, Error> {
        self.environment()?.open_collection("docs")
    }

    /// Does one thing.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn act(&mut self, action: &Action) -> Result<(), Error> {
        match action {
            Action::Put(ids, version) => self.docs()?.upsert(ids.clone().map(|id| record(id, *version))).map(drop),
            Action::Delete(ids) => self.docs()?.delete(ids.clone()).map(drop),
            Action::Sweep(ids) => self.docs()?.delete_matching(&Filter::has_id(ids.clone())).map(drop),
            Action::Flush => self.environment()?.flush(),
            Action::Compact => self.environment()?.compact(),
            Action::Step => self.environment()?.step().map(drop),
            Action::Erase(owner) => self.environment()?.erase(owner_name(*owner)).run().map(drop),
            Action::Epoch => self.environment()?.erase("nobody").run().map(drop),
            Action::Keep => self.docs()?.set_retention(Window::from_ms(HOUR).ok()),
            Action::Pass => {
                self.clock.pass(3 * HOUR);
                Ok(())
            }
            Action::Retain(_) => self.environment()?.retain().run().map(drop),
            Action::Drop => self.environment()?.drop_collection("notes").map(drop),
            Action::Open => match &self.db {
                Some(db) => db.environment(ENVIRONMENT).map(drop),
                None => self.reopen(),
            },
            Action::Create(name) => create(&self.environment()?, name),
            Action::Alias(to) => self.environment()?.set_alias(ALIAS, COLLECTIONS[*to]).map(drop),
            Action::Reopen => self.reopen(),
        }
    }
}

fn create(env: &Environment, name: &str) -> Result<(), Error> {
    env.collection(name).dimension(DIMENSION).metric(Metric::L2).open_or_create().map(drop)
}

/// The disk that a workload starts on, everything on it durable, and what it holds.
///
/// # Errors
/// What the engine said: a sound disk gives none.
pub fn start(workload: &Workload, seed: u64) -> Result<(Medium, State), String> {
    if workload.bare {
        return Ok((Medium::new(), State::new()));
    }
    furnished(seed).map_err(|error| format!("furnishing: {error:?}"))
}

/// A store with segments, dead rows, a log and an erasure behind it, everything durable; and what is in it.
fn furnished(seed: u64) -> Result<(Medium, State), Error> {
    let disk = Faulty::new();
    let mut store = Store::open(Arc::new(disk.clone()), seed)?;
    let mut state = State::new();
    use Action::{Create, Delete, Erase, Flush, Keep, Open, Put};
    let history = [
        Open,
        Create("docs"),
        Keep,
        Create("notes"),
        Put(0..30, 1),
        Put(90..95, 1),
        Erase(4),
        Put(20..40, 2),
        Flush,
        Put(30..34, 2),
        Delete(5..9),
        Flush,
        Put(35..45, 3),
        Delete(10..12),
    ];
    for action in history {
        store.act(&action)?;
        state = action.applied(&state);
    }
    let notes = store.environment()?.open_collection("notes")?;
    notes.upsert((0..6).map(|id| record(id, 5)))?;
    state.entry("notes").or_default().extend((0..6).map(|id| (id, 5)));
    store.db.take().map_or(Ok(()), Database::close)?;
    Ok((disk.medium().crashed(Crash::KeepAll), state))
}
