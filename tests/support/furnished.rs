//! A small store that holds one of everything: two environments, two collections, segments with graphs and dead rows,
//! entities, payloads, a live log, an erasure that is over, a log of new keys, and an erasure that a crash cut off. With
//! it go its earlier states and what its records are, so that damaged copies of it can be judged.
//!
//! A store is a tree of bytes here; everything about it follows from its seed.

#![allow(clippy::unwrap_used, reason = "a store that cannot be furnished is a failed test")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use engine::{Clock, Database, Environment, Metric};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::backend::{Memory, StorageBackend};

use crate::model::{Entry, Model, record};
use crate::world::in_memory;

/// The files of a data directory by path, but the lock. A path that ends in `/` is an empty directory.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// The records of an environment: collection → model.
pub type World = BTreeMap<&'static str, Model>;

/// The environment whose files are damaged.
pub const ENVIRONMENT: &str = "acme";
/// The environment whose files are foreign there.
pub const OTHER: &str = "beta";
/// Collections with dimension and metric.
pub const COLLECTIONS: [(&str, usize, Metric); 2] = [("docs", 8, Metric::Cosine), ("notes", 3, Metric::L2)];
/// The entity whose erasure is over.
const ERASED: &str = "person-3";
/// The entity whose erasure is cut off.
const PENDING: &str = "person-5";
/// Every entity there ever was.
pub const ENTITIES: u64 = 7;

/// A store and all that is known about it.
pub struct Furnished {
    /// Its files.
    pub files: Tree,
    /// Its files at earlier times.
    pub older: Vec<Tree>,
    /// Its records, by how many entries of its live log count; the last is how it was left.
    pub worlds: Vec<World>,
    /// Its records were the erasure that is cut off complete: as `worlds`.
    pub erased: Vec<World>,
}

impl Furnished {
    /// The store of `seed`, closed in good order or in the middle of an erasure.
    #[must_use]
    pub fn new(seed: u64, interrupted: bool) -> Self {
        let memory = Memory::new();
        let mut hand = Hand { world: World::new(), rng: StdRng::seed_from_u64(seed), written: 0 };
        let db = in_memory(&memory, seed).open().unwrap();
        for name in [OTHER, ENVIRONMENT] {
            hand.furnish(&db.environment(name).unwrap());
        }
        let mut older = vec![dump(&memory)];
        db.open_environment(ENVIRONMENT).unwrap().erase(ERASED).run().unwrap();
        hand.world.values_mut().for_each(|model| _ = model.erase(ERASED));
        older.push(dump(&memory));
        db.close().unwrap();

        let shutter = Arc::new(Shutter { memory: memory.clone(), taken: Mutex::default() });
        let db = in_memory(&memory, seed + 1).clock(shutter.clone()).open().unwrap();
        let env = db.open_environment(ENVIRONMENT).unwrap();
        hand.upsert(&env, "docs", 30..48);
        env.flush().unwrap();
        older.push(dump(&memory));
        let mut worlds = vec![hand.world.clone()];
        for step in 0..5 {
            hand.log(&env, step);
            worlds.push(hand.world.clone());
            older.push(dump(&memory));
        }
        let mut erased = worlds.clone();
        let files = if interrupted {
            shutter.taken.lock().unwrap().take();
            env.erase(PENDING).run().unwrap();
            erased.iter_mut().flat_map(World::values_mut).for_each(|model| _ = model.erase(PENDING));
            shutter.taken.lock().unwrap().take().unwrap()
        } else {
            db.close().unwrap();
            dump(&memory)
        };
        Self { files, older, worlds, erased }
    }
}

/// Writes records and keeps the model of them.
struct Hand {
    world: World,
    rng: StdRng,
    written: u64,
}

impl Hand {
    /// Fills an environment; the model afterwards is the one of this environment.
    fn furnish(&mut self, env: &Environment) {
        self.world = COLLECTIONS.iter().map(|(name, ..)| (*name, Model::default())).collect();
        for (name, dimension, metric) in COLLECTIONS {
            env.collection(name).dimension(dimension).metric(metric).open_or_create().unwrap();
        }
        self.upsert(env, "docs", 0..24);
        self.upsert(env, "notes", 0..10);
        env.flush().unwrap();
        self.upsert(env, "docs", 18..36);
        self.delete(env, "docs", 0..3);
        env.flush().unwrap();
    }

    /// One entry of the live log.
    fn log(&mut self, env: &Environment, step: u64) {
        match step {
            1 => self.delete(env, "docs", 5..8),
            3 => self.upsert(env, "notes", 8..13),
            _ => self.upsert(env, "docs", 10 * step..10 * step + 3),
        }
    }

    fn upsert(&mut self, env: &Environment, name: &'static str, ids: Range<u64>) {
        let dimension = COLLECTIONS.iter().find(|collection| collection.0 == name).unwrap().1;
        let model = self.world.get_mut(name).unwrap();
        let mut records = Vec::new();
        for id in ids {
            self.written += 1;
            let vector = (0..dimension).map(|_| self.rng.random_range(-1.0..1.0)).collect();
            let entity = (id % 4 > 0).then(|| format!("person-{}", id % ENTITIES));
            let entry = Entry { vector, entity, tag: self.written };
            records.push(record(id, &entry));
            model.upsert(id, entry);
        }
        env.open_collection(name).unwrap().upsert(records).unwrap();
    }

    fn delete(&mut self, env: &Environment, name: &'static str, ids: Range<u64>) {
        env.open_collection(name).unwrap().delete(ids.clone()).unwrap();
        let model = self.world.get_mut(name).unwrap();
        ids.for_each(|id| _ = model.delete(id));
    }
}

/// A clock that takes a picture of the files when it is first asked for the time with a job there. An erasure asks when
/// its job is synced and its entity hidden: a crash there leaves what the picture shows.
struct Shutter {
    memory: Memory,
    taken: Mutex<Option<Tree>>,
}

impl Clock for Shutter {
    fn now_ms(&self) -> u64 {
        let mut taken = self.taken.lock().unwrap();
        if taken.is_none() {
            *taken = Some(dump(&self.memory)).filter(|files| files.keys().any(|path| path.ends_with(".job")));
        }
        0
    }
}

/// Everything in `memory`.
#[must_use]
pub fn dump(memory: &Memory) -> Tree {
    let mut tree = Tree::new();
    let mut dirs = vec![String::new()];
    while let Some(dir) = dirs.pop() {
        let names = memory.list(&dir).unwrap();
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        if names.is_empty() {
            tree.insert(prefix.clone(), Vec::new());
        }
        for path in names.iter().filter(|name| *name != "LOCK").map(|name| format!("{prefix}{name}")) {
            match memory.read(&path) {
                Ok(bytes) => _ = tree.insert(path, bytes),
                Err(_) => dirs.push(path),
            }
        }
    }
    tree
}

/// A memory that holds the files of `tree`.
#[must_use]
pub fn load(tree: &Tree) -> Memory {
    let memory = Memory::new();
    for (path, bytes) in tree {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        memory.create_dir(dir).unwrap();
        if !name.is_empty() {
            memory.create(path).unwrap().append(bytes).unwrap();
        }
    }
    memory
}

/// Opens the store in `memory` as its own seed would.
pub fn reopen(memory: &Memory) -> engine::Result<(Database, Environment)> {
    let db = in_memory(memory, 9).open()?;
    let env = db.open_environment(ENVIRONMENT)?;
    Ok((db, env))
}
