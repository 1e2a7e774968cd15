//! The entity map against a `BTreeMap` of sets.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn entity(name: &str) -> EntityId {
    EntityId::new(name).unwrap()
}

fn rows() -> impl Strategy<Value = Vec<Option<EntityId>>> {
    prop::collection::vec(prop::option::of("[a-c]{1,2}".prop_map(|name| entity(&name))), 0..80)
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
