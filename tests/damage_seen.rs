//! What users see when a segment is damaged: the rest, and that it is the rest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use engine::{Database, Environment, Record, Scrub, Step};
use lethedb_tests::case::{Counts, add};
use lethedb_tests::damage_seen::case;
use lethedb_tests::world::in_memory;
use storage::backend::{Memory, StorageBackend};

#[test]
fn answers_are_the_model_without_what_they_name() {
    let mut total = Counts::new();
    for seed in 0..120 {
        match case(seed) {
            Ok(counts) => add(&mut total, &counts),
            Err(violation) => panic!("{violation}"),
        }
    }
    println!("{total:?}");
    // Where nothing was missing the flag would prove nothing: a test that forgot it would fail this often.
    assert!(total["answers unlike the model"] > 500, "{total:?}");
    assert!(total["partial answers"] >= total["answers unlike the model"], "{total:?}");
    assert!(total["records lost in salvage"] > 20 && total["deletes lost in salvage"] > 20, "{total:?}");
    assert!(total["records refused"] > 100 && total["writes refused"] > 5 && total["erasures"] > 20, "{total:?}");
}

/// Two segments, one with tombstones, and a log.
fn furnish(memory: &Memory) -> (Database, Environment) {
    let db = in_memory(memory, 1).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(3).open_or_create().unwrap();
    let records = |from: u64| (from..from + 20).map(|id| Record::new(id, vec![id as f32, 1.0, -2.0]).entity("ada"));
    docs.upsert(records(1)).unwrap();
    env.flush().unwrap();
    docs.upsert(records(15)).unwrap();
    env.flush().unwrap();
    docs.upsert(records(50)).unwrap();
    docs.delete([51u64]).unwrap();
    (db, env)
}

fn replace(memory: &Memory, path: &str, bytes: &[u8]) {
    memory.remove(path).unwrap();
    memory.create(path).unwrap().append(bytes).unwrap();
}

fn files(memory: &Memory) -> Vec<String> {
    let in_dir = |dir: &str| -> Vec<String> {
        memory.list(dir).unwrap().into_iter().map(|name| format!("{dir}/{name}")).collect()
    };
    let dirs = ["env/acme", "env/acme/seg", "env/acme/wal", "env/acme/keyring", "anchors/acme"];
    dirs.into_iter().flat_map(in_dir).filter(|path| memory.read(path).is_ok()).collect()
}

#[test]
fn every_byte_of_every_live_file_is_verified() {
    let memory = Memory::new();
    let (_db, env) = furnish(&memory);
    assert_eq!(env.verify().unwrap().problems, vec![]);
    assert_eq!(env.verify_deep().unwrap().problems, vec![]);
    let files = files(&memory);
    for ending in [".rec", ".idx", ".del", ".wal", ".log"] {
        assert!(files.iter().any(|path| path.ends_with(ending)), "{files:?}");
    }
    let mut flips = 0;
    for path in files {
        let sound = memory.read(&path).unwrap();
        // Every byte of the heads and tails, where the structure is, and every seventh between.
        for at in (0..sound.len()).filter(|at| *at < 96 || sound.len() - at < 96 || at % 7 == 0) {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            replace(&memory, &path, &bytes);
            let problems = env.verify().unwrap().problems;
            let name = path.rsplit('/').next().unwrap();
            let is_named = |problem: &engine::Problem| {
                problem.file.ends_with(name) || problem.file == "keyring" && !path.contains("/seg/")
            };
            assert!(problems.len() == 1 && problems.iter().all(is_named), "{path} byte {at}: {problems:?}");
            flips += 1;
        }
        replace(&memory, &path, &sound);
    }
    assert!(flips > 1000, "{flips}");
    assert_eq!(env.verify().unwrap().problems, vec![]);
}

#[test]
fn a_scrub_goes_around_and_finds_damage_before_a_reader_does() {
    let memory = Memory::new();
    let (_db, env) = furnish(&memory);
    env.flush().unwrap();
    let docs = env.open_collection("docs").unwrap();
    let sound = |scrub: Scrub| match scrub {
        Scrub::Sound(name) => name,
        other => panic!("{other:?}"),
    };
    let first: Vec<String> = (0..3).map(|_| sound(env.scrub().unwrap())).collect();
    let again: Vec<String> = (0..3).map(|_| sound(env.scrub().unwrap())).collect();
    assert_eq!(first, again);
    assert!(first[0] != first[1] && first[1] != first[2] && first[0] != first[2], "{first:?}");

    let flip = |path: &str| {
        let mut bytes = memory.read(path).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 16;
        replace(&memory, path, &bytes);
    };
    // What memory knows is written anew, and nothing is missing meanwhile.
    flip(&format!("env/acme/{}.idx", first[0]));
    assert_eq!(env.scrub().unwrap(), Scrub::Stale(first[0].clone()));
    assert!(!docs.count().run().unwrap().partial);
    assert_eq!(env.step().unwrap(), Step::Mended);
    assert_eq!(env.step().unwrap(), Step::Idle);
    assert_eq!(env.verify_deep().unwrap().problems, vec![]);
    // The rows are the truth: without them the segment is left out.
    let whole = docs.count().run().unwrap().count;
    flip(&format!("env/acme/{}.rec", first[1]));
    assert_eq!(env.scrub().unwrap(), Scrub::Quarantined(first[1].clone()));
    let rest = docs.count().run().unwrap();
    assert_eq!((rest.partial, rest.damaged), (true, vec![first[1].clone()]));
    assert!(rest.count < whole);
    assert_ne!(sound(env.scrub().unwrap()), first[1]);
}

#[test]
fn a_merge_does_not_carry_damage_into_another_file() {
    let memory = Memory::new();
    let (_db, env) = furnish(&memory);
    let path = files(&memory).into_iter().find(|path| path.ends_with(".rec")).unwrap();
    let mut bytes = memory.read(&path).unwrap();
    // In the first blob, which nobody has read yet.
    bytes[60] ^= 1;
    replace(&memory, &path, &bytes);
    env.compact().unwrap();
    let name = path.trim_start_matches("env/acme/").trim_end_matches(".rec");
    let counted = env.open_collection("docs").unwrap().count().run().unwrap();
    assert_eq!(counted.damaged, vec![name.to_owned()]);
    let problems = env.verify().unwrap().problems;
    assert!(problems.len() == 1 && problems[0].file.starts_with(name), "{problems:?}");
}
