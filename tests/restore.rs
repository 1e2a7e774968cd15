//! Restores: an environment holds again what a backup holds, less whoever was erased since, under its live keyring alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::sync::Arc;

use engine::{
    Archive, Builder, Database, Environment, ErrorKind, FieldType, Limits, Record, RootKey, Schema, Succession,
};
use lethedb_tests::autopsy::{Autopsy, autopsy};
use lethedb_tests::backups::{act, expected, held, opened, store};
use lethedb_tests::part::Part;
use lethedb_tests::places::Backend;
use lethedb_tests::scene::Scene;
use lethedb_tests::workload::{Action, ENVIRONMENT, OWNERS, State, Store, record};
use lethedb_tests::world::{ROOT_KEY, over};
use storage::backend::faulty::Crash;
use storage::backend::{Dir, Faulty, Memory, StorageBackend};

fn archive() -> Archive {
    Archive::on(Arc::new(Memory::new()))
}

fn back_up(env: &Environment, archive: &Archive) -> u64 {
    env.backup(archive).unrecoverable(true).run().unwrap().backup.number
}

fn restored(data: &Memory, archive: &Archive, number: u64) -> (Database, Environment) {
    let db = over(Arc::new(data.clone()), 77 + number).open().unwrap();
    let (env, report) = db.restore(ENVIRONMENT, archive).number(number).run().unwrap();
    assert_eq!(report.number, number);
    (db, env)
}

/// A store of which ten backups were made while its people came, changed and were erased.
#[test]
fn of_ten_earlier_backups_none_brings_an_erased_person_back_and_each_brings_all_others() {
    let data = Memory::new();
    let archive = archive();
    let mut backups: Vec<(u64, State)> = Vec::new();
    {
        let mut store = Store::open(Arc::new(data.clone()), 1).unwrap();
        let mut state = State::new();
        for action in [Action::Open, Action::Create("docs"), Action::Create("notes")] {
            act(&mut store, &mut state, &action);
        }
        for round in 0..10 {
            act(&mut store, &mut state, &Action::Put(round * 6..round * 6 + 25, round + 1));
            act(&mut store, &mut state, &Action::Delete(round * 5..round * 5 + 3));
            if round % 3 == 1 {
                act(&mut store, &mut state, &Action::Compact);
            }
            backups.push((back_up(&store.environment().unwrap(), &archive), state.clone()));
        }
        for owner in [1, 3] {
            act(&mut store, &mut state, &Action::Erase(owner));
        }
        // One of them comes back, under a new key.
        act(&mut store, &mut state, &Action::Put(150..170, 9));
        let env = store.environment().unwrap();
        for (number, state) in &backups {
            assert_eq!(opened(&env, &archive, *number), expected(state, &[1, 3]), "backup {number}, as a drill");
        }
    }
    let mut last = 0;
    for (number, state) in &backups {
        let (db, env) = restored(&data, &archive, *number);
        assert_eq!(held(&env), expected(state, &[1, 3]), "backup {number}");
        assert_eq!(env.verify_deep().unwrap().problems, vec![]);
        // It is an environment like any other, and never counts a write twice.
        let docs = env.open_collection("docs").unwrap();
        let sequence = docs.upsert([record(190, *number)]).unwrap().sequence;
        assert!(sequence > last, "write {sequence} was given out before");
        last = sequence;
        env.compact().unwrap();
        drop((docs, env));
        db.close().unwrap();
        let db = over(Arc::new(data.clone()), 200 + number).open().unwrap();
        let env = db.open_environment(ENVIRONMENT).unwrap();
        let mut expected = expected(state, &[1, 3]);
        expected.extend(lethedb_tests::backups::expected(&State::from([("docs", [(190, *number)].into())]), &[]));
        assert_eq!(held(&env), expected);
    }
}

#[test]
fn names_rules_and_dropped_collections_come_back_as_they_were() {
    let data = Memory::new();
    let archive = archive();
    let db = over(Arc::new(data.clone()), 1).open().unwrap();
    let env = db.environment(ENVIRONMENT).unwrap();
    let schema = Schema::new().field("version", FieldType::Integer);
    let limits = Limits { records_max: Some(100), ..Limits::default() };
    let docs = env.collection("docs").dimension(3).schema(schema.clone()).limits(limits).create().unwrap();
    let notes = env.collection("notes").dimension(3).create().unwrap();
    docs.upsert((0..20).map(|id| record(id, 1))).unwrap();
    notes.upsert((0..10).map(|id| record(id, 2))).unwrap();
    env.set_alias("current", "docs").unwrap();
    let number = back_up(&env, &archive);
    env.set_alias("current", "notes").unwrap();
    env.drop_collection("docs").unwrap();
    env.collection("docs").dimension(7).create().unwrap();
    env.collection("late").dimension(2).create().unwrap();
    let (rules, held_notes) = ((schema, limits), held(&env));
    drop((docs, notes, env));
    db.close().unwrap();

    let (_db, env) = restored(&data, &archive, number);
    let names: Vec<String> = env.collections().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["docs", "notes"]);
    assert_eq!(env.aliases().len(), 1);
    let docs = env.open_collection("current").unwrap();
    assert_eq!((docs.name(), docs.schema(), docs.limits()), ("docs", rules.0, rules.1));
    // The keys of what was dropped are gone: the collection is back, and its records are not.
    assert_eq!(docs.count().run().unwrap().count, 0);
    assert_eq!(held(&env), held_notes);
    docs.upsert([record(1, 1)]).unwrap();
    assert_eq!(docs.count().run().unwrap().count, 1);
}

/// Readers, receipts and the keyring know things by numbers, so none may come to stand for another.
#[test]
fn what_a_restore_writes_has_numbers_that_nothing_before_it_had() {
    let (data, archive) = (Memory::new(), archive());
    let db = over(Arc::new(data.clone()), 1).open().unwrap();
    let env = db.environment(ENVIRONMENT).unwrap();
    let docs = env.collection("docs").dimension(3).create().unwrap();
    docs.upsert([record(1, 1)]).unwrap();
    back_up(&env, &archive);
    for id in 2..6 {
        docs.upsert([record(id, 1)]).unwrap();
        env.flush().unwrap();
    }
    // A number is not free for having no key any more.
    env.compact().unwrap();
    env.erase("nobody").run().unwrap();
    let last = docs.upsert([record(6, 1)]).unwrap().sequence;
    let files = || {
        ["seg", "wal"].map(|room| {
            let mut names = data.list(&format!("env/{ENVIRONMENT}/{room}")).unwrap();
            names.sort();
            names
        })
    };
    let before = files();
    drop((docs, env));
    db.close().unwrap();

    let (_db, env) = restored(&data, &archive, 1);
    let next = env.open_collection("docs").unwrap().upsert([record(2, 2)]).unwrap().sequence;
    assert!(next > last, "write {next} after write {last}");
    for (before, after) in before.iter().zip(files()) {
        let number = |name: &String| name.split('.').next().unwrap().to_owned();
        let (newest, first) = (before.last().map(number).unwrap(), after.first().map(number).unwrap());
        assert!(first > newest, "{first} after {newest}");
    }
}

#[test]
fn a_root_key_that_a_restore_is_the_first_to_seal_with_is_told() {
    for moves in [false, true] {
        let (data, archive) = (Memory::new(), archive());
        let db = over(Arc::new(data.clone()), 1).open().unwrap();
        let env = db.environment(ENVIRONMENT).unwrap();
        env.collection("docs").dimension(3).create().unwrap().upsert([record(1, 1)]).unwrap();
        back_up(&env, &archive);
        drop(env);
        db.close().unwrap();

        let next = |builder: Builder| {
            builder.root_key(RootKey::bytes([8; 32])).previous_root_key(RootKey::bytes(ROOT_KEY)).open().unwrap()
        };
        let db = if moves {
            let succession = Succession::of(&archive).unwrap().from_backend(Arc::new(data));
            next(over(Arc::new(Memory::new()), 2).succeed(succession))
        } else {
            next(over(Arc::new(data), 2))
        };
        let (env, _) = db.restore(ENVIRONMENT, &archive).run().unwrap();
        let told: Vec<String> = env.audit().run().unwrap().events.into_iter().map(|event| event.action).collect();
        assert_eq!(told.iter().filter(|told| *told == "keys.root.rotated").count(), 1, "{told:?}");
    }
}

#[test]
fn the_volume_of_the_data_may_be_lost() {
    let scene = Scene::new(true);
    let places = scene.on(&scene.medium);
    // Nothing of the old directory: the mirror and the anchors elsewhere, and the archive.
    let db = places.builder("new", 9).succeed(Succession::of(&places.archive()).unwrap()).open().unwrap();
    let (env, report) = db.restore(ENVIRONMENT, &places.archive()).number(1).run().unwrap();
    assert_eq!(held(&env), scene.backups[&1]);
    assert!(report.rows.erased > 0 && report.audit_lost);
    let told: Vec<String> = env.audit().run().unwrap().events.into_iter().map(|event| event.action).collect();
    assert_eq!(told[..2], ["environment.opened", "audit.lost"], "{told:?}");
}

/// One of two anchor stores was away when the volume of the data was lost, and another audit log began. Its checkpoint is
/// of the log before, which is nothing against this one.
#[test]
fn an_anchor_store_that_was_given_up_may_come_back() {
    let whole: Backend = Arc::new(Faulty::new());
    let archive = Archive::on(Part::of(&whole, "archive", 9));
    let homes = |data: &'static str, seed| {
        over(Part::of(&whole, data, 1), seed)
            .keyring_mirror_backend(Part::of(&whole, "mirror", 4))
            .anchor_backend(Part::of(&whole, "here", 2))
    };
    let both = |data, seed| homes(data, seed).anchor_backend(Part::of(&whole, "away", 3));
    let db = both("data", 1).open().unwrap();
    let env = db.environment(ENVIRONMENT).unwrap();
    let docs = env.collection("docs").dimension(3).create().unwrap();
    docs.upsert((0..20).map(|id| record(id, 1))).unwrap();
    env.backup(&archive).run().unwrap();
    env.hold("somebody", "a case").unwrap();
    let before = held(&env);
    drop((docs, env));
    db.close().unwrap();

    let succession = Succession::of(&archive).unwrap();
    let db = homes("new", 2).give_up_missing_anchor_stores(true).succeed(succession).open().unwrap();
    let (env, report) = db.restore(ENVIRONMENT, &archive).run().unwrap();
    assert!(report.audit_lost && held(&env) == before);
    drop(env);
    db.close().unwrap();

    let db = both("new", 3).open().unwrap();
    let env = db.open_environment(ENVIRONMENT).unwrap();
    env.erase("data-subject-2").run().unwrap().receipt.unwrap().verify(&env.receipt_key()).unwrap();
    env.verify_audit(true).unwrap();
    drop(env);
    db.close().unwrap();
    let listed = |store: &str| whole.list(&format!("{store}/{ENVIRONMENT}")).unwrap();
    let anchors = |store| listed(store).into_iter().filter(|name| !name.contains("checkpoint-")).collect::<Vec<_>>();
    assert!(anchors("away").len() == 1 && anchors("away") == anchors("here"), "the old anchor is destroyed");
    assert!(listed("away").iter().any(|name| name.starts_with("lost-")), "what it kept is kept: {:?}", listed("away"));
    assert!(both("new", 4).open().unwrap().open_environment(ENVIRONMENT).unwrap().verify_audit(true).is_ok());
}

#[test]
fn what_cannot_be_restored_is_refused_by_name_and_changes_nothing() {
    let scene = Scene::new(false);
    let places = scene.on(&scene.medium);
    let number = |db: &Database, number| db.restore(ENVIRONMENT, &places.archive()).number(number).run().map(drop);

    // Open, absent, of another database, without a keyring.
    let db = places.builder("data", 2).open().unwrap();
    let env = db.open_environment(ENVIRONMENT).unwrap();
    assert_eq!(number(&db, 1).unwrap_err().kind(), ErrorKind::Busy);
    drop((env, db));
    let db = places.builder("data", 3).open().unwrap();
    assert_eq!(number(&db, 3).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(db.restore("nobody", &places.archive()).run().map(drop).unwrap_err().kind(), ErrorKind::KeyUnavailable);
    drop(db);
    let foreign = places.builder("foreign", 4).open().unwrap();
    assert_eq!(number(&foreign, 1).unwrap_err().kind(), ErrorKind::Conflict);
    drop(foreign);

    // A copy of the directory from before the erasure: its anchor is destroyed.
    let (old, _) = copy_of_before();
    let successor =
        over(Arc::new(Memory::new()), 6).succeed(Succession::of(&old.1).unwrap().from_backend(Arc::new(old.0)));
    let error = successor.open().unwrap().restore(ENVIRONMENT, &old.1).run().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    assert!(error.to_string().contains("a later epoch has made unreadable"), "{error}");

    // A damaged file of rows.
    let rec = Dir::root(places.part("archive", 4)).sub("env").sub(ENVIRONMENT).sub("rec");
    let name = rec.list().unwrap().remove(0);
    let mut bytes = rec.read(&name).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    rec.remove(&name).unwrap();
    rec.write_new(&name, &bytes).unwrap();
    let db = places.builder("data", 7).open().unwrap();
    let error = number(&db, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    drop(db);
    // To move for it would be to give up a home for nothing.
    let error = places.take_over(9).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let told = error.to_string();
    assert!(told.contains("nothing was moved") && told.contains(&name), "{told}");
    assert_eq!(held(&places.open("data", 8).unwrap().1), scene.now);
}

/// A copy of a data directory without its anchors, from before an erasure, with an archive of the same database.
fn copy_of_before() -> ((Memory, Archive), State) {
    let (mut store, mut state) = store(3);
    act(&mut store, &mut state, &Action::Put(0..20, 1));
    drop(store);
    let data = Memory::new();
    let archive = archive();
    let db = over(Arc::new(data.clone()), 3).open().unwrap();
    let env = db.environment(ENVIRONMENT).unwrap();
    env.collection("docs").dimension(3).create().unwrap().upsert((0..9).map(|id| record(id, 1))).unwrap();
    back_up(&env, &archive);
    let copy = Memory::new();
    copy_all(&data, &copy, "");
    env.erase(format!("data-subject-{}", 1 % OWNERS)).run().unwrap();
    ((copy, archive), state)
}

fn copy_all(from: &Memory, to: &Memory, dir: &str) {
    for name in from.list(dir).unwrap() {
        let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
        match from.read(&path) {
            _ if path == "anchors" || path == "LOCK" => {}
            Ok(bytes) => to.create(&path).unwrap().append(&bytes).unwrap(),
            Err(_) => {
                to.create_dir(&path).unwrap();
                copy_all(from, to, &path);
            }
        }
    }
}

/// What says who somebody was: the name, a word of the payload, the bits of a vector, and an id that nobody else has.
#[test]
fn nothing_of_the_erased_is_in_a_home_that_any_of_ten_backups_was_restored_into() {
    const NAME: &str = "erased-canary";
    const WORD: &str = "canary-in-the-payload";
    const ID: u64 = 7_777_777;
    let bits = [0.123_456_7_f32, -98.765_43, 4.321_098];
    let bytes: Vec<u8> = bits.iter().flat_map(|number| number.to_le_bytes()).collect();
    let knows = |found: &Autopsy| {
        let vector = found.plain.windows(bytes.len()).any(|window| window == bytes);
        [found.knows(NAME), found.knows(WORD), vector, found.ids.contains(&ID)]
    };
    let disk = Faulty::new();
    let archive = archive();
    let mut states = Vec::new();
    let mut store = Store::open(Arc::new(disk.clone()), 1).unwrap();
    let mut state = State::new();
    for action in [Action::Open, Action::Create("docs"), Action::Create("notes")] {
        act(&mut store, &mut state, &action);
    }
    for round in 0..10 {
        act(&mut store, &mut state, &Action::Put(round * 6..round * 6 + 12, round + 1));
        let canary =
            Record::new(ID + round % 2, bits.to_vec()).entity(NAME).payload(serde_json::json!({ "said": WORD }));
        store.docs().unwrap().upsert([canary]).unwrap();
        if round % 4 == 2 {
            act(&mut store, &mut state, &Action::Compact);
        }
        states.push((back_up(&store.environment().unwrap(), &archive), state.clone()));
    }
    drop(store);
    let found = autopsy(&disk.medium().crashed(Crash::KeepAll)).unwrap();
    assert_eq!(knows(&found), [true; 4], "it finds what is there");
    let db = over(Arc::new(disk.clone()), 2).open().unwrap();
    db.open_environment(ENVIRONMENT).unwrap().erase(NAME).run().unwrap();
    db.close().unwrap();
    for (number, state) in states {
        let (old, new) = (Faulty::on(disk.medium()), Faulty::new());
        let succession = Succession::of(&archive).unwrap().from_backend(Arc::new(old));
        let db = over(Arc::new(new.clone()), 50 + number).succeed(succession).open().unwrap();
        let (env, report) = db.restore(ENVIRONMENT, &archive).number(number).run().unwrap();
        assert!(report.rows.erased > 0, "backup {number}: {report:?}");
        assert_eq!(held(&env), expected(&state, &[]), "backup {number}");
        env.flush().unwrap();
        drop(env);
        db.close().unwrap();
        let medium = new.medium().crashed(Crash::KeepAll);
        let found = autopsy(&medium).unwrap();
        assert_eq!(knows(&found), [false; 4], "backup {number}");
        assert_eq!(found.strays, Vec::<String>::new(), "backup {number}");
        for path in medium.paths() {
            let bytes = medium.read(path).unwrap();
            for needle in [NAME, WORD] {
                assert!(!bytes.windows(needle.len()).any(|window| window == needle.as_bytes()), "{path}");
            }
        }
    }
}
