//! Whole databases in memory under explored schedules. The oracle is the history of each collection: what every reader
//! saw, and what a restart over the same files brings back, follows from the acknowledged writes.

use std::sync::atomic::{AtomicBool, Ordering};

use engine::{Database, Environment, Error, ErrorKind, Settings, Step};
use lethedb_tests::groups::{Groups, open};
use lethedb_tests::world::{in_memory, small_settings};
use storage::backend::Memory;
use storage::sync::thread;

use crate::explorer::draw;

/// A database with one collection.
struct World {
    memory: Memory,
    db: Database,
    env: Environment,
    docs: Groups,
}

/// Half of all schedules make writers flush, because so few records are over the limit.
fn settings() -> Settings {
    let memtable_rows_max = if draw(2) == 0 { 2 } else { 64 };
    Settings { memtable_rows_max, flat_below: usize::MAX, ..small_settings() }
}

fn database(memory: &Memory, seed: u64, settings: Settings) -> Database {
    in_memory(memory, seed).settings(settings).open().unwrap()
}

impl World {
    fn new(groups: u64, settings: Settings) -> Self {
        let memory = Memory::new();
        let db = database(&memory, 1, settings);
        let (env, docs) = open(&db, "docs").unwrap();
        Self { memory, db, env, docs: Groups::new(docs, groups) }
    }

    /// Opens the database anew, with nothing of its files in memory yet.
    fn reopen(self) -> Self {
        let Self { memory, db, env, docs } = self;
        let Groups { collection, groups, history } = docs;
        drop((db, env, collection));
        let db = database(&memory, 2, settings());
        let (env, collection) = open(&db, "docs").unwrap();
        Self { memory, db, env, docs: Groups { collection, groups, history } }
    }

    /// What must hold once all threads are done.
    fn finish(self) {
        (0..5).for_each(|way| self.docs.read(way).unwrap());
        assert_eq!(self.env.verify().unwrap().problems, vec![]);
        let reopened = self.reopen();
        reopened.docs.read_after_restart(&reopened.docs.collection).unwrap();
        assert_eq!(reopened.env.verify().unwrap().problems, vec![]);
        reopened.docs.history.check().unwrap();
    }
}

/// As many reads as take about the time of two writes, so that most schedules have some before, during and after.
fn reads(docs: &Groups, read: impl Fn(&Groups, u64) -> Result<(), String>) {
    (0..12).for_each(|_| read(docs, draw(25)).unwrap());
}

fn upkeep(env: &Environment) -> Result<(), Error> {
    match draw(3) {
        0 => env.flush(),
        1 => env.step().map(|_| ()),
        _ => env.compact(),
    }
}

/// Two writers who share a group, a reader who reads in a way that a sabotage may replace, and a flush.
pub fn commits(read: fn(&Groups, u64) -> Result<(), String>) {
    let world = World::new(4, settings());
    let World { env, docs, .. } = &world;
    docs.write(0, 0).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            docs.write(0, 1).unwrap();
            docs.write(2, 2).unwrap();
            docs.delete(0).unwrap();
        });
        scope.spawn(|| {
            docs.write(1, 3).unwrap();
            docs.write(0, 4).unwrap();
            docs.write(3, 5).unwrap();
        });
        scope.spawn(|| reads(docs, read));
        scope.spawn(|| {
            env.flush().unwrap();
            upkeep(env).unwrap();
        });
    });
    world.finish();
}

/// Readers of segments that nobody has opened yet, while compaction replaces them and writers kill rows in them.
pub fn pinned() {
    let world = World::new(4, Settings { memtable_rows_max: 64, ..settings() });
    for group in 0..4 {
        world.docs.write(group, group).unwrap();
        // A segment of one group may lose all its rows.
        if draw(2) == 0 || group == 3 {
            world.env.flush().unwrap();
        }
    }
    let world = world.reopen();
    let World { env, docs, .. } = &world;
    thread::scope(|scope| {
        scope.spawn(|| reads(docs, Groups::read));
        scope.spawn(|| reads(docs, Groups::read));
        scope.spawn(|| {
            env.compact().unwrap();
            upkeep(env).unwrap();
        });
        scope.spawn(|| {
            docs.delete(1).unwrap();
            docs.write(2, 10).unwrap();
        });
    });
    world.finish();
}

/// Erasures of an entity that others write at the same time, in segments and in the memtable.
pub fn erasure() {
    let mut world = World::new(6, settings());
    for group in 0..6 {
        world.docs.write(group, group).unwrap();
        if group == draw(6) {
            world.env.flush().unwrap();
        }
    }
    if draw(2) == 0 {
        world = world.reopen();
    }
    let World { env, docs, .. } = &world;
    thread::scope(|scope| {
        scope.spawn(|| docs.erase(env, 0).unwrap());
        scope.spawn(|| {
            docs.write(0, 10).unwrap();
            docs.write(3, 11).unwrap();
            docs.write(1, 12).unwrap();
        });
        scope.spawn(|| {
            docs.delete(3).unwrap();
            docs.erase(env, draw(2)).unwrap();
            docs.write(3, 13).unwrap();
        });
        scope.spawn(|| reads(docs, Groups::read));
        scope.spawn(|| upkeep(env).unwrap());
    });
    world.finish();
}

/// Segments are merged without anybody being kept out, while writers flush, delete and write anew what is merged, and
/// an erasure takes rows from it.
pub fn compacting() {
    let graphs = Settings { memtable_rows_max: 2, flat_below: 4, repair_from: 4, ..settings() };
    let world = World::new(6, graphs);
    let World { env, docs, .. } = &world;
    // As many of one size as are worth a merge.
    for version in 0..8 {
        docs.write(version % 6, version).unwrap();
        env.flush().unwrap();
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            let done = if draw(2) == 0 { env.compact() } else { env.step().map(|_| ()) };
            done.unwrap();
        });
        scope.spawn(|| {
            docs.delete(2).unwrap();
            env.flush().unwrap();
            docs.write(5, 10).unwrap();
            docs.write(2, 11).unwrap();
        });
        scope.spawn(|| docs.erase(env, draw(3)).unwrap());
        scope.spawn(|| reads(docs, Groups::read));
        scope.spawn(|| env.flush().unwrap());
    });
    while env.step().unwrap() != Step::Idle {}
    world.finish();
}

/// A graph is built anew without anybody being kept out, while an erasure and writers change the segment it belongs to.
pub fn rebuilding() {
    let rebuild_hours = draw(2);
    let graphs = Settings { memtable_rows_max: 64, flat_below: 4, repair_from: 4, rebuild_hours, ..settings() };
    let world = World::new(6, graphs);
    let World { env, docs, .. } = &world;
    for group in 0..6 {
        docs.write(group, group).unwrap();
    }
    env.flush().unwrap();
    docs.erase(env, 0).unwrap();
    assert_eq!(docs.collection.info().repaired_segments, 1);
    thread::scope(|scope| {
        scope.spawn(|| env.step().unwrap());
        scope.spawn(|| docs.erase(env, 1 + draw(2)).unwrap());
        scope.spawn(|| {
            docs.delete(2).unwrap();
            docs.write(5, 10).unwrap();
            docs.write(3, 11).unwrap();
        });
        scope.spawn(|| reads(docs, Groups::read));
        scope.spawn(|| upkeep(env).unwrap());
    });
    while env.step().unwrap() != Step::Idle {}
    assert_eq!(docs.collection.info().repaired_segments, 0);
    world.finish();
}

/// A collection goes while others write it and its neighbour.
pub fn dropping() {
    let mut world = World::new(2, settings());
    let mut gone = Groups::new(open(&world.db, "gone").unwrap().1, 2);
    gone.write(0, 1).unwrap();
    if draw(2) == 0 {
        world.env.flush().unwrap();
        // Nobody has opened its segment yet.
        let Groups { collection, groups, history } = gone;
        drop(collection);
        world = world.reopen();
        gone = Groups { collection: open(&world.db, "gone").unwrap().1, groups, history };
    }
    let World { env, docs, .. } = &world;
    let dropped = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| (2..5).try_for_each(|version| docs.write(version % 2, version).map(drop)).unwrap());
        scope.spawn(|| {
            for version in 2..5 {
                let late = dropped.load(Ordering::SeqCst);
                match gone.write(1, version) {
                    Ok(_) => assert!(!late, "a write to a collection that is gone was acknowledged"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                }
            }
        });
        scope.spawn(|| reads(docs, Groups::read));
        scope.spawn(|| reads(&gone, Groups::read));
        scope.spawn(|| {
            assert!(env.drop_collection("gone").unwrap());
            dropped.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| upkeep(env).unwrap());
    });
    assert_eq!(env.open_collection("gone").err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    assert_eq!(env.collections().len(), 1);
    drop(gone);
    world.finish();
}

/// Closing while all goes on. Whoever opens the database next, before the last handles of the first are done, finds
/// everything that was or will be answered with success.
pub fn closing() {
    let World { memory, db, env, docs } = World::new(3, Settings { background: true, ..settings() });
    docs.write(0, 1).unwrap();
    let ended = |result: Result<(), Error>| match result {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            false
        }
    };
    let made = AtomicBool::new(false);
    let reopened = thread::scope(|scope| {
        scope.spawn(|| (2..4).all(|version| ended(docs.write(0, version).map(drop))));
        scope.spawn(|| (4..6).all(|version| ended(docs.write(1, version).map(drop))));
        scope.spawn(|| (0..2).all(|_| ended(upkeep(&env))));
        scope.spawn(|| {
            let made_one = ended(env.collection("late").dimension(3).create().map(drop));
            made.store(made_one, Ordering::SeqCst);
        });
        if draw(2) == 0 {
            scope.spawn(|| ended(docs.erase(&env, 0)));
        }
        let closer = scope.spawn(|| {
            db.close().unwrap();
            let db = database(&memory, 2, small_settings());
            let (env, again) = open(&db, "docs").unwrap();
            docs.read_after_restart(&again).unwrap();
            (db, env)
        });
        closer.join().unwrap()
    });
    assert!(!ended(docs.write(2, 9).map(drop)), "closed is closed");
    docs.history.check().unwrap();
    let (_db, env) = reopened;
    assert_eq!(env.open_collection("late").is_ok(), made.load(Ordering::SeqCst), "what was answered is there");
    assert_eq!(env.verify().unwrap().problems, vec![]);
}
