//! Records that are in no segment yet.
//!
//! A persistent map: cloning it takes no time and the clone is a snapshot that later writes do not touch. Per id it
//! holds the newest write only, whatever the order in which writes arrive. A deletion stays as a slot, because an older
//! version of its record may lie in a segment.

use std::sync::Arc;

use imbl::OrdMap;
use privacy::EntityId;

use crate::id::{RecordId, Sequence};
use crate::record::Record;

/// What the newest write made of an id.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    /// It is this record.
    Live(Arc<Record>),
    /// It was deleted by this write.
    Deleted(Sequence),
}

impl Slot {
    /// The write that made this slot.
    pub fn sequence(&self) -> Sequence {
        match self {
            Self::Live(record) => record.sequence,
            Self::Deleted(sequence) => *sequence,
        }
    }

    /// The record, unless deleted.
    pub fn live(&self) -> Option<&Arc<Record>> {
        match self {
            Self::Live(record) => Some(record),
            Self::Deleted(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        size_of::<(RecordId, Self)>() + self.live().map_or(0, |record| record.bytes())
    }
}

/// The newest write of each id since the last flush.
#[derive(Clone, Default)]
pub struct Memtable {
    slots: OrdMap<RecordId, Slot>,
    live: usize,
    bytes: usize,
}

impl Memtable {
    /// An empty memtable.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a record in its place, unless a newer write is there.
    pub fn insert(&mut self, record: Record) {
        self.put(record.id, Slot::Live(Arc::new(record)));
    }

    /// Marks an id deleted by the write `sequence`, unless a newer write is there.
    pub fn delete(&mut self, id: RecordId, sequence: Sequence) {
        self.put(id, Slot::Deleted(sequence));
    }

    /// The newest write of `id`, if it is here.
    pub fn get(&self, id: &RecordId) -> Option<&Slot> {
        self.slots.get(id)
    }

    /// All slots in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (RecordId, &Slot)> {
        self.slots.iter().map(|(id, slot)| (*id, slot))
    }

    /// The slots from the first id that is not below `from`, in the order of ids.
    pub fn range(&self, from: RecordId) -> impl Iterator<Item = (RecordId, &Slot)> {
        self.slots.range(from..).map(|(id, slot)| (*id, slot))
    }

    /// The live records of an entity, in the order of ids. Scans everything.
    pub fn of_entity(&self, entity: &EntityId) -> impl Iterator<Item = &Arc<Record>> {
        let is_owner = move |record: &&Arc<Record>| record.entity.as_ref() == Some(entity);
        self.slots.values().filter_map(Slot::live).filter(is_owner)
    }

    /// Slots, deletions included.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Live records.
    pub fn live_len(&self) -> usize {
        self.live
    }

    /// Bytes of slots and records, the map's own nodes not counted.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops every slot that `flushed` holds too, that is, that no write has replaced since.
    pub fn remove_flushed(&mut self, flushed: &Self) {
        for (id, slot) in flushed.iter() {
            if self.get(&id).is_some_and(|here| here.sequence() == slot.sequence()) {
                self.remove(&id);
            }
        }
    }

    /// Takes out the live records of an entity and returns them. The ids are then unknown here: where a segment holds an
    /// older version under one of them, the caller puts a deletion in its place.
    pub fn remove_entity(&mut self, entity: &EntityId) -> Vec<Arc<Record>> {
        let records: Vec<_> = self.of_entity(entity).cloned().collect();
        records.iter().for_each(|record| self.remove(&record.id));
        records
    }

    fn put(&mut self, id: RecordId, slot: Slot) {
        if self.get(&id).is_some_and(|here| here.sequence() > slot.sequence()) {
            return;
        }
        self.remove(&id);
        self.live += usize::from(slot.live().is_some());
        self.bytes += slot.bytes();
        self.slots.insert(id, slot);
    }

    fn remove(&mut self, id: &RecordId) {
        if let Some(slot) = self.slots.remove(id) {
            self.live -= usize::from(slot.live().is_some());
            self.bytes -= slot.bytes();
        }
    }
}

#[cfg(test)]
mod tests;
