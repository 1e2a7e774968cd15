//! What one reader sees of a collection: its segments with their dead rows, and the memtable, all at one
//! sequence. A view never changes; a write publishes a new one.

use std::collections::BTreeSet;
use std::sync::Arc;

use index::{Codes, Space};
use privacy::access::Entities;
use privacy::{EntityId, KeyId};
use roaring::RoaringBitmap;
use storage::id::{RecordId, Sequence};
use storage::record::Record as StoredRecord;

use crate::error::Result;
use crate::keys::Keys;
use crate::memtable::Memtable;
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

impl SegmentView {
    /// Positions of the rows whose key is one of `ids`; `None` where damage keeps anybody from saying which. Those are
    /// not served, and die with their key.
    pub fn of_keys(&self, ids: &BTreeSet<KeyId>, keys: &Keys) -> Result<Option<RoaringBitmap>> {
        if ids.is_empty() {
            return Ok(Some(RoaringBitmap::new()));
        }
        match self.segment.of_keys(ids, keys) {
            Err(_) if self.segment.is_quarantined() => Ok(None),
            found => found.map(Some),
        }
    }
}

/// The names of segments, as answers give them.
pub(crate) fn paths(segments: &[SegmentView]) -> Vec<String> {
    segments.iter().map(|view| view.segment.path()).collect()
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
    /// The picture without the segments that are in quarantine, and those.
    pub fn served(self: &Arc<Self>) -> (Arc<Self>, Vec<SegmentView>) {
        let hidden: Vec<SegmentView> = self.quarantined().cloned().collect();
        if hidden.is_empty() {
            return (Arc::clone(self), hidden);
        }
        let mut served = (**self).clone();
        served.segments.retain(|view| hidden.iter().all(|other| other.segment.id != view.segment.id));
        (Arc::new(served), hidden)
    }

    /// The segments in quarantine.
    pub fn quarantined(&self) -> impl Iterator<Item = &SegmentView> {
        self.segments.iter().filter(|view| view.segment.is_quarantined())
    }

    /// Stores `records` that were written at `written_ms` and have these codes, hiding older versions of them.
    pub fn put(&mut self, records: Vec<StoredRecord>, codes: Codes, written_ms: u64, keys: &Keys) -> Result<()> {
        for record in &records {
            self.shadow(&record.id, keys)?;
            self.sequence = self.sequence.max(record.sequence);
        }
        self.memtable.put(records, codes, written_ms)
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

    /// The write that stored what a read would find under `id`.
    pub fn version(&self, id: &RecordId, keys: &Keys) -> Result<Option<Sequence>> {
        if let Some(slot) = self.memtable.get(id) {
            return Ok(slot.live().map(|record| record.sequence));
        }
        let Some((view, position)) = self.locate(id, keys)? else { return Ok(None) };
        Ok(view.segment.index(keys)?.ids.sequence(position))
    }

    /// Whether what a read would find under `id` is about one of `subjects`; none if it would find nothing.
    pub fn is_of(&self, id: &RecordId, subjects: &Entities, keys: &Keys) -> Result<Option<bool>> {
        let is_theirs = |entity: Option<&EntityId>| Some(entity.is_some_and(|entity| subjects.has(entity)));
        if let Some(slot) = self.memtable.get(id) {
            return Ok(slot.live().and_then(|record| is_theirs(record.entity.as_ref())));
        }
        let Some((view, position)) = self.locate(id, keys)? else { return Ok(None) };
        Ok(is_theirs(view.segment.index(keys)?.entities.of(position)))
    }

    /// Hides every row of `entity`; returns how many live records it had.
    pub fn mask(&mut self, entity: &EntityId, space: &Space, keys: &Keys) -> Result<u64> {
        let removed = self.memtable.remove_entity(entity, space)?;
        let mut hidden = removed.len() as u64;
        for view in &mut self.segments {
            if view.segment.index_unless_lost(keys)?.is_none() {
                // Not served, and its rows of the entity die with the entity's key. It may hold versions that the
                // removed records replaced: those must stay replaced when it is put back.
                removed.iter().for_each(|record| self.memtable.delete(record.id, record.sequence));
                continue;
            }
            let positions = view.of_entity(entity, keys)?;
            if !positions.is_empty() {
                hidden += positions.len();
                *Arc::make_mut(&mut view.dead) |= positions;
            }
        }
        Ok(hidden)
    }

    /// Hides every row whose key is one of `ids`; returns how many live records that were.
    pub fn mask_keys(&mut self, ids: &BTreeSet<KeyId>, keys: &Keys) -> Result<u64> {
        let mut hidden = 0;
        for view in &mut self.segments {
            let positions = view.of_keys(ids, keys)?.unwrap_or_default() - &*view.dead;
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
            if view.segment.index_unless_lost(keys)?.is_none() {
                // Met in replay alone, since writes are refused in this state; the log keeps the write for the
                // day the segment is put back.
                continue;
            }
            if let Some((position, _)) = view.segment.find(id, keys)?
                && !view.dead.contains(position)
            {
                Arc::make_mut(&mut view.dead).insert(position);
            }
        }
        Ok(())
    }
}
