//! Backups: each holds exactly what was there at its commit point, less whoever was erased since, and says so or refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::sync::Arc;

use engine::{Archive, ErrorKind};
use lethedb_tests::backups::{act, expected, opened, store};
use lethedb_tests::workload::{Action, ENVIRONMENT, OWNERS, State, Store, record};
use proptest::prelude::*;
use storage::backend::{Dir, Memory, StorageBackend};

fn archive() -> (Memory, Archive) {
    let memory = Memory::new();
    (memory.clone(), Archive::on(Arc::new(memory)))
}

fn actions() -> impl Strategy<Value = Vec<(Action, bool)>> {
    let action = prop_oneof![
        4 => (0u64..60, 1u64..20, 1u64..9).prop_map(|(from, count, version)| Action::Put(from..from + count, version)),
        2 => (0u64..60, 1u64..12).prop_map(|(from, count)| Action::Delete(from..from + count)),
        1 => Just(Action::Flush),
        1 => Just(Action::Compact),
        1 => Just(Action::Step),
        1 => (0..OWNERS).prop_map(Action::Erase),
        1 => Just(Action::Reopen),
    ];
    prop::collection::vec((action, prop::bool::weighted(0.3)), 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_backup_holds_its_commit_point_less_the_erased(history in actions(), seed in 0u64..1 << 32) {
        let (mut store, mut state) = store(seed);
        let (_, archive) = archive();
        let mut backups: Vec<(u64, State, Vec<u64>)> = Vec::new();
        for (action, is_backed_up) in history {
            act(&mut store, &mut state, &action);
            if let Action::Erase(owner) = action {
                backups.iter_mut().for_each(|(_, _, erased)| erased.push(owner));
            }
            if is_backed_up {
                let report = store.environment().unwrap().backup(&archive).unrecoverable(true).run().unwrap();
                prop_assert_eq!(report.rows.erased, 0);
                prop_assert_eq!(report.backup.records, expected(&state, &[]).len() as u64);
                backups.push((report.backup.number, state.clone(), Vec::new()));
            }
        }
        let env = store.environment().unwrap();
        if backups.is_empty() {
            prop_assert_eq!(env.backups(&archive).unwrap_err().kind(), ErrorKind::NotFound);
            return Ok(());
        }
        prop_assert_eq!(env.backups(&archive).unwrap().len(), backups.len());
        for (number, state, erased) in &backups {
            prop_assert_eq!(&opened(&env, &archive, *number), &expected(state, erased));
            let (info, rows) = env.verify_backup(&archive, Some(*number)).unwrap();
            prop_assert_eq!(rows.opened, expected(state, erased).len() as u64);
            prop_assert_eq!(rows.opened + rows.erased, info.records);
        }
    }
}

#[test]
fn a_second_backup_copies_only_what_is_new_and_a_damaged_file_is_copied_again() {
    let (mut store, mut state) = store(1);
    let (memory, archive) = archive();
    act(&mut store, &mut state, &Action::Put(0..40, 1));
    let backup = |store: &Store| store.environment().unwrap().backup(&archive).unrecoverable(true).run().unwrap();
    let first = backup(&store);
    assert_eq!(first.copied_bytes, first.backup.bytes);
    assert_eq!(backup(&store).copied_bytes, 0, "nothing has changed");
    act(&mut store, &mut state, &Action::Put(40..44, 1));
    act(&mut store, &mut state, &Action::Delete(0..3));
    let third = backup(&store);
    assert!(third.copied_bytes > 0 && third.copied_bytes < third.backup.bytes - first.backup.bytes / 2);
    assert_eq!(third.backup.number, 3);

    let env = store.environment().unwrap();
    let rec = Dir::root(Arc::new(memory.clone())).sub("env").sub(ENVIRONMENT).sub("rec");
    let name = rec.list().unwrap().into_iter().max_by_key(|name| rec.len(name).unwrap()).unwrap();
    let mut bytes = rec.read(&name).unwrap();
    bytes[100] ^= 1;
    rec.remove(&name).unwrap();
    rec.write_new(&name, &bytes).unwrap();
    let error = env.verify_backup(&archive, Some(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(
        env.drill_backup(&archive, Some(1)).unwrap().records().find_map(Result::err).unwrap().kind(),
        error.kind()
    );
    let fourth = backup(&store);
    assert_eq!(fourth.copied_bytes, bytes.len() as u64);
    for number in 1..=4 {
        env.verify_backup(&archive, Some(number)).unwrap();
    }
    assert_eq!(opened(&env, &archive, 3), expected(&state, &[]));
    // What two backups share goes with neither, and what no backup names goes.
    rec.write_new(&format!("{}.rec", "0".repeat(64)), b"left by a crash").unwrap();
    let files = rec.list().unwrap().len();
    backup(&store);
    assert_eq!(rec.list().unwrap().len(), files - 1);
}

#[test]
fn what_is_not_a_backup_of_this_environment_is_refused_by_name() {
    let (mut store, mut state) = store(1);
    let (memory, archive) = archive();
    act(&mut store, &mut state, &Action::Put(0..30, 1));
    let env = store.environment().unwrap();
    let error = env.backup(&archive).run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("keyring mirror"), "{error}");
    env.backup(&archive).unrecoverable(true).run().unwrap();
    assert_eq!(env.verify_backup(&archive, Some(2)).unwrap_err().kind(), ErrorKind::NotFound);

    // Another database, and a directory that is one.
    let (other, _) = lethedb_tests::backups::store(2);
    let foreign = other.environment().unwrap();
    for error in [
        foreign.backup(&archive).unrecoverable(true).run().unwrap_err(),
        foreign.backups(&archive).unwrap_err(),
        foreign.verify_backup(&archive, None).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    }
    let data = Memory::new();
    drop(Store::open(Arc::new(data.clone()), 3).unwrap());
    let error = env.backup(&Archive::on(Arc::new(data))).unrecoverable(true).run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");

    // A list under another number, one that is cut, one of another environment.
    let dir = Dir::root(Arc::new(memory.clone())).sub("env").sub(ENVIRONMENT);
    let list = |number: u64| format!("{number:020}.backup");
    let bytes = dir.read(&list(1)).unwrap();
    dir.write_new(&list(2), &bytes).unwrap();
    dir.write_new(&list(3), &bytes[..bytes.len() - 1]).unwrap();
    let problems: Vec<bool> = env.backups(&archive).unwrap().iter().map(|listed| listed.problem.is_some()).collect();
    assert_eq!(problems, [false, true, true]);
    assert_eq!(env.verify_backup(&archive, Some(2)).unwrap_err().kind(), ErrorKind::Corrupt);
    let beside = store.database().unwrap().environment("beside").unwrap();
    let place = Dir::root(Arc::new(memory.clone())).sub("env").sub("beside");
    place.make().unwrap();
    place.write_new(&list(1), &bytes).unwrap();
    assert_eq!(beside.verify_backup(&archive, Some(1)).unwrap_err().kind(), ErrorKind::KeyUnavailable);

    // A file of another backup under the name of this one's, and one that is missing.
    let rec = dir.sub("rec");
    let name = rec.list().unwrap().remove(0);
    rec.remove(&name).unwrap();
    let missing = env.verify_backup(&archive, Some(1)).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Corrupt, "{missing}");
    rec.write_new(&name, b"something else").unwrap();
    assert_eq!(env.verify_backup(&archive, Some(1)).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn writes_that_come_during_a_backup_are_not_in_it() {
    let (mut store, mut state) = store(5);
    let (_, archive) = archive();
    act(&mut store, &mut state, &Action::Put(0..40, 1));
    act(&mut store, &mut state, &Action::Flush);
    act(&mut store, &mut state, &Action::Put(30..50, 2));
    let env = store.environment().unwrap();
    let before = state.clone();
    let mut done = false;
    // The files are held open by the time of the first piece: compaction and an erasure take them away now.
    let meanwhile = |_| {
        if !std::mem::replace(&mut done, true) {
            for action in [Action::Put(0..10, 3), Action::Compact, Action::Delete(20..25), Action::Erase(2)] {
                act(&mut store, &mut state, &action);
            }
        }
    };
    let report = env.backup(&archive).unrecoverable(true).on_progress(meanwhile).run().unwrap();
    assert!(report.rows.erased > 0, "the erasure came before the rows were read again");
    assert_eq!(opened(&env, &archive, 1), expected(&before, &[2]));
    assert_eq!(report.backup.records, expected(&before, &[]).len() as u64);
}

/// What an archive does not hold as it was copied is no backup, and the earlier ones stay.
#[test]
fn a_copy_that_is_not_what_was_copied_is_no_backup() {
    let (mut store, mut state) = store(6);
    let (memory, archive) = archive();
    act(&mut store, &mut state, &Action::Put(0..40, 1));
    let env = store.environment().unwrap();
    env.backup(&archive).unrecoverable(true).run().unwrap();
    let first = state.clone();
    act(&mut store, &mut state, &Action::Put(40..60, 1));
    let rec = Dir::root(Arc::new(memory.clone())).sub("env").sub(ENVIRONMENT).sub("rec");
    let before = rec.list().unwrap();
    let mut is_changed = false;
    // All is copied, and nothing was read again yet.
    let medium = |progress: engine::Progress| {
        if progress.done * 2 == progress.total && !std::mem::replace(&mut is_changed, true) {
            for name in rec.list().unwrap().into_iter().filter(|name| !before.contains(name)) {
                let mut bytes = rec.read(&name).unwrap();
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
                rec.remove(&name).unwrap();
                rec.write_new(&name, &bytes).unwrap();
            }
        }
    };
    let error = env.backup(&archive).unrecoverable(true).on_progress(medium).run().unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && is_changed, "{error}");
    assert_eq!(env.backups(&archive).unwrap().len(), 1);
    assert_eq!(opened(&env, &archive, 1), expected(&first, &[]));
    let second = env.backup(&archive).unrecoverable(true).run().unwrap();
    assert_eq!(opened(&env, &archive, second.backup.number), expected(&state, &[]));
}

/// No bytes in an archive are anybody's: what is under an owner's key stays under it.
#[test]
fn nothing_of_anybody_is_in_the_clear() {
    let (mut store, mut state) = store(1);
    let (memory, archive) = archive();
    act(&mut store, &mut state, &Action::Put(0..40, 1));
    store.environment().unwrap().backup(&archive).unrecoverable(true).run().unwrap();
    let needles = [b"data-subject".to_vec(), b"version".to_vec(), b"docs".to_vec()];
    let vectors = (0..40).map(|id| record(id, 1).vector().iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
    let needles: Vec<Vec<u8>> = needles.into_iter().chain(vectors).collect();
    let mut dirs = vec![String::new()];
    let mut files = 0;
    while let Some(dir) = dirs.pop() {
        for name in memory.list(&dir).unwrap() {
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            match memory.read(&path) {
                Ok(bytes) => {
                    files += 1;
                    let leaks = |needle: &Vec<u8>| bytes.windows(needle.len()).any(|window| window == needle);
                    assert!(!needles.iter().any(leaks), "{path}");
                }
                Err(_) => dirs.push(path),
            }
        }
    }
    assert!(files > 3);
}
