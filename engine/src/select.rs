//! SELECT: filter → what indexes know → the rows in between opened → exactly the rows that match.
//!
//! Invariant: an answer is what [`Filter::matches`] says of every record, whichever conditions indexes answered. One
//! read opens at most [`Settings::unindexed_filter_limit`](crate::Settings::unindexed_filter_limit) rows for its
//! filter; a filter that needs more is refused, so that nobody reads a whole collection unawares. Of whoever is not shown
//! every record only those count that they are shown: a refusal would tell how many others there are.

use std::sync::Arc;

use rayon::prelude::*;
use roaring::RoaringBitmap;
use storage::record::Record as StoredRecord;

use crate::bounds::Bounds;
use crate::error::{Error, Result};
use crate::filter::{Filter, Subject};
use crate::memtable::Memtable;
use crate::query::Filtered;
use crate::resolve::resolve;
use crate::segment::{Index, Segment};
use crate::snapshot::{SegmentView, View};
use crate::state::EnvironmentState;

/// How many doubtful rows are opened before those are counted that are shown.
const AT_ONCE: usize = 4096;

/// A filter that one read applies.
pub(crate) struct Selection<'a> {
    env: &'a EnvironmentState,
    filter: &'a Filter,
    /// So many rows it opens at most.
    limit: u64,
    /// What it cost so far.
    pub cost: Filtered,
}

impl<'a> Selection<'a> {
    /// Checks the filter.
    ///
    /// # Errors
    /// `Invalid` if it was built from something that is not usable.
    pub fn new(env: &'a EnvironmentState, filter: &'a Filter) -> Result<Self> {
        match filter.fault() {
            Some(what) => Err(Error::invalid(what)),
            None => {
                Ok(Self { env, filter, limit: env.shared.settings.unindexed_filter_limit, cost: Filtered::default() })
            }
        }
    }

    /// The same for a read that opens every record that matches anyway, and must not say how many they are by refusing.
    pub fn unlimited(env: &'a EnvironmentState, filter: &'a Filter) -> Result<Self> {
        Self::new(env, filter).map(|selection| Self { limit: u64::MAX, ..selection })
    }

    /// The records of the memtable that match, by its runs.
    pub fn in_memtable(&self, memtable: &Memtable) -> Result<Vec<RoaringBitmap>> {
        memtable.matching(self.filter, &self.env.shared.pool)
    }

    /// Whether a record of the memtable matches.
    pub fn takes(&self, record: &StoredRecord) -> Result<bool> {
        self.filter.matches(&Subject::of(record))
    }

    /// The live rows of a segment that match.
    ///
    /// # Errors
    /// `Invalid` if too many rows would have to be opened; those of opening them.
    pub fn rows(&mut self, view: &SegmentView) -> Result<RoaringBitmap> {
        let Bounds { certain, possible } = self.bounds(view)?;
        let doubtful: Vec<u32> = (possible - &certain).into_iter().collect();
        let (env, segment, filter) = (self.env, &*view.segment, self.filter);
        let mut rows = certain;
        if filter.shown().is_none() {
            self.spend(doubtful.len() as u64)?;
        }
        for some in doubtful.chunks(if filter.shown().is_some() { AT_ONCE } else { usize::MAX }) {
            let open = |position: &u32| Ok((*position, look(env, segment, *position, filter)?));
            let one_by_one = || some.par_iter().map(open).collect::<Result<Vec<_>>>();
            let looked: Vec<(u32, Looked)> = env.shared.pool.install(one_by_one)?;
            if filter.shown().is_some() {
                self.spend(looked.iter().filter(|(_, looked)| *looked != Looked::NotShown).count() as u64)?;
            }
            rows.extend(looked.iter().filter(|(_, looked)| *looked == Looked::Matches).map(|(position, _)| *position));
        }
        self.cost.matched += rows.len();
        Ok(rows)
    }

    /// What the index of a segment says of its live rows.
    pub fn bounds(&mut self, view: &SegmentView) -> Result<Bounds> {
        let index = view.segment.index(&self.env.keys)?;
        let live = live(view, index);
        let (bounds, answered) = resolve(self.filter, index.known(), &live);
        self.cost.conditions = self.cost.conditions.max(answered.conditions);
        self.cost.unindexed = self.cost.unindexed.max(answered.unindexed);
        self.cost.estimated += bounds.possible.len();
        Ok(bounds)
    }

    /// Whether the row at `position` matches, by opening it.
    ///
    /// # Errors
    /// `Invalid` if that is one too many; those of opening it.
    pub fn opens(&mut self, segment: &Segment, position: u32) -> Result<bool> {
        if self.filter.shown().is_none() {
            self.spend(1)?;
            return Ok(look(self.env, segment, position, self.filter)? == Looked::Matches);
        }
        let looked = look(self.env, segment, position, self.filter)?;
        self.spend(u64::from(looked != Looked::NotShown))?;
        Ok(looked == Looked::Matches)
    }

    fn spend(&mut self, rows: u64) -> Result<()> {
        self.cost.opened += rows;
        let limit = self.limit;
        if self.cost.opened <= limit {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the filter has conditions that no payload index answers, and would open over {limit} records to find out; \
             index their fields, narrow the filter, or raise unindexed_filter_limit"
        )))
    }
}

/// The records of the memtable that a read returns.
pub(crate) fn live_records<'v>(
    view: &'v View,
    selection: Option<&Selection<'_>>,
) -> Result<Vec<&'v Arc<StoredRecord>>> {
    let mut records = Vec::new();
    for record in view.memtable.iter().filter_map(|(_, slot)| slot.live()) {
        if selection.map_or(Ok(true), |selection| selection.takes(record))? {
            records.push(record);
        }
    }
    Ok(records)
}

/// The rows of a segment that a read returns.
pub(crate) fn live_rows(
    env: &EnvironmentState,
    view: &SegmentView,
    selection: Option<&mut Selection<'_>>,
) -> Result<RoaringBitmap> {
    match selection {
        Some(selection) => selection.rows(view),
        None => Ok(live(view, view.segment.index(&env.keys)?)),
    }
}

fn live(view: &SegmentView, index: &Index) -> RoaringBitmap {
    let mut live = RoaringBitmap::new();
    live.insert_range(0..view.segment.len);
    live -= &*view.dead;
    live -= &index.erased;
    live
}

/// What came of opening a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looked {
    Matches,
    Differs,
    /// Whoever asks is not shown it, or it is gone.
    NotShown,
}

fn look(env: &EnvironmentState, segment: &Segment, position: u32, filter: &Filter) -> Result<Looked> {
    // The row of an erased entity is gone.
    let Some(body) = segment.body(position, &env.keys)? else { return Ok(Looked::NotShown) };
    let subject = Subject::new(body.id, body.entity.as_ref(), body.payload.as_deref());
    if !filter.shown().map_or(Ok(true), |shown| shown.matches(&subject))? {
        return Ok(Looked::NotShown);
    }
    Ok(if filter.matches(&subject)? { Looked::Matches } else { Looked::Differs })
}

/// Whether a filter that says which records are shown shows the row at `position`; the row is opened only where no index
/// can tell.
pub(crate) fn shows(env: &EnvironmentState, segment: &Segment, position: u32, shown: &Filter) -> Result<bool> {
    let one = RoaringBitmap::from_iter([position]);
    let (Bounds { certain, possible }, _) = resolve(shown, segment.index(&env.keys)?.known(), &one);
    if certain.contains(position) || !possible.contains(position) {
        return Ok(certain.contains(position));
    }
    Ok(look(env, segment, position, shown)? == Looked::Matches)
}
