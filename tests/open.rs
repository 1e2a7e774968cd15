//! What stands in the way of opening: each obstacle has its own clear error, and nothing on disk changes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "damages files on purpose")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::{Database, Environment, Error, ErrorKind, Record, RootKey};
use lethedb_tests::world::on_disk;

fn records(from: u64, count: u64) -> impl Iterator<Item = Record> {
    (from..from + count).map(|id| Record::new(id, vec![id as f32, 1.0, -2.0]).entity(format!("owner-{}", id % 7)))
}

/// A store with two flushed segments, tombstones and a log with writes in it.
fn furnish(path: &Path) {
    let db = on_disk(path).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(3).open_or_create().unwrap();
    docs.upsert(records(1, 40)).unwrap();
    env.flush().unwrap();
    docs.upsert(records(30, 40)).unwrap();
    env.flush().unwrap();
    docs.upsert(records(65, 10)).unwrap();
    docs.delete([1u64, 2]).unwrap();
    db.close().unwrap();
}

fn tree(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() {
            files.extend(tree(&entry));
        } else if entry.file_name().unwrap() != "LOCK" {
            files.insert(entry.clone(), std::fs::read(&entry).unwrap());
        }
    }
    files
}

fn find(path: &Path, what: impl Fn(&str) -> bool) -> PathBuf {
    let mut names: Vec<PathBuf> = tree(path).into_keys().filter(|p| what(p.to_str().unwrap())).collect();
    names.sort();
    names.pop().expect("the file exists")
}

fn open(path: &Path) -> Result<(Database, Environment), Error> {
    let db = on_disk(path).open()?;
    let env = db.open_environment("acme")?;
    Ok((db, env))
}

fn refusal(path: &Path) -> Error {
    let before = tree(path);
    let error = match open(path) {
        Err(error) => error,
        Ok(_) => panic!("the damage is met at opening"),
    };
    assert!(tree(path) == before, "a refused open changed the disk: {error}");
    error
}

#[test]
fn everything_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    furnish(dir.path());
    for _ in 0..3 {
        let (db, env) = open(dir.path()).unwrap();
        let docs = env.open_collection("docs").unwrap();
        assert_eq!(docs.count().run().unwrap().count, 72);
        assert!(docs.get(1u64).unwrap().is_none());
        assert_eq!(docs.get(74u64).unwrap().unwrap().entity_id(), Some("owner-4"));
        assert_eq!(env.verify().unwrap().problems, vec![]);
        db.close().unwrap();
    }
}

#[test]
fn the_wrong_root_key_is_told_from_damage() {
    let dir = tempfile::tempdir().unwrap();
    furnish(dir.path());
    let before = tree(dir.path());
    let db = on_disk(dir.path()).root_key(RootKey::bytes([8; 32])).open().unwrap();
    let error = db.open_environment("acme").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert!(error.to_string().contains("fingerprint"), "{error}");
    assert!(tree(dir.path()) == before);
}

#[test]
fn a_missing_root_key_says_where_it_should_be() {
    let dir = tempfile::tempdir().unwrap();
    furnish(dir.path());
    let before = tree(dir.path());
    for source in [RootKey::from_env("LETHEDB_TEST_UNSET"), RootKey::file(dir.path().join("no-such-key"))] {
        let error = on_disk(dir.path()).root_key(source).open().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    }
    assert!(tree(dir.path()) == before);
}

#[test]
fn damage_names_the_file() {
    for (what, name) in [("MANIFEST", "MANIFEST-"), ("root page", "root-"), ("log", ".wal")] {
        let dir = tempfile::tempdir().unwrap();
        furnish(dir.path());
        let victim = find(dir.path(), |path| path.contains(name));
        let mut bytes = std::fs::read(&victim).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        std::fs::write(&victim, bytes).unwrap();
        let error = refusal(dir.path());
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        assert!(error.to_string().contains(victim.file_name().unwrap().to_str().unwrap()), "{what}: {error}");
    }
}

#[test]
fn a_damaged_segment_is_left_out_never_silently() {
    for name in [".rec", ".idx"] {
        let dir = tempfile::tempdir().unwrap();
        furnish(dir.path());
        let victim = find(dir.path(), |path| path.ends_with(name));
        let mut bytes = std::fs::read(&victim).unwrap();
        let at = bytes.len() - 60;
        bytes[at] ^= 1;
        std::fs::write(&victim, bytes).unwrap();
        let (_db, env) = open(dir.path()).unwrap();
        let docs = env.open_collection("docs").unwrap();
        let found = docs.search(&[1.0, 2.0, 3.0]).limit(100).run().unwrap();
        assert_eq!((found.partial, found.len() < 72), (name == ".rec", name == ".rec"), "{name}");
        let named = found.damaged.iter().all(|path| path.ends_with(victim.file_stem().unwrap().to_str().unwrap()));
        assert!(named && found.damaged.len() == usize::from(found.partial), "{name}: {:?}", found.damaged);
    }
}

#[test]
fn missing_files_are_named() {
    for name in [".wal", "root-", "MANIFEST-", "lethedb.json"] {
        let dir = tempfile::tempdir().unwrap();
        furnish(dir.path());
        std::fs::remove_file(find(dir.path(), |path| path.contains(name))).unwrap();
        let error = refusal(dir.path());
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::KeyUnavailable), "{name}: {error}");
    }
}

#[test]
fn a_missing_index_is_rebuilt_from_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    furnish(dir.path());
    std::fs::remove_file(find(dir.path(), |path| path.ends_with(".idx"))).unwrap();
    let (_db, env) = open(dir.path()).unwrap();
    let docs = env.open_collection("docs").unwrap();
    assert_eq!(docs.count().run().unwrap().count, 72);
    assert_eq!(docs.search(&[60.0, 1.0, -2.0]).run().unwrap().len(), 10);
    assert_eq!(env.verify().unwrap().problems, vec![]);
}

#[test]
fn another_format_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    furnish(dir.path());
    let identity = dir.path().join("lethedb.json");
    let text = std::fs::read_to_string(&identity).unwrap();
    for other in ["1", "3"] {
        let of_other = text.replace("\"format\": 2", &format!("\"format\": {other}"));
        assert_ne!(of_other, text);
        std::fs::write(&identity, of_other).unwrap();
        let error = refusal(dir.path());
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(&format!("format {other}")), "{error}");
    }
}

#[test]
fn a_second_opener_is_told_who_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let _first = on_disk(dir.path()).open().unwrap();
    let error = on_disk(dir.path()).open().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
}

#[test]
fn a_store_that_may_not_be_made_is_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none");
    let error = on_disk(&path).create(false).open().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(!path.exists());
}

#[test]
fn the_lock_outlives_the_database_handle_but_not_close() {
    let dir = tempfile::tempdir().unwrap();
    let db = on_disk(dir.path()).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(3).open_or_create().unwrap();
    drop(db);
    docs.upsert(records(1, 3)).unwrap();
    assert_eq!(on_disk(dir.path()).open().err().unwrap().kind(), ErrorKind::Busy);
    drop((env, docs));
    let db = on_disk(dir.path()).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.open_collection("docs").unwrap();
    db.close().unwrap();
    assert_eq!(docs.upsert(records(1, 3)).err().unwrap().kind(), ErrorKind::Closed);
    assert_eq!(env.flush().err().unwrap().kind(), ErrorKind::Closed);
    assert_eq!(env.erase("owner-1").run().err().unwrap().kind(), ErrorKind::Closed);
    assert!(on_disk(dir.path()).open().is_ok());
}

#[test]
#[cfg(target_os = "linux")]
fn a_place_that_takes_no_directory_is_an_error() {
    let error = on_disk(Path::new("/proc/lethedb/data")).open().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
}
