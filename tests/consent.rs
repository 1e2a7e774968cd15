//! Who has revoked consent is never taken in again: on no way in, at no time after, whatever crashes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "starts threads that race")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use engine::{Collection, Consent, Environment, Error, ErrorKind, Filter, Record};
use lethedb_tests::world::{in_memory, over};
use proptest::prelude::*;
use serde_json::json;
use storage::backend::faulty::Crash;
use storage::backend::{Dir, Faulty, Memory, StorageBackend};

const GONE: &str = "person-who-left";

fn record(id: u64, owner: &str) -> Record {
    Record::new(id, vec![id as f32, 1.0]).entity(owner).payload(json!({ "n": id }))
}

fn docs(env: &Environment) -> Collection {
    env.collection("docs").dimension(2).open_or_create().unwrap()
}

fn is_refusal(error: &Error) -> bool {
    assert!(!error.to_string().contains(GONE), "an error names a person");
    error.kind() == ErrorKind::ConsentRevoked
}

#[test]
fn every_way_in_is_shut_and_every_other_stays_open() {
    let disk = Faulty::new();
    let open = |seed| over(Arc::new(disk.clone()), seed).open().unwrap();
    let db = open(1);
    let env = db.environment("acme").unwrap();
    let docs = docs(&env);
    docs.upsert([record(1, GONE), record(2, "other"), record(3, GONE)]).unwrap();
    env.flush().unwrap();
    assert_eq!(env.consent(GONE).unwrap(), Consent::Granted);
    assert!(env.revoke_consent(GONE).unwrap());
    assert!(!env.revoke_consent(GONE).unwrap(), "it was revoked already");
    assert_eq!((env.consent(GONE).unwrap(), env.revoked_consents()), (Consent::Revoked, 1));
    assert_eq!(env.consent("other").unwrap(), Consent::Granted);

    let refused = docs.upsert([record(4, "other"), record(5, GONE)]).unwrap_err();
    assert!(is_refusal(&refused) && refused.to_string().starts_with("records[1]: "), "{refused}");
    assert!(docs.get(4).unwrap().is_none(), "all or nothing");
    let each = docs.upsert_each([record(4, GONE), record(5, "other"), record(6, GONE).if_absent()]).unwrap();
    let places: Vec<usize> = each.errors.iter().filter(|(_, error)| is_refusal(error)).map(|(at, _)| *at).collect();
    assert_eq!((places, each.written), (vec![0, 2], 1));
    let updates = [
        docs.update([1]).set(json!({ "m": 1 })).run(),
        docs.update([1]).vector(vec![7.0, 7.0]).run(),
        docs.update([3]).clear().run(),
        docs.update_matching(Filter::entity(GONE)).set(json!({ "m": 1 })).run(),
    ];
    for update in updates {
        assert!(is_refusal(&update.unwrap_err()));
    }
    assert_eq!(docs.update([2]).set(json!({ "m": 1 })).run().unwrap().count, 1);
    for id in [1, 3] {
        let found = docs.get(id).unwrap().unwrap();
        assert_eq!((found.payload_json(), found.vector()), (Some(&json!({ "n": id })), &[id as f32, 1.0][..]));
    }
    // A record of somebody else may take the place of one of theirs, which is no ingest of theirs.
    docs.upsert([record(3, "other")]).unwrap();
    assert_eq!(docs.delete([3]).unwrap().count, 1);
    assert_eq!(env.erase(GONE).run().unwrap().records_deleted, 1);
    assert!(is_refusal(&docs.upsert([record(1, GONE)]).unwrap_err()), "an erasure does not open the latch");
    assert_eq!(env.verify_deep().unwrap().problems, vec![]);
    db.close().unwrap();

    let medium = disk.medium();
    for path in medium.paths() {
        let bytes = medium.read(path).unwrap();
        assert!(!bytes.windows(GONE.len()).any(|window| window == GONE.as_bytes()), "{path} names a person");
    }
    let db = open(2);
    let env = db.open_environment("acme").unwrap();
    assert_eq!(env.consent(GONE).unwrap(), Consent::Revoked);
    assert!(is_refusal(&env.open_collection("docs").unwrap().upsert([record(9, GONE)]).unwrap_err()));
    assert_eq!(db.environment("other").unwrap().consent(GONE).unwrap(), Consent::Granted, "tenants are apart");
}

#[derive(Clone, Debug)]
enum Step {
    Write(u8, Vec<u8>),
    Revoke(u8),
    Erase(u8),
    Flush,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), prop::collection::vec(0u8..6, 1..5)).prop_map(|(id, owners)| Step::Write(id, owners)),
        2 => (0u8..6).prop_map(Step::Revoke),
        1 => (0u8..6).prop_map(Step::Erase),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

fn name(owner: u8) -> String {
    format!("{GONE}-{owner}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against the set of those who have revoked.
    #[test]
    fn a_batch_is_refused_exactly_where_its_owners_revoked(steps in prop::collection::vec(step(), 1..30)) {
        let memory = Memory::new();
        let open = |seed| in_memory(&memory, seed).open().unwrap();
        let (mut db, mut revoked) = (open(0), BTreeSet::new());
        for (seed, step) in (1..).zip(steps) {
            let env = db.environment("acme").unwrap();
            let docs = docs(&env);
            match step {
                Step::Write(id, owners) => {
                    let record = |(at, owner): (u64, &u8)| record(u64::from(id) + at, &name(*owner));
                    let each = docs.upsert_each((0..).zip(&owners).map(record)).unwrap();
                    let places: Vec<usize> = each.errors.iter().map(|(at, _)| *at).collect();
                    let expected = (0..owners.len()).filter(|at| revoked.contains(&owners[*at]));
                    prop_assert_eq!(places, expected.collect::<Vec<_>>());
                }
                Step::Revoke(owner) => {
                    prop_assert_eq!(env.revoke_consent(name(owner)).unwrap(), revoked.insert(owner));
                }
                Step::Erase(owner) => drop(env.erase(name(owner)).run().unwrap()),
                Step::Flush => env.flush().unwrap(),
                Step::Reopen => {
                    drop((docs, env));
                    db.close().unwrap();
                    db = open(seed);
                }
            }
            let env = db.environment("acme").unwrap();
            for owner in 0..6 {
                let is_revoked = env.consent(name(owner)).unwrap() == Consent::Revoked;
                prop_assert_eq!(is_revoked, revoked.contains(&owner));
            }
            prop_assert_eq!(env.verify().unwrap().problems, vec![]);
        }
    }
}

/// A write at the same time is acknowledged and there, or refused and not there; after the revocation none is taken.
#[test]
fn a_racing_write_is_wholly_before_or_refused() {
    for seed in 0..40 {
        let memory = Memory::new();
        let db = in_memory(&memory, seed).open().unwrap();
        let env = db.environment("acme").unwrap();
        let docs = docs(&env);
        let is_revoked = AtomicBool::new(false);
        let write = |from: u64| {
            let mut stored = Vec::new();
            for id in from..from + 1000 {
                let late = is_revoked.load(Ordering::SeqCst);
                match docs.upsert([record(2 * id, GONE), record(2 * id + 1, GONE)]) {
                    Ok(_) => {
                        assert!(!late, "a write that began after the revocation was taken");
                        stored.extend([2 * id, 2 * id + 1]);
                    }
                    Err(error) => {
                        assert!(is_refusal(&error), "{error}");
                        break;
                    }
                }
            }
            stored
        };
        let mut stored = thread::scope(|scope| {
            let writers: Vec<_> = (0..3).map(|writer| scope.spawn(move || write(writer * 10_000))).collect();
            thread::yield_now();
            env.revoke_consent(GONE).unwrap();
            is_revoked.store(true, Ordering::SeqCst);
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect::<Vec<u64>>()
        });
        stored.sort_unstable();
        let there = docs.scroll().limit(10_000).run().unwrap().records;
        let there: Vec<String> = there.iter().map(|record| record.id().to_string()).collect();
        assert_eq!(there, stored.iter().map(u64::to_string).collect::<Vec<_>>());
    }
}

/// Whatever is left of the disk at any moment: once the revocation was acknowledged it stands, and until it began it does
/// not.
#[test]
fn no_crash_opens_the_latch() {
    let disk = Faulty::new().recording();
    let db = over(Arc::new(disk.clone()), 1).open().unwrap();
    let env = db.environment("acme").unwrap();
    docs(&env).upsert([record(1, GONE), record(2, "other")]).unwrap();
    env.revoke_consent("earlier").unwrap();
    let began = disk.operations();
    env.revoke_consent(GONE).unwrap();
    let ended = disk.operations();
    // What follows writes other manifests, and a process that begins its own log.
    env.flush().unwrap();
    env.erase("other").run().unwrap();
    db.close().unwrap();
    let db = over(Arc::new(disk.clone()), 2).open().unwrap();
    db.environment("acme").unwrap().revoke_consent("later").unwrap();
    db.close().unwrap();

    let mut seen = [0; 2];
    for (moment, medium) in disk.history().iter().filter(|(moment, _)| *moment >= began) {
        for crash in [Crash::Process, Crash::DropAll, Crash::KeepAll, Crash::Subset(*moment), Crash::Torn(*moment)] {
            let image: Arc<dyn StorageBackend> = Arc::new(Faulty::on(medium.crashed(crash)));
            let db = over(image, 100 + moment).open().unwrap();
            let env = db.environment("acme").unwrap();
            let is_revoked = env.consent(GONE).unwrap() == Consent::Revoked;
            assert!(is_revoked || *moment < ended, "operation {moment}, {crash:?}: the latch is open again");
            assert_eq!(env.consent("earlier").unwrap(), Consent::Revoked, "operation {moment}, {crash:?}");
            assert_eq!(docs(&env).upsert([record(7, GONE)]).is_err(), is_revoked);
            seen[usize::from(is_revoked)] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

/// A latch that is lost is damage, and no reason to take anything in.
#[test]
fn an_environment_without_its_latch_does_not_open() {
    let disk: Arc<dyn StorageBackend> = Arc::new(Memory::new());
    let open = |seed| over(Arc::clone(&disk), seed).open().unwrap();
    let db = open(1);
    let env = db.environment("acme").unwrap();
    docs(&env).upsert([record(1, GONE)]).unwrap();
    env.revoke_consent("somebody").unwrap();
    env.revoke_consent(GONE).unwrap();
    drop(env);
    db.close().unwrap();
    let dir = Dir::root(Arc::clone(&disk)).sub("env/acme");
    let file = dir.list().unwrap().into_iter().find(|name| name.starts_with("consent-")).unwrap();
    let sound = dir.read(&file).unwrap();
    for length in 0..=sound.len() {
        dir.remove(&file).unwrap();
        dir.write_new(&file, &sound[..length]).unwrap();
        let db = open(2);
        let kind = db.open_environment("acme").map(|_| ()).map_err(|error| error.kind());
        let expected = if length == sound.len() { Ok(()) } else { Err(ErrorKind::Corrupt) };
        assert_eq!(kind, expected, "{length} of {} bytes", sound.len());
    }
    dir.remove(&file).unwrap();
    let db = open(3);
    assert_eq!(db.open_environment("acme").map(drop).unwrap_err().kind(), ErrorKind::Corrupt);
}
