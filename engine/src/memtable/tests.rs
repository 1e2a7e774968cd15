//! Runs against slots over random histories: what a search can find is what is live, by its own code, and snapshots
//! and erasures hold.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::collections::BTreeMap;

use index::Metric;
use proptest::prelude::*;

use super::*;
use crate::run::encode;

#[derive(Clone, Debug)]
enum Step {
    /// Records by id, written `late` sequences after they were numbered, as a copied log brings them.
    Put {
        ids: Vec<u64>,
        late: u64,
    },
    Delete {
        id: u64,
        late: u64,
    },
    Erase(u64),
    /// A flush of the snapshot taken last.
    Flush,
    Snapshot,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let put = (prop::collection::hash_set(0_u64..40, 1..6), 0_u64..3)
        .prop_map(|(ids, late)| Step::Put { ids: ids.into_iter().collect(), late });
    let step = prop_oneof![
        8 => put,
        2 => (0_u64..40, 0_u64..3).prop_map(|(id, late)| Step::Delete { id, late }),
        1 => (0_u64..4).prop_map(Step::Erase),
        1 => Just(Step::Flush),
        1 => Just(Step::Snapshot),
    ];
    prop::collection::vec(step, 0..80)
}

fn space() -> Space {
    Space::new(Metric::L2, 5, &[7; 32])
}

fn entity(number: u64) -> EntityId {
    EntityId::new(format!("owner {number}")).unwrap()
}

fn record(id: u64, sequence: Sequence) -> StoredRecord {
    let vector = (0..5_u64).map(|at| ((id * 31 + sequence * 17 + at * at * 13) % 29) as f32 - 14.0).collect();
    let owner = (sequence + id) % 4;
    StoredRecord { id: RecordId::Num(id), sequence, entity: Some(entity(owner)), vector, payload: None }
}

/// Takes a step in the memtable, and in slots beside it as they were before there were runs.
fn take(step: &Step, sequence: Sequence, table: &mut Memtable, slots: &mut Slots, kept: &(Memtable, Slots)) {
    let space = space();
    match step {
        Step::Put { ids, late } => {
            let records: Vec<_> = ids.iter().map(|id| record(*id, sequence.saturating_sub(*late))).collect();
            records.iter().for_each(|record| slots.insert(record.clone()));
            let codes = encode(&space, &records);
            table.put(records, codes, 0).unwrap();
        }
        Step::Delete { id, late } => {
            slots.delete(RecordId::Num(*id), sequence.saturating_sub(*late));
            table.delete(RecordId::Num(*id), sequence.saturating_sub(*late));
        }
        Step::Erase(owner) => {
            let removed = table.remove_entity(&entity(*owner), &space).unwrap();
            assert_eq!(removed, slots.remove_entity(&entity(*owner)));
            let knows = |run: &Run| run.owners().contains(&entity(*owner));
            assert!(!table.runs.iter().any(knows), "a code of an erased entity stays");
        }
        Step::Flush => {
            table.remove_flushed(&kept.0, &space).unwrap();
            slots.remove_flushed(&kept.1);
        }
        Step::Snapshot => {}
    }
}

/// What a search can find, by id.
fn found(table: &Memtable, entity: Option<&EntityId>, query: &Query) -> BTreeMap<RecordId, (Sequence, u32)> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let only = entity.map(|entity| table.matching(&Filter::entity(entity.as_str()), &pool).unwrap());
    let near = table.near(query, 1000, only.as_deref(), &mut Scratch::new());
    assert!(near.horizon.is_infinite() && near.candidates.is_sorted_by(|a, b| a.0 <= b.0));
    let row = |&(least, run, position): &(f32, &Run, u32)| {
        let record = table.record(run, position).unwrap();
        (record.id, (record.sequence, least.to_bits()))
    };
    let found: BTreeMap<_, _> = near.candidates.iter().map(row).collect();
    assert_eq!(found.len(), near.candidates.len(), "a record has two rows");
    found
}

/// What it should find: every live record, at the distance that its own code gives.
fn expected(slots: &Slots, entity: Option<&EntityId>, query: &Query) -> BTreeMap<RecordId, (Sequence, u32)> {
    let live = slots.iter().filter_map(|(_, slot)| slot.live());
    let matching = live.filter(|record| entity.is_none_or(|entity| record.entity.as_ref() == Some(entity)));
    let matching: Vec<StoredRecord> = matching.map(|record| (**record).clone()).collect();
    let codes = encode(&space(), &matching);
    let row = |(position, record): (u32, &StoredRecord)| {
        let (distance, error) = codes.distance(query, position);
        (record.id, (record.sequence, (distance - error).to_bits()))
    };
    (0..).zip(&matching).map(row).collect()
}

fn agree(table: &Memtable, slots: &Slots) {
    assert!(table.iter().eq(slots.iter()));
    let query = space().query(&[1.0, -2.0, 3.0, 0.5, 9.0]);
    assert_eq!(found(table, None, &query), expected(slots, None, &query));
    let entity = entity(2);
    assert_eq!(found(table, Some(&entity), &query), expected(slots, Some(&entity), &query));
}

fn check_sizes(table: &Memtable) {
    let live: Vec<usize> = table.runs.iter().map(Run::live).collect();
    for (at, run) in live.iter().enumerate() {
        assert!(*run > live[at + 1..].iter().sum(), "{live:?}");
    }
    assert!(!table.runs.iter().any(Run::is_mostly_dead));
}

proptest! {
    #[test]
    fn runs_follow_slots(steps in steps()) {
        let (mut table, mut slots) = (Memtable::default(), Slots::new());
        let mut kept = (table.clone(), slots.clone());
        for (step, sequence) in steps.iter().zip(3..) {
            take(step, sequence, &mut table, &mut slots, &kept);
            if matches!(step, Step::Snapshot) {
                kept = (table.clone(), slots.clone());
            }
            // Several writes become visible at once now and then.
            if sequence % 3 > 0 {
                table.merge(&space()).unwrap();
                check_sizes(&table);
            }
            agree(&table, &slots);
        }
        agree(&kept.0, &kept.1);
    }
}

/// Where codes cannot tell records apart, the horizon says that the candidates were not all.
#[test]
fn what_is_left_out_shows_in_the_horizon() {
    let (mut table, space) = (Memtable::default(), space());
    let mut records: Vec<_> = (0..50).map(|id| record(id, 1)).collect();
    records.iter_mut().for_each(|record| record.vector = vec![1.0; 5]);
    let codes = encode(&space, &records);
    table.put(records, codes, 0).unwrap();
    let query = space.query(&[1.0; 5]);
    let near = |ef| table.near(&query, ef, None, &mut Scratch::new());
    let least = near(10).candidates[0].0;
    assert!((10..50).contains(&near(10).candidates.len()) && near(10).horizon == least);
    assert!(near(51).candidates.len() == 50 && near(51).horizon.is_infinite());
}

/// What a snapshot gathers of payloads says nothing of rows that only others have.
#[test]
fn a_filter_sees_what_later_snapshots_lack() {
    let (mut table, space, pool) = (Memtable::default(), space(), crate::pool::start(1).unwrap());
    let mut records: Vec<_> = (0..50).map(|id| record(id, 1)).collect();
    records.iter_mut().for_each(|record| record.payload = Some(br#"{"n": 1}"#.to_vec()));
    let codes = encode(&space, &records);
    table.put(records, codes, 0).unwrap();
    let matching = |table: &Memtable| -> u64 {
        table.matching(&Filter::eq("n", 1), &pool).unwrap().iter().map(RoaringBitmap::len).sum()
    };
    let before = table.clone();
    table.delete(RecordId::Num(7), 2);
    assert_eq!((matching(&table), matching(&before), matching(&table)), (49, 50, 49));
}
