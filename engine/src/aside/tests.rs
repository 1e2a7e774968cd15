//! What happens at any point of a rewrite that keeps nobody out: a flush, a delete, an erasure and a drop are done where
//! the work asks whether to stop. There it stands until they are done or, as an erasure alone may, wait until it is gone.

#![allow(clippy::disallowed_methods, reason = "who waits for the work cannot be on its thread")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, Scope};

use storage::backend::Faulty;
use storage::recovery::SEGMENTS;
use storage::segment::layout::{index_name, rows_name};

use super::*;
use crate::collection::Collection;
use crate::database::Database;
use crate::environment::Environment;
use crate::error::ErrorKind;
use crate::maintain::{choose, step};
use crate::record::{Record, RecordId};
use crate::root_key::RootKey;
use crate::segment::Segment;
use crate::settings::Settings;

/// Compaction picks as many segments of one size.
const SEGMENTS_MADE: u64 = 8;
const ROWS: u64 = 12;
const OWNERS: u64 = 6;

struct World {
    disk: Faulty,
    db: Database,
    env: Environment,
    docs: Collection,
    /// What a read should find.
    left: Vec<u64>,
    /// The segments that are there before anything is built.
    sources: Vec<Weak<Segment>>,
}

fn owner(id: u64) -> String {
    format!("owner-{}", id % OWNERS)
}

fn record(id: u64) -> Record {
    Record::new(id, vec![id as f32, (id * 7 % 11) as f32, 1.0]).entity(owner(id))
}

impl World {
    fn new(settings: Settings) -> Self {
        let disk = Faulty::new();
        let db = Database::builder("memory").backend(Arc::new(disk.clone())).root_key(RootKey::bytes([7; 32]));
        let db = db.settings(settings).open().unwrap();
        let env = db.environment("acme").unwrap();
        let docs = env.collection("docs").dimension(3).open_or_create().unwrap();
        Self { disk, db, env, docs, left: Vec::new(), sources: Vec::new() }
    }

    fn put(&mut self, ids: std::ops::Range<u64>) {
        self.docs.upsert(ids.clone().map(record)).unwrap();
        self.left.extend(ids);
    }

    /// Segments that are due to be merged, each with a graph.
    fn crumbled() -> Self {
        let mut world = Self::new(settings());
        for part in 0..SEGMENTS_MADE {
            world.put(part * ROWS..(part + 1) * ROWS);
            world.env.flush().unwrap();
        }
        world.named()
    }

    /// One segment whose graph an erasure repaired.
    fn repaired(settings: Settings) -> Self {
        let mut world = Self::new(Settings { repair_from: 8, ..settings });
        world.put(0..SEGMENTS_MADE * ROWS);
        world.env.flush().unwrap();
        world.erase(0);
        assert_eq!(world.docs.info().repaired_segments, 1);
        world.named()
    }

    fn named(mut self) -> Self {
        self.sources = self.docs.state.view().segments.iter().map(|view| Arc::downgrade(&view.segment)).collect();
        self
    }

    fn erase(&mut self, id: u64) {
        assert!(self.env.erase(owner(id)).run().unwrap().purged_at.is_some());
        self.left.retain(|other| other % OWNERS != id % OWNERS);
    }

    /// Nothing is left of what was being built: neither what it was built from, nor files.
    fn is_clear(&self) {
        assert!(self.sources.iter().all(|source| source.upgrade().is_none()), "a purged segment is still in memory");
        let mut files = self.files();
        for view in &self.docs.state.view().segments {
            let named = [rows_name(view.segment.id), index_name(view.segment.id)];
            files.retain(|file| !named.contains(file) && !file.ends_with(".del"));
        }
        assert_eq!(files, Vec::<String>::new());
    }

    fn files(&self) -> Vec<String> {
        self.env.state.dir.sub(SEGMENTS).list().unwrap()
    }

    /// Reads and files say the same, before all is made one and after.
    fn check(mut self) {
        self.left.sort_unstable();
        let check = |env: &Environment| {
            let docs = env.open_collection("docs").unwrap();
            let found: Vec<RecordId> =
                docs.scroll().limit(1000).run().unwrap().records.iter().map(|row| row.id).collect();
            assert_eq!(found, self.left.iter().copied().map(RecordId::Num).collect::<Vec<_>>());
            assert_eq!(env.verify_deep().unwrap().problems, vec![]);
        };
        check(&self.env);
        // Two files a segment, and its tombstones: nothing is left of what was given up.
        let named = self.docs.info().segments as usize;
        assert_eq!(self.files().iter().filter(|name| !name.ends_with(".del")).count(), 2 * named);
        self.env.compact().unwrap();
        assert_eq!((self.docs.info().repaired_segments, self.docs.info().segments <= 1), (0, true));
        check(&self.env);
    }
}

fn settings() -> Settings {
    Settings {
        background: false,
        threads: 1,
        reserve_bytes: 0,
        flat_below: 4,
        degree: 8,
        ef_construction: 16,
        ..Settings::default()
    }
}

/// What is done while something is built.
type Act = fn(&mut World);

/// Does `act` on a thread of its own, until that is done or waits for the caller.
fn act_beside<'a>(
    scope: &'a Scope<'a, '_>,
    env: &'a Environment,
    world: &'a Mutex<World>,
    act: impl FnOnce(&mut World) + Send + 'a,
) {
    let acting = scope.spawn(move || act(&mut world.lock().unwrap()));
    while !acting.is_finished() && !env.state.site.is_awaited() {
        thread::yield_now();
    }
}

/// One step, with `act` where the work asks for the `at`-th time; also how often it asked.
fn step_with(world: World, at: usize, act: Act) -> (World, Result<Step>, usize) {
    let (env, asked, world) = (world.env.clone(), AtomicUsize::new(0), Mutex::new(world));
    let done = thread::scope(|scope| {
        step(&env.state, &|| {
            if asked.fetch_add(1, Ordering::Relaxed) == at {
                act_beside(scope, &env, &world, act);
            }
            false
        })
    });
    (world.into_inner().unwrap(), done, asked.into_inner())
}

/// Every so many of the places where work asks whether to stop.
fn everywhere(furnish: fn() -> World, act: Act, expected: impl Fn(usize, Result<Step>, usize, &World)) {
    let (_, done, asks) = step_with(furnish(), usize::MAX, |_| {});
    done.unwrap();
    assert!(asks > 300, "asked {asks} times about 96 rows");
    // The last is asked with all others kept out.
    for at in (0..asks - 1).step_by(29).skip(1).chain([asks - 2]) {
        let (world, done, asked) = step_with(furnish(), at, act);
        expected(at, done, asked, &world);
        world.check();
    }
}

#[test]
fn writers_and_flushes_go_on_at_any_point() {
    let act = |world: &mut World| {
        world.put(1000..1020);
        world.env.flush().unwrap();
        world.put(2000..2004);
        world.docs.delete([3_u64, 40, 1001]).unwrap();
        world.left.retain(|id| ![3, 40, 1001].contains(id));
        // A newer version of a row that is being rewritten.
        world.docs.upsert([record(50)]).unwrap();
    };
    everywhere(World::crumbled, act, |at, done, _, world| {
        assert_eq!(done.unwrap(), Step::Compacted, "at {at}");
        assert_eq!(world.docs.info().segments, 2, "at {at}");
    });
}

#[test]
fn an_erasure_ends_what_it_overtakes() {
    for furnish in [World::crumbled as fn() -> World, || World::repaired(settings())] {
        everywhere(
            furnish,
            |world| {
                world.erase(1);
                world.is_clear();
            },
            |at, done, asked, _| {
                assert_eq!(done.unwrap(), Step::Overtaken, "at {at}");
                // Once more by whatever thread, and once to see that it was no error.
                assert!(asked - at <= 4, "it asked {asked} times, and was told at {at}");
            },
        );
    }
}

/// The keys are gone while the rows are still there, since their survivors cannot be written anew.
#[test]
fn an_erasure_that_finds_no_room_ends_what_it_overtakes() {
    let act = |world: &mut World| {
        world.disk.set_capacity(Some(world.disk.medium().bytes() + 12_000));
        let erasure = world.env.erase(owner(1)).run().unwrap();
        assert_eq!(erasure.purged_at, None);
        world.disk.set_capacity(None);
        world.left.retain(|id| id % OWNERS != 1);
    };
    everywhere(
        || World::repaired(settings()),
        act,
        |at, done, asked, world| {
            assert_eq!(done.unwrap(), Step::Overtaken, "at {at}");
            assert!(asked - at <= 4, "it asked {asked} times, and was told at {at}");
            assert_eq!(step(&world.env.state, &|| false).unwrap(), Step::Purged);
        },
    );
}

#[test]
fn the_room_that_is_set_aside_is_left_to_erasures() {
    let furnish = || World::repaired(Settings { reserve_bytes: 200_000, ..settings() });
    let act = |world: &mut World| {
        world.disk.set_capacity(Some(world.disk.medium().bytes()));
        assert!(world.env.erase("nobody").run().unwrap().purged_at.is_some());
    };
    let (world, done, _) = step_with(furnish(), 100, act);
    assert_eq!(done.unwrap_err().kind(), ErrorKind::Full);
    world.disk.set_capacity(None);
    world.check();
}

#[test]
fn an_erasure_of_others_overtakes_nothing() {
    let act = |world: &mut World| drop(world.env.erase("nobody").run().unwrap());
    everywhere(World::crumbled, act, |at, done, _, _| assert_eq!(done.unwrap(), Step::Compacted, "at {at}"));
}

#[test]
fn what_is_dropped_is_given_up() {
    let act = |world: &mut World| {
        world.env.drop_collection("docs").unwrap();
        world.docs = world.env.collection("docs").dimension(3).create().unwrap();
        world.left.clear();
    };
    everywhere(World::crumbled, act, |at, done, asked, _| {
        assert_eq!(done.unwrap(), Step::Overtaken, "at {at}");
        assert!(asked - at <= 4, "it asked {asked} times, and was told at {at}");
    });
}

#[test]
fn whoever_is_told_to_stop_leaves_nothing() {
    let world = World::crumbled();
    let files = world.files();
    for last in [0, 1, 50, 150, 250, 300] {
        let asked = AtomicUsize::new(0);
        let done = step(&world.env.state, &|| asked.fetch_add(1, Ordering::Relaxed) >= last);
        assert_eq!(done.unwrap(), Step::Overtaken);
        assert!(asked.into_inner() <= last + 4);
        assert_eq!(world.files(), files);
    }
    world.check();
}

#[test]
fn closing_ends_what_is_built() {
    let world = World::crumbled();
    let asked = AtomicUsize::new(0);
    let shared = Arc::clone(&world.env.state.shared);
    let done = step(&world.env.state, &|| {
        if asked.fetch_add(1, Ordering::Relaxed) == 100 {
            shared.closing.store(true, Ordering::Release);
        }
        false
    });
    assert_eq!(done.unwrap_err().kind(), ErrorKind::Closed);
    assert!(asked.into_inner() <= 104);
    world.db.close().unwrap();
}

#[test]
fn what_is_overdue_comes_to_an_end_among_erasures() {
    let world = Mutex::new(World::repaired(Settings { rebuild_hours: 0, ..settings() }));
    // How often it asked since the last erasure, by whose end it has begun anew.
    let (env, asked) = (world.lock().unwrap().env.clone(), AtomicUsize::new(0));
    // The first was erased already.
    let erased = AtomicUsize::new(1);
    let done = thread::scope(|scope| {
        step(&env.state, &|| {
            if asked.fetch_add(1, Ordering::Relaxed) >= 20 && env.state.maintenance.try_lock().is_some() {
                asked.store(0, Ordering::Relaxed);
                let id = erased.fetch_add(1, Ordering::Relaxed) as u64;
                act_beside(scope, &env, &world, move |world| world.erase(id));
            }
            false
        })
    });
    assert_eq!((done.unwrap(), erased.into_inner()), (Step::Rebuilt, 1 + ATTEMPTS));
    let world = world.into_inner().unwrap();
    assert_eq!(world.docs.info().repaired_segments, 0);
    world.check();
}

#[test]
fn what_has_no_row_left_is_emptied() {
    let mut world = World::repaired(Settings { rebuild_hours: 0, ..settings() });
    world.docs.delete(world.left.drain(..)).unwrap();
    assert_eq!(step(&world.env.state, &|| false).unwrap(), Step::Emptied);
    assert_eq!(world.docs.info().segments, 0);
    world.check();
}

/// One step whose every attempt an erasure overtakes where it is not kept out.
fn step_among_erasures(world: World, owners: &mut std::ops::Range<u64>) -> (World, Step) {
    let (env, asked, world, owners) = (world.env.clone(), AtomicUsize::new(0), Mutex::new(world), Mutex::new(owners));
    let done = thread::scope(|scope| {
        step(&env.state, &|| {
            if asked.fetch_add(1, Ordering::Relaxed) == 20 && env.state.maintenance.try_lock().is_some() {
                let id = owners.lock().unwrap().next().unwrap();
                act_beside(scope, &env, &world, move |world| world.erase(id));
            }
            false
        })
    });
    (world.into_inner().unwrap(), done.unwrap())
}

#[test]
fn a_compaction_comes_to_an_end_among_erasures() {
    let (mut world, mut owners) = (World::crumbled(), 0..OWNERS);
    for _ in 0..ATTEMPTS {
        let (after, done) = step_among_erasures(world, &mut owners);
        assert_eq!((done, after.docs.info().segments), (Step::Overtaken, SEGMENTS_MADE));
        world = after;
    }
    // Two of them, since nobody is to be kept out for longer than need be.
    let (world, done) = step_among_erasures(world, &mut owners);
    assert_eq!((done, world.docs.info().segments), (Step::Compacted, SEGMENTS_MADE - 1));
    assert_eq!(owners, ATTEMPTS as u64..OWNERS);
    world.check();
}

#[test]
fn what_is_overtaken_more_often_is_made_smaller() {
    let state = Arc::clone(&World::crumbled().docs.state);
    let merged = |times| choose(&state, times).unwrap().sources.len() as u64;
    assert_eq!([0, 1, 2, 3, 1000].map(merged), [SEGMENTS_MADE, SEGMENTS_MADE / 2, SEGMENTS_MADE / 4, 2, 2]);
}

#[test]
fn a_collection_has_its_turn_while_another_is_overtaken() {
    let mut world = World::new(settings());
    let notes = world.env.collection("notes").dimension(3).create().unwrap();
    for part in 0..SEGMENTS_MADE {
        world.put(part * ROWS..(part + 1) * ROWS);
        notes.upsert((0..ROWS).map(|id| Record::new(part * ROWS + id, vec![1.0, id as f32, part as f32]))).unwrap();
        world.env.flush().unwrap();
    }
    let (world, done) = step_among_erasures(world, &mut (0..OWNERS));
    assert_eq!((done, world.docs.info().segments, notes.info().segments), (Step::Compacted, SEGMENTS_MADE, 1));
    drop(notes);
    world.env.drop_collection("notes").unwrap();
    world.check();
}

#[test]
fn closing_ends_what_keeps_others_out() {
    let world = World::crumbled();
    world.docs.state.overtaken.store(ATTEMPTS, Ordering::Relaxed);
    let (asked, is_alone) = (AtomicUsize::new(0), AtomicBool::new(false));
    let shared = Arc::clone(&world.env.state.shared);
    let done = step(&world.env.state, &|| {
        if asked.fetch_add(1, Ordering::Relaxed) == 20 {
            is_alone.store(world.env.state.maintenance.try_lock().is_none(), Ordering::Relaxed);
            shared.closing.store(true, Ordering::Release);
        }
        false
    });
    assert_eq!(done.unwrap_err().kind(), ErrorKind::Closed);
    assert!(is_alone.into_inner() && asked.into_inner() <= 24);
    world.db.close().unwrap();
}
