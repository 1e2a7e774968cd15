//! A person is forgotten: in every read path, in every live file, and in a copy made before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "copies directories and looks into files")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Collection, DrillReport, Environment, ErrorKind, Filter, Record, RecordId, Step};
use lethedb_tests::copied::copy;
use lethedb_tests::world::{on_disk, over};
use storage::backend::Faulty;
use storage::backend::faulty::{Crash, Fault, FaultKind};

fn vector(id: u64) -> Vec<f32> {
    (0..8).map(|i| ((id * 31 + i * 17) % 101) as f32 - 50.5).collect()
}

fn owner(id: u64) -> String {
    format!("person-{:04}", id % 10)
}

fn records(from: u64, count: u64) -> impl Iterator<Item = Record> {
    (from..from + count).map(|id| {
        Record::new(id, vector(id)).entity(owner(id)).payload(serde_json::json!({ "note": format!("canary-{id:06}") }))
    })
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() { found.extend(files(&entry)) } else { found.push(entry) }
    }
    found
}

/// Files below `path` that hold one of `needles`.
fn leaks(path: &Path, needles: &[Vec<u8>]) -> Vec<PathBuf> {
    let holds = |file: &PathBuf| {
        let bytes = std::fs::read(file).unwrap();
        needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle.as_slice()))
    };
    files(path).into_iter().filter(holds).collect()
}

fn needles() -> Vec<Vec<u8>> {
    let mut needles: Vec<Vec<u8>> = vec![b"canary-".to_vec(), b"person-".to_vec()];
    needles.extend((1..60).map(|id| vector(id).iter().take(4).flat_map(|x| x.to_le_bytes()).collect()));
    needles
}

fn forgotten(env: &Environment, docs: &Collection, person: &str, ids: &[u64]) {
    assert_eq!(docs.count().filter(Filter::entity(person)).run().unwrap().count, 0);
    assert!(docs.scroll().filter(Filter::entity(person)).run().unwrap().records.is_empty());
    let everything = docs.scroll().limit(1000).run().unwrap().records;
    assert!(everything.iter().all(|record| record.entity_id() != Some(person)));
    for id in ids {
        assert!(docs.get(*id).unwrap().is_none(), "record {id}");
        for exact in [false, true] {
            let hits = docs.search(&vector(*id)).limit(20).exact(exact).run().unwrap();
            assert!(hits.iter().all(|hit| hit.id != RecordId::Num(*id) && hit.entity.as_deref() != Some(person)));
            let only = docs.search(&vector(*id)).filter(Filter::entity(person)).exact(exact).run().unwrap();
            assert!(only.is_empty());
        }
    }
    assert_eq!(env.verify().unwrap().problems, vec![]);
}

#[test]
fn an_erased_person_is_in_no_read_no_file_and_no_old_copy() {
    let (live, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = on_disk(live.path()).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(8).open_or_create().unwrap();
    docs.upsert(records(0, 100)).unwrap();
    env.flush().unwrap();
    docs.upsert(records(90, 60)).unwrap();
    env.flush().unwrap();
    docs.upsert(records(145, 20)).unwrap();
    copy(live.path(), old.path(), Some("anchors"));
    assert_eq!(leaks(live.path(), &needles()), Vec::<PathBuf>::new());

    let erasure = env.erase("person-0003").reason("request 882").run().unwrap();
    let ids: Vec<u64> = (0..165).filter(|id| id % 10 == 3).collect();
    assert_eq!(erasure.records_deleted, ids.len() as u64);
    assert_eq!((erasure.segments_purged, erasure.indexes_repaired, erasure.rebuilt_at), (2, 2, None));
    assert!(Some(erasure.hidden_at) <= erasure.shredded_at && erasure.shredded_at <= erasure.purged_at);
    forgotten(&env, &docs, "person-0003", &ids);
    assert_eq!(docs.count().run().unwrap().count, 165 - ids.len() as u64);
    while env.step().unwrap() != Step::Idle {}
    assert_eq!(docs.info().repaired_segments, 0);
    forgotten(&env, &docs, "person-0003", &ids);

    // The copy has its own keyring and the right root key, and still does not open.
    let error = on_disk(old.path()).open().unwrap().open_environment("acme").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    // Not with the live anchors either: the one it needs is destroyed.
    let stolen = on_disk(old.path()).anchor_dir(live.path().join("anchors")).open().unwrap();
    assert_eq!(stolen.open_environment("acme").err().unwrap().kind(), ErrorKind::KeyUnavailable);
    drop(stolen);

    let mut drill = env.drill(old.path()).unwrap();
    let opened: Vec<(String, Record)> = drill.records().map(Result::unwrap).collect();
    assert!(opened.iter().all(|(name, record)| name == "docs" && record.entity_id() != Some("person-0003")));
    assert!(opened.iter().all(|(_, record)| {
        let RecordId::Num(id) = record.id() else { panic!("ids are numbers here") };
        record.vector() == vector(id)
    }));
    let report = drill.report();
    // 160 rows were flushed; those of ids 90 to 99 twice, and the first of each pair was superseded.
    assert_eq!(report, DrillReport { rows: 160, opened: 135, erased: 15, superseded: 10 });
    for directory in [live.path(), old.path()] {
        assert_eq!(leaks(directory, &needles()), Vec::<PathBuf>::new());
    }

    db.close().unwrap();
    let db = on_disk(live.path()).open().unwrap();
    let env = db.open_environment("acme").unwrap();
    forgotten(&env, &env.open_collection("docs").unwrap(), "person-0003", &ids);
}

#[test]
fn the_leak_scan_bites() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plain"), [b"xx".as_slice(), &needles()[5], b"yy"].concat()).unwrap();
    assert_eq!(leaks(dir.path(), &needles()).len(), 1);
}

#[test]
fn a_person_may_come_back_under_a_new_key_and_old_copies_stay_dead() {
    let (live, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = on_disk(live.path()).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(8).open_or_create().unwrap();
    docs.upsert(records(0, 50)).unwrap();
    env.flush().unwrap();
    copy(live.path(), old.path(), Some("anchors"));
    env.erase("person-0001").run().unwrap();
    docs.upsert([Record::new(1u64, vector(1)).entity("person-0001")]).unwrap();
    env.flush().unwrap();
    assert_eq!(docs.count().filter(Filter::entity("person-0001")).run().unwrap().count, 1);
    let mut drill = env.drill(old.path()).unwrap();
    assert!(drill.records().map(Result::unwrap).all(|(_, record)| record.entity_id() != Some("person-0001")));
    assert_eq!(drill.report().erased, 5);
}

#[test]
fn replaced_and_deleted_rows_of_a_person_go_too() {
    let dir = tempfile::tempdir().unwrap();
    let db = on_disk(dir.path()).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(8).open_or_create().unwrap();
    docs.upsert(records(0, 30)).unwrap();
    env.flush().unwrap();
    // Record 3 passes to another person, who is then erased: the first owner's version must not return.
    docs.upsert([Record::new(3u64, vector(7)).entity("someone-else")]).unwrap();
    assert_eq!(env.erase("someone-else").run().unwrap().records_deleted, 1);
    assert!(docs.get(3u64).unwrap().is_none());
    drop(docs);
    drop(env);
    db.close().unwrap();
    let db = on_disk(dir.path()).open().unwrap();
    let env = db.open_environment("acme").unwrap();
    let docs = env.open_collection("docs").unwrap();
    assert!(docs.get(3u64).unwrap().is_none(), "a superseded version came back");
    // The dead row of record 3 still belongs to person-0003 and is purged with the others.
    assert_eq!(env.erase("person-0003").run().unwrap().records_deleted, 2);
    assert_eq!(docs.count().run().unwrap().count, 27);
}

#[test]
fn erasing_a_stranger_looks_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let db = on_disk(dir.path()).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(8).open_or_create().unwrap();
    docs.upsert(records(0, 30)).unwrap();
    assert_eq!(env.erase("nobody").run().unwrap().records_deleted, 0);
    assert_eq!(docs.count().run().unwrap().count, 30);
    assert_eq!(env.erase("").run().err().unwrap().kind(), ErrorKind::Invalid);
}

#[test]
fn a_dropped_collection_takes_its_keys_along() {
    let (live, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = on_disk(live.path()).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(8).open_or_create().unwrap();
    let kept = env.collection("kept").dimension(8).open_or_create().unwrap();
    docs.upsert(records(0, 20)).unwrap();
    kept.upsert(records(0, 20)).unwrap();
    env.flush().unwrap();
    copy(live.path(), old.path(), Some("anchors"));
    assert!(env.drop_collection("docs").unwrap());
    assert!(!env.drop_collection("docs").unwrap());
    let mut drill = env.drill(old.path()).unwrap();
    assert!(drill.records().map(Result::unwrap).all(|(name, _)| name == "kept"));
    assert_eq!((drill.report().opened, drill.report().erased), (20, 20));
    assert_eq!(env.collection("docs").dimension(5).open_or_create().unwrap().count().run().unwrap().count, 0);
    assert_eq!(kept.count().run().unwrap().count, 20);
}

/// An erasure that failed before its epoch goes on later. What is written meanwhile came after it, so it must not be sealed
/// under the key that is about to go.
#[test]
fn what_is_written_after_an_erasure_that_failed_half_way_is_kept() {
    const PERSON: &str = "person-0003";
    let mut half_way = 0;
    for after in 0..60 {
        let disk = Faulty::new();
        let open = |seed| over(Arc::new(disk.clone()), seed).open().unwrap();
        let db = open(1);
        let env = db.environment("acme").unwrap();
        let docs = env.collection("docs").dimension(8).open_or_create().unwrap();
        docs.upsert(records(0, 20)).unwrap();
        env.flush().unwrap();
        disk.fail(Some(Fault { at: disk.operations() + after, kind: FaultKind::TooManyFiles, sticky: false }));
        let failed = env.erase(PERSON).run().is_err();
        disk.fail(None);
        let was_hidden = docs.count().filter(Filter::entity(PERSON)).run().unwrap().count == 0;
        if docs.upsert([Record::new(100u64, vector(100)).entity(PERSON)]).is_err() {
            // What failed was a sync, after which nothing is taken in before a restart.
            continue;
        }
        half_way += u64::from(failed && was_hidden);
        env.flush().unwrap();
        let found = |env: &Environment| {
            let docs = env.open_collection("docs").unwrap();
            (docs.get(100u64).unwrap().is_some(), docs.get(3u64).unwrap().is_none())
        };
        assert_eq!(found(&env), (true, was_hidden), "{after}");
        drop((docs, env));
        db.close().unwrap();
        let env = open(2).environment("acme").unwrap();
        assert_eq!((found(&env), env.verify().unwrap().problems), ((true, was_hidden), vec![]), "{after}");
    }
    assert!(half_way > 0, "no erasure failed half-way");
}

/// What others have in no segment yet goes into another log, since the old one's key goes: a process that dies right after
/// the erasure finds it there.
#[test]
fn records_of_others_in_the_log_outlive_an_erasure_and_a_crash() {
    let disk = Faulty::new();
    let open = |disk: &Faulty, seed| over(Arc::new(disk.clone()), seed).open().unwrap();
    let db = open(&disk, 1);
    let env = db.environment("acme").unwrap();
    env.collection("docs").dimension(8).open_or_create().unwrap().upsert(records(0, 20)).unwrap();
    env.erase("person-0003").run().unwrap();
    for crash in [Crash::Process, Crash::DropAll, Crash::KeepAll] {
        let db = open(&Faulty::on(disk.medium().crashed(crash)), 2);
        let docs = db.environment("acme").unwrap().open_collection("docs").unwrap();
        assert_eq!(docs.count().run().unwrap().count, 18, "{crash:?}");
        assert!((0..20).all(|id| docs.get(id).unwrap().is_some() == (id % 10 != 3)), "{crash:?}");
    }
}
