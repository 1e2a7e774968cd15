//! What is left of a damaged log: every write whose frame is intact, before and after the damage, and a report of the
//! others that is true.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::BTreeSet;
use std::ops::Range;

use engine::{Collection, Database, ErrorKind, Record};
use lethedb_tests::world::in_memory;
use storage::backend::{Memory, StorageBackend};

const WRITES: u64 = 12;
/// The length of a log's header.
const HEADER: usize = 32;

struct World {
    memory: Memory,
    path: String,
    log: Vec<u8>,
    /// The bytes of each write's frame; write number `i` stores record `i`, the last but one deletes record 2.
    frames: Vec<Range<usize>>,
    last_sequence: u64,
}

impl World {
    fn furnish() -> Self {
        let memory = Memory::new();
        let db = in_memory(&memory, 1).open().unwrap();
        let docs = docs(&db);
        let mut path = String::new();
        let (mut frames, mut start, mut last_sequence) = (Vec::new(), HEADER, 0);
        for id in 0..WRITES {
            last_sequence = match id {
                10 => docs.delete([2u64]).unwrap().as_of.sequence,
                _ => docs.upsert([Record::new(id, vec![id as f32, 1.0]).entity("ada")]).unwrap().sequence,
            };
            path = format!("env/acme/wal/{}", memory.list("env/acme/wal").unwrap().pop().unwrap());
            let end = usize::try_from(memory.len(&path).unwrap()).unwrap();
            frames.push(start..end);
            start = end;
        }
        db.close().unwrap();
        let log = memory.read(&path).unwrap();
        Self { memory, path, log, frames, last_sequence }
    }

    /// Puts `log` in the place of the log, opens, and gives the database if the environment opens.
    fn open(&self, log: &[u8]) -> (Database, bool) {
        drop(self.memory.remove(&self.path));
        self.memory.create(&self.path).unwrap().append(log).unwrap();
        let db = in_memory(&self.memory, 2).open().unwrap();
        let opens = match db.environment("acme") {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                assert!(error.to_string().contains(".wal"), "{error}");
                false
            }
        };
        (db, opens)
    }

    /// Damages the log by `harm`, salvages, and checks that exactly the writes in `lost` are missing.
    fn check(harm: impl Fn(&Self, &mut Vec<u8>) -> BTreeSet<u64>) {
        let world = Self::furnish();
        let mut log = world.log.clone();
        let lost = harm(&world, &mut log);
        let (db, opens) = world.open(&log);
        assert!(!opens, "damage is salvaged by nobody who does not ask for it");
        let announced = db.survey("acme").unwrap();
        assert_eq!(world.memory.read(&world.path).unwrap(), log, "a survey changes nothing");
        let (env, salvage) = db.salvage("acme").unwrap();
        assert_eq!(salvage, announced);
        assert_eq!(salvage.logs[0].frames_lost, lost.len() as u64, "{salvage:?}");
        assert!(salvage.logs[0].bytes_lost > 0);
        let range = (salvage.logs[0].first_lost, salvage.logs[0].last_lost);
        let first = lost.first().map(|write| world.last_sequence - (WRITES - 1) + write);
        assert_eq!(range.0, first, "{salvage:?}");

        let docs = docs(&db);
        for id in 0..WRITES {
            let was_there = id != 10 && !lost.contains(&id) && (id != 2 || lost.contains(&10));
            assert_eq!(docs.get(id).unwrap().is_some(), was_there, "record {id}, {salvage:?}");
        }
        assert!(!world.memory.list("env/acme/wal").unwrap().iter().any(|name| world.path.ends_with(name)));
        assert_eq!(env.verify_deep().unwrap().problems, vec![]);
        let next = docs.upsert([Record::new(99u64, vec![1.0, 2.0])]).unwrap().sequence;
        assert!(next > world.last_sequence, "sequence {next} was given out twice");
        drop((env, docs));
        db.close().unwrap();
        let db = in_memory(&world.memory, 3).open().unwrap();
        assert!(db.survey("acme").unwrap().is_empty());
        assert!(db.environment("acme").unwrap().open_collection("docs").unwrap().get(99u64).unwrap().is_some());
    }
}

fn docs(db: &Database) -> Collection {
    db.environment("acme").unwrap().collection("docs").dimension(2).open_or_create().unwrap()
}

#[test]
fn one_damaged_frame_takes_one_write() {
    for write in 0..WRITES - 1 {
        for part in [1, 9, 30, 40, 90] {
            World::check(|world, log| {
                let frame = world.frames[usize::try_from(write).unwrap()].clone();
                log[frame.start + part] ^= 4;
                BTreeSet::from([write])
            });
        }
    }
}

#[test]
fn a_damaged_span_takes_the_writes_it_touches() {
    for (from, to) in [(0, 3), (4, 5), (1, 9), (9, 10)] {
        World::check(|world, log| {
            let (start, end) = (world.frames[from].start + 50, world.frames[to].start + 10);
            log[start..end].fill(0);
            (from as u64..=to as u64).collect()
        });
    }
}

#[test]
fn a_damaged_header_takes_no_write() {
    World::check(|_, log| {
        log[9] ^= 1;
        BTreeSet::new()
    });
}

#[test]
fn a_missing_log_is_salvaged_too() {
    let world = World::furnish();
    world.memory.remove(&world.path).unwrap();
    let db = in_memory(&world.memory, 2).open().unwrap();
    assert_eq!(db.environment("acme").err().unwrap().kind(), ErrorKind::Corrupt);
    let (env, salvage) = db.salvage("acme").unwrap();
    assert_eq!((salvage.logs.len(), salvage.logs[0].frames_lost), (1, 0));
    assert_eq!(env.open_collection("docs").unwrap().count().run().unwrap().count, 0);
    assert_eq!(env.verify_deep().unwrap().problems, vec![]);
}

#[test]
fn nobody_who_was_erased_comes_back() {
    let world = World::furnish();
    let (db, opens) = world.open(&world.log);
    assert!(opens);
    let env = db.environment("acme").unwrap();
    let erased = env.erase("ada").run().unwrap();
    assert_eq!(erased.records_deleted, WRITES - 2);
    drop(env);
    db.close().unwrap();
    // The old log comes back from a copy, in place of the live one, and damaged.
    let live = world.memory.list("env/acme/wal").unwrap();
    assert_eq!(live.len(), 1);
    let mut log = world.log.clone();
    log[world.frames[3].start + 40] ^= 1;
    for name in live {
        let path = format!("env/acme/wal/{name}");
        world.memory.remove(&path).unwrap();
        world.memory.create(&path).unwrap().append(&log).unwrap();
    }
    let db = in_memory(&world.memory, 3).open().unwrap();
    let (env, _) = db.salvage("acme").unwrap();
    assert_eq!(env.open_collection("docs").unwrap().count().run().unwrap().count, 0);
}

/// Records do not depend on what was told: a store whose audit log is damaged gives all of them, says that it is, and keeps
/// what is left of it.
#[test]
fn a_damaged_audit_log_is_set_aside_and_records_stay() {
    for damage in ["changed", "cut", "gone"] {
        let world = World::furnish();
        let memory = &world.memory;
        let listed = |prefix: &str| {
            let names = memory.list("env/acme/audit").unwrap().into_iter();
            names.filter(|name| name.starts_with(prefix)).collect::<Vec<_>>()
        };
        let path = format!("env/acme/audit/{}", listed("events-").pop().unwrap());
        let mut bytes = memory.read(&path).unwrap();
        memory.remove(&path).unwrap();
        if damage == "changed" {
            bytes[HEADER + 40] ^= 1;
        } else {
            bytes.truncate(HEADER + 10);
        }
        if damage != "gone" {
            memory.create(&path).unwrap().append(&bytes).unwrap();
        }
        let db = in_memory(memory, 3).open().unwrap();
        assert_eq!(db.environment("acme").map(drop).unwrap_err().kind(), ErrorKind::Corrupt, "{damage}");
        let before = listed("");
        let survey = db.survey("acme").unwrap();
        assert!(survey.audit_lost && survey.logs.is_empty() && listed("") == before, "{damage}: {survey:?}");
        let (env, salvage) = db.salvage("acme").unwrap();
        assert!(salvage.audit_lost && salvage.segments.is_empty(), "{damage}: {salvage:?}");
        assert_eq!(env.open_collection("docs").unwrap().count().run().unwrap().count, WRITES - 2, "{damage}");
        // What was left of it is there still, and acts are told in another log, which can be read again.
        assert_eq!(listed("lost-").len(), before.len(), "{damage}");
        let told = |action: &str| env.audit().action(action).run().unwrap().events.len();
        assert_eq!(told("audit.lost"), 1, "{damage}: the log says that it is not the first");
        env.erase("ada").run().unwrap();
        assert_eq!((told("entity.erased"), told("audit.lost")), (1, 1), "{damage}");
        drop(env);
        db.close().unwrap();
        let db = in_memory(memory, 4).open().unwrap();
        assert!(db.environment("acme").unwrap().verify_audit(true).is_ok(), "{damage}");
        assert!(db.survey("acme").unwrap().is_empty(), "{damage}");
    }
}

/// Each lost log stays, beside those that were lost before it.
#[test]
fn audit_logs_that_are_lost_one_after_the_other_are_all_kept() {
    let world = World::furnish();
    let memory = &world.memory;
    let listed = |prefix: &str| {
        let names = memory.list("env/acme/audit").unwrap().into_iter();
        names.filter(|name| name.starts_with(prefix)).collect::<Vec<_>>()
    };
    let mut lost = Vec::new();
    for round in 1..4 {
        let path = format!("env/acme/audit/{}", listed("events-").pop().unwrap());
        let mut bytes = memory.read(&path).unwrap();
        memory.remove(&path).unwrap();
        bytes[HEADER + 40] ^= 1;
        memory.create(&path).unwrap().append(&bytes).unwrap();
        let present = listed("events-").len() + listed("mark-").len();
        lost.push(bytes);
        let db = in_memory(memory, round).open().unwrap();
        let (env, salvage) = db.salvage("acme").unwrap();
        assert!(salvage.audit_lost && present > 0);
        let told = env.audit().action("audit.lost").run().unwrap().events.len();
        assert_eq!(told, 1, "each log says that it follows another");
        drop(env);
        db.close().unwrap();
        let kept: Vec<Vec<u8>> =
            listed("lost-").iter().map(|name| memory.read(&format!("env/acme/audit/{name}")).unwrap()).collect();
        assert!(lost.iter().all(|log| kept.contains(log)), "round {round}: {:?}", listed("lost-"));
    }
}
