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

/// Of ids that lie near one another, and of writes that do, each takes as many bits as there are rows to choose from.
#[test]
fn what_is_stored_follows_from_how_far_ids_lie_apart() {
    let rows = |apart: u64| (0..4096_u64).map(move |n| (RecordId::Num(n * 2731 % 4096 * apart + 9), 77 + n));
    let bytes = |apart| IdMap::build(rows(apart)).unwrap().encode().len() as u64 * 8 / 4096;
    // Blocks begin with a few bytes each, and the first holds what lies before the first id.
    assert!(bytes(1) <= 12 + 7 + 1 && bytes(1 << 40) <= 12 + 7 + 3, "{} {}", bytes(1), bytes(1 << 40));
    let wild = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let map = IdMap::build((0..4096).map(|n| (RecordId::Num(wild(n)), n))).unwrap();
    assert!(map.encode().len() < 4096 * (8 + 2));
}

#[test]
fn positions_and_ids_that_lie_are_refused() {
    let encode = |positions: &[u64], gaps: &[u64], sequences: &[u64]| {
        let mut out = vec![VERSION, NUMBERS, positions.len() as u8];
        [positions, gaps, sequences].into_iter().for_each(|list| put_packed(&mut out, list));
        out
    };
    assert!(IdMap::decode(&encode(&[1, 0, 2], &[5, 0, 9], &[1, 1, 1])).is_ok());
    assert!(IdMap::decode(&encode(&[0], &[u64::MAX], &[1])).is_ok());
    let lies = [
        encode(&[1, 1, 2], &[5, 0, 9], &[1, 1, 1]), // a position twice
        encode(&[1, 3, 2], &[5, 0, 9], &[1, 1, 1]), // a position that is not there
        encode(&[1, 0, 2], &[5, 0, u64::MAX], &[1, 1, 1]),
        encode(&[1, 0, 2], &[u64::MAX, 0, 0], &[1, 1, 1]),
        encode(&[1, 0, 2], &[5, 0], &[1, 1, 1]),
    ];
    assert!(lies.iter().all(|bytes| IdMap::decode(bytes).is_err()));
    let mixed = |ids: [RecordId; 2]| {
        let mut out = vec![VERSION, MIXED, 2];
        put_packed(&mut out, &[0, 1]);
        ids.into_iter().for_each(|id| put_record_id(&mut out, id));
        put_packed(&mut out, &[1, 1]);
        IdMap::decode(&out)
    };
    assert!(mixed([id(1, false), id(1, true)]).is_ok());
    assert!(mixed([id(1, true), id(1, false)]).is_err(), "descending");
    assert!(mixed([id(1, true), id(1, true)]).is_err(), "twice");
    assert!(mixed([id(1, false), id(2, false)]).is_err(), "numbers have a form of their own");
}

#[test]
fn numbers_take_twenty_bytes_a_row() {
    let map = IdMap::build((0..1000).map(|n| (RecordId::Num(n), n))).unwrap();
    assert_eq!(map.resident_bytes(), 20_000);
}
