//! The entity map against a `BTreeMap` of sets.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn entity(name: &str) -> EntityId {
    EntityId::new(name).unwrap()
}

fn rows() -> impl Strategy<Value = Vec<Option<EntityId>>> {
    prop::collection::vec(prop::option::of("[a-cé]{1,3}".prop_map(|name| entity(&name))), 0..80)
}

proptest! {
    #[test]
    fn it_answers_as_a_map_of_sets(rows in rows()) {
        let mut model: BTreeMap<&EntityId, BTreeSet<u32>> = BTreeMap::new();
        for (row, position) in rows.iter().zip(0..) {
            if let Some(entity) = row {
                model.entry(entity).or_default().insert(position);
            }
        }
        let built = EntityMap::build(&rows).unwrap();
        let decoded = EntityMap::decode(&built.encode()).unwrap();
        for map in [built, decoded] {
            prop_assert_eq!(map.len(), rows.len());
            prop_assert!(map.entities().iter().eq(model.keys().copied()));
            for (row, position) in rows.iter().zip(0..) {
                prop_assert!(map.of(position) == row.as_ref());
            }
            prop_assert!(map.of(rows.len() as u32).is_none());
            for (entity, positions) in &model {
                prop_assert!(map.positions(entity).iter().eq(positions));
                prop_assert!(map.bitmap(entity).iter().eq(positions.iter().copied()));
            }
            prop_assert!(map.positions(&entity("zz")).is_empty());
        }
    }

    #[test]
    fn any_bytes_decode_or_fail(rows in rows(), bytes: Vec<u8>, at: prop::sample::Index, bit in 0u8..8) {
        let _ = EntityMap::decode(&bytes);
        let _ = EntityMap::decode(&[&[VERSION], &bytes[..]].concat());
        let whole = EntityMap::build(&rows).unwrap().encode();
        prop_assert!(EntityMap::decode(&whole[..at.index(whole.len())]).is_err());
        prop_assert!(EntityMap::decode(&[&whole[..], &[0]].concat()).is_err());
        let mut flipped = whole.to_vec();
        flipped[at.index(whole.len())] ^= 1 << bit;
        if let Ok(map) = EntityMap::decode(&flipped) {
            prop_assert_eq!(&map.encode()[..], &flipped[..]);
        }
    }
}

#[test]
fn owners_and_entities_fit_together() {
    let names = || vec![entity("a"), entity("b")];
    assert!(EntityMap::new(names(), vec![1, 0, 2]).is_ok());
    assert!(EntityMap::new(names(), vec![1, 0, 3]).is_err(), "an owner nobody is");
    assert!(EntityMap::new(names(), vec![1, 0, 1]).is_err(), "an entity without rows");
    assert!(EntityMap::new(names(), vec![1, 2, u32::MAX]).is_err());
}

/// Names that begin alike are told once.
#[test]
fn names_take_what_tells_them_from_the_last() {
    let rows: Vec<_> = (0..9000).map(|row| Some(entity(&format!("entity-{:07}", row % 3000)))).collect();
    let bytes = EntityMap::build(&rows).unwrap().encode();
    assert!(bytes.len() < 3000 * 4 + 9000 * 12 / 8 + 300, "{}", bytes.len());
    let names = |names: &[(u8, &str)]| {
        let mut out = vec![VERSION, names.len() as u8];
        for (shared, rest) in names {
            out.push(*shared);
            put_sized(&mut out, rest.as_bytes());
        }
        out.push(2);
        put_packed(&mut out, &[1, 2]);
        EntityMap::decode(&out).is_ok()
    };
    assert!(names(&[(0, "ab"), (1, "c")]));
    assert!(!names(&[(0, "ab"), (0, "ac")]), "it shares more");
    assert!(!names(&[(0, "ab"), (2, "")]), "the same");
    assert!(!names(&[(0, "ab"), (3, "c")]), "there is no more to share");
    assert!(!names(&[(0, "ac"), (1, "b")]), "descending");
    assert!(!names(&[(1, "ac"), (1, "d")]), "nothing to share yet");
    assert!(!names(&[(0, "é"), (1, "x")]), "no text");
}
