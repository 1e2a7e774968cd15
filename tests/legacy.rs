//! What must not be forgotten survives a restore: who revoked, who is held, receipts and the audit log are those of now,
//! and not those of the backup; where the volume of the data is lost, those of the backup.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::sync::Arc;

use engine::{Consent, Environment, ErrorKind, RestoreReport, Succession};
use lethedb_tests::places::Places;
use lethedb_tests::workload::{ENVIRONMENT, record};
use storage::backend::Memory;

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
    env.receipt(next).unwrap();
}
