//! A witness holds every row of every directory against the keyring, and is not fooled by what it finds there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "copies and damages files")]

use std::fs;
use std::path::{Path, PathBuf};

use engine::{Archive, ErrorKind, Record, RootKey, RowFates, Step, Witness};
use lethedb_tests::copied::copy;
use lethedb_tests::world::{ROOT_KEY, on_disk};
use serde_json::json;

const GONE: &str = "person-who-left";

fn record(id: u64) -> Record {
    let owner = if id.is_multiple_of(5) { GONE } else { "person-who-stays" };
    Record::new(id, vec![id as f32, 1.0]).entity(owner).payload(json!({ "note": format!("canary of {owner}") }))
}

/// A store of 50 rows in two segments, 10 of them somebody's who is then erased, and a copy from before.
fn erased(dir: &Path) -> (PathBuf, PathBuf) {
    let (live, old) = (dir.join("live"), dir.join("backups").join("old"));
    let db = on_disk(&live).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    for from in [0, 25] {
        docs.upsert((from..from + 25).map(record)).unwrap();
        env.flush().unwrap();
    }
    copy(&live, &old, None);
    env.erase(GONE).run().unwrap();
    while env.step().unwrap() != Step::Idle {}
    db.close().unwrap();
    (live, old)
}

fn witness(data: &Path) -> Witness {
    Witness::open(data, &[], "acme", &RootKey::bytes(ROOT_KEY)).unwrap()
}

fn look(witness: &Witness, dir: &Path) -> (RowFates, bool) {
    let mut sees = false;
    let fates = witness.rows(dir, &mut |plain| sees |= plain.windows(GONE.len()).any(|part| part == GONE.as_bytes()));
    (fates.unwrap(), sees)
}

#[test]
fn rows_of_the_erased_open_for_nobody_in_any_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (live, old) = erased(dir.path());
    let witness = witness(&live);
    let (fates, sees) = look(&witness, &live);
    assert_eq!((fates.opened, fates.destroyed, fates.unexplained, sees), (40, 0, 0, false));
    // From a directory above it, which holds the copy somewhere.
    let (fates, sees) = look(&witness, old.parent().unwrap());
    assert_eq!((fates.files, fates.opened, fates.destroyed, fates.unexplained, sees), (2, 40, 10, 0, false));
    assert_eq!(fates.unreadable, Vec::<String>::new());
}

/// A copy that took the anchors along is not reached by an erasure, which is told; one without them is.
#[test]
fn an_anchor_that_was_copied_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (live, old) = erased(dir.path());
    let witness = witness(&live);
    assert_eq!(witness.anchors_before(&live, u64::MAX).unwrap().len(), 1, "that of the keyring itself");
    let beside = fs::read_dir(live.join("anchors/acme")).unwrap().map(|entry| entry.unwrap().file_name());
    // A checkpoint lies there, too.
    let epoch: u64 = beside.into_iter().find_map(|name| name.to_str()?.parse().ok()).unwrap();
    assert_eq!(witness.anchors_before(&live, epoch).unwrap(), Vec::<String>::new());
    for place in [old.as_path(), &old.join("anchors"), &old.join("anchors/acme"), old.parent().unwrap()] {
        assert_eq!(witness.anchors_before(place, epoch).unwrap().len(), 1, "{}", place.display());
    }
    fs::remove_dir_all(old.join("anchors")).unwrap();
    assert_eq!(witness.anchors_before(&old, epoch).unwrap(), Vec::<String>::new());
}

/// An archive of backups is read by its lists, each file once; what they do not name and what is damaged is told.
#[test]
fn rows_in_backups_are_held_against_the_keyring() {
    let dir = tempfile::tempdir().unwrap();
    let (live, archive) = (dir.path().join("live"), dir.path().join("archive"));
    let db = on_disk(&live).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    let backup = || env.backup(&Archive::create(&archive).unwrap()).unrecoverable(true).run().unwrap();
    docs.upsert((0..25).map(record)).unwrap();
    backup();
    docs.upsert((25..50).map(record)).unwrap();
    backup();
    env.erase(GONE).run().unwrap();
    db.close().unwrap();
    let witness = witness(&live);
    let (fates, sees) = look(&witness, &archive);
    assert_eq!((fates.backups, fates.opened, fates.destroyed, fates.unexplained, sees), (2, 40, 10, 0, false));
    assert_eq!(fates.unreadable, Vec::<String>::new());

    let place = archive.join("env/acme");
    fs::write(place.join("rec").join(format!("{}.rec", "ab".repeat(32))), b"somebody").unwrap();
    assert_eq!(look(&witness, &archive).0.unreadable.len(), 1);
    let list = place.join("00000000000000000002.backup");
    let mut bytes = fs::read(&list).unwrap();
    bytes[60] ^= 1;
    fs::write(&list, bytes).unwrap();
    // The rows that only the second one named are not explained by anything any more.
    let (fates, _) = look(&witness, &archive);
    assert!(fates.backups == 1 && fates.opened + fates.destroyed == 25 && fates.unreadable.len() > 2, "{fates:?}");
}

/// The same look, before anybody was erased: it sees them.
#[test]
fn a_witness_sees_who_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let db = on_disk(dir.path()).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = env.collection("docs").dimension(2).open_or_create().unwrap();
    docs.upsert((0..25).map(record)).unwrap();
    env.flush().unwrap();
    db.close().unwrap();
    let (fates, sees) = look(&witness(dir.path()), dir.path());
    assert_eq!((fates.opened, fates.destroyed, sees), (25, 0, true));
}

#[test]
fn what_is_damaged_or_of_another_store_is_not_explained_away() {
    let dir = tempfile::tempdir().unwrap();
    let (live, old) = erased(dir.path());
    let other = tempfile::tempdir().unwrap();
    erased(other.path());
    let witness = witness(&live);
    let (fates, _) = look(&witness, other.path());
    assert!(fates.opened == 0 && !fates.unreadable.is_empty(), "{fates:?}");
    assert_eq!(witness.fates([[7; 16]]).unknown, 1);

    let segments = old.join("env/acme/seg");
    let rows = fs::read_dir(&segments).unwrap().map(|entry| entry.unwrap().path());
    let file = rows.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "rec")).unwrap();
    let sound = fs::read(&file).unwrap();
    let mut told = 0;
    for at in (0..sound.len()).step_by(97) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        let (fates, sees) = look(&witness, &old);
        assert!(!sees && fates.opened + fates.destroyed + fates.unexplained <= 50);
        told += u64::from(fates.unexplained > 0 || !fates.unreadable.is_empty());
    }
    assert!(told > 0, "no damage was told");
}

#[test]
fn a_witness_needs_the_live_keyring() {
    let dir = tempfile::tempdir().unwrap();
    let (live, old) = erased(dir.path());
    let kind = |data: &Path, anchors: Option<&Path>, key: [u8; 32]| {
        Witness::open(data, &anchors.map(Path::to_owned).into_iter().collect::<Vec<_>>(), "acme", &RootKey::bytes(key))
            .err()
            .map(|error| error.kind())
    };
    assert_eq!(kind(&live, None, ROOT_KEY), None);
    assert_eq!(kind(&live, None, [8; 32]), Some(ErrorKind::KeyUnavailable));
    assert_eq!(kind(&old, Some(&live.join("anchors")), ROOT_KEY), Some(ErrorKind::KeyUnavailable));
    assert_eq!(kind(&dir.path().join("nowhere"), None, ROOT_KEY), Some(ErrorKind::NotFound));
}
