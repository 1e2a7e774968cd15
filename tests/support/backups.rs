//! What suites of backups share: a store and its model, and what a record says, in a form that can be compared.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Archive, Environment, Record, RecordId};
use storage::backend::Memory;

use crate::workload::{Action, State, Store, owner, owner_name, record};

/// What an environment or a backup holds, by collection and id.
pub type Held = BTreeMap<(String, u64), String>;

/// Ids that suites use.
const IDS: std::ops::Range<u64> = 0..200;

/// A store with both collections, and what it holds.
pub fn store(seed: u64) -> (Store, State) {
    let mut store = Store::open(Arc::new(Memory::new()), seed).unwrap();
    let mut state = State::new();
    for action in [Action::Open, Action::Create("docs"), Action::Create("notes")] {
        store.act(&action).unwrap();
        state = action.applied(&state);
    }
    (store, state)
}

/// Does one thing, in two batches where one may not hold as much.
pub fn act(store: &mut Store, state: &mut State, action: &Action) {
    if let Action::Put(ids, version) = action
        && ids.end - ids.start > 20
    {
        act(store, state, &Action::Put(ids.start..ids.start + 20, *version));
        return act(store, state, &Action::Put(ids.start + 20..ids.end, *version));
    }
    store.act(action).unwrap();
    *state = action.applied(state);
}

/// Everything that a record says.
pub fn seen(record: &Record) -> String {
    format!("{:?} {:?} {:?}", record.entity_id(), record.vector(), record.payload_json())
}

/// What a backup opens to now, by collection and id. Every record must be whole.
pub fn opened(env: &Environment, archive: &Archive, number: u64) -> Held {
    let mut drill = env.drill_backup(archive, Some(number)).unwrap();
    let mut found = BTreeMap::new();
    for entry in drill.records() {
        let (collection, record) = entry.unwrap();
        let RecordId::Num(id) = record.id() else { panic!("ids are numbers here") };
        assert!(found.insert((collection, id), seen(&record)).is_none(), "record {id} is there twice");
    }
    found
}

/// What a backup of `state` must open to once `erased` are erased.
pub fn expected(state: &State, erased: &[u64]) -> Held {
    let gone: Vec<String> = erased.iter().map(|owner| owner_name(*owner)).collect();
    let records = state.iter().flat_map(|(name, records)| {
        records.iter().map(|(id, version)| ((*name).to_owned(), *id, record(*id, *version)))
    });
    let left = records.filter(|(_, id, _)| owner(*id).is_none_or(|owner| !gone.contains(&owner)));
    left.map(|(name, id, record)| ((name, id), seen(&record))).collect()
}

/// What an environment holds now.
pub fn held(env: &Environment) -> Held {
    let mut held = Held::new();
    for info in env.collections() {
        let collection = env.open_collection(&info.name).unwrap();
        for id in IDS {
            let found = collection.get(id).unwrap();
            held.extend(found.map(|record| ((info.name.clone(), id), seen(&record))));
        }
    }
    held
}
