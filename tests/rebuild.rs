//! What an erasure leaves of a large graph is repaired at once and built anew later: from then on nothing tells the index
//! from one that never knew the person.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{Clock, Collection, Database, Environment, Erasure, ErrorKind, Metric, Record, RecordId, Step};
use lethedb_tests::autopsy::autopsy;
use lethedb_tests::world::{over, small_settings};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::backend::{Dir, Faulty};

const DIMENSION: usize = 12;
const OWNERS: u64 = 4;

fn vector(id: u64) -> Vec<f32> {
    let mut rng = StdRng::seed_from_u64(id);
    (0..DIMENSION).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn owner(id: u64) -> Option<String> {
    (!id.is_multiple_of(OWNERS)).then(|| format!("owner-{}", id % OWNERS))
}

fn record(id: u64) -> Record {
    let record = Record::new(id, vector(id)).payload(serde_json::json!({ "of": owner(id) }));
    match owner(id) {
        Some(owner) => record.entity(owner),
        None => record,
    }
}

/// A clock that a test sets by hand.
#[derive(Default)]
struct Hand(AtomicU64);

const HOUR: u64 = 60 * 60 * 1000;

impl Hand {
    fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct World {
    disk: Faulty,
    clock: Arc<Hand>,
    db: Database,
    env: Environment,
    docs: Collection,
}

impl World {
    /// A store of one collection. Stores of one seed have the same keys of order and rotation.
    fn new(seed: u64) -> Self {
        Self::open(Faulty::new(), Arc::default(), seed)
    }

    fn open(disk: Faulty, clock: Arc<Hand>, seed: u64) -> Self {
        let db = over(Arc::new(disk.clone()), seed).clock(clock.clone()).open().unwrap();
        let env = db.environment("acme").unwrap();
        let docs = env.collection("docs").dimension(DIMENSION).metric(Metric::L2).open_or_create().unwrap();
        Self { disk, clock, db, env, docs }
    }

    fn reopen(self, seed: u64) -> Self {
        let Self { disk, clock, db, env, docs } = self;
        drop((env, docs));
        db.close().unwrap();
        Self::open(disk, clock, seed)
    }

    /// Flushed records of these ids, in one segment.
    fn put(&self, ids: impl IntoIterator<Item = u64>) {
        self.docs.upsert(ids.into_iter().map(record)).unwrap();
        self.env.flush().unwrap();
    }

    fn erase(&self, number: u64) -> Erasure {
        self.env.erase(format!("owner-{number}")).run().unwrap()
    }

    fn waits(&self) -> u64 {
        let told = self.docs.info().repaired_segments;
        let found = autopsy(&self.disk.medium()).unwrap();
        assert_eq!(found.indexes.iter().filter(|index| index.waits).count() as u64, told);
        assert!(found.indexes.iter().all(|index| index.waits || index.is_canonical));
        told
    }

    /// The plaintext of every index, section by section, segments in the order of their ids' bytes.
    fn indexes(&self) -> Vec<[Vec<u8>; 5]> {
        let indexes = autopsy(&self.disk.medium()).unwrap().indexes;
        let mut sections: Vec<_> = indexes.into_iter().map(|index| index.sections).collect();
        sections.sort_unstable_by(|a, b| a[2].cmp(&b[2]));
        sections
    }

    fn finds_all(&self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            let hits = self.docs.search(&vector(id)).limit(1).ef(64).run().unwrap();
            assert_eq!(hits.first().map(|hit| hit.id), Some(RecordId::Num(id)));
        }
        assert_eq!(self.env.verify_deep().unwrap().problems, vec![]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The twin has the same keys and was never given the erased.
    #[test]
    fn a_rebuilt_index_is_that_of_a_twin_that_never_knew(
        seed in any::<u32>(), n in 16_u64..90, erased in prop::collection::btree_set(1..OWNERS, 1..3),
        deleted in prop::collection::btree_set(0_u64..90, 0..12), reopened: bool,
    ) {
        let (mut world, twin) = (World::new(u64::from(seed)), World::new(u64::from(seed)));
        let is_left = |id: &u64| !erased.contains(&(id % OWNERS));
        world.put(0..n);
        twin.put((0..n).filter(is_left));
        for world in [&world, &twin] {
            world.docs.delete(deleted.iter().copied().filter(is_left)).unwrap();
            world.env.flush().unwrap();
        }
        twin.env.compact().unwrap();

        let erasures: Vec<Erasure> = erased.iter().map(|number| world.erase(*number)).collect();
        let left: Vec<u64> = (0..n).filter(|id| is_left(id) && !deleted.contains(id)).collect();
        prop_assume!(!left.is_empty());
        let last = erasures.last().unwrap();
        let is_small = left.len() < small_settings().repair_from;
        prop_assert_eq!((last.indexes_rebuilt, last.indexes_repaired), if is_small { (1, 0) } else { (0, 1) });
        prop_assert_eq!((world.waits(), last.rebuilt_at.is_some()), (u64::from(!is_small), is_small));
        world.finds_all(left.iter().copied());
        // Codes, ids, entities and payloads are gone already; the graph alone may still show who was there.
        let (repaired, never_knew) = (world.indexes(), twin.indexes());
        for section in [0, 2, 3, 4] {
            prop_assert!(repaired[0][section] == never_knew[0][section], "section {}", section);
        }

        if reopened {
            world = world.reopen(u64::from(seed) + 1);
            prop_assert_eq!(world.waits(), u64::from(!is_small));
        }
        prop_assert_eq!(world.env.step().unwrap(), if is_small { Step::Idle } else { Step::Rebuilt });
        prop_assert_eq!(world.env.step().unwrap(), Step::Idle);
        prop_assert_eq!(world.waits(), 0);
        prop_assert!(world.indexes() == never_knew);
        world.finds_all(left);
    }
}

/// Or the property above shows nothing: a repair leaves another graph than a build.
#[test]
fn a_repaired_graph_is_another() {
    let world = World::new(1);
    world.put(0..90);
    world.erase(1);
    let found = autopsy(&world.disk.medium()).unwrap().indexes;
    assert!(matches!(&found[..], [only] if only.waits && !only.is_canonical));
}

#[test]
fn only_large_segments_that_knew_the_person_wait() {
    let world = World::new(2);
    world.put(0..80);
    world.put(100..120);
    world.put((200..280).filter(|id| id % OWNERS != 2));
    let erasure = world.erase(2);
    assert_eq!((erasure.segments_purged, erasure.indexes_rebuilt, erasure.indexes_repaired), (2, 1, 1));
    assert_eq!((world.waits(), erasure.rebuilt_at), (1, None));
    // Nothing of the next person was in the graph that waits, and nobody can tell.
    assert_eq!(world.erase(77).rebuilt_at, None);
    world.env.compact().unwrap();
    assert_eq!((world.waits(), world.docs.info().segments), (0, 1));
    assert!(world.erase(78).rebuilt_at.is_some());
    assert_eq!(world.env.step().unwrap(), Step::Idle);
}

#[test]
fn what_is_overdue_comes_before_what_can_wait() {
    let world = World::new(3);
    world.put(0..90);
    world.clock.set(5 * HOUR);
    world.erase(1);
    // Repaired once more, it has waited since the first time.
    world.clock.set(20 * HOUR);
    world.erase(2);
    let busy = |from: u64| world.docs.upsert((from..from + 30).map(|id| record(id * OWNERS))).map(drop).unwrap();
    let after = |hours: u64, step| {
        world.clock.set(hours * HOUR);
        assert_eq!(world.env.step().unwrap(), step, "after {hours} hours");
    };
    busy(100);
    after(28, Step::Flushed);
    busy(200);
    assert_eq!(world.waits(), 1);
    after(29, Step::Rebuilt);
    assert_eq!((world.waits(), world.docs.info().memtable_records), (0, 0));
    after(30, Step::Idle);
}

#[test]
fn a_full_disk_puts_a_rebuild_off() {
    let world = World::new(4);
    world.put(0..90);
    world.erase(1);
    let before = world.indexes();
    world.disk.set_capacity(Some(world.disk.medium().bytes() + 2000));
    assert_eq!(world.env.step().unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(world.env.step().unwrap(), Step::Idle, "a graph was built in vain again");
    assert!(world.waits() == 1 && world.indexes() == before);
    world.disk.set_capacity(None);
    world.clock.set(HOUR);
    assert_eq!(world.env.step().unwrap(), Step::Rebuilt);
    assert_eq!(world.waits(), 0);
    world.finds_all((0..90).filter(|id| id % OWNERS != 1));
}

/// What waits may be lost with its file. Opening builds it anew from the rows, and with it the erasure is over.
#[test]
fn an_erasure_whose_last_graph_is_lost_is_over_once_the_store_opens() {
    let world = World::new(1);
    world.put(0..60);
    let job = world.erase(1).job;
    assert_eq!(world.waits(), 1);
    let World { disk, clock, db, env, docs } = world;
    drop((env, docs));
    db.close().unwrap();
    let segments = Dir::root(Arc::new(disk.clone())).sub("env").sub("acme").sub("seg");
    let indexes = segments.list().unwrap().into_iter().filter(|name| name.ends_with(".idx"));
    indexes.for_each(|name| segments.remove(&name).unwrap());
    let world = World::open(disk, clock, 2);
    assert_eq!(world.waits(), 0);
    assert!(world.env.receipt(job).unwrap().receipt.view().rebuilt.is_some());
}
