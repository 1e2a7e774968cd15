//! What was done is told, in an order that nobody changes unseen; an erasure ends with a receipt that others can check; and
//! neither holds anybody's name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "looks into files and changes them")]

use std::path::{Path, PathBuf};

use engine::{
    AuditPage, Database, Environment, ErrorKind, Filter, Metric, Receipt, Record, RootKey, Source, Step, Wait,
};
use lethedb_tests::world::{ROOT_KEY, on_disk};

fn vector(id: u64) -> Vec<f32> {
    (0..4).map(|i| ((id * 31 + i * 17) % 101) as f32 - 50.5).collect()
}

fn records(ids: std::ops::Range<u64>) -> impl Iterator<Item = Record> {
    ids.map(|id| Record::new(id, vector(id)).entity(format!("person-{:04}", id % 5)))
}

fn open(path: &Path) -> (Database, Environment) {
    let db = on_disk(path).open().unwrap();
    let env = db.environment("acme").unwrap();
    (db, env)
}

fn everything(env: &Environment) -> AuditPage {
    env.audit().limit(1000).run().unwrap()
}

fn actions(env: &Environment) -> Vec<String> {
    everything(env).events.into_iter().map(|event| event.action).collect()
}

fn files(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|entry| if entry.is_dir() { files(&entry) } else { vec![entry] }).collect()
}

#[test]
fn every_privileged_act_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (db, env) = open(dir.path());
    assert_eq!(everything(&env).total, 0, "to open an environment and to look tells nothing");
    let env = env.by_way_of(Source::Rest);
    let docs = env.collection("docs").dimension(4).metric(Metric::L2).create().unwrap();
    env.set_alias("current", "docs").unwrap();
    env.remove_alias("current").unwrap();
    docs.set_limits(engine::Limits { records_max: Some(1000), payload_bytes_max: None }).unwrap();
    docs.upsert(records(0..20)).unwrap();
    docs.upsert(records(20..30)).unwrap();
    docs.delete([1u64, 2]).unwrap();
    env.verify().unwrap();
    env.verify_deep().unwrap();
    env.erase("person-0003").run().unwrap();
    drop(env.drill(dir.path()).unwrap());
    env.drop_collection("docs").unwrap();
    env.hold("person-0001", "case 7").unwrap();
    assert_eq!(env.erase("person-0001").run().unwrap_err().kind(), ErrorKind::Held);
    env.release_hold("person-0001").unwrap();
    env.revoke_consent("person-0001").unwrap();
    assert_eq!(env.export_entity("person-0001").unwrap().count(), 0);
    env.rotate_kek().unwrap();
    let expected = [
        "environment.opened",
        "collection.created",
        "alias.changed",
        "alias.changed",
        "collection.changed",
        "verified",
        "verified",
        "entity.hidden",
        "records.written",
        "records.deleted",
        "entity.erased",
        "backup.drilled",
        "collection.dropped",
        "entity.held",
        "entity.released",
        "consent.revoked",
        "entity.exported",
        "keys.rotated",
    ];
    let page = everything(&env);
    let told: Vec<&str> = page.events.iter().map(|event| &*event.action).collect();
    assert_eq!(told, expected);
    assert!(page.chain_verified && page.next.is_none());
    let field = |at: usize, name: &str| page.events[at].fields.iter().find(|(of, _)| of == name).unwrap().1.clone();
    assert_eq!((field(8, "count"), field(9, "count")), ("30".into(), "2".into()), "batches are counted");
    assert_eq!((&*page.events[1].actor, page.events[1].source, page.events[1].outcome), ("host", "rest", "done"));
    assert!(page.events.iter().enumerate().all(|(at, event)| event.sequence == at as u64));
    assert_eq!(actions(&env).last().unwrap(), "audit.read", "that it was read is told as well");
    assert!(env.verify_audit(true).unwrap().through >= 19);
    drop((docs, env));
    db.close().unwrap();
    let (_db, env) = open(dir.path());
    assert_eq!(actions(&env)[..18], expected.map(str::to_owned));
}

#[test]
fn pages_are_a_naive_filter_of_all_events() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, env) = open(dir.path());
    for number in 0..40 {
        env.collection(format!("c{}", number % 7)).dimension(4).open_or_create().unwrap();
        env.by_way_of(Source::Rest).verify().unwrap();
    }
    let all = everything(&env).events;
    let (start, end) = (all[5].time_ms, all[30].time_ms);
    assert_eq!(env.audit().action("restored").run().unwrap_err().kind(), ErrorKind::Invalid, "no act is called so");
    for action in [None, Some("verified"), Some("collection.created"), Some("entity.erased")] {
        let (mut found, mut cursor) = (Vec::new(), Some(0));
        while let Some(at) = cursor.filter(|at| *at < all.len() as u64) {
            let mut asked = env.audit().start(start).end(end).actor("host").limit(3).cursor(at);
            if let Some(action) = action {
                asked = asked.action(action);
            }
            let page = asked.run().unwrap();
            assert!(page.events.len() <= 3);
            found.extend(page.events);
            cursor = page.next;
        }
        let is_asked = |event: &&engine::AuditEvent| {
            (start..end).contains(&event.time_ms)
                && event.actor == "host"
                && action.is_none_or(|action| action == event.action)
        };
        let expected: Vec<_> = all.iter().filter(is_asked).cloned().collect();
        found.retain(|event| (event.sequence as usize) < all.len());
        assert_eq!(found, expected, "{action:?}");
    }
    assert_eq!(env.audit().limit(0).run().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(env.audit().limit(1001).run().unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn an_erasure_ends_with_a_receipt_that_anyone_can_check() {
    let dir = tempfile::tempdir().unwrap();
    let (db, env) = open(dir.path());
    let docs = env.collection("docs").dimension(4).open_or_create().unwrap();
    docs.upsert(records(0..60)).unwrap();
    env.flush().unwrap();
    let plan = env.erase("person-0003").and("person-0001").dry_run().unwrap();
    assert_eq!((plan.records, plan.segments, plan.keys), (24, 1, 2));
    assert_eq!(docs.count().run().unwrap().count, 60, "a dry run changes nothing");
    let salt = [9; 32];
    let erasure =
        env.erase("person-0003").salt(salt).and("person-0001").and("person-0003").reason("request 882").run().unwrap();
    assert_eq!((erasure.records_deleted, erasure.erased.len(), erasure.salts().len()), (24, 2, 2));
    assert_eq!((erasure.salts()[0], docs.count().run().unwrap().count), (salt, 36));
    let key = env.receipt_key();
    erasure.verify(&key).unwrap();
    let receipt = erasure.receipt.as_ref().unwrap();
    let (person, other) = ["person-0003", "person-0001"].map(|id| engine::EntityId::new(id).unwrap()).into();
    assert_eq!(receipt.about(&person, &engine::Salt::from_bytes(salt)).unwrap().records, 12);
    assert!(receipt.about(&other, &engine::Salt::from_bytes(salt)).is_none());
    assert_eq!(receipt.about(&other, &engine::Salt::from_bytes(erasure.salts()[1])).unwrap().records, 12);
    assert!(!format!("{erasure:?}").contains("09, 09"), "salts are not printed");

    // It says so with the public key alone, and no changed byte of it does.
    let bytes = receipt.encode();
    Receipt::decode(&bytes).unwrap().verify(&key).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(!Receipt::decode(&changed).is_ok_and(|receipt| receipt.verify(&key).is_ok()), "byte {at}");
    }
    let (_, stranger) = open(tempfile::tempdir().unwrap().path());
    assert!(receipt.verify(&stranger.receipt_key()).is_err());

    // The graph was repaired: once upkeep has rebuilt it, the receipt says so, under the same number.
    assert_eq!((erasure.indexes_repaired, erasure.rebuilt_at), (1, None));
    assert_eq!(env.receipt(erasure.job).unwrap().receipt, *receipt);
    while env.step().unwrap() != Step::Idle {}
    let later = env.receipt(erasure.job).unwrap();
    later.receipt.verify(&key).unwrap();
    assert!(later.receipt.statement().rebuilt.is_some());
    assert_eq!((later.reason.as_deref(), &later.receipt.statement().erased), (Some("request 882"), &erasure.erased));
    assert_eq!(env.receipt(99).unwrap_err().kind(), ErrorKind::NotFound);
    drop((docs, env));
    db.close().unwrap();
    let (_db, env) = open(dir.path());
    assert_eq!(env.receipt(erasure.job).unwrap(), later);
    assert!(std::fs::read_dir(dir.path().join("env/acme/jobs")).unwrap().next().is_none(), "the job is done");
}

#[test]
fn an_erasure_may_be_answered_once_the_keys_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, env) = open(dir.path());
    let docs = env.collection("docs").dimension(4).open_or_create().unwrap();
    docs.upsert(records(0..60)).unwrap();
    env.flush().unwrap();
    let erasure = env.erase("person-0003").wait(Wait::Shred).run().unwrap();
    assert!(erasure.shredded_at >= Some(erasure.hidden_at) && erasure.purged_at.is_none() && erasure.receipt.is_none());
    assert_eq!(erasure.verify(&env.receipt_key()).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(env.receipt(erasure.job).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(docs.count().filter(Filter::entity("person-0003")).run().unwrap().count, 0);
    assert_eq!(env.step().unwrap(), Step::Purged);
    let stored = env.receipt(erasure.job).unwrap().receipt;
    stored.verify(&env.receipt_key()).unwrap();
    assert_eq!((stored.statement().purging.purged, stored.statement().records()), (1, 12));
}

#[test]
fn who_was_erased_before_or_never_here_gets_the_same_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, env) = open(dir.path());
    let docs = env.collection("docs").dimension(4).open_or_create().unwrap();
    docs.upsert(records(0..20)).unwrap();
    docs.delete([4u64, 9, 14, 19]).unwrap();
    assert_eq!(env.erase("person-0003").run().unwrap().records_deleted, 4);
    // Erased before, without records, and never seen.
    for person in ["person-0003", "person-0004", "nobody"] {
        let erasure = env.erase(person).run().unwrap();
        assert_eq!((erasure.records_deleted, erasure.erased.len()), (0, 1), "{person}");
        erasure.verify(&env.receipt_key()).unwrap();
        assert!(erasure.rebuilt_at.is_some());
    }
    let hidden = actions(&env).into_iter().filter(|action| action == "entity.hidden").count();
    assert_eq!(hidden, 4);
    assert_eq!(env.erase("").run().err().unwrap().kind(), ErrorKind::Invalid);
    assert_eq!(env.erase("a").reason("x".repeat(1025)).run().err().unwrap().kind(), ErrorKind::Invalid);
}

/// Whatever a process did not tell of its batches when it died, the next one tells, once.
#[test]
fn batches_are_told_once_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = 0;
    for round in 0..6_u64 {
        let (db, env) = open(dir.path());
        let docs = env.collection("docs").dimension(4).open_or_create().unwrap();
        docs.upsert(records(round * 10..round * 10 + 7)).unwrap();
        written += 7;
        match round % 3 {
            0 => env.flush().unwrap(),
            1 => drop(env.erase("nobody").run().unwrap()),
            _ => {}
        }
        docs.upsert(records(500..501)).unwrap();
        written += 1;
        drop((docs, env));
        if round % 2 == 0 { db.close().unwrap() } else { drop(db) }
    }
    let (_db, env) = open(dir.path());
    let told = everything(&env).events.into_iter().filter(|event| event.action == "records.written");
    let counts = told.flat_map(|event| event.fields).filter(|(name, _)| name == "count");
    assert_eq!(counts.map(|(_, count)| count.parse::<u64>().unwrap()).sum::<u64>(), written);
}

#[test]
fn a_person_has_one_name_in_the_log_from_the_first_event_to_the_erasure() {
    let dir = tempfile::tempdir().unwrap();
    let (db, env) = open(dir.path());
    let docs = env.collection("docs").dimension(4).metric(Metric::L2).create().unwrap();
    // In memory alone, and with the key of a collection that goes.
    docs.upsert(records(0..5)).unwrap();
    let owners = |db: &Database| {
        let status = db.key_status().unwrap();
        status.environments.iter().find(|env| env.name == "acme").unwrap().owners
    };
    let before = owners(&db);
    let named = |env: &Environment, action: &str| -> Vec<String> {
        let events = env.audit().action(action).limit(1000).run().unwrap().events;
        events.into_iter().filter_map(|event| event.resource).collect()
    };
    let export = |env: &Environment, who: &str| {
        assert!(env.export_entity(who).unwrap().all(|record| record.is_ok()));
        named(env, "entity.exported").pop().unwrap()
    };
    let name = export(&env, "person-0001");
    assert_eq!(export(&env, "person-0001"), name);
    assert_ne!(export(&env, "person-0002"), name);
    for _ in 0..2 {
        env.hold("person-0001", "case 7").unwrap();
        env.release_hold("person-0001").unwrap();
    }
    let listed: std::collections::BTreeSet<String> =
        named(&env, "entity.held").into_iter().chain(named(&env, "entity.released")).collect();
    assert!(listed.len() == 1 && !listed.contains(&name), "one of lists, and another than of all else: {listed:?}");
    assert_eq!(owners(&db), before + 2, "of those alone who were named");
    // Who is not here leaves nothing here, and so has a name of their own each time.
    assert_ne!(export(&env, "nobody"), export(&env, "nobody"));
    assert_eq!(owners(&db), before + 2);
    // Neither a restart, nor a flush, nor keys that go make it another.
    drop((docs, env));
    db.close().unwrap();
    let (db, env) = open(dir.path());
    assert_eq!(export(&env, "person-0001"), name);
    let spare = env.collection("spare").dimension(4).metric(Metric::L2).create().unwrap();
    spare.upsert(records(0..5).filter(|record| record.entity_id() == Some("person-0004"))).unwrap();
    env.flush().unwrap();
    assert_eq!(export(&env, "person-0001"), name);
    env.open_collection("docs").unwrap().upsert([Record::new(90, vector(90)).entity("late")]).unwrap();
    let late = export(&env, "late");
    env.drop_collection("spare").unwrap();
    env.rotate_kek().unwrap();
    assert_eq!(export(&env, "late"), late, "an entry that has no keys yet outlives those of others");
    // It dies with whom it names, whether they have keys or not.
    for (who, name) in [("person-0001", name), ("late", late)] {
        let before = owners(&db);
        env.erase(who).run().unwrap();
        assert_eq!(named(&env, "entity.hidden").pop(), Some(name.clone()));
        assert_eq!(owners(&db), before - 1, "{who}");
        assert_ne!(export(&env, who), name);
        env.open_collection("docs").unwrap().upsert([Record::new(91, vector(91)).entity(who)]).unwrap();
        assert_ne!(export(&env, who), name, "nor does it come back with them");
    }
}

#[test]
fn nobody_is_named_in_the_log_its_files_and_the_receipts() {
    let dir = tempfile::tempdir().unwrap();
    let (db, env) = open(dir.path());
    let docs = env.collection("docs").dimension(4).open_or_create().unwrap();
    docs.upsert(records(0..60)).unwrap();
    env.flush().unwrap();
    let receipt = env.erase("person-0003").salt([7; 32]).run().unwrap().receipt.unwrap();
    let page = serde_json::to_string(&everything(&env)).unwrap();
    let view = serde_json::to_string(&receipt.view()).unwrap();
    assert!(!page.contains("person-") && !view.contains("person-"));
    assert!(!receipt.encode().windows(7).any(|window| window == b"person-"));
    drop((docs, env));
    db.close().unwrap();
    for file in files(dir.path()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"person-"), "{}", file.display());
        assert!(!bytes.windows(32).any(|window| window == [7; 32]), "a salt is in {}", file.display());
    }
}

/// The whole store with its audit log cut, put back or replaced: it does not open, and says why.
#[test]
fn a_store_whose_log_was_tampered_with_does_not_open() {
    let (dir, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (db, env) = open(dir.path());
    env.collection("docs").dimension(4).open_or_create().unwrap();
    drop(env);
    db.close().unwrap();
    let audit = dir.path().join("env/acme/audit");
    for file in files(&audit) {
        std::fs::copy(&file, old.path().join(file.file_name().unwrap())).unwrap();
    }
    let (db, env) = open(dir.path());
    env.collection("notes").dimension(4).open_or_create().unwrap();
    drop(env);
    db.close().unwrap();
    let refused = || {
        let error = on_disk(dir.path()).open().unwrap().environment("acme").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        error.to_string()
    };
    let whole: Vec<(PathBuf, Vec<u8>)> =
        files(&audit).into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect();
    whole.iter().for_each(|(file, _)| std::fs::remove_file(file).unwrap());
    assert!(refused().contains("audit log was cut"));
    for file in files(old.path()) {
        std::fs::copy(&file, audit.join(file.file_name().unwrap())).unwrap();
    }
    assert!(refused().contains("audit log was cut or an older one was put back"));
    files(&audit).into_iter().for_each(|file| std::fs::remove_file(file).unwrap());
    whole.iter().for_each(|(file, bytes)| std::fs::write(file, bytes).unwrap());
    let (_db, env) = open(dir.path());
    assert_eq!(actions(&env).iter().filter(|action| *action == "collection.created").count(), 2);
}

/// Each anchor store alone is enough to find out that an older log was put back.
#[test]
fn every_anchor_store_keeps_the_newest_checkpoint() {
    for kept in ["first", "second"] {
        let dir = tempfile::tempdir().unwrap();
        let vault = |name: &str| dir.path().join(name);
        let data = vault("data");
        let open = || on_disk(&data).anchor_dir(vault("first")).anchor_dir(vault("second")).open().unwrap();
        let make = |name: &str| {
            let db = open();
            db.environment("acme").unwrap().collection(name).dimension(4).open_or_create().unwrap();
            db.close().unwrap();
        };
        let audit = data.join("env/acme/audit");
        make("docs");
        let older: Vec<(PathBuf, Vec<u8>)> =
            files(&audit).into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect();
        make("notes");
        files(&audit).into_iter().for_each(|file| std::fs::remove_file(file).unwrap());
        older.into_iter().for_each(|(file, bytes)| std::fs::write(file, bytes).unwrap());
        for name in ["first", "second"].into_iter().filter(|name| *name != kept) {
            let is_checkpoint = |file: &PathBuf| file.to_string_lossy().contains("checkpoint-");
            files(&vault(name)).into_iter().filter(is_checkpoint).for_each(|file| std::fs::remove_file(file).unwrap());
        }
        let error = open().environment("acme").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{kept}: {error}");
    }
}

/// Keys come and go above the environment; each environment tells what it meant for it.
#[test]
fn a_root_key_that_is_replaced_at_opening_or_given_by_shares_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (db, env) = open(dir.path());
    env.rotate_kek().unwrap();
    let shares = db.split_root_key(2, 3).unwrap();
    drop(env);
    db.close().unwrap();

    let told = |env: &Environment, action: &str| actions(env).iter().filter(|told| *told == action).count();
    let db = on_disk(dir.path()).root_key(RootKey::shares(shares.into_iter().take(2).collect())).open().unwrap();
    let env = db.open_environment("acme").unwrap();
    assert_eq!((told(&env, "keys.unsealed"), told(&env, "keys.root.rotated")), (1, 0));
    drop(env);
    db.close().unwrap();

    let next = || on_disk(dir.path()).root_key(RootKey::bytes([8; 32]));
    let db = next().previous_root_key(RootKey::bytes(ROOT_KEY)).open().unwrap();
    let env = db.open_environment("acme").unwrap();
    assert_eq!((told(&env, "keys.unsealed"), told(&env, "keys.root.rotated")), (1, 1));
    // What opening did is told once, and is no news to whoever finishes the rotation.
    assert_eq!(db.finish_rotation().unwrap(), 0);
    assert_eq!(told(&env, "keys.root.rotated"), 1);
    assert_eq!(db.rotate_root_key(&RootKey::bytes([9; 32])).unwrap(), 1);
    assert_eq!(told(&env, "keys.root.rotated"), 2);
}
