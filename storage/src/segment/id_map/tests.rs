//! The id map against a `BTreeMap`.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn id(byte: u8, is_uuid: bool) -> RecordId {
    if is_uuid { RecordId::Uuid(Uuid::from_bytes([byte; 16])) } else { RecordId::Num(u64::from(byte)) }
}

/// Distinct ids in any order, all numbers in half of the cases.
fn rows() -> impl Strategy<Value = Vec<(RecordId, Sequence)>> {
    (prop::collection::vec((any::<u8>(), any::<bool>(), any::<u64>()), 0..60), any::<bool>()).prop_map(
        |(rows, mixed)| {
            let mut seen = std::collections::HashSet::new();
            rows.into_iter()
                .map(|(byte, is_uuid, sequence)| (id(byte, is_uuid && mixed), sequence))
                .filter(|(id, _)| seen.insert(*id))
                .collect()
        },
    )
}

proptest! {
    #[test]
    fn it_answers_as_a_btree_map(rows in rows(), from in (any::<u8>(), any::<bool>())) {
        let model: BTreeMap<RecordId, u32> = rows.iter().map(|(id, _)| *id).zip(0..).collect();
        let built = IdMap::build(rows.clone()).unwrap();
        let decoded = IdMap::decode(&built.encode()).unwrap();
        let from = id(from.0, from.1);
        for map in [built, decoded] {
            prop_assert_eq!(map.len(), rows.len());
            for (&(id, sequence), position) in rows.iter().zip(0..) {
                prop_assert_eq!((map.id(position), map.sequence(position)), (Some(id), Some(sequence)));
            }
            prop_assert_eq!(map.id(rows.len() as u32), None);
            prop_assert_eq!(map.position(&from), model.get(&from).copied());
            prop_assert!(model.iter().all(|(id, &position)| map.position(id) == Some(position)));
            prop_assert!(map.iter_sorted(None).eq(model.iter().map(|(&id, &position)| (id, position))));
            let tail = model.range(from..).map(|(&id, &position)| (id, position));
            prop_assert!(map.iter_sorted(Some(&from)).eq(tail));
        }
    }

    #[test]
    fn any_bytes_decode_or_fail(rows in rows(), bytes: Vec<u8>, at: prop::sample::Index, kind in 0u8..3) {
        let _ = IdMap::decode(&bytes);
        let _ = IdMap::decode(&[&[VERSION, kind], &bytes[..]].concat());
        let whole = IdMap::build(rows).unwrap().encode();
        prop_assert!(IdMap::decode(&whole[..at.index(whole.len())]).is_err());
        prop_assert!(IdMap::decode(&[&whole[..], &[0]].concat()).is_err());
        let mut flipped = whole.to_vec();
        flipped[at.index(whole.len())] ^= 0x10;
        if let Ok(map) = IdMap::decode(&flipped) {
            prop_assert_eq!(&map.encode()[..], &flipped[..]);
        }
    }
}

#[test]
fn an_id_occurs_once() {
    assert!(IdMap::build([(id(1, false), 1), (id(1, false), 2)]).is_err());
    assert!(IdMap::build([(id(1, false), 1), (id(1, true), 2)]).is_ok());
}

#[test]
fn numbers_take_twenty_bytes_a_row() {
    let map = IdMap::build((0..1000).map(|n| (RecordId::Num(n), n))).unwrap();
    assert_eq!(map.resident_bytes(), 20_000);
}
