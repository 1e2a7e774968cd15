//! Manifests: round trips, damage, contradictions, and which one wins.

use proptest::prelude::*;

use super::*;
use crate::fixtures::{SCOPE, damaged, dir, key, rng};

fn marks() -> impl Strategy<Value = Option<Mark>> {
    prop::option::of((1..=NUMBER_MAX, 1u64..9).prop_map(|(number, frames)| Mark { number, frames }))
}

fn segments() -> impl Strategy<Value = Vec<SegmentEntry>> {
    let segment = (1u64..1000, any::<bool>(), any::<u32>(), any::<u32>(), any::<Option<u64>>());
    prop::collection::vec(segment, 0..5).prop_map(|segments| {
        let entry = |(rows, all_live, rec, idx, repaired_at): (u64, bool, u32, u32, Option<u64>)| SegmentEntry {
            id: SegmentId(0),
            rows,
            tombstones: (!all_live).then_some(rows + 7),
            dead: if all_live { 0 } else { rows },
            rec_bytes: rec.into(),
            idx_bytes: idx.into(),
            unread: if all_live { vec![] } else { vec![rows] },
            repaired_at,
        };
        segments.into_iter().map(entry).collect()
    })
}

prop_compose! {
    fn collections()(
        id: [u8; 16], dimension in 1u32..5000, metric: u8, schema: Vec<u8>, segments in segments(),
        (flushed, created_sequence) in (0u64..100, 0u64..100), aliases in 0usize..3,
    ) -> CollectionEntry {
        let name = format!("{id:?}");
        let aliases = (0..aliases).map(|number| format!("{name}-{number}")).collect();
        let id = CollectionId(id);
        CollectionEntry { id, name, dimension, metric, created_sequence, flushed, schema, segments, aliases }
    }
}

prop_compose! {
    fn manifests()(
        number in 1..=NUMBER_MAX, logs in prop::collection::btree_set(0u64..50, 0..4),
        mut collections in prop::collection::vec(collections(), 0..4), consent in marks(), holds in marks(),
        trusted_ms: Option<u64>, budget in marks(), access in marks(),
    ) -> Manifest {
        let mut next_segment = 1;
        for segment in collections.iter_mut().flat_map(|collection| &mut collection.segments) {
            segment.id = SegmentId(next_segment);
            next_segment += 1;
        }
        let logs = logs.into_iter().collect();
        let base = Manifest { number, next_segment, next_wal: 50, next_job: 1, last_sequence: 100, ..Manifest::first() };
        Manifest { logs, collections, consent, holds, trusted_ms, budget, access, ..base }
    }
}

fn write(dir: &Dir, manifest: &Manifest) -> io::Result<()> {
    manifest.write(dir, &key(1), SCOPE, &mut rng(manifest.number))
}

fn newest(dir: &Dir) -> Result<Option<Manifest>, ManifestError> {
    read_newest(dir, &key(1), SCOPE)
}

fn small() -> Manifest {
    let segment = SegmentEntry {
        id: SegmentId(1),
        rows: 9,
        tombstones: Some(1),
        dead: 2,
        rec_bytes: 500,
        idx_bytes: 300,
        unread: vec![],
        repaired_at: None,
    };
    let collection = CollectionEntry {
        id: CollectionId([7; 16]),
        name: "docs".into(),
        dimension: 3,
        metric: 1,
        created_sequence: 0,
        flushed: 4,
        schema: vec![1, 2],
        segments: vec![segment],
        aliases: BTreeSet::new(),
    };
    Manifest {
        number: 3,
        next_segment: 2,
        next_wal: 6,
        next_job: 1,
        last_sequence: 8,
        logs: vec![4, 5],
        collections: vec![collection],
        consent: Some(Mark { number: 1, frames: 2 }),
        holds: Some(Mark { number: 7, frames: 1 }),
        trusted_ms: Some(9),
        budget: Some(Mark { number: 2, frames: 4 }),
        access: Some(Mark { number: 2, frames: 3 }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn manifests_round_trip(manifest in manifests()) {
        let dir = dir();
        write(&dir, &manifest).unwrap();
        prop_assert_eq!(newest(&dir).unwrap(), Some(manifest));
    }

    /// Whoever holds the key and writes anything at all gets an error or a manifest that passes every check.
    #[test]
    fn any_plaintext_decodes_or_fails(manifest in manifests(), bytes: Vec<u8>, at: prop::sample::Index, bit in 0u8..8) {
        let _ = decode(&bytes);
        let mut bytes = minicbor::to_vec(&manifest).unwrap();
        prop_assert!(decode(&bytes[..at.index(bytes.len())]).is_err());
        prop_assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(other) = decode(&bytes) {
            prop_assert_eq!(other.check(), Ok(()));
        }
    }

    #[test]
    fn names_sort_as_numbers_do(a: u64, b: u64) {
        prop_assert_eq!(file_name(a).cmp(&file_name(b)), a.cmp(&b));
        prop_assert_eq!(file_number(&file_name(a)), Some(a));
    }
}

#[test]
fn every_damage_is_noticed() {
    let dir = dir();
    write(&dir, &small()).unwrap();
    let name = file_name(3);
    for bad in damaged(&dir.read(&name).unwrap()) {
        dir.remove(&name).unwrap();
        dir.write_new(&name, &bad).unwrap();
        let found = newest(&dir);
        assert!(matches!(found, Err(ManifestError::Damaged { .. } | ManifestError::WrongKey { .. })));
    }
}

#[test]
fn the_highest_number_wins_or_nothing_does() {
    let dir = dir();
    assert!(newest(&dir).unwrap().is_none());
    let third = small();
    let fourth = third.edit(|next| next.collections.clear()).unwrap();
    assert_eq!(fourth.number, 4);
    write(&dir, &fourth).unwrap();
    write(&dir, &third).unwrap();
    assert_eq!(newest(&dir).unwrap(), Some(fourth.clone()));
    assert_eq!(write(&dir, &fourth).unwrap_err().kind(), io::ErrorKind::AlreadyExists);

    // An older manifest under a newer number, and a newest one that is no manifest: neither falls back.
    let old = dir.read(&file_name(3)).unwrap();
    dir.write_new(&file_name(5), &old).unwrap();
    assert!(matches!(newest(&dir), Err(ManifestError::Damaged { file, .. }) if file == file_name(5)));
    dir.remove(&file_name(5)).unwrap();

    remove_older(&dir, 4).unwrap();
    assert_eq!(dir.list().unwrap(), [file_name(4)]);
    assert!(matches!(read_newest(&dir, &key(2), SCOPE), Err(ManifestError::WrongKey { .. })));
    let elsewhere = Scope { environment: [9; 16], ..SCOPE };
    assert!(read_newest(&dir, &key(1), elsewhere).is_err());
}

#[test]
fn a_manifest_has_the_number_of_its_file() {
    let dir = dir();
    let plaintext = minicbor::to_vec(small()).unwrap();
    dir.write_new(&file_name(5), &FILE.seal(5, (&key(1), SCOPE), &plaintext, &mut rng(1))).unwrap();
    assert!(matches!(newest(&dir), Err(ManifestError::Damaged { what: "number", .. })));
}

#[test]
fn a_newer_format_says_so() {
    let dir = dir();
    let newer = Numbered { format: 9, ..FILE };
    dir.write_new(&file_name(1), &newer.seal(1, (&key(1), SCOPE), &[], &mut rng(1))).unwrap();
    assert!(matches!(newest(&dir), Err(ManifestError::NewerFormat { found: 9, max: FORMAT })));
}

/// The bytes that format 1 gave a segment: seven fields, where format 2 adds an eighth to those that were repaired. Format
/// 3 adds a field to collections that have aliases, format 4 two to environments where consent was revoked or somebody is
/// held, format 5 one to those that keep something for a time only, format 6 one where API keys are kept, and they change
/// nothing in others.
#[test]
fn the_first_format_opens_and_is_written_anew_as_the_newest() {
    let dir = dir();
    let small = || Manifest { consent: None, holds: None, trusted_ms: None, budget: None, access: None, ..small() };
    let plaintext = minicbor::to_vec(small()).unwrap();
    assert_eq!(plaintext[0], 0x87, "no field where nobody revoked");
    let segment = [0x87, 0x01, 0x09, 0x01, 0x02, 0x19, 0x01, 0xf4, 0x19, 0x01, 0x2c, 0x80];
    assert!(plaintext.windows(segment.len()).any(|window| window == segment), "{plaintext:x?}");
    for (format, opens) in [(0, false), (1, true), (2, true), (3, true), (4, true), (5, true), (FORMAT, true)] {
        let older = Numbered { format, ..FILE };
        dir.write_new(&file_name(3), &older.seal(3, (&key(1), SCOPE), &plaintext, &mut rng(1))).unwrap();
        assert_eq!(newest(&dir).ok().flatten(), opens.then(small), "format {format}");
        dir.remove(&file_name(3)).unwrap();
    }
    write(&dir, &small()).unwrap();
    assert_eq!(dir.read(&file_name(3)).unwrap()[8..10], FORMAT.to_le_bytes());
}

#[test]
fn names_that_are_not_ours_are_not_manifests() {
    for name in ["MANIFEST-1", "MANIFEST-+0000000000000000001", "MANIFEST-00000000000000000001.tmp", "manifest"] {
        assert_eq!(file_number(name), None, "{name}");
    }
}

type Lie<'a> = &'a dyn Fn(&mut Manifest);

#[test]
fn contradictions_are_neither_made_nor_written() {
    let first = |m: &mut Manifest| m.collections[0].segments[0].clone();
    let lies: [(&str, Lie<'_>); 20] = [
        ("log order", &|m| m.logs = vec![5, 4]),
        ("log number", &|m| m.next_wal = 5),
        ("segment number", &|m| m.next_segment = 1),
        ("segment id", &|m| {
            let twin = first(m);
            m.collections[0].segments.push(twin);
        }),
        ("collection id", &|m| m.collections.push(m.collections[0].clone())),
        ("collection name", &|m| {
            let twin = CollectionEntry { id: CollectionId([8; 16]), ..m.collections[0].clone() };
            m.collections.push(twin);
        }),
        ("collection name", &|m| m.collections[0].aliases = BTreeSet::from(["docs".into()])),
        ("collection name", &|m| m.collections[0].aliases = BTreeSet::from([String::new()])),
        ("collection name", &|m| {
            m.collections[0].aliases = BTreeSet::from(["current".into()]);
            let (id, name) = (CollectionId([8; 16]), "notes".into());
            m.collections.push(CollectionEntry { id, name, segments: Vec::new(), ..m.collections[0].clone() });
        }),
        ("dimension", &|m| m.collections[0].dimension = 0),
        ("flushed sequence", &|m| m.collections[0].flushed = 9),
        ("row count", &|m| m.collections[0].segments[0].rows = 1 << 32),
        ("dead rows", &|m| m.collections[0].segments[0].dead = 10),
        ("tombstones", &|m| m.collections[0].segments[0].tombstones = None),
        ("tombstones", &|m| m.collections[0].segments[0].tombstones = Some(u64::MAX)),
        ("file length", &|m| m.collections[0].segments[0].rec_bytes = u64::MAX),
        ("journal", &|m| m.consent = Some(Mark { number: 1, frames: 0 })),
        ("counter", &|m| m.next_segment = u64::MAX),
        ("counter", &|m| m.next_job = NUMBER_MAX + 1),
        ("counter", &|m| m.last_sequence = u64::MAX),
    ];
    for (what, lie) in lies {
        assert_eq!(small().edit(lie), Err(Inconsistent(what)));
        let mut manifest = small();
        lie(&mut manifest);
        assert_eq!(write(&dir(), &manifest).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(decode(&minicbor::to_vec(&manifest).unwrap()), Err(Malformed(what)));
    }
}

#[test]
fn a_manifest_has_one_encoding() {
    let plaintext = minicbor::to_vec(small()).unwrap();
    assert_eq!(decode(&plaintext), Ok(small()));
    assert_eq!(plaintext[1], 3, "the number of a manifest comes first");
    let longer = [&plaintext[..1], &[0x18, 3], &plaintext[2..]].concat();
    assert_eq!(decode(&longer), Err(Malformed("encoding")));
}

#[test]
fn collections_are_found_and_edited() {
    let next = small()
        .edit(|next| {
            next.last_sequence = 20;
            if let Some(docs) = next.collection_mut(CollectionId([7; 16])) {
                docs.flushed = 20;
            }
        })
        .unwrap();
    let docs = next.collection_named("docs").unwrap();
    assert_eq!((next.number, docs.flushed, next.collection(docs.id)), (4, 20, Some(docs)));
    assert_eq!(next.collection(CollectionId([1; 16])), None);
    assert_eq!(next.segments().count(), 1);
    let last = Manifest { number: u64::MAX, ..Manifest::first() };
    assert_eq!(last.edit(|_| ()), Err(Inconsistent("manifest number")));
}
