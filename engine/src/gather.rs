//! GATHER: records that match → whose each is → all of one owner together, one owner after the other.
//!
//! Invariant: every matching record is given exactly once, all records of an entity at once, whether they lie in the
//! memtable or in any segment, and a record of nobody by itself. What is held meanwhile is where records lie, and never a
//! vector: segments list their owners in the order of their names, and so the lists are merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use privacy::EntityId;
use roaring::RoaringBitmap;
use storage::record::Record as StoredRecord;
use storage::segment::EntityMap;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::filter::Filter;
use crate::select::{Selection, live_records, live_rows};
use crate::snapshot::{SegmentView, View};
use crate::state::EnvironmentState;

/// Where a matching record lies.
#[derive(Clone, Copy)]
pub(crate) enum Spot<'v> {
    Memtable(&'v StoredRecord),
    Row(&'v SegmentView, u32),
}

/// The buffers in which records are opened, one after the other.
#[derive(Default)]
pub(crate) struct Opening {
    opened: Zeroizing<Vec<u8>>,
    vector: Zeroizing<Vec<f32>>,
}

impl Opening {
    /// The vector of a record; `None` if its entity was erased meanwhile.
    pub fn vector<'a>(&'a mut self, env: &EnvironmentState, spot: &'a Spot<'_>) -> Result<Option<&'a [f32]>> {
        match spot {
            Spot::Memtable(record) => Ok(Some(&record.vector)),
            Spot::Row(view, position) => {
                let is_there = view.segment.vector(*position, &env.keys, &mut self.opened, &mut self.vector)?;
                Ok(is_there.then_some(&self.vector[..]))
            }
        }
    }

    /// What `look` makes of a record's payload, as JSON text; `None` if its entity was erased meanwhile.
    pub fn payload<T>(
        &self,
        env: &EnvironmentState,
        spot: &Spot<'_>,
        look: impl FnOnce(Option<&Vec<u8>>) -> Result<T>,
    ) -> Result<Option<T>> {
        match spot {
            Spot::Memtable(record) => look(record.payload.as_ref()).map(Some),
            Spot::Row(view, position) => match view.segment.body(*position, &env.keys)? {
                Some(body) => look(body.payload.as_ref()).map(Some),
                None => Ok(None),
            },
        }
    }
}

/// Where the matching records of some owners lie.
enum Source<'v> {
    Memtable(Vec<(&'v EntityId, &'v StoredRecord)>),
    Segment { view: &'v SegmentView, owners: &'v EntityMap, rows: RoaringBitmap },
}

impl<'v> Source<'v> {
    /// The owner at `at`, in the order of their names.
    fn owner(&self, at: usize) -> Option<&'v EntityId> {
        match self {
            Self::Memtable(records) => records.get(at).map(|(owner, _)| *owner),
            Self::Segment { owners, .. } => owners.entities().get(at),
        }
    }

    /// Adds what the owner at `at` has here to `spots`.
    fn add(&self, at: usize, spots: &mut Vec<Spot<'v>>) {
        match self {
            Self::Memtable(records) => spots.extend(records.get(at).map(|(_, record)| Spot::Memtable(record))),
            Self::Segment { view, owners, rows } => {
                let positions = owners.entities().get(at).map_or(&[][..], |owner| owners.positions(owner));
                let matching = positions.iter().filter(|position| rows.contains(**position));
                spots.extend(matching.map(|position| Spot::Row(view, *position)));
            }
        }
    }
}

/// So many records, and those that the last of their owners has beyond, are given at once: enough work for all threads.
const BATCH: usize = 512;

/// Calls `found` with the records of some owners that match, each owner's apart, until it was called with those of all: in the
/// order of the owners' names, and then those of nobody, each by itself.
pub(crate) fn each_owner<'v>(
    env: &EnvironmentState,
    view: &'v View,
    filter: Option<&Filter>,
    mut found: impl FnMut(&[&[Spot<'v>]]) -> Result<()>,
) -> Result<()> {
    let mut selection = filter.map(|filter| Selection::unlimited(env, filter)).transpose()?;
    let (mut owned, mut nobodys) = (Vec::new(), Vec::new());
    for record in live_records(view, selection.as_ref())? {
        match &record.entity {
            Some(owner) => owned.push((owner, &**record)),
            None => nobodys.push(Spot::Memtable(record)),
        }
    }
    owned.sort_unstable_by_key(|(owner, record)| (*owner, record.id));
    let mut sources = vec![Source::Memtable(owned)];
    for segment in &view.segments {
        let rows = live_rows(env, segment, selection.as_mut())?;
        let owners = &segment.segment.index(&env.keys)?.entities;
        nobodys.extend(rows.iter().filter(|row| owners.of(*row).is_none()).map(|row| Spot::Row(segment, row)));
        sources.push(Source::Segment { view: segment, owners, rows });
    }
    // The next owner of each source, the first on top.
    let mut heads: BinaryHeap<Reverse<(&EntityId, usize, usize)>> = BinaryHeap::new();
    let next = |at: usize, source: usize| Some(Reverse((sources.get(source)?.owner(at)?, source, at)));
    heads.extend((0..sources.len()).filter_map(|source| next(0, source)));
    let (mut spots, mut ends) = (Vec::new(), Vec::new());
    while let Some(Reverse((owner, source, at))) = heads.pop() {
        if let Some(from) = sources.get(source) {
            from.add(at, &mut spots);
        }
        heads.extend(next(at + 1, source));
        if heads.peek().is_some_and(|Reverse((other, ..))| *other == owner) {
            continue;
        }
        if spots.len() > ends.last().copied().unwrap_or_default() {
            ends.push(spots.len());
        }
        if spots.len() >= BATCH {
            found(&parts(&spots, &ends))?;
            spots.clear();
            ends.clear();
        }
    }
    found(&parts(&spots, &ends))?;
    nobodys.chunks(BATCH).try_for_each(|alone| found(&alone.chunks(1).collect::<Vec<_>>()))
}

/// `spots` cut apart at `ends`.
fn parts<'s, 'v>(spots: &'s [Spot<'v>], ends: &[usize]) -> Vec<&'s [Spot<'v>]> {
    let starts = std::iter::once(&0).chain(ends);
    starts.zip(ends).filter_map(|(start, end)| spots.get(*start..*end)).collect()
}
