//! Backups, drills, prunings, restores and take-overs that a crash or a failing disk interrupts at any operation.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::ErrorKind;
use lethedb_tests::backups::opened;
use lethedb_tests::case::tell;
use lethedb_tests::lies::Lie;
use lethedb_tests::parallel::over;
use lethedb_tests::scene::Scene;
use lethedb_tests::trials::{Trial, faults, images, inject, objects, rehearse};
use storage::backend::Faulty;

const TRIALS: [Trial; 5] = [Trial::Backup, Trial::Drill, Trial::Prune, Trial::Restore, Trial::TakeOver];

/// Crashes everywhere; how many images there were, without effect, with it, and with nothing that opens.
fn crash_everywhere(trial: Trial, outside: bool, lie: Option<Lie>) -> [usize; 3] {
    let scene = Scene::new(outside);
    let (images, last) = images(trial, &scene, lie);
    trial.judge(&scene, &last, (true, false), "it was answered");
    let met = over(images.iter().enumerate().collect(), |(at, image)| {
        trial.judge(&scene, image, (false, at.is_multiple_of(4)), &format!("{trial:?}, image {at}"))
    });
    [(false, true), (true, true), (false, false)].map(|kind| met.iter().filter(|met| **met == kind).count())
}

#[test]
fn a_crash_at_any_operation_leaves_what_was_or_what_shall_be() {
    for trial in TRIALS {
        for outside in [false, true] {
            let met = crash_everywhere(trial, outside, None);
            tell(&format!("{trial:?}: {met:?} images"));
            let [before, after, nothing] = met;
            // A drill changes nothing that counts, and only a take-over passes through nothing.
            assert!(before > 3 || trial == Trial::Drill, "{trial:?}: {met:?}");
            assert!(after > 2 && (nothing > 3) == (trial == Trial::TakeOver), "{trial:?}: {met:?}");
        }
    }
}

#[test]
fn an_error_at_any_operation_is_told_and_loses_nothing() {
    for (trial, stride) in TRIALS.into_iter().zip([3, 2, 2, 3, 5]) {
        let scene = Scene::new(trial != Trial::Restore);
        let operations = rehearse(trial, &scene);
        // A prime stride would meet each operation by the same kind of fault again and again.
        let chosen: Vec<_> = faults(&operations).into_iter().step_by(stride).collect();
        let count = chosen.len();
        let operation = |at: u64| &operations[usize::try_from(at).unwrap()];
        let answered = over(chosen, |fault| inject(trial, &scene, fault, operation(fault.at)));
        let answered = answered.iter().filter(|answered| **answered).count();
        tell(&format!("{trial:?}: {} operations, {count} faults, {answered} answered all the same", operations.len()));
        assert!(count > 50 && answered < count, "{trial:?}");
    }
}

/// A suite that stayed green on a disk that lies would prove nothing.
#[test]
fn lies_of_the_disk_are_caught() {
    let caught = |trial, lie| {
        let is_caught = catch_unwind(AssertUnwindSafe(|| crash_everywhere(trial, false, Some(lie)))).is_err();
        assert!(is_caught, "{trial:?}: {lie:?}");
    };
    for lie in [
        Lie::SkipsSync("archive/env/acme/rec"),
        Lie::SkipsSync(".backup"),
        Lie::SkipsSyncDir("archive/env/acme/rec"),
        Lie::SkipsSyncDir("archive/env/acme"),
    ] {
        caught(Trial::Backup, lie);
    }
    caught(Trial::Prune, Lie::SkipsSyncDir("archive/env/acme"));
    for lie in [Lie::SkipsSync("MANIFEST"), Lie::SkipsSync("data/env/acme/seg"), Lie::SkipsSyncDir("data/env/acme")] {
        caught(Trial::Restore, lie);
    }
    for lie in [Lie::SkipsSync("new/env/acme/keyring"), Lie::SkipsNewDirs] {
        caught(Trial::TakeOver, lie);
    }
}

/// Two of three full disks refuse the backup; the archive is as it was.
#[test]
fn a_full_archive_refuses_and_keeps_what_it_has() {
    let scene = Scene::new(false);
    let mut refused = 0;
    for spare in (0..20_000).step_by(800) {
        let disk = Faulty::on(scene.medium.clone());
        let places = scene.over(disk.clone());
        let (_db, env) = places.open("data", 5).unwrap();
        env.flush().unwrap();
        disk.set_capacity(Some(disk.medium().bytes() + spare));
        let made = env.backup(&places.archive()).unrecoverable(true).run();
        disk.set_capacity(None);
        for (number, expected) in &scene.backups {
            assert_eq!(&opened(&env, &places.archive(), *number), expected);
        }
        match made {
            Ok(report) => assert_eq!(opened(&env, &places.archive(), report.backup.number), scene.now),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                assert_eq!(env.backups(&places.archive()).unwrap().len(), scene.backups.len());
                refused += 1;
            }
        }
    }
    assert!(refused > 2, "{refused}");
}

#[test]
fn a_pruning_removes_what_no_kept_backup_names_and_refuses_where_it_cannot_tell() {
    let scene = Scene::new(false);
    let disk = Faulty::on(scene.medium.clone());
    let places = scene.over(disk.clone());
    let (db, env) = places.open("data", 5).unwrap();
    let archive = places.archive();
    let before = objects(&places);
    assert_eq!(env.prune_backups(&archive, 0).unwrap_err().kind(), ErrorKind::Invalid);
    let nothing = env.prune_backups(&archive, 2).unwrap();
    assert_eq!((nothing.kept, nothing.removed, nothing.freed_bytes), (vec![1, 2], vec![], 0));
    env.backup(&archive).unrecoverable(true).run().unwrap();
    let all = objects(&places);

    // A list that does not open may name anything, and a backup that lacks a file is none to keep.
    let dir = storage::backend::Dir::root(places.part("archive", 4)).sub("env").sub("acme");
    let list = dir.read("00000000000000000002.backup").unwrap();
    dir.remove("00000000000000000002.backup").unwrap();
    dir.write_new("00000000000000000002.backup", &list[1..]).unwrap();
    let error = env.prune_backups(&archive, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("00000000000000000002.backup"), "{error}");
    dir.remove("00000000000000000002.backup").unwrap();
    dir.write_new("00000000000000000002.backup", &list).unwrap();
    let newest = all.iter().find(|name| !before.contains(name)).unwrap();
    let bytes = dir.sub("rec").read(newest).unwrap();
    dir.sub("rec").remove(newest).unwrap();
    let error = env.prune_backups(&archive, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains(newest.as_str()), "{error}");
    dir.sub("rec").write_new(newest, &bytes).unwrap();
    assert_eq!(objects(&places), all, "what was refused has removed nothing");

    let pruned = env.prune_backups(&archive, 1).unwrap();
    assert_eq!((pruned.kept, pruned.removed), (vec![3], vec![1, 2]));
    assert!(pruned.freed_bytes > 0 && objects(&places).len() < all.len());
    assert_eq!(opened(&env, &archive, 3), scene.now);
    env.verify_backup(&archive, None).unwrap();
    assert_eq!(env.verify_backup(&archive, Some(1)).unwrap_err().kind(), ErrorKind::NotFound);
    // Numbers are not given twice, and the log tells who verified and who pruned.
    assert_eq!(env.backup(&archive).unrecoverable(true).run().unwrap().backup.number, 4);
    let told: Vec<String> =
        env.audit().limit(1000).run().unwrap().events.into_iter().map(|event| event.action).collect();
    for action in ["backup.verified", "backup.pruned"] {
        assert!(told.iter().any(|told| told == action), "{action} is not told");
    }
    drop(env);
    db.close().unwrap();
}
