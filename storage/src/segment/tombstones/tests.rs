//! Tombstones: round trips, damage, and versions that stand in for one another.

use proptest::prelude::*;

use super::*;
use crate::fixtures::{SCOPE, damaged, dir, key, rng};

const SEGMENT: SegmentId = SegmentId(5);

fn read(dir: &Dir, version: u64, rows: u64) -> Result<RoaringBitmap, SegmentError> {
    read_tombstones(dir, SEGMENT, version, rows, &key(1), SCOPE)
}

fn write(dir: &Dir, version: u64, dead: &RoaringBitmap) -> io::Result<()> {
    write_tombstones(dir, SEGMENT, version, dead, &key(1), SCOPE, &mut rng(version))
}

proptest! {
    #[test]
    fn bitmaps_round_trip(dead in prop::collection::btree_set(0u32..200_000, 0..300), run in 0u32..5000) {
        let mut dead: RoaringBitmap = dead.into_iter().collect();
        dead.insert_range(1000..1000 + run);
        dead.optimize();
        let dir = dir();
        write(&dir, 3, &dead).unwrap();
        prop_assert_eq!(&read(&dir, 3, 200_000).unwrap(), &dead);
        let rows = dead.max().map_or(0, u64::from);
        prop_assert_eq!(read(&dir, 3, rows).is_ok(), dead.is_empty());
    }

    #[test]
    fn any_bytes_decode_or_fail(mut bytes: Vec<u8>, cookie in prop::sample::select(vec![12346u32, 12347, 0x2_0000 + 12347])) {
        let _ = decode(&bytes, u64::MAX);
        bytes.splice(0..0, cookie.to_le_bytes());
        if let Some(dead) = decode(&bytes, 1000) {
            prop_assert!(dead.max().is_none_or(|last| last < 1000));
        }
    }

    #[test]
    fn trailing_bytes_are_refused(positions: Vec<u32>, extra in 1usize..9) {
        let dead: RoaringBitmap = positions.into_iter().collect();
        let mut bytes = Vec::new();
        dead.serialize_into(&mut bytes).unwrap();
        prop_assert_eq!(decode(&bytes, u64::MAX), Some(dead));
        bytes.extend(vec![0; extra]);
        prop_assert_eq!(decode(&bytes, u64::MAX), None);
    }
}

#[test]
fn every_damage_is_noticed() {
    let dir = dir();
    write(&dir, 1, &(0..40).collect()).unwrap();
    let name = tombstones_name(SEGMENT, 1);
    for bad in damaged(&dir.read(&name).unwrap()) {
        dir.remove(&name).unwrap();
        dir.write_new(&name, &bad).unwrap();
        let found = read(&dir, 1, 40);
        assert!(matches!(found, Err(SegmentError::Damaged { .. } | SegmentError::WrongKey { .. })));
    }
}

#[test]
fn a_version_does_not_stand_in_for_another() {
    let dir = dir();
    write(&dir, 1, &(0..4).collect()).unwrap();
    assert!(write(&dir, 1, &RoaringBitmap::new()).is_err());
    let older = dir.read(&tombstones_name(SEGMENT, 1)).unwrap();
    dir.write_new(&tombstones_name(SEGMENT, 2), &older).unwrap();
    assert!(matches!(read(&dir, 2, 9), Err(SegmentError::Damaged { .. } | SegmentError::WrongKey { .. })));
    assert!(matches!(read(&dir, 3, 9), Err(SegmentError::Missing { .. })));
}
