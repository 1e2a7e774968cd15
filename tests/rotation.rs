//! Other keys above the data: after a rotation no old keyring opens, no data file has changed, and a crash anywhere in
//! between leaves a store that opens and a rotation that goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "reads directories and starts threads from outside")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use engine::{
    Approval, Builder, Clock, Database, Error, ErrorKind, Operation, Passphrase, RootKey, Settings, Step,
    new_voter_key, quorum_of,
};
use lethedb_tests::case::tell;
use lethedb_tests::lies::{Lie, Lying};
use lethedb_tests::vaults::{
    ENVIRONMENT, Files, KEYRINGS, VAULTS, builder, crash_everywhere, files, furnished, judge, record, records, without,
};
use lethedb_tests::world::{ROOT_KEY, on_disk, small_settings};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::backend::faulty::{Crash, Medium};
use storage::backend::{Faulty, StorageBackend};

type Whole = Arc<dyn StorageBackend>;

const NEXT_KEY: [u8; 32] = [8; 32];

fn whole(medium: &Medium) -> (Faulty, Whole) {
    let disk = Faulty::on(medium.clone());
    (disk.clone(), Arc::new(disk))
}

fn same(builder: Builder) -> Builder {
    builder
}

/// With the next key, and the one before.
fn both(builder: Builder) -> Builder {
    builder.root_key(RootKey::bytes(NEXT_KEY)).previous_root_key(RootKey::bytes(ROOT_KEY))
}

fn next(builder: Builder) -> Builder {
    builder.root_key(RootKey::bytes(NEXT_KEY))
}

/// Argon2id at its cheapest, because these tests pay it often.
fn cheap() -> Settings {
    Settings { passphrase_memory_kib: 19 * 1024, passphrase_passes: 2, ..small_settings() }
}

fn under(passphrase: &'static str) -> impl Fn(Builder) -> Builder {
    move |builder| builder.settings(cheap()).root_key(RootKey::passphrase(Passphrase::new(passphrase).unwrap()))
}

/// Everything but keyrings, anchors, what is wrapped, the lock, and the audit log, which tells of rotations.
fn data(medium: &Medium) -> Files {
    let mut files = files(medium, "data");
    let is_of_keys = |path: &str| ["/keyring/", "/audit/"].iter().any(|dir| path.contains(dir));
    files.retain(|path, _| !is_of_keys(path) && !path.starts_with("bootstrap-") && path != "LOCK");
    files
}

/// The furnished store, opened and closed once more, so that opening it has nothing left to settle.
fn settled() -> Medium {
    let (disk, whole) = whole(&furnished(1).unwrap());
    let db = builder(&whole, 5).open().unwrap();
    db.open_environment(ENVIRONMENT).unwrap().flush().unwrap();
    db.close().unwrap();
    let db = builder(&whole, 6).open().unwrap();
    db.open_environment(ENVIRONMENT).unwrap();
    db.close().unwrap();
    disk.medium().crashed(Crash::KeepAll)
}

fn refusal(medium: &Medium, change: impl Fn(Builder) -> Builder) -> Error {
    let (_, whole) = whole(medium);
    let opened = change(builder(&whole, 9)).open().and_then(|db| db.open_environment(ENVIRONMENT).map(drop));
    opened.expect_err("it must not open")
}

/// `medium` with the keyrings of `old`.
fn with_keyrings_of(medium: &Medium, old: &Medium) -> Medium {
    let disk = Faulty::on(without(&without(medium, KEYRINGS[0]).unwrap(), KEYRINGS[1]).unwrap());
    for dir in KEYRINGS {
        for (path, bytes) in files(old, dir) {
            disk.create(&format!("{dir}/{path}")).unwrap().append(&bytes).unwrap();
        }
    }
    disk.medium()
}

#[test]
fn a_rotation_changes_no_data_file_and_no_old_keyring_opens_after_it() {
    let old = settled();
    let (disk, whole) = whole(&old);
    let db = builder(&whole, 2).open().unwrap();
    let before = records(&db).unwrap();
    let env = db.open_environment(ENVIRONMENT).unwrap();
    let epoch = env.rotate_kek().unwrap();
    assert_eq!(env.rotate_kek().unwrap(), epoch + 1);
    assert!(data(&disk.medium()) == data(&old), "a data file changed");
    let error = refusal(&with_keyrings_of(&disk.medium(), &old), same);
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");

    assert_eq!(db.rotate_root_key(&RootKey::bytes(NEXT_KEY)).unwrap(), 1);
    assert_eq!(db.rotate_root_key(&RootKey::bytes(NEXT_KEY)).unwrap(), 0);
    assert!(data(&disk.medium()) == data(&old), "a data file changed");
    drop(env);
    db.close().unwrap();
    let after = disk.medium();
    // Neither the old key with the new keyring nor, with all that was kept of before, the old key with the old one.
    for medium in [&after, &with_keyrings_of(&after, &old)] {
        let error = refusal(medium, same);
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    }
    judge(&after, 3, next, &[&before]).unwrap();
}

#[test]
fn a_rotation_of_the_kek_survives_every_crash() {
    let medium = furnished(1).unwrap();
    let before = records(&builder(&whole(&medium).1, 2).open().unwrap()).unwrap();
    let images = crash_everywhere(
        |disk| Arc::new(disk),
        |whole| builder(whole, 2).open()?.open_environment(ENVIRONMENT)?.rotate_kek().map(drop),
        |image, seed| judge(image, seed, same, &[&before]).map(drop),
    );
    tell(&format!("{} images of a rotated KEK", images.unwrap()));
}

fn rotate_root(wrap: impl FnOnce(Faulty) -> Whole) -> Result<usize, String> {
    let medium = furnished(1).unwrap();
    let before = records(&builder(&whole(&medium).1, 2).open().unwrap()).unwrap();
    crash_everywhere(
        wrap,
        |whole| {
            let db = builder(whole, 2).open()?;
            db.environment("other")?;
            db.rotate_root_key(&RootKey::bytes(NEXT_KEY)).map(drop)
        },
        |image, seed| {
            let after = judge(image, seed, both, &[&before])?;
            // Once both were given, the rotation goes on, and the new key is enough.
            let (disk, whole) = whole(&after);
            let finished = both(builder(&whole, seed + 1)).open().and_then(|db| db.finish_rotation());
            finished.map_err(|error| format!("it does not go on: {error:?}"))?;
            let error = refusal(&disk.medium(), same);
            if error.kind() != ErrorKind::KeyUnavailable || !error.to_string().contains("fingerprint") {
                return Err(format!("the old key is refused for another reason: {error}"));
            }
            judge(&disk.medium(), seed + 2, next, &[&before]).map(drop)
        },
    )
}

#[test]
fn a_rotation_of_the_root_key_survives_every_crash_and_goes_on() {
    tell(&format!("{} images of a rotated root key", rotate_root(|disk| Arc::new(disk)).unwrap()));
}

#[test]
fn a_root_page_named_before_it_is_synced_is_noticed() {
    let lying: fn(Faulty) -> Whole = |disk| Arc::new(Lying::new(disk, Lie::SkipsSync("keyring/pending-")));
    rotate_root(lying).expect_err("the lie");
}

/// A store whose root key lies wrapped under a passphrase.
fn wrapped(passphrase: &'static str) -> Medium {
    let disk = Faulty::new();
    let whole: Whole = Arc::new(disk.clone());
    let db = under(passphrase)(builder(&whole, 1)).open().unwrap();
    let env = db.environment(ENVIRONMENT).unwrap();
    env.collection("docs").dimension(3).open_or_create().unwrap().upsert((0..9).map(|id| record(id, 1))).unwrap();
    drop(env);
    db.close().unwrap();
    disk.medium().crashed(Crash::KeepAll)
}

/// Crashes `act` on `medium`, at every change.
fn crashed(medium: &Medium, act: impl FnOnce(&Whole) -> Result<(), Error>) -> Vec<Medium> {
    let disk = Faulty::on(medium.clone()).recording();
    act(&(Arc::new(disk.clone()) as Whole)).unwrap();
    let history = disk.history();
    let ways = [Crash::Process, Crash::DropAll, Crash::KeepAll, Crash::Subset(1), Crash::Subset(2), Crash::Torn(3)];
    let mut seen = std::collections::HashSet::new();
    let images = history.iter().flat_map(|(_, medium)| ways.map(|way| medium.crashed(way)));
    images.filter(|image| seen.insert(image.fingerprint())).collect()
}

fn wrappings(medium: &Medium) -> usize {
    files(medium, "data").into_keys().filter(|path| path.starts_with("bootstrap-") && path.len() == 30).count()
}

#[test]
fn a_passphrase_is_changed_in_one_moment() {
    let (old, new) = ("correct horse", "battery staple");
    let medium = wrapped(old);
    let held = (0..9).map(|id| (id, 1)).collect();
    let kind = refusal(&medium, under(new)).kind();
    assert_eq!(kind, ErrorKind::KeyUnavailable);
    assert_eq!(refusal(&medium, same).kind(), ErrorKind::KeyUnavailable, "the key of another store");
    let change = |whole: &Whole| {
        let db = under(old)(builder(whole, 2)).open()?;
        db.set_passphrase(&Passphrase::new(new).unwrap())
    };
    for (at, image) in crashed(&medium, change).iter().enumerate() {
        let by_old = judge(image, 30, under(old), &[&held]);
        let by_new = judge(image, 30, under(new), &[&held]);
        match (&by_old, &by_new) {
            (Ok(after), Err(_)) | (Err(_), Ok(after)) => assert_eq!(wrappings(after), 1, "image {at}"),
            _ => panic!("image {at}: {:?} {:?}", by_old.err(), by_new.err()),
        }
    }
    let (disk, whole) = whole(&medium);
    change(&whole).unwrap();
    assert_eq!(wrappings(&disk.medium()), 1);
    judge(&disk.medium(), 40, under(new), &[&held]).unwrap();
    assert_eq!(refusal(&disk.medium(), under(old)).kind(), ErrorKind::KeyUnavailable);
}

#[test]
fn a_root_key_under_a_passphrase_is_rotated_with_it() {
    let medium = wrapped("correct horse");
    let held = (0..9).map(|id| (id, 1)).collect();
    let given = || RootKey::passphrase(Passphrase::new("correct horse").unwrap());
    let rotate = |whole: &Whole| {
        let db = under("correct horse")(builder(whole, 2)).open()?;
        let wrong = RootKey::passphrase(Passphrase::new("wrong").unwrap());
        assert_eq!(db.rotate_root_key(&wrong).unwrap_err().kind(), ErrorKind::KeyUnavailable);
        assert_eq!(db.rotate_root_key(&RootKey::bytes([3; 32])).unwrap_err().kind(), ErrorKind::Conflict);
        db.rotate_root_key(&given()).map(drop)
    };
    for (at, image) in crashed(&medium, rotate).iter().enumerate().step_by(3) {
        let after =
            judge(image, 30, under("correct horse"), &[&held]).unwrap_or_else(|error| panic!("image {at}: {error}"));
        let (disk, whole) = whole(&after);
        let db = under("correct horse")(builder(&whole, 31)).open().unwrap();
        db.finish_rotation().unwrap();
        assert_eq!(db.key_status().unwrap().rotating_from, None);
        drop(db);
        assert_eq!(wrappings(&disk.medium()), 1, "image {at}");
    }
}

/// Those who approve see the fingerprint of a key that nobody could name before it was made; it is that one and no other.
#[test]
fn a_root_key_under_a_passphrase_that_others_approve_is_the_one_they_saw() {
    let medium = wrapped("correct horse");
    let (disk, whole) = whole(&medium);
    let given = || RootKey::passphrase(Passphrase::new("correct horse").unwrap());
    let open = |seed| under("correct horse")(builder(&whole, seed)).open().unwrap();
    let voters: Vec<_> = (0..2).map(|_| new_voter_key().unwrap()).collect();
    let keys: Vec<String> = voters.iter().map(|key| key.public().to_string()).collect();
    let db = open(2);
    db.access().set_database_approvers(Some(&quorum_of(2, &keys).unwrap())).unwrap();
    let before = db.key_status().unwrap().root_key;
    let refused = |db: &Database| db.rotate_root_key(&given()).unwrap_err();
    let does = |error: &Error| error.approval_needed().unwrap().statement.split_once("Z: ").unwrap().1.to_owned();
    let asked = refused(&db);
    drop(db);
    let db = open(3);
    let again = refused(&db);
    assert_eq!(does(&again), does(&asked), "the same key after a restart");
    assert_eq!(db.key_status().unwrap().root_key, before);
    let needed = asked.approval_needed().unwrap();
    let operation: Operation = needed.operation.parse().unwrap();
    let votes = voters.iter().map(|key| key.vote(&operation, &needed.statement).unwrap()).collect();
    db.rotate_root_key_approved(&given(), Some(&Approval { operation, votes })).unwrap();
    let after = db.key_status().unwrap().root_key;
    assert_eq!(does(&asked), format!("replace the root key {before} by the root key {after}"));
    drop(db);
    let left = files(&disk.medium(), "data").into_keys().filter(|path| path.starts_with("bootstrap-")).count();
    assert_eq!((left, wrappings(&disk.medium())), (1, 1), "nothing of the proposal is left");
    assert_eq!(open(4).key_status().unwrap().root_key, after);
}

#[test]
fn shares_give_the_root_key_and_too_few_do_not() {
    let medium = settled();
    let (_, shared) = whole(&medium);
    let db = builder(&shared, 2).open().unwrap();
    let before = records(&db).unwrap();
    let shares = || db.split_root_key(2, 3).unwrap();
    assert_eq!(db.split_root_key(4, 3).err().unwrap().kind(), ErrorKind::Invalid);
    judge(&medium, 3, |builder| builder.root_key(RootKey::shares(shares().drain(1..).collect())), &[&before]).unwrap();
    let error = refusal(&medium, |builder| builder.root_key(RootKey::shares(shares().drain(2..).collect())));
    assert!(error.kind() == ErrorKind::KeyUnavailable && error.to_string().contains("needed"), "{error}");
}

/// A clock that the test moves.
#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn upkeep_replaces_an_old_kek() {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let (_, whole) = whole(&furnished(1).unwrap());
    let clock = Arc::new(Hands::default());
    let db = builder(&whole, 2).clock(Arc::clone(&clock) as Arc<dyn Clock>).open().unwrap();
    let env = db.open_environment(ENVIRONMENT).unwrap();
    env.rotate_kek().unwrap();
    let epoch = || db.key_status().unwrap().environments[0].epoch;
    let first = epoch();
    let settle =
        || std::iter::from_fn(|| Some(env.step().unwrap()).filter(|step| *step != Step::Idle)).collect::<Vec<_>>();
    settle();
    assert_eq!(epoch(), first);
    clock.0.store(90 * DAY - 1, Ordering::Relaxed);
    assert_eq!(settle(), []);
    clock.0.store(90 * DAY, Ordering::Relaxed);
    assert_eq!((settle(), epoch()), (vec![Step::Rotated], first + 1));
    // A clock that is set back rotates nothing.
    clock.0.store(0, Ordering::Relaxed);
    assert_eq!(settle(), []);
}

/// A vault that is not mounted must not be taken for one that was never there: its anchor would outlive every erasure.
#[test]
fn a_vault_that_is_missing_is_missed() {
    let medium = settled();
    let absent = without(&medium, VAULTS[1]).unwrap();
    let error = refusal(&absent, same);
    assert!(error.kind() == ErrorKind::KeyUnavailable && error.to_string().contains("anchor store"), "{error}");
    let (_, shared) = whole(&absent);
    let before = records(&builder(&whole(&medium).1, 2).open().unwrap()).unwrap();
    drop(shared);
    judge(&absent, 3, |builder| builder.give_up_missing_anchor_stores(true), &[&before]).unwrap();
}

#[test]
fn writers_and_readers_go_on_while_keys_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let open = || on_disk(&path("data")).anchor_dir(path("vault")).keyring_mirror(path("mirror"));
    let db = open().open().unwrap();
    let docs = db.environment("acme").unwrap().collection("docs").dimension(3).open_or_create().unwrap();
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2_u64)
            .map(|writer| {
                let (docs, stop) = (docs.clone(), &stop);
                scope.spawn(move || {
                    let mut next = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let id = writer * 1_000_000 + next;
                        docs.upsert([record(id, 1).entity(format!("owner-{id}"))]).unwrap();
                        assert!(docs.get(id).unwrap().is_some());
                        next += 1;
                    }
                    next
                })
            })
            .collect();
        let env = db.open_environment("acme").unwrap();
        for key in 10..20 {
            env.rotate_kek().unwrap();
            db.rotate_root_key(&RootKey::bytes([key; 32])).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).sum::<u64>()
    });
    drop(docs);
    db.close().unwrap();
    let db = open().root_key(RootKey::bytes([19; 32])).open().unwrap();
    let env = db.open_environment("acme").unwrap();
    assert_eq!(env.open_collection("docs").unwrap().count().run().unwrap().count, written);
    assert_eq!(env.verify().unwrap().problems, []);
}

/// Random histories of changes, rotations and losses against a model that only knows which records there are.
#[test]
fn any_history_of_changes_and_losses_keeps_every_record() {
    for seed in 0..30 {
        history(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

fn history(seed: u64) -> Result<(), String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut medium = furnished(seed + 1).unwrap();
    let mut stale = medium.clone();
    let mut model = records(&builder(&whole(&medium).1, 2).open().unwrap()).unwrap();
    let (mut key, mut entropy) = (ROOT_KEY, seed * 1000);
    for step in 0..14_u64 {
        let lost = rng.random_range(0..8);
        match lost {
            0 | 1 => medium = without(&medium, KEYRINGS[lost]).unwrap(),
            2 => {
                // The mirror as it was once, back from somewhere.
                let disk = Faulty::on(without(&medium, KEYRINGS[1]).unwrap());
                for (path, bytes) in files(&stale, KEYRINGS[1]) {
                    disk.create(&format!("{}/{path}", KEYRINGS[1])).unwrap().append(&bytes).unwrap();
                }
                medium = disk.medium().crashed(Crash::KeepAll);
            }
            3 => stale = medium.clone(),
            _ => {}
        }
        let (disk, whole) = whole(&medium);
        entropy += 1;
        let db = builder(&whole, entropy).root_key(RootKey::bytes(key)).open().unwrap();
        let env = db.open_environment(ENVIRONMENT).map_err(|error| format!("step {step}, {lost}: {error:?}"))?;
        if records(&db).unwrap() != model {
            return Err(format!("step {step}, {lost}: other records"));
        }
        for _ in 0..rng.random_range(1..4) {
            match rng.random_range(0..5) {
                0 => {
                    let id = rng.random_range(30..90_u64);
                    env.open_collection("docs").unwrap().upsert([record(id, step)]).unwrap();
                    model.insert(id, step);
                }
                1 => {
                    let owner = rng.random_range(0..5);
                    env.erase(format!("owner-{owner}")).run().unwrap();
                    model.retain(|id, _| id % 5 != owner);
                }
                2 => drop(env.rotate_kek().unwrap()),
                3 => {
                    key = rng.random();
                    db.rotate_root_key(&RootKey::bytes(key)).unwrap();
                }
                _ => env.flush().unwrap(),
            }
        }
        drop(env);
        if rng.random() {
            db.close().unwrap();
        } else {
            drop(db);
        }
        medium = disk.medium();
    }
    judge(&medium, entropy + 1, |builder| builder.root_key(RootKey::bytes(key)), &[&model]).map(drop)
}
