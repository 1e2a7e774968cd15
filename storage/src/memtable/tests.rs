//! The memtable against a `BTreeMap`, and snapshots against later writes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Write {
    Insert { id: u64, owner: u8, payload: usize },
    Delete { id: u64 },
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let write = prop_oneof![
        3 => (0u64..12, 0u8..3, 0usize..40).prop_map(|(id, owner, payload)| Write::Insert { id, owner, payload }),
        1 => (0u64..12).prop_map(|id| Write::Delete { id }),
    ];
    prop::collection::vec(write, 0..60)
}

fn owner(number: u8) -> Option<EntityId> {
    (number > 0).then(|| EntityId::new(format!("owner {number}")).unwrap())
}

fn record(id: u64, sequence: Sequence, owned_by: u8, payload: usize) -> Record {
    let payload = (payload > 0).then(|| vec![b' '; payload]);
    Record { id: RecordId::Num(id), sequence, entity: owner(owned_by), vector: vec![0.0; 4], payload }
}

fn apply(table: &mut Memtable, model: &mut BTreeMap<RecordId, Slot>, write: &Write, sequence: Sequence) {
    let (id, slot) = match *write {
        Write::Insert { id, owner, payload } => {
            let record = record(id, sequence, owner, payload);
            table.insert(record.clone());
            (RecordId::Num(id), Slot::Live(Arc::new(record)))
        }
        Write::Delete { id } => {
            table.delete(RecordId::Num(id), sequence);
            (RecordId::Num(id), Slot::Deleted(sequence))
        }
    };
    if model.get(&id).is_none_or(|here| here.sequence() <= sequence) {
        model.insert(id, slot);
    }
}

fn agree(table: &Memtable, model: &BTreeMap<RecordId, Slot>) -> Result<(), TestCaseError> {
    prop_assert!(table.iter().eq(model.iter().map(|(&id, slot)| (id, slot))));
    prop_assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
    prop_assert_eq!(table.live_len(), model.values().filter(|slot| slot.live().is_some()).count());
    prop_assert_eq!(table.bytes(), model.values().map(Slot::bytes).sum::<usize>());
    for id in (0..13).map(RecordId::Num) {
        prop_assert_eq!(table.get(&id), model.get(&id));
        prop_assert!(table.range(id).eq(model.range(id..).map(|(&id, slot)| (id, slot))));
    }
    Ok(())
}

proptest! {
    /// Writes arrive in any order; a clone taken on the way stays as it was.
    #[test]
    fn it_holds_the_newest_write_of_each_id(
        writes in writes().prop_flat_map(|w| Just(w.into_iter().zip(1u64..).collect::<Vec<_>>()).prop_shuffle()),
        pause: prop::sample::Index,
    ) {
        let (mut table, mut model) = (Memtable::new(), BTreeMap::new());
        let pause = pause.index(writes.len() + 1);
        let mut snapshot = (table.clone(), model.clone());
        for (at, (write, sequence)) in writes.iter().enumerate() {
            apply(&mut table, &mut model, write, *sequence);
            if at + 1 == pause {
                snapshot = (table.clone(), model.clone());
            }
        }
        agree(&table, &model)?;
        agree(&snapshot.0, &snapshot.1)?;
    }

    /// After a flush exactly the writes that came since remain.
    #[test]
    fn a_flush_takes_what_it_wrote(before in writes(), after in writes()) {
        let (mut table, mut model) = (Memtable::new(), BTreeMap::new());
        before.iter().zip(1..).for_each(|(write, sequence)| apply(&mut table, &mut model, write, sequence));
        let flushed = table.clone();
        let last = before.len() as u64;
        after.iter().zip(last + 1..).for_each(|(write, sequence)| apply(&mut table, &mut model, write, sequence));
        table.remove_flushed(&flushed);
        model.retain(|_, slot| slot.sequence() > last);
        agree(&table, &model)?;
    }

    #[test]
    fn an_entity_is_taken_out_whole(writes in writes(), number in 1u8..3) {
        let (mut table, mut model) = (Memtable::new(), BTreeMap::new());
        writes.iter().zip(1..).for_each(|(write, sequence)| apply(&mut table, &mut model, write, sequence));
        let entity = owner(number).unwrap();
        let owned = |slot: &Slot| slot.live().is_some_and(|record| record.entity.as_ref() == Some(&entity));
        let expected: Vec<_> = model.values().filter(|slot| owned(slot)).filter_map(Slot::live).cloned().collect();
        prop_assert_eq!(table.remove_entity(&entity), expected);
        model.retain(|_, slot| !owned(slot));
        agree(&table, &model)?;
        prop_assert_eq!(table.of_entity(&entity).count(), 0);
    }
}

#[test]
fn a_memtable_is_shared_between_threads() {
    fn shared<T: Send + Sync>(_: T) {}
    shared(Memtable::new());
}
