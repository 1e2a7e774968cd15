//! What one reader sees of a collection: its segments with their dead rows, and the memtable, all at one
//! sequence. A view never changes; a write publishes a new one.

use std::sync::Arc;

use privacy::EntityId;
use roaring::RoaringBitmap;
use storage::id::{RecordId, Sequence};
use storage::memtable::Memtable;
use storage::record::Record as StoredRecord;

use crate::error::Result;
use crate::keys::Keys;
use crate::segment::Segment;

/// A segment and the positions in it that no read may return: deleted, replaced or masked rows.
#[derive(Clone)]
pub(crate) struct SegmentView {
    pub segment: Arc<Segment>,
    pub dead: Arc<RoaringBitmap>,
}

impl SegmentView {
    /// Rows a read may return.
    pub fn live(&self) -> u64 {
        u64::from(self.segment.len) - self.dead.len()
    }

    /// Positions of the live rows of `entity`.
    pub fn of_entity(&self, entity: &EntityId, keys: &Keys) -> Result<RoaringBitmap> {
        Ok(self.segment.index(keys)?.entities.bitmap(entity) - &*self.dead)
    }
}

/// An immutable picture of a collection.
#[derive(Clone, Default)]
pub(crate) struct View {
    /// Every write of this collection up to here is in the picture, and no later one.
    pub sequence: Sequence,
    pub segments: Vec<SegmentView>,
    pub memtable: Memtable,
}

impl View {
    /// Stores `record`, hiding older versions of it.
    pub fn put(&mut self, record: StoredRecord, keys: &Keys) -> Result<()> {
        self.shadow(&record.id, keys)?;
        self.sequence = self.sequence.max(record.sequence);
        self.memtable.insert(record);
        Ok(())
    }

    /// Deletes the record `id` as of `sequence`.
    pub fn delete(&mut self, id: RecordId, sequence: Sequence, keys: &Keys) -> Result<()> {
        self.shadow(&id, keys)?;
        self.sequence = self.sequence.max(sequence);
        self.memtable.delete(id, sequence);
        Ok(())
    }

    /// Whether a read would find `id`.
    pub fn contains(&self, id: &RecordId, keys: &Keys) -> Result<bool> {
        if let Some(slot) = self.memtable.get(id) {
            return Ok(slot.live().is_some());
        }
        Ok(self.locate(id, keys)?.is_some())
    }

    /// Segment and position of the live row of `id`, the memtable left aside.
    pub fn locate(&self, id: &RecordId, keys: &Keys) -> Result<Option<(&SegmentView, u32)>> {
        for view in &self.segments {
            if let Some((position, _)) = view.segment.find(id, keys)?
                && !view.dead.contains(position)
            {
                return Ok(Some((view, position)));
            }
        }
        Ok(None)
    }

    /// Hides every row of `entity`; returns how many live records it had.
    pub fn mask(&mut self, entity: &EntityId, keys: &Keys) -> Result<u64> {
        let mut hidden = self.memtable.remove_entity(entity).len() as u64;
        for view in &mut self.segments {
            let positions = view.of_entity(entity, keys)?;
            if !positions.is_empty() {
                hidden += positions.len();
                *Arc::make_mut(&mut view.dead) |= positions;
            }
        }
        Ok(hidden)
    }

    /// Records a read could return.
    pub fn live(&self) -> u64 {
        self.memtable.live_len() as u64 + self.segments.iter().map(SegmentView::live).sum::<u64>()
    }

    fn shadow(&mut self, id: &RecordId, keys: &Keys) -> Result<()> {
        for view in &mut self.segments {
            if let Some((position, _)) = view.segment.find(id, keys)?
                && !view.dead.contains(position)
            {
                Arc::make_mut(&mut view.dead).insert(position);
            }
        }
        Ok(())
    }
}
