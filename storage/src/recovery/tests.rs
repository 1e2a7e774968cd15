//! Findings against a directory made of live, dead and foreign files.

use proptest::prelude::*;

use super::*;
use crate::fixtures::dir;
use crate::id::CollectionId;
use crate::journal::Mark;
use crate::manifest::{CollectionEntry, SegmentEntry};

/// A manifest of these segments (number, tombstone version) and logs.
fn manifest(segments: &[(u64, Option<u64>)], logs: &[u64]) -> Manifest {
    let entry = |&(id, tombstones): &(u64, Option<u64>)| SegmentEntry {
        id: SegmentId(id),
        rows: 9,
        tombstones,
        dead: u64::from(tombstones.is_some()),
        rec_bytes: 0,
        idx_bytes: 0,
        unread: vec![],
        repaired_at: None,
    };
    let collection = CollectionEntry {
        id: CollectionId([1; 16]),
        name: "docs".into(),
        dimension: 1,
        metric: 0,
        created_sequence: 0,
        flushed: 0,
        schema: Vec::new(),
        segments: segments.iter().map(entry).collect(),
        aliases: Default::default(),
    };
    let consent = Some(Mark { number: 4, frames: 1 });
    Manifest { number: 5, consent, logs: logs.to_vec(), collections: vec![collection], ..Manifest::first() }
}

fn paths(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

const LIVE: [&str; 8] = [
    "MANIFEST-00000000000000000005",
    "consent-00000000000000000004.log",
    "seg/0000000000000001.idx",
    "seg/0000000000000001.rec",
    "seg/0000000000000002-0000000000000003.del",
    "seg/0000000000000002.idx",
    "seg/0000000000000002.rec",
    "wal/0000000000000008.wal",
];

const ORPHANS: [&str; 11] = [
    "MANIFEST-00000000000000000004",
    "MANIFEST-00000000000000000006.tmp",
    "consent-00000000000000000003.log",
    "consent-00000000000000000005.log",
    "seg/0000000000000001-0000000000000001.del",
    "seg/0000000000000002-0000000000000002.del",
    "seg/0000000000000002.rec.tmp",
    "seg/0000000000000003.idx",
    "seg/0000000000000003.rec",
    "wal/0000000000000007.wal",
    "wal/0000000000000009.wal.tmp",
];

const FOREIGN: [&str; 6] =
    ["budget.log", "keyring", "lost+found", "seg/notes.txt", "seg/2.rec", "MANIFEST-00000000000000000006"];

#[test]
fn orphans_are_found_and_nothing_else() {
    let manifest = manifest(&[(1, None), (2, Some(3))], &[8]);
    assert_eq!(examine(&manifest, &paths(&LIVE)), Findings::default());
    let all = paths(&[&LIVE[..], &ORPHANS, &FOREIGN].concat());
    let expected = Findings { orphans: paths(&ORPHANS).into_iter().collect(), ..Findings::default() };
    assert_eq!(examine(&manifest, &all), expected);
}

#[test]
fn every_absent_file_is_named() {
    let manifest = manifest(&[(1, None), (2, Some(3))], &[8]);
    for absent in LIVE {
        let mut found = paths(&LIVE);
        found.remove(absent);
        let findings = examine(&manifest, &found);
        let is_index = absent.ends_with(".idx");
        assert_eq!(findings.missing, if is_index { vec![] } else { vec![absent.to_owned()] });
        assert_eq!(findings.unindexed.len(), usize::from(is_index));
    }
}

#[test]
fn the_directories_are_listed() {
    let dir = dir();
    for path in LIVE.iter().chain(&ORPHANS) {
        let (room, name) = path.rsplit_once('/').unwrap_or(("", path));
        let room = if room.is_empty() { dir.clone() } else { dir.sub(room) };
        room.make().unwrap();
        room.write_new(name, b"").unwrap();
    }
    let found = list(&dir).unwrap();
    assert!(LIVE.iter().chain(&ORPHANS).all(|path| found.contains(*path)));
}

proptest! {
    /// Whatever lies about: what the manifest lists is never removed, and what is removed is never listed.
    #[test]
    fn a_live_file_is_never_an_orphan(
        segments in prop::collection::btree_map(0u64..6, prop::option::of(0u64..4), 0..4),
        logs in prop::collection::btree_set(0u64..6, 0..4),
        numbers in prop::collection::vec((0u64..6, 0u64..4), 0..20),
    ) {
        let segments: Vec<_> = segments.into_iter().collect();
        let logs: Vec<_> = logs.into_iter().collect();
        let manifest = manifest(&segments, &logs);
        let mut found = BTreeSet::new();
        for (number, version) in numbers {
            let id = SegmentId(number);
            found.insert(manifest::file_name(number));
            found.insert(format!("wal/{}", wal_name(number)));
            found.extend([rows_name(id), index_name(id), tombstones_name(id, version)].map(|name| format!("seg/{name}")));
        }
        let findings = examine(&manifest, &found);
        for (id, version) in segments {
            let id = SegmentId(id);
            let mut live = vec![rows_name(id), index_name(id)];
            live.extend(version.map(|version| tombstones_name(id, version)));
            for name in live {
                let path = format!("seg/{name}");
                prop_assert!(!findings.orphans.contains(&path));
            }
        }
        for log in logs {
            let path = format!("wal/{}", wal_name(log));
            prop_assert!(!findings.orphans.contains(&path));
        }
        // Removing the orphans leaves nothing more to remove, and takes nothing that was missing.
        let rest = &found - &findings.orphans.iter().cloned().collect();
        let again = examine(&manifest, &rest);
        prop_assert!(again.orphans.is_empty());
        prop_assert_eq!((again.missing, again.unindexed), (findings.missing, findings.unindexed));
    }
}
