//! SEARCH: permit + filter → snapshot → per segment: allow-bitmap → index search → merge → open and
//! re-rank → bodies.
//!
//! Codes say where to look; who is in the answer is decided by exact distances on opened vectors, of the
//! candidates that `rerank` cannot tell by their error bounds. Candidates are opened in the order of the
//! least distance their bound allows, and opening stops once that is past the worst of the answer so far.

use std::sync::Arc;

use index::{Allow, Candidate, Query};
use privacy::EntityId;
use rayon::prelude::*;
use roaring::RoaringBitmap;
use storage::record::Record as StoredRecord;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filter;
use crate::nearest::{Nearest, Place, Ranked};
use crate::permit::{Action, Permit};
use crate::query::{Counters, Hit, Hits, SearchQuery};
use crate::read::{as_of, from_segment, on_stable_view, payload};
use crate::rerank::{Interval, Judge, Rerank, Verdict};
use crate::segment::Segment;
use crate::snapshot::{SegmentView, View, paths};
use crate::state::{CollectionState, EnvironmentState};

/// Width of a search where the caller names none: this, or twice the limit if that is more.
const EF_DEFAULT: usize = 64;

/// Runs a search.
pub(crate) fn search(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    query: &SearchQuery<'_>,
) -> Result<Hits> {
    permit.check(Action::Read)?;
    check(env, state, query)?;
    let entity = query.filter.as_ref().map(Filter::resolve).transpose()?;
    on_stable_view(env, state, |view, hidden| answer(env, state, query, view, hidden, entity.as_ref()))
}

fn answer(
    env: &EnvironmentState,
    state: &CollectionState,
    query: &SearchQuery<'_>,
    view: &View,
    hidden: &[SegmentView],
    entity: Option<&EntityId>,
) -> Result<Hits> {
    let mut nearest;
    let mut counters = Counters::default();
    if query.exact {
        nearest = scan_memtable(state, query, view, entity);
        nearest = nearest.merge(scan_segments(env, state, query, view, entity, &mut counters)?);
    } else {
        let prepared = state.space.query(query.vector);
        nearest = search_memtable(env, state, query, &prepared, view, entity, &mut counters);
        let candidates = find_candidates(env, query, &prepared, view, entity, &mut counters)?;
        let mut opener = Opener::new(env, state, query);
        let mut decide = |rerank| decide(&mut opener, rerank, view, &candidates, nearest.clone(), &mut counters);
        if let Some(decided) = decide(query.rerank)? {
            nearest = decided;
        } else if let Some(decided) = decide(Rerank::All)? {
            nearest = decided;
        }
    }
    let mut hits = Vec::with_capacity(nearest.heap.len());
    for ranked in nearest.heap.into_sorted_vec() {
        hits.extend(hit(env, state, query, ranked)?);
    }
    Ok(Hits { hits, as_of: as_of(env, view), partial: !hidden.is_empty(), damaged: paths(hidden), counters })
}

fn check(env: &EnvironmentState, state: &CollectionState, query: &SearchQuery<'_>) -> Result<()> {
    let settings = &env.shared.settings;
    if query.limit == 0 || query.limit > settings.limit_max {
        return Err(Error::invalid(format!("limit must be between 1 and {}", settings.limit_max)));
    }
    if query.ef.is_some_and(|ef| ef == 0 || ef > settings.ef_max) {
        return Err(Error::invalid(format!("ef must be between 1 and {}", settings.ef_max)));
    }
    state
        .metric
        .check(query.vector, state.space.dimension())
        .map_err(|e| Error::with(ErrorKind::Invalid, "the query vector is not usable", e))
}

/// Exact distances to all of the memtable.
fn scan_memtable(state: &CollectionState, query: &SearchQuery<'_>, view: &View, entity: Option<&EntityId>) -> Nearest {
    let mut nearest = Nearest::new(query.limit);
    for record in view.memtable.iter().filter_map(|(_, slot)| slot.live()) {
        if entity.is_none_or(|entity| record.entity.as_ref() == Some(entity)) {
            consider(state, query, record, &mut nearest);
        }
    }
    nearest
}

/// Codes say which records of the memtable may be near. It is in the clear, so that exact distances, which decide,
/// cost next to nothing.
fn search_memtable(
    env: &EnvironmentState,
    state: &CollectionState,
    query: &SearchQuery<'_>,
    prepared: &Query,
    view: &View,
    entity: Option<&EntityId>,
    counters: &mut Counters,
) -> Nearest {
    let mut scratch = env.shared.scratch.lock().pop().unwrap_or_default();
    let mut ef = ef_of_each(query, 1);
    let nearest = loop {
        let mut nearest = Nearest::new(query.limit);
        let near = view.memtable.near(prepared, ef, entity, &mut scratch);
        counters.compared += near.compared;
        for &(least, run, position) in &near.candidates {
            if nearest.closed_at(least) {
                break;
            }
            let record = view.memtable.record(run, position);
            record.into_iter().for_each(|record| consider(state, query, record, &mut nearest));
        }
        if near.horizon.is_infinite() || nearest.closed_at(near.horizon) {
            break nearest;
        }
        // More records than were asked for are as near as the codes can tell.
        ef = ef.saturating_mul(4);
    };
    env.shared.scratch.lock().push(scratch);
    nearest
}

fn consider(state: &CollectionState, query: &SearchQuery<'_>, record: &Arc<StoredRecord>, nearest: &mut Nearest) {
    let distance = state.metric.distance(query.vector, &record.vector);
    if !nearest.closed_at(distance) {
        let place = Place::Memtable(Arc::clone(record));
        nearest.push(Ranked { distance, error: 0.0, id: record.id, place });
    }
}

/// Positions that a filter leaves in one segment; `None` for all that are not dead.
fn matching(env: &EnvironmentState, view: &SegmentView, entity: Option<&EntityId>) -> Result<Option<RoaringBitmap>> {
    entity.map(|entity| view.of_entity(entity, &env.keys)).transpose()
}

/// Candidates of every segment by their codes, with the segment's number; by the least distance that each may
/// have.
fn find_candidates(
    env: &EnvironmentState,
    query: &SearchQuery<'_>,
    prepared: &Query,
    view: &View,
    entity: Option<&EntityId>,
    counters: &mut Counters,
) -> Result<Vec<(usize, Candidate)>> {
    let ef = ef_of_each(query, view.segments.len());
    let mut scratch = env.shared.scratch.lock().pop().unwrap_or_default();
    let mut candidates: Vec<(usize, Candidate)> = Vec::new();
    for (number, found) in view.segments.iter().enumerate() {
        let only = matching(env, found, entity)?;
        let allow = match &only {
            Some(only) => Allow::Only(only),
            None if found.dead.is_empty() => Allow::All,
            None => Allow::Except(&found.dead),
        };
        let index = found.segment.index(&env.keys)?;
        let of_segment = index.ann.search(prepared, ef, allow, &mut scratch);
        candidates.extend(of_segment.into_iter().map(|candidate| (number, candidate)));
        counters.hops += scratch.counters().hops;
        counters.compared += scratch.counters().compared;
    }
    env.shared.scratch.lock().push(scratch);
    candidates.sort_unstable_by(|(_, a), (_, b)| interval(a).lower.total_cmp(&interval(b).lower));
    Ok(candidates)
}

/// Adds to `nearest`, which holds exact distances, the candidates that belong in the answer. `None` if a row that
/// was certain to be among them is gone: then all must be opened.
fn decide(
    opener: &mut Opener<'_>,
    rerank: Rerank,
    view: &View,
    candidates: &[(usize, Candidate)],
    mut nearest: Nearest,
    counters: &mut Counters,
) -> Result<Option<Nearest>> {
    let known = nearest.heap.iter().map(|ranked| Interval { lower: ranked.distance, upper: ranked.distance });
    let judge = Judge::new(nearest.limit, known.chain(candidates.iter().map(|(_, candidate)| interval(candidate))));
    let mut certain = Vec::new();
    for (number, candidate) in candidates {
        let interval = interval(candidate);
        if nearest.closed_at(interval.lower) {
            break;
        }
        let Some(found) = view.segments.get(*number) else { continue };
        let verdict = match rerank {
            Rerank::Auto => judge.verdict(interval),
            Rerank::All => Verdict::Open,
            Rerank::None => Verdict::In,
        };
        match verdict {
            Verdict::Out => {}
            Verdict::In => match opener.estimated(&found.segment, candidate)? {
                Some(ranked) => certain.push(ranked),
                None if rerank == Rerank::Auto => return Ok(None),
                None => {}
            },
            Verdict::Open => {
                counters.reranked += 1;
                let ranked = opener.exact(&found.segment, candidate.position)?;
                ranked.into_iter().for_each(|ranked| nearest.push(ranked));
            }
        }
    }
    certain.into_iter().for_each(|ranked| nearest.push(ranked));
    Ok(Some(nearest))
}

fn interval(candidate: &Candidate) -> Interval {
    Interval { lower: candidate.distance - candidate.error, upper: candidate.distance + candidate.error }
}

/// Many small graphs need a narrower search each than one large graph (`ef / √S`).
fn ef_of_each(query: &SearchQuery<'_>, segments: usize) -> usize {
    let ef = query.ef.unwrap_or_else(|| EF_DEFAULT.max(query.limit.saturating_mul(2)));
    let shared = (ef as f64 / (segments.max(1) as f64).sqrt()).ceil() as usize;
    shared.max(query.limit.saturating_add(6)).min(ef.max(query.limit))
}

/// Gives rows their distances, in memory that is used again and wiped at the end.
struct Opener<'a> {
    env: &'a EnvironmentState,
    state: &'a CollectionState,
    query: &'a [f32],
    opened: Zeroizing<Vec<u8>>,
    vector: Zeroizing<Vec<f32>>,
}

impl<'a> Opener<'a> {
    fn new(env: &'a EnvironmentState, state: &'a CollectionState, query: &SearchQuery<'a>) -> Self {
        Self { env, state, query: query.vector, opened: Zeroizing::default(), vector: Zeroizing::default() }
    }

    /// The row with its exact distance; `None` if its entity was erased.
    fn exact(&mut self, segment: &Arc<Segment>, position: u32) -> Result<Option<Ranked>> {
        if !segment.vector(position, &self.env.keys, &mut self.opened, &mut self.vector)? {
            return Ok(None);
        }
        let distance = self.state.metric.distance(self.query, &self.vector);
        self.ranked(segment, position, distance, 0.0).map(Some)
    }

    /// The row with the distance that its code gives; `None` if its entity was erased.
    fn estimated(&self, segment: &Arc<Segment>, candidate: &Candidate) -> Result<Option<Ranked>> {
        if segment.dek(candidate.position, &self.env.keys)?.is_none() {
            return Ok(None);
        }
        self.ranked(segment, candidate.position, candidate.distance, candidate.error).map(Some)
    }

    fn ranked(&self, segment: &Arc<Segment>, position: u32, distance: f32, error: f32) -> Result<Ranked> {
        let id = segment.index(&self.env.keys)?.ids.id(position).ok_or_else(|| {
            Error::corrupt(format!("the index of segment {} names a row it does not have", segment.id))
        })?;
        Ok(Ranked { distance, error, id, place: Place::Segment(Arc::clone(segment), position) })
    }
}

/// Rows that one task of an exact scan opens.
const SCAN_ROWS: u32 = 2048;

/// Opens every matching vector of every segment, in parallel.
fn scan_segments(
    env: &EnvironmentState,
    state: &CollectionState,
    query: &SearchQuery<'_>,
    view: &View,
    entity: Option<&EntityId>,
    counters: &mut Counters,
) -> Result<Nearest> {
    let mut nearest = Nearest::new(query.limit);
    for found in &view.segments {
        let only = matching(env, found, entity)?;
        let allowed = |position: &u32| match &only {
            Some(only) => only.contains(*position),
            None => !found.dead.contains(*position),
        };
        let rows = found.segment.len;
        let scan = |task: u32| -> Result<(Nearest, u64)> {
            let mut opener = Opener::new(env, state, query);
            let mut best = Nearest::new(query.limit);
            let start = task * SCAN_ROWS;
            let mut reranked = 0;
            for position in (start..rows.min(start.saturating_add(SCAN_ROWS))).filter(allowed) {
                reranked += 1;
                let ranked = opener.exact(&found.segment, position)?;
                ranked.into_iter().for_each(|ranked| best.push(ranked));
            }
            Ok((best, reranked))
        };
        let tasks = rows.div_ceil(SCAN_ROWS);
        let parts: Vec<Result<(Nearest, u64)>> =
            env.shared.pool.install(|| (0..tasks).into_par_iter().map(scan).collect());
        for part in parts {
            let (best, reranked) = part?;
            nearest = nearest.merge(best);
            counters.reranked += reranked;
        }
    }
    Ok(nearest)
}

fn hit(
    env: &EnvironmentState,
    state: &CollectionState,
    query: &SearchQuery<'_>,
    ranked: Ranked,
) -> Result<Option<Hit>> {
    let score = state.metric.score(ranked.distance);
    let score_error = state.metric.score_error(ranked.distance, ranked.error);
    let id = ranked.id;
    let of_entity = |entity: &EntityId| entity.as_str().to_owned();
    match &ranked.place {
        Place::Memtable(record) => Ok(Some(Hit {
            id,
            score,
            score_error,
            entity: record.entity.as_ref().map(of_entity),
            payload: if query.with_payload { payload(record.payload.as_ref())? } else { None },
            vector: query.with_vector.then(|| record.vector.clone()),
        })),
        Place::Segment(segment, position) if !query.with_payload && !query.with_vector => {
            let entity = segment.index(&env.keys)?.entities.of(*position).map(of_entity);
            Ok(Some(Hit { id, score, score_error, entity, payload: None, vector: None }))
        }
        Place::Segment(segment, position) => {
            let record = from_segment(env, segment, *position, query.with_payload, query.with_vector)?;
            Ok(record.map(|record| Hit {
                id,
                score,
                score_error,
                entity: record.entity,
                payload: record.payload,
                vector: query.with_vector.then_some(record.vector),
            }))
        }
    }
}
