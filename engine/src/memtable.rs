//! The memtable of a collection: records that are in no segment yet, and the runs by which a search finds them.
//!
//! Invariant: every live record has one live row in the runs, and every live row is of a live record. After
//! a merge each run has more live rows than all newer ones together and at least as many as dead ones, so
//! that there are few runs, and a record's code is copied no more often than the memtable doubles (Bentley
//! and Saxe, "Decomposable searching problems I", 1980).

use std::ops::Deref;
use std::sync::Arc;

use index::{Codes, Query, Scratch, Space};
use privacy::EntityId;
use rayon::ThreadPool;
use roaring::RoaringBitmap;
use storage::id::{RecordId, Sequence};
use storage::memtable::{Memtable as Slots, Slot};
use storage::record::Record as StoredRecord;
use zeroize::Zeroizing;

use crate::ages::Ages;
use crate::error::Result;
use crate::filter::{Filter, Subject};
use crate::run::Run;

/// The newest writes; a clone is a snapshot. Read like the slots it consists of.
#[derive(Clone, Default)]
pub(crate) struct Memtable {
    slots: Slots,
    /// Oldest first.
    runs: Vec<Run>,
    ages: Ages,
}

impl Deref for Memtable {
    type Target = Slots;
    fn deref(&self) -> &Slots {
        &self.slots
    }
}

/// What the codes of a memtable say of a query.
pub(crate) struct Near<'a> {
    /// Records by the least distance that each may have, which comes first.
    pub candidates: Vec<(f32, &'a Run, u32)>,
    /// No other record is likely to be nearer than this.
    pub horizon: f32,
    /// Codes compared with the query.
    pub compared: u64,
    /// Bytes of memory that this took.
    pub bytes: u64,
}

impl Memtable {
    /// Puts records that were written at `written_ms` in their places, unless newer writes are there. Their ids differ,
    /// and `codes` are theirs.
    pub fn put(&mut self, records: Vec<StoredRecord>, codes: Codes, written_ms: u64) -> Result<()> {
        let mut run = Run::new(&records, codes)?;
        if let Some(last) = records.iter().map(|record| record.sequence).max() {
            self.ages.note(last, written_ms);
        }
        for (position, record) in (0..).zip(records) {
            match self.slots.get(&record.id) {
                None => {}
                Some(newer) if newer.sequence() > record.sequence => run.bury_at(position),
                Some(_) => self.bury(&record.id),
            }
            self.slots.insert(record);
        }
        self.runs.push(run);
        Ok(())
    }

    /// Marks an id deleted by the write `sequence`, unless a newer write is there.
    pub fn delete(&mut self, id: RecordId, sequence: Sequence) {
        self.slots.delete(id, sequence);
        if self.live(&id).is_none() {
            self.bury(&id);
        }
    }

    /// Restores the invariant on the sizes of runs. Whoever puts records calls this before the next snapshot.
    pub fn merge(&mut self, space: &Space) -> Result<()> {
        self.runs.retain(|run| run.live() > 0);
        let (mut newer, mut first) = (0, None);
        for (at, run) in self.runs.iter().enumerate().rev() {
            if run.live() <= newer || run.is_mostly_dead() {
                first = Some(at);
            }
            newer += run.live();
        }
        if let Some(first) = first {
            let merged = Run::merged(&self.runs[first..], space)?;
            self.runs.truncate(first);
            self.runs.push(merged);
        }
        Ok(())
    }

    /// Drops every slot that `flushed` holds too, that is, that no write has replaced since.
    pub fn remove_flushed(&mut self, flushed: &Self, space: &Space) -> Result<()> {
        self.slots.remove_flushed(flushed);
        self.ages.forget(&flushed.ages);
        let lives = |id: &RecordId, sequence| {
            let live = self.slots.get(id).and_then(Slot::live);
            live.is_some_and(|record| record.sequence == sequence)
        };
        self.runs.iter_mut().for_each(|run| run.bury_unless(lives));
        self.merge(space)
    }

    /// Takes out the live records of an entity and returns them, as [`Slots::remove_entity`] does, and all codes that
    /// were ever made for it.
    pub fn remove_entity(&mut self, entity: &EntityId, space: &Space) -> Result<Vec<Arc<StoredRecord>>> {
        let removed = self.slots.remove_entity(entity);
        for run in &mut self.runs {
            if let Some(rest) = run.without(entity, space)? {
                *run = rest;
            }
        }
        self.merge(space)?;
        Ok(removed)
    }

    /// The live rows that match `filter`, run by run.
    pub fn matching(&self, filter: &Filter, pool: &ThreadPool) -> Result<Vec<RoaringBitmap>> {
        let rows = |run: &Run| {
            let text = |position| self.record(run, position).and_then(|record| record.payload.clone());
            let bounds = run.bounds(filter, pool, &|position| Ok(text(position).map(Zeroizing::new)))?;
            let (doubtful, mut rows) = (bounds.doubtful(), bounds.certain);
            for position in doubtful {
                if let Some(record) = self.record(run, position)
                    && filter.matches(&Subject::of(record))?
                {
                    rows.insert(position);
                }
            }
            Ok(rows)
        };
        self.runs.iter().map(rows).collect()
    }

    /// The records whose codes are nearest to `query`, the `ef` nearest of every run; only those in `only`, what
    /// [`Memtable::matching`] gave, if that is given.
    pub fn near(&self, query: &Query, ef: usize, only: Option<&[RoaringBitmap]>, scratch: &mut Scratch) -> Near<'_> {
        let mut near = Near { candidates: Vec::new(), horizon: f32::INFINITY, compared: 0, bytes: 0 };
        let nothing = RoaringBitmap::new();
        for (at, run) in self.runs.iter().enumerate() {
            let only = only.map(|only| only.get(at).unwrap_or(&nothing));
            let found = run.search(query, ef, only, scratch);
            near.compared += scratch.counters().compared;
            near.bytes += scratch.counters().bytes;
            if let Some(last) = found.last().filter(|_| found.len() >= ef) {
                near.horizon = near.horizon.min(last.distance - run.greatest_error(query, last.distance));
            }
            near.candidates.extend(found.iter().map(|found| (found.distance - found.error, run, found.position)));
        }
        near.candidates.sort_unstable_by(|(a, ..), (b, ..)| a.total_cmp(b));
        near
    }

    /// The records in `only`, what [`Memtable::matching`] gave.
    pub fn records(&self, only: Vec<RoaringBitmap>) -> impl Iterator<Item = &Arc<StoredRecord>> {
        let of_run = move |(run, only): (_, RoaringBitmap)| {
            only.into_iter().filter_map(move |position| self.record(run, position))
        };
        self.runs.iter().zip(only).flat_map(of_run)
    }

    /// The record at a position of a run.
    pub fn record(&self, run: &Run, position: u32) -> Option<&Arc<StoredRecord>> {
        let (id, sequence) = run.id(position)?;
        self.live(&id).filter(|record| record.sequence == sequence)
    }

    /// When its records were written.
    pub fn ages(&self) -> &Ages {
        &self.ages
    }

    /// Bytes of records, slots and codes.
    pub fn resident_bytes(&self) -> usize {
        self.slots.bytes() + self.runs.iter().map(Run::resident_bytes).sum::<usize>()
    }

    /// Whether the system agreed to keep the codes out of swap.
    pub fn is_locked(&self) -> bool {
        self.runs.iter().all(Run::is_locked)
    }

    fn live(&self, id: &RecordId) -> Option<&Arc<StoredRecord>> {
        self.slots.get(id).and_then(Slot::live)
    }

    fn bury(&mut self, id: &RecordId) {
        self.runs.iter_mut().for_each(|run| run.bury(id));
    }
}

#[cfg(test)]
mod tests;
