//! What is held is not erased: by nobody, through no restart and no crash, until it is released.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts threads that race")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use engine::{Environment, ErrorKind, Filter, Record};
use lethedb_tests::world::{in_memory, over};
use proptest::prelude::*;
use storage::backend::faulty::Crash;
use storage::backend::{Faulty, Memory, StorageBackend};

const REASON: &str = "litigation 2026-17";

fn name(owner: u8) -> String {
    format!("person-{owner}")
}

fn write(env: &Environment, owner: u8) {
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    docs.upsert([Record::new(u64::from(owner), vec![f32::from(owner), 1.0]).entity(name(owner))]).unwrap();
}

fn is_there(env: &Environment, owner: u8) -> bool {
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    docs.count().filter(Filter::entity(name(owner))).run().unwrap().count > 0
}

#[derive(Clone, Debug)]
enum Step {
    Write(u8),
    Hold(u8),
    Release(u8),
    Erase(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..4).prop_map(Step::Write),
        2 => (0u8..4).prop_map(Step::Hold),
        1 => (0u8..4).prop_map(Step::Release),
        3 => (0u8..4).prop_map(Step::Erase),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against a map of who is there and who is held.
    #[test]
    fn an_erasure_is_refused_exactly_while_its_entity_is_held(steps in prop::collection::vec(step(), 1..30)) {
        let memory = Memory::new();
        let open = |seed| in_memory(&memory, seed).open().unwrap();
        let (mut db, mut held, mut there) = (open(0), BTreeMap::new(), [false; 4]);
        for (seed, step) in (1..).zip(steps) {
            let env = db.environment("acme").unwrap();
            match step {
                Step::Write(owner) => {
                    write(&env, owner);
                    there[usize::from(owner)] = true;
                }
                Step::Hold(owner) => {
                    let reason = format!("case {seed}");
                    prop_assert_eq!(env.hold(name(owner), &reason).unwrap(), held.insert(owner, reason).is_none());
                }
                Step::Release(owner) => {
                    prop_assert_eq!(env.release_hold(name(owner)).unwrap(), held.remove(&owner).is_some());
                }
                Step::Erase(owner) => match env.erase(name(owner)).run() {
                    Ok(_) => {
                        prop_assert!(!held.contains_key(&owner), "somebody who was held is erased");
                        there[usize::from(owner)] = false;
                    }
                    Err(error) => {
                        prop_assert_eq!(error.kind(), ErrorKind::Held);
                        prop_assert!(held.contains_key(&owner) && !error.to_string().contains("person"), "{}", error);
                    }
                },
                Step::Reopen => {
                    drop(env);
                    db.close().unwrap();
                    db = open(seed);
                }
            }
            let env = db.environment("acme").unwrap();
            for owner in 0..4 {
                prop_assert_eq!(is_there(&env, owner), there[usize::from(owner)]);
                let found = env.hold_of(name(owner)).unwrap().map(|hold| hold.reason);
                prop_assert_eq!(found.as_ref(), held.get(&owner));
            }
            prop_assert_eq!(env.holds().unwrap().len(), held.len());
            prop_assert_eq!(env.verify().unwrap().problems, vec![]);
        }
    }
}

#[test]
fn a_hold_needs_a_reason_and_names_nobody() {
    let disk = Faulty::new();
    let db = over(Arc::new(disk.clone()), 1).open().unwrap();
    let env = db.environment("acme").unwrap();
    write(&env, 1);
    for reason in ["", "  ", &"x".repeat(1025)] {
        assert_eq!(env.hold(name(1), reason).unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert!(env.hold(name(1), REASON).unwrap());
    let since = env.hold_of(name(1)).unwrap().unwrap().since;
    assert!(!env.hold(name(1), "another reason").unwrap(), "it was held already");
    let hold = env.hold_of(name(1)).unwrap().unwrap();
    assert_eq!((hold.reason.as_str(), hold.since), ("another reason", since));
    let medium = disk.medium();
    for path in medium.paths() {
        let bytes = medium.read(path).unwrap();
        for needle in [name(1).as_str(), REASON, "another reason"] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle.as_bytes()), "{path}: {needle}");
        }
    }
}

/// Whatever is left of the disk: once the hold was acknowledged it stands, once the release was it does not.
#[test]
fn no_crash_loses_a_hold() {
    let disk = Faulty::new().recording();
    let db = over(Arc::new(disk.clone()), 1).open().unwrap();
    let env = db.environment("acme").unwrap();
    write(&env, 1);
    env.hold(name(2), REASON).unwrap();
    let began = disk.operations();
    env.hold(name(1), REASON).unwrap();
    let held = disk.operations();
    env.flush().unwrap();
    let releasing = disk.operations();
    env.release_hold(name(1)).unwrap();
    let released = disk.operations();
    env.flush().unwrap();
    db.close().unwrap();

    let mut seen = [0; 2];
    for (moment, medium) in disk.history().iter().filter(|(moment, _)| *moment >= began) {
        for crash in [Crash::Process, Crash::DropAll, Crash::KeepAll, Crash::Subset(*moment), Crash::Torn(*moment)] {
            let image: Arc<dyn StorageBackend> = Arc::new(Faulty::on(medium.crashed(crash)));
            let db = over(image, 100 + moment).open().unwrap();
            let env = db.environment("acme").unwrap();
            let is_held = env.hold_of(name(1)).unwrap().is_some();
            let context = format!("operation {moment}, {crash:?}");
            assert!(is_held || *moment < held || *moment >= releasing, "{context}: a hold is lost");
            assert!(!is_held || *moment < released, "{context}: a hold is back");
            assert_eq!(env.erase(name(1)).run().is_err(), is_held, "{context}");
            assert_eq!(env.erase(name(2)).run().unwrap_err().kind(), ErrorKind::Held, "{context}");
            seen[usize::from(is_held)] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

/// An erasure at the same time is wholly before the hold, or refused and changes nothing.
#[test]
fn a_racing_erasure_is_wholly_before_or_refused() {
    let mut refused = 0;
    for seed in 0..60 {
        let memory = Memory::new();
        let db = in_memory(&memory, seed).open().unwrap();
        let env = db.environment("acme").unwrap();
        write(&env, 1);
        let erased = thread::scope(|scope| {
            let erasing = scope.spawn(|| env.erase(name(1)).run());
            if seed % 2 == 0 {
                thread::yield_now();
            }
            env.hold(name(1), REASON).unwrap();
            erasing.join().unwrap()
        });
        refused += u64::from(erased.is_err());
        assert_eq!(is_there(&env, 1), erased.is_err());
        if let Err(error) = erased {
            assert_eq!(error.kind(), ErrorKind::Held);
        }
    }
    println!("{refused} of 60 erasures came too late");
}
