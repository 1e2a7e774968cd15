//! What must not be forgotten survives a restore: who revoked, who is held, receipts and the audit log are those of now,
//! and not those of the backup; where the volume of the data is lost, those of the backup.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::sync::Arc;

use engine::{Consent, Environment, ErrorKind, RestoreReport, Succession};
use lethedb_tests::places::Places;
use lethedb_tests::workload::{ENVIRONMENT, record};
use storage::backend::{Dir, Memory};

/// Who revoked before the backup and after it, who is held since before it and since after it, and who no more.
const EARLY: &str = "data-subject-0";
const LATE: &str = "data-subject-1";
const RELEASED: &str = "data-subject-3";
const HELD: &str = "data-subject-4";
const ERASED: &str = "data-subject-2";

/// A world after a backup and what came then, with how many events its log has and the number of its erasure.
fn furnished(outside: bool) -> (Places, u64, u64) {
    let world = Places::of(Arc::new(Memory::new()), outside);
    let db = world.builder("data", 1).open().unwrap();
    let env = db.environment(ENVIRONMENT).unwrap();
    let docs = env.collection("docs").dimension(3).create().unwrap();
    docs.upsert((0..24).map(|id| record(id, 1))).unwrap();
    env.revoke_consent(EARLY).unwrap();
    env.hold(RELEASED, "a case").unwrap();
    env.backup(&world.archive()).unrecoverable(true).run().unwrap();
    env.revoke_consent(LATE).unwrap();
    env.release_hold(RELEASED).unwrap();
    env.hold(HELD, "another case").unwrap();
    let job = env.erase(ERASED).run().unwrap().job;
    let events = env.verify_audit(true).unwrap().through;
    drop((docs, env));
    db.close().unwrap();
    (world, events, job)
}

fn actions(env: &Environment) -> Vec<String> {
    env.audit().limit(1000).run().unwrap().events.into_iter().map(|event| event.action).collect()
}

/// What is known of now, in an environment that was restored.
fn check_live(env: &Environment, report: &RestoreReport, events: u64, job: u64) {
    assert!(!report.audit_lost);
    for (who, consent, is_held) in [
        (EARLY, Consent::Revoked, false),
        (LATE, Consent::Revoked, false),
        (RELEASED, Consent::Granted, false),
        (HELD, Consent::Granted, true),
    ] {
        assert_eq!((env.consent(who).unwrap(), env.hold_of(who).unwrap().is_some()), (consent, is_held), "{who}");
    }
    assert_eq!(env.erase(HELD).run().unwrap_err().kind(), ErrorKind::Held);
    env.receipt(job).unwrap();
    assert!(env.verify_audit(true).unwrap().through > events);
    let actions = actions(env);
    for told in ["backup.created", "entity.erased", "backup.restored"] {
        assert!(actions.iter().any(|action| action == told), "{told} is not in {actions:?}");
    }
    assert_eq!(env.verify_deep().unwrap().problems, vec![]);
}

#[test]
fn in_place_the_live_ones_win() {
    for outside in [false, true] {
        let (world, events, job) = furnished(outside);
        let db = world.builder("data", 2).open().unwrap();
        let (env, report) = db.restore(ENVIRONMENT, &world.archive()).run().unwrap();
        check_live(&env, &report, events, job);
        drop(env);
        db.close().unwrap();
        let db = world.builder("data", 3).open().unwrap();
        check_live(&db.open_environment(ENVIRONMENT).unwrap(), &report, events, job);
    }
}

#[test]
fn the_live_ones_move_along() {
    for outside in [false, true] {
        let (world, events, job) = furnished(outside);
        let succession = || Succession::of(&world.archive()).unwrap().from_backend(world.part("data", 1));
        let db = world.builder("new", 2).succeed(succession()).open().unwrap();
        let (env, report) = db.restore(ENVIRONMENT, &world.archive()).run().unwrap();
        check_live(&env, &report, events, job);
        drop(env);
        db.close().unwrap();
        let db = world.builder("new", 3).open().unwrap();
        check_live(&db.open_environment(ENVIRONMENT).unwrap(), &report, events, job);
        db.close().unwrap();
        // And back again.
        let succession = Succession::of(&world.archive()).unwrap().from_backend(world.part("new", 1));
        let db = world.builder("data", 4).succeed(succession).open().unwrap();
        let (env, report) = db.restore(ENVIRONMENT, &world.archive()).run().unwrap();
        check_live(&env, &report, events, job);
    }
}

#[test]
fn where_the_volume_is_lost_those_of_the_backup_come_back_and_another_log_begins() {
    let (world, _, job) = furnished(true);
    let db = world.builder("new", 2).succeed(Succession::of(&world.archive()).unwrap()).open().unwrap();
    let (env, report) = db.restore(ENVIRONMENT, &world.archive()).run().unwrap();
    assert!(report.audit_lost);
    let check = |env: &Environment| {
        let of = |who| (env.consent(who).unwrap(), env.hold_of(who).unwrap().is_some());
        assert_eq!(of(EARLY), (Consent::Revoked, false));
        assert_eq!(of(LATE), (Consent::Granted, false));
        assert_eq!(of(RELEASED), (Consent::Granted, true));
        assert_eq!(env.receipt(job).map(drop).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(env.verify_deep().unwrap().problems, vec![]);
    };
    check(&env);
    drop(env);
    db.close().unwrap();
    let db = world.builder("new", 3).open().unwrap();
    let env = db.open_environment(ENVIRONMENT).unwrap();
    check(&env);
    assert!(actions(&env).iter().any(|action| action == "backup.restored"));
    let (next, before) = (env.erase(LATE).run().unwrap().job, job);
    assert!(next > before, "no number is given twice");
    let receipt = env.receipt(next).unwrap().receipt;
    receipt.verify(&env.receipt_key()).unwrap();
    assert!(receipt.checkpoint().lines().next().unwrap().ends_with("/1"), "{}", receipt.checkpoint());
    // Why somebody is held is not in a backup.
    let reason = env.hold_of(RELEASED).unwrap().unwrap().reason;
    assert!(!reason.contains("a case") && reason.contains("backup 1"), "{reason}");
}

/// Two logs of one name that say different things would be a fork, which the checkpoints of an honest log rule out.
#[test]
fn a_log_that_follows_a_lost_one_has_another_name_however_often() {
    let (world, _, _) = furnished(true);
    let names = ["new", "newer", "newest"];
    for (lost, name) in (1..).zip(names) {
        let db = world.builder(name, lost).succeed(Succession::of(&world.archive()).unwrap()).open().unwrap();
        let (env, report) = db.restore(ENVIRONMENT, &world.archive()).run().unwrap();
        assert!(report.audit_lost);
        env.verify_audit(true).unwrap();
        drop(env);
        db.close().unwrap();
        let anchors = Dir::root(world.part("anchors", 2)).sub(ENVIRONMENT);
        let kept = anchors.list().unwrap().into_iter().filter(|file| file.contains("checkpoint"));
        let origins = kept.map(|file| {
            let note = String::from_utf8(anchors.read(&file).unwrap()).unwrap();
            note.lines().next().unwrap().to_owned()
        });
        let mut origins: Vec<String> = origins.collect();
        origins.sort();
        let count = origins.len();
        origins.dedup();
        assert_eq!((origins.len(), count), (usize::try_from(lost).unwrap() + 1, count), "{origins:?}");
        assert_eq!(count, origins.len(), "each log has signed under its own name: {origins:?}");
    }
}

#[test]
fn a_restore_is_refused_where_a_journal_or_the_log_of_now_is_damaged() {
    for moves in [false, true] {
        for file in ["consent-", "holds-", "audit/mark-"] {
            let (world, _, _) = furnished(false);
            let data = Dir::root(world.part("data", 1)).sub("env").sub(ENVIRONMENT);
            let (dir, start) = match file.split_once('/') {
                Some((dir, start)) => (data.sub(dir), start),
                None => (data, file),
            };
            let name = dir.list().unwrap().into_iter().rfind(|name| name.starts_with(start)).unwrap();
            let mut bytes = dir.read(&name).unwrap();
            let whole = bytes.clone();
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            let put = |bytes: &[u8]| {
                dir.remove(&name).unwrap();
                dir.write_new(&name, bytes).unwrap();
            };
            put(&bytes);
            let restore = |seed| {
                let builder = world.builder(if moves { "new" } else { "data" }, seed);
                let succession = Succession::of(&world.archive()).unwrap().from_backend(world.part("data", 1));
                let builder = if moves { builder.succeed(succession) } else { builder };
                let db = builder.open().unwrap();
                let (env, report) = db.restore(ENVIRONMENT, &world.archive()).run()?;
                Ok::<_, engine::Error>((db, env, report))
            };
            let error = restore(2).map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            let told = error.to_string();
            assert!(told.contains(&name) && told.contains("nothing was restored"), "{told}");
            assert!(told.contains("put a whole copy") || told.contains("restore it from a copy"), "{told}");
            // With the file put back it goes on, and nothing was forgotten meanwhile.
            put(&whole);
            let (db, env, _) = restore(3).unwrap();
            assert_eq!(env.consent(LATE).unwrap(), Consent::Revoked);
            assert!(env.hold_of(HELD).unwrap().is_some());
            drop(env);
            db.close().unwrap();
        }
    }
}
