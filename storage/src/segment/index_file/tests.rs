//! Index files: round trips, damage of every kind, and sections in places that are not theirs.

use privacy::SECTION_CHUNK;
use proptest::prelude::*;

use super::*;
use crate::fixtures::{SCOPE, damaged, dir, key, rng};

const SEGMENT: SegmentId = SegmentId(5);

fn write(dir: &Dir, sections: &[(u8, &[u8])]) -> io::Result<u64> {
    write_index(dir, SEGMENT, sections, &key(1), SCOPE, &mut rng(1))
}

fn open_index(dir: &Dir) -> Result<IndexFile, SegmentError> {
    IndexFile::open(dir, SEGMENT, Arc::new(key(1)), SCOPE)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn sections_round_trip(model: std::collections::BTreeMap<u8, Vec<u8>>, absent: u8) {
        let sections: Vec<(u8, &[u8])> = model.iter().map(|(&code, bytes)| (code, bytes.as_slice())).collect();
        let dir = dir();
        prop_assert_eq!(write(&dir, &sections).unwrap(), dir.len(&index_name(SEGMENT)).unwrap());
        let file = open_index(&dir).unwrap();
        for (&code, bytes) in &model {
            prop_assert_eq!(&*file.section(code).unwrap().unwrap(), bytes);
            let reader = file.section_reader(code).unwrap().unwrap();
            let mut out = vec![0; reader.len()];
            for (chunk, out) in out.chunks_mut(SECTION_CHUNK).enumerate() {
                reader.chunk_into(chunk, out).unwrap();
            }
            prop_assert_eq!(&out, bytes);
        }
        if !model.contains_key(&absent) {
            prop_assert!(file.section(absent).unwrap().is_none());
            prop_assert!(file.section_reader(absent).unwrap().is_none());
        }
    }

    /// A directory sealed rightly may say what it likes: no panic, and no section outside the file.
    #[test]
    fn any_directory_opens_or_fails(
        entries in prop::collection::vec((any::<u8>(), 0u64..200, 0u64..200), 0..4),
        extra in 0usize..2,
        count in 0u64..4,
    ) {
        let mut directory = vec![0; extra];
        for (code, offset, len) in entries {
            directory.push(code);
            directory.extend(offset.to_le_bytes());
            directory.extend(len.to_le_bytes());
        }
        let dir = dir();
        let mut file = FileWriter::create(&dir, &index_name(SEGMENT), Kind::Index, SEGMENT).unwrap();
        file.append(&[0; 100]).unwrap();
        let sealed = seal_section(&key(1), &context(SCOPE, SEGMENT, DIRECTORY), &directory, &mut rng(1));
        file.finish(&sealed, count).unwrap();
        if let Ok(file) = open_index(&dir) {
            prop_assert!((0..=255).all(|code| !matches!(file.section(code), Ok(Some(_)))));
        }
    }
}

#[test]
fn every_damage_is_noticed() {
    let dir = dir();
    let sections: [(u8, &[u8]); 3] = [(1, b"codes"), (2, b""), (9, b"graph")];
    write(&dir, &sections).unwrap();
    let name = index_name(SEGMENT);
    for bad in damaged(&dir.read(&name).unwrap()) {
        dir.remove(&name).unwrap();
        dir.write_new(&name, &bad).unwrap();
        let all =
            open_index(&dir).and_then(|file| sections.iter().try_for_each(|&(code, _)| file.section(code).map(drop)));
        assert!(matches!(all, Err(SegmentError::Damaged { .. } | SegmentError::WrongKey { .. })));
    }
}

#[test]
fn a_section_opens_in_its_own_place_only() {
    // Two sections of equal length change places; each is whole, and neither opens.
    let dir = dir();
    write(&dir, &[(1, b"aaaa"), (2, b"bbbb")]).unwrap();
    let name = index_name(SEGMENT);
    let mut bytes = dir.read(&name).unwrap();
    let file = open_index(&dir).unwrap();
    let (a, len) = (file.sections[0].offset, file.sections[0].len);
    bytes[a..a + 2 * len].rotate_left(len);
    dir.remove(&name).unwrap();
    dir.write_new(&name, &bytes).unwrap();
    let file = open_index(&dir).unwrap();
    assert!(file.section(1).is_err() && file.section(2).is_err());
}

#[test]
fn each_failure_has_its_name() {
    let dir = dir();
    assert!(matches!(open_index(&dir), Err(SegmentError::Missing { .. })));
    for sections in [[(2, &b""[..]), (1, b"")], [(1, b""), (1, b"")]] {
        assert_eq!(write(&dir, &sections).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    write(&dir, &[]).unwrap();
    assert_eq!(write(&dir, &[]).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    let destroyed = IndexFile::open(&dir, SEGMENT, Arc::new(key(2)), SCOPE);
    assert!(matches!(destroyed, Err(SegmentError::WrongKey { .. })));
}
