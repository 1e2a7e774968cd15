//! The simulated disk forgets exactly what the contract lets it forget.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::*;
use crate::backend::StorageBackend;

fn everything() -> Vec<Crash> {
    let seeded = (0..64).flat_map(|seed| [Crash::Subset(seed), Crash::Torn(seed), Crash::Ahead(seed)]);
    seeded.chain([Crash::Process, Crash::DropAll, Crash::KeepAll]).chain((0..8).map(Crash::Prefix)).collect()
}

/// What the file `path` may hold after a crash; `None` where it may be missing.
fn outcomes(disk: &Faulty, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    everything().into_iter().map(|crash| disk.medium().crashed(crash).read(path).ok()).collect()
}

fn some(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

#[test]
fn contents_and_names_are_durable_apart() {
    let disk = Faulty::new();
    let mut file = disk.create("a").unwrap();
    file.append(b"one").unwrap();
    let all = [None, some(b""), some(b"one"), some(b"\0\0\0")];
    assert_eq!(outcomes(&disk, "a"), BTreeSet::from(all));
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, "a"), BTreeSet::from([None, some(b"one")]), "the name is not durable yet");
    disk.sync_dir("").unwrap();
    assert_eq!(outcomes(&disk, "a"), BTreeSet::from([some(b"one")]));
    let mut other = disk.create("b").unwrap();
    other.append(b"x").unwrap();
    disk.sync_dir("").unwrap();
    assert_eq!(outcomes(&disk, "b"), BTreeSet::from([some(b""), some(b"x"), some(b"\0")]), "the contents are not");
}

#[test]
fn a_rename_is_old_or_new_and_a_removal_may_come_back() {
    let disk = Faulty::new();
    disk.create("old").unwrap();
    disk.sync_dir("").unwrap();
    disk.rename("old", "new").unwrap();
    for crash in everything() {
        let medium = disk.medium().crashed(crash);
        assert_eq!(medium.paths().count(), 1, "{crash:?}");
    }
    disk.sync_dir("").unwrap();
    disk.remove("new").unwrap();
    assert_eq!(outcomes(&disk, "new"), BTreeSet::from([None, some(b"")]));
    disk.sync_dir("").unwrap();
    assert_eq!(outcomes(&disk, "new"), BTreeSet::from([None]));
}

#[test]
fn writes_tear_at_sectors_and_may_leave_holes() {
    let disk = Faulty::new();
    let mut file = disk.create("a").unwrap();
    file.append(&[1; 700]).unwrap();
    disk.sync_dir("").unwrap();
    let torn: BTreeSet<Vec<u8>> =
        (0..64).map(|seed| disk.medium().crashed(Crash::Torn(seed)).read("a").unwrap()).collect();
    let (mut first, mut second) = (vec![1; 512], vec![0; 512]);
    second.resize(700, 1);
    assert_eq!(torn, BTreeSet::from([vec![], vec![1; 700], std::mem::take(&mut first), second]));
}

#[test]
fn what_lies_in_a_lost_directory_is_lost() {
    let disk = Faulty::new();
    disk.create_dir("a/b").unwrap();
    let mut file = disk.create("a/b/c").unwrap();
    file.append(b"x").unwrap();
    file.sync().unwrap();
    disk.sync_dir("a/b").unwrap();
    assert_eq!(outcomes(&disk, "a/b/c"), BTreeSet::from([some(b"x")]));
    assert_eq!(disk.medium().pending(), 0);
}

#[test]
fn a_failed_sync_is_never_made_good() {
    let disk = Faulty::new();
    let mut file = disk.create("a").unwrap();
    disk.sync_dir("").unwrap();
    file.append(b"one").unwrap();
    disk.fail(Some(Fault { at: disk.operations(), kind: FaultKind::Io, sticky: false }));
    assert!(file.sync().is_err());
    assert_eq!(disk.read("a").unwrap(), b"one", "it can still be read");
    file.sync().unwrap();
    file.append(b"two").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.medium().crashed(Crash::DropAll).read("a").unwrap(), b"\0\0\0two");
    assert_eq!(disk.medium().crashed(Crash::KeepAll).read("a").unwrap(), b"onetwo");
    assert_eq!(disk.struck(), 1);
}

#[test]
fn faults_strike_by_number_and_kind() {
    let disk = Faulty::new().recording();
    disk.fail(Some(Fault { at: 1, kind: FaultKind::Full, sticky: true }));
    let mut file = disk.create("a").unwrap();
    assert_eq!(file.append(b"x").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.len(), 0);
    assert_eq!(disk.read("a").unwrap(), b"", "reading needs no room");
    assert_eq!(disk.create("b").err().unwrap().kind(), ErrorKind::StorageFull);
    disk.fail(Some(Fault { at: disk.operations(), kind: FaultKind::Short, sticky: false }));
    assert!(file.append(b"1234").is_err());
    assert_eq!(disk.read("a").unwrap(), b"12", "a piece stays");
    let kinds: Vec<OperationKind> = disk.trace().iter().map(|operation| operation.kind).collect();
    use OperationKind::{Append, Create, Read};
    assert_eq!(kinds, [Create, Append, Read, Create, Append, Read]);
    assert_eq!(disk.history().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1, 2, 4, 5]);
    disk.fail(None);
    disk.set_capacity(Some(3));
    file.append(b"3").unwrap();
    assert_eq!(file.append(b"4").unwrap_err().kind(), ErrorKind::StorageFull);
}

#[test]
fn wiping_is_four_places_to_crash() {
    let disk = Faulty::new();
    let mut file = disk.create("a").unwrap();
    file.append(b"key").unwrap();
    file.sync().unwrap();
    disk.sync_dir("").unwrap();
    let disk = Faulty::on(disk.medium()).recording();
    disk.wipe("a").unwrap();
    let left: Vec<BTreeSet<Option<Vec<u8>>>> = disk
        .history()
        .into_iter()
        .map(|(_, medium)| everything().into_iter().map(|crash| medium.crashed(crash).read("a").ok()).collect())
        .collect();
    let (key, zeros) = (some(b"key"), some(b"\0\0\0"));
    let expected = [
        BTreeSet::from([key.clone()]),
        BTreeSet::from([key, zeros.clone()]),
        BTreeSet::from([zeros.clone()]),
        BTreeSet::from([zeros, None]),
        BTreeSet::from([None]),
    ];
    assert_eq!(left, expected);
}
