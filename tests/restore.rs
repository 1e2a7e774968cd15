//! Restores: an environment holds again what a backup holds, less whoever was erased since, under its live keyring alone;
//! wherever a crash strikes, it is the old or the restored one, or nothing that opens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use engine::{Archive, Database, Environment, ErrorKind, FieldType, Limits, Schema, Succession};
use lethedb_tests::backups::{act, expected, held, opened, store};
use lethedb_tests::lies::{Lie, Lying};
use lethedb_tests::places::{Backend, Places, furnished};
use lethedb_tests::workload::{Action, ENVIRONMENT, OWNERS, State, Store, record};
use lethedb_tests::world::over;
use storage::backend::faulty::{Crash, Medium};
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

/// Every image that a crash during `act` can leave, a few of each kind at each change; and what is left if the power goes
/// once it has answered.
fn images(medium: &Medium, outside: bool, lie: Option<Lie>, act: impl FnOnce(&Places)) -> (Vec<Medium>, Medium) {
    let disk = Faulty::on(medium.clone()).recording();
    let whole: Backend = match lie {
        Some(lie) => Arc::new(Lying::new(disk.clone(), lie)),
        None => Arc::new(disk.clone()),
    };
    act(&Places::of(whole, outside));
    let mut seen = std::collections::HashSet::new();
    let mut images = Vec::new();
    for (at, (_, medium)) in (0u64..).zip(disk.history()) {
        for crash in [Crash::Process, Crash::DropAll, Crash::Subset(at), Crash::Torn(at)] {
            let image = medium.crashed(crash);
            if seen.insert(image.fingerprint()) {
                images.push(image);
            }
        }
    }
    (images, disk.medium().crashed(Crash::DropAll))
}

fn on(image: &Medium, outside: bool) -> Places {
    Places::of(Arc::new(Faulty::on(image.clone())), outside)
}

fn restore_under_crashes(lie: Option<Lie>) {
    let (medium, now, kept) = furnished(false);
    assert_ne!(now, kept);
    let (images, last) = images(&medium, false, lie, |places| places.restore_in_place(5).unwrap());
    assert_eq!(on(&last, false).held("data", 6).unwrap(), kept, "it was answered");
    let mut met = [0, 0];
    for (at, image) in (0u64..).zip(&images) {
        let found = on(image, false).held("data", 100 + at).unwrap_or_else(|error| panic!("image {at}: {error}"));
        assert!(found == now || found == kept, "image {at} is neither");
        met[usize::from(found == kept)] += 1;
        if at % 5 == 0 {
            let places = on(image, false);
            places.restore_in_place(10_000 + at).unwrap_or_else(|error| panic!("image {at}, again: {error}"));
            assert_eq!(places.held("data", 20_000 + at).unwrap(), kept);
        }
    }
    assert!(met.iter().all(|count| *count > 10), "{met:?}");
}

#[test]
fn a_crash_in_a_restore_leaves_the_old_or_the_restored_and_it_can_be_done_again() {
    restore_under_crashes(None);
}

fn take_over_under_crashes(outside: bool, lie: Option<Lie>) {
    let (medium, now, kept) = furnished(outside);
    let (images, last) = images(&medium, outside, lie, |places| places.take_over(5).unwrap());
    assert_eq!(on(&last, outside).held("new", 6).unwrap(), kept, "it was answered");
    let mut met = [0, 0, 0];
    for (at, image) in (0u64..).zip(&images) {
        let old = on(image, outside).held("data", 100 + at).ok();
        let new = on(image, outside).held("new", 1000 + at).ok();
        assert!(old.is_none() || new.is_none(), "image {at} opens in two places");
        assert!(old.as_ref().is_none_or(|found| *found == now), "image {at}");
        assert!(new.as_ref().is_none_or(|found| *found == kept), "image {at}");
        met[usize::from(old.is_some()) + 2 * usize::from(new.is_some())] += 1;
        if at % 3 == 0 {
            let places = on(image, outside);
            places.take_over(10_000 + at).unwrap_or_else(|error| panic!("image {at}, again: {error}"));
            assert_eq!(places.held("new", 20_000 + at).unwrap(), kept);
            let error = places.held("data", 30_000 + at).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        }
    }
    assert!(met.iter().all(|count| *count > 3), "{met:?}");
}

#[test]
fn a_crash_in_a_take_over_never_leaves_two_homes_and_it_can_be_done_again() {
    for outside in [false, true] {
        take_over_under_crashes(outside, None);
    }
}

fn back_up_under_crashes(lie: Option<Lie>) {
    let (medium, now, kept) = furnished(false);
    let (mut images, last) = images(&medium, false, lie, |places| {
        let db = places.builder("data", 5).open().unwrap();
        back_up(&db.open_environment(ENVIRONMENT).unwrap(), &places.archive());
    });
    images.push(last);
    let mut met = [0, 0];
    for (at, image) in (0u64..).zip(&images) {
        let places = on(image, false);
        let db = places.builder("data", 100 + at).open().unwrap();
        let env = db.open_environment(ENVIRONMENT).unwrap();
        let listed = env.backups(&places.archive()).unwrap();
        assert!(listed.iter().all(|listed| listed.problem.is_none()), "image {at}: {listed:?}");
        assert_eq!(opened(&env, &places.archive(), 1), kept, "image {at}");
        if listed.len() > 1 {
            assert_eq!(opened(&env, &places.archive(), 2), now, "image {at}");
        }
        assert!(listed.len() > 1 || at + 1 < images.len() as u64, "it was answered");
        met[listed.len() - 1] += 1;
        if at % 5 == 0 {
            let number = back_up(&env, &places.archive());
            assert_eq!(opened(&env, &places.archive(), number), now, "image {at}, again");
            env.verify_backup(&places.archive(), Some(1)).unwrap();
        }
    }
    assert!(met.iter().all(|count| *count > 3), "{met:?}");
}

#[test]
fn a_crash_in_a_backup_leaves_the_earlier_ones_whole_and_no_half_one() {
    back_up_under_crashes(None);
}

/// A suite that stayed green on a disk that lies would prove nothing.
#[test]
fn lies_of_the_disk_are_caught() {
    let is_caught = |suite: &dyn Fn()| catch_unwind(AssertUnwindSafe(suite)).is_err();
    let archive = [
        Lie::SkipsSync("archive/env/acme/rec"),
        Lie::SkipsSync(".backup"),
        Lie::SkipsSyncDir("archive/env/acme/rec"),
        Lie::SkipsSyncDir("archive/env/acme"),
    ];
    for lie in archive {
        assert!(is_caught(&|| back_up_under_crashes(Some(lie))), "a backup: {lie:?}");
    }
    for lie in [Lie::SkipsSync("MANIFEST"), Lie::SkipsSync("data/env/acme/seg"), Lie::SkipsSyncDir("data/env/acme")] {
        assert!(is_caught(&|| restore_under_crashes(Some(lie))), "a restore: {lie:?}");
    }
    for lie in [Lie::SkipsSync("new/env/acme/keyring"), Lie::SkipsNewDirs] {
        assert!(is_caught(&|| take_over_under_crashes(false, Some(lie))), "a take-over: {lie:?}");
    }
}

/// Two of three full disks refuse the backup; the archive is as it was.
#[test]
fn a_full_archive_refuses_and_keeps_what_it_has() {
    let (medium, now, kept) = furnished(false);
    let mut refused = 0;
    for spare in (0..20_000).step_by(800) {
        let disk = Faulty::on(medium.clone());
        let places = Places::of(Arc::new(disk.clone()), false);
        let db = places.builder("data", 5).open().unwrap();
        let env = db.open_environment(ENVIRONMENT).unwrap();
        env.flush().unwrap();
        disk.set_capacity(Some(disk.medium().bytes() + spare));
        let made = env.backup(&places.archive()).unrecoverable(true).run();
        disk.set_capacity(None);
        assert_eq!(opened(&env, &places.archive(), 1), kept);
        match made {
            Ok(report) => assert_eq!(opened(&env, &places.archive(), report.backup.number), now),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                assert_eq!(env.backups(&places.archive()).unwrap().len(), 1);
                refused += 1;
            }
        }
    }
    assert!(refused > 2, "{refused}");
}

#[test]
fn the_volume_of_the_data_may_be_lost() {
    let (medium, _, kept) = furnished(true);
    let lost = Faulty::on(medium);
    let places = Places::of(Arc::new(lost), true);
    // Nothing of the old directory: the mirror and the anchors elsewhere, and the archive.
    let db = places.builder("new", 9).succeed(Succession::of(&places.archive()).unwrap()).open().unwrap();
    let (env, report) = db.restore(ENVIRONMENT, &places.archive()).run().unwrap();
    assert_eq!(held(&env), kept);
    assert!(report.rows.erased > 0);
}

#[test]
fn what_cannot_be_restored_is_refused_by_name_and_changes_nothing() {
    let (medium, now, _) = furnished(false);
    let disk = Faulty::on(medium.clone());
    let places = Places::of(Arc::new(disk.clone()), false);
    let number = |db: &Database, number| db.restore(ENVIRONMENT, &places.archive()).number(number).run().map(drop);

    // Open, absent, of another database, without a keyring.
    let db = places.builder("data", 2).open().unwrap();
    let env = db.open_environment(ENVIRONMENT).unwrap();
    assert_eq!(number(&db, 1).unwrap_err().kind(), ErrorKind::Busy);
    drop((env, db));
    let db = places.builder("data", 3).open().unwrap();
    assert_eq!(number(&db, 2).unwrap_err().kind(), ErrorKind::NotFound);
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
    assert_eq!(places.held("data", 8).unwrap(), now);
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
