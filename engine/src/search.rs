//! SEARCH: permit + filter → snapshot → per segment: allow-bitmap → index search → merge → open and
//! re-rank → bodies.
//!
//! Codes say where to look; who is in the answer is decided by exact distances on opened vectors, of the
//! candidates that `rerank` cannot tell by their error bounds. A row whose key was destroyed is no candidate: it
//! was masked before, in every view that is taken afterwards, and an answer from an older view is thrown away.

use index::{Allow, Candidate, Query, Reach};
use privacy::EntityId;
use privacy::access::{Asked, Permission};
use rayon::prelude::*;
use std::hint::black_box;
use zeroize::Zeroizing;

use crate::aim::{self, Aim, Aimed, aim};
use crate::error::{Error, Result};
use crate::example::Near;
use crate::nearest::{Nearest, Place, Ranked};
use crate::permit::Permit;
use crate::query::{Counters, Hit, Hits, Phases, SearchQuery};
use crate::read::{as_of, from_segment, on_stable_view, payload};
use crate::rerank::{Interval, Judge, Rerank, Verdict};
use crate::scan::{consider, id_of, scan_memtable, scan_segments};
use crate::select::Selection;
use crate::snapshot::{SegmentView, View, paths};
use crate::state::{CollectionState, EnvironmentState};

/// Width of a search where the caller names none: this, or twice the limit if that is more; never more than a caller
/// may name.
const EF_DEFAULT: usize = 64;

/// Runs a search.
pub(crate) fn search(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    query: &SearchQuery<'_>,
) -> Result<Hits> {
    admit(env, permit, state, &[query])?;
    check(env, state, query)?;
    let filter = env.narrowed(permit, state, asked(query), query.filter.as_ref())?;
    on_stable_view(env, state, |view, hidden| {
        let vector = aim(env, state, (permit, &query.near), view, hidden)?;
        answer(env, state, &Aimed { query, vector: &vector, filter: filter.as_deref() }, view, hidden)
    })
    .map(|hits| hits.told_to(permit.shows_all()))
}

/// Runs searches side by side, on one view.
pub(crate) fn search_batch<'a>(
    env: &EnvironmentState,
    state: &CollectionState,
    permit: &Permit,
    queries: &[SearchQuery<'a>],
) -> Result<Vec<Hits>> {
    admit(env, permit, state, &queries.iter().collect::<Vec<_>>())?;
    let of_search = |at: usize| move |error: Error| error.within(&format!("searches[{at}]"));
    queries.iter().enumerate().try_for_each(|(at, query)| check(env, state, query).map_err(of_search(at)))?;
    on_stable_view(env, state, |view, hidden| {
        // Work in the pool must not be the first to ask for it.
        view.segments.iter().try_for_each(|found| found.segment.index(&env.keys).map(drop))?;
        let aim = |(at, query): (usize, &SearchQuery<'a>)| {
            aim(env, state, (permit, &query.near), view, hidden).map_err(of_search(at))
        };
        let aims: Vec<Aim<'a>> = queries.iter().enumerate().map(aim).collect::<Result<_>>()?;
        let one = |(at, (query, vector)): (usize, (&SearchQuery<'_>, &Aim<'_>))| {
            let filter = env.narrowed(permit, state, asked(query), query.filter.as_ref())?;
            let hits = answer(env, state, &Aimed { query, vector, filter: filter.as_deref() }, view, hidden);
            hits.map(|hits| hits.told_to(permit.shows_all())).map_err(of_search(at))
        };
        env.shared.pool.install(|| queries.par_iter().zip(&aims).enumerate().map(one).collect())
    })
}

/// Whether the permit is for such searches.
fn admit(env: &EnvironmentState, permit: &Permit, state: &CollectionState, queries: &[&SearchQuery<'_>]) -> Result<()> {
    let by_vector = queries.iter().filter(|query| matches!(query.near, Near::Vector(_))).count() as u64;
    let by_example = queries.len() as u64 - by_vector;
    for (permission, times) in [(Permission::SearchQuery, by_vector), (Permission::SearchSimilar, by_example)] {
        if times > 0 {
            env.admit_reads(permit, permission, state, times)?;
        }
    }
    env.admit_vectors(permit, queries.iter().any(|query| query.with.vector), state)
}

/// Which rule it is that says what an end user is shown.
fn asked(query: &SearchQuery<'_>) -> Asked {
    match query.near {
        Near::Vector(_) => Asked::Search,
        Near::Examples { .. } => Asked::Similar,
    }
}

fn answer(
    env: &EnvironmentState,
    state: &CollectionState,
    aimed: &Aimed<'_>,
    view: &View,
    hidden: &[SegmentView],
) -> Result<Hits> {
    let Aimed { query, vector, filter } = aimed;
    let mut selection = filter.map(|filter| Selection::new(env, filter)).transpose()?;
    let mut counters = Counters { segments: view.segments.len() as u64, ..Counters::default() };
    let now = || if query.explain { env.shared.clock.now_us() } else { 0 };
    let started_at = now();
    let (found_at, nearest) = if query.exact {
        let known = scan_memtable(state, aimed, view, selection.as_ref())?;
        let nearest = known.merge(scan_segments(env, state, aimed, view, selection.as_mut(), &mut counters)?);
        (now(), nearest.into_sorted())
    } else {
        let prepared = state.space.query(vector);
        let known = search_memtable(env, state, aimed, &prepared, view, selection.as_ref(), &mut counters)?;
        let candidates = find_candidates(env, query, &prepared, view, selection.as_mut(), &mut counters)?;
        (now(), decide(env, state, aimed, known, &candidates, &mut counters)?)
    };
    counters.bytes += counters.reranked * size_of_val(*vector) as u64;
    counters.filter = selection.map(|selection| selection.cost).unwrap_or_default();
    let decided_at = now();
    let is_hit =
        |ranked: &Ranked<'_>| query.is_near(state.metric, ranked.distance) && !query.except.contains(&ranked.id);
    let nearest: Vec<Ranked<'_>> = nearest.into_iter().filter(is_hit).skip(query.offset).take(query.limit).collect();
    let owners: Vec<Option<&EntityId>> =
        nearest.iter().map(|ranked| if query.with_entity { owner(ranked) } else { None }).collect();
    // The misses of all names overlap if no allocation of a hit is between them.
    black_box(
        owners
            .iter()
            .flatten()
            .fold(0, |sum, owner| sum ^ owner.as_str().as_bytes().first().copied().unwrap_or_default()),
    );
    let mut hits = Vec::with_capacity(nearest.len());
    for (ranked, owner) in nearest.iter().zip(owners) {
        hits.extend(hit(env, state, query, ranked, owner)?);
    }
    let phases = query.explain.then(|| Phases {
        find_us: found_at.saturating_sub(started_at),
        decide_us: decided_at.saturating_sub(found_at),
        answer_us: now().saturating_sub(decided_at),
    });
    Ok(Hits { hits, as_of: as_of(env, view), partial: !hidden.is_empty(), damaged: paths(hidden), counters, phases })
}

fn check(env: &EnvironmentState, state: &CollectionState, query: &SearchQuery<'_>) -> Result<()> {
    let settings = &env.shared.settings;
    if query.limit == 0 || query.limit.saturating_add(query.offset) > settings.limit_max {
        let max = settings.limit_max;
        return Err(Error::out_of_range(format!(
            "limit must be between 1 and {max}, offset and it together at most {max}"
        )));
    }
    if query.score_threshold.is_some_and(f32::is_nan) {
        return Err(Error::invalid("the score threshold must be a number"));
    }
    if query.ef.is_some_and(|ef| ef == 0 || ef > settings.ef_max) {
        return Err(Error::out_of_range(format!("ef must be between 1 and {}", settings.ef_max)));
    }
    aim::check(env, state, &query.near)
}

/// Codes say which records of the memtable may be near. It is in the clear, so that exact distances, which decide,
/// cost next to nothing.
fn search_memtable<'a>(
    env: &EnvironmentState,
    state: &CollectionState,
    aimed: &Aimed<'_>,
    prepared: &Query,
    view: &'a View,
    selection: Option<&Selection<'_>>,
    counters: &mut Counters,
) -> Result<Nearest<'a>> {
    let query = aimed.query;
    let mut nearest = Nearest::new(query.width());
    if view.memtable.live_len() == 0 {
        return Ok(nearest);
    }
    let only = selection.map(|selection| selection.in_memtable(&view.memtable)).transpose()?;
    let mut scratch = env.shared.scratch.lock().pop().unwrap_or_default();
    let mut ef = ef_of_each(env, query, 1).max(query.width());
    loop {
        let near = view.memtable.near(prepared, ef, only.as_deref(), &mut scratch);
        counters.compared += near.compared;
        counters.bytes += near.bytes;
        for &(least, run, position) in &near.candidates {
            if nearest.is_closed_at(least) {
                break;
            }
            let record = view.memtable.record(run, position);
            record.into_iter().for_each(|record| consider(state, aimed, record, &mut nearest));
        }
        if near.horizon.is_infinite() || nearest.is_closed_at(near.horizon) {
            break;
        }
        // More records than were asked for are as near as the codes can tell.
        ef = ef.saturating_mul(4);
        nearest = Nearest::new(query.width());
    }
    env.shared.scratch.lock().push(scratch);
    Ok(nearest)
}

/// Doubtful rows that are opened under one hold of the keyring.
const AT_ONCE: usize = 64;

/// A row of a segment that may be among the nearest.
type Found<'a> = (&'a SegmentView, Candidate);

/// Candidates of every segment by their codes.
fn find_candidates<'a>(
    env: &EnvironmentState,
    query: &SearchQuery<'_>,
    prepared: &Query,
    view: &'a View,
    mut selection: Option<&mut Selection<'_>>,
    counters: &mut Counters,
) -> Result<Vec<Found<'a>>> {
    let reach = Reach { limit: query.width(), ef: ef_of_each(env, query, view.segments.len()) };
    let mut scratch = env.shared.scratch.lock().pop().unwrap_or_default();
    let (mut candidates, mut of_segment) = (Vec::new(), Vec::new());
    for found in &view.segments {
        let only = selection.as_mut().map(|selection| selection.rows(found)).transpose()?;
        let index = found.segment.index(&env.keys)?;
        let unreadable = (!index.erased.is_empty()).then(|| &*found.dead | &index.erased);
        let dead = unreadable.as_ref().unwrap_or(&found.dead);
        let allow = match &only {
            Some(only) => Allow::Only(only),
            None if dead.is_empty() => Allow::All,
            None => Allow::Except(dead),
        };
        index.ann.search_into(prepared, reach, allow, &mut scratch, &mut of_segment);
        // Their misses overlap if nothing is decided between them. Who asks only whether there is an id loads none.
        of_segment.iter().for_each(|candidate| _ = black_box(index.ids.id(candidate.position)));
        candidates.extend(of_segment.iter().map(|candidate| (found, *candidate)));
        counters.hops += scratch.counters().hops;
        counters.compared += scratch.counters().compared;
        counters.bytes += scratch.counters().bytes;
    }
    env.shared.scratch.lock().push(scratch);
    Ok(candidates)
}

/// The answer from `known`, whose distances are exact, and from those candidates that belong in it; nearest first.
fn decide<'a>(
    env: &EnvironmentState,
    state: &CollectionState,
    aimed: &Aimed<'_>,
    known: Nearest<'a>,
    candidates: &[Found<'a>],
    counters: &mut Counters,
) -> Result<Vec<Ranked<'a>>> {
    let query = aimed.query;
    let exactly = |ranked: &Ranked<'_>| Interval::around(ranked.distance, 0.0);
    let intervals = known.iter().map(exactly).chain(candidates.iter().map(|(_, candidate)| interval(candidate)));
    let judge = Judge::new(query.width(), intervals);
    let is_near = |distance| query.is_near(state.metric, distance);
    let verdict = |distance: f32, error: f32| match query.rerank {
        Rerank::Auto => match judge.verdict(Interval::around(distance, error)) {
            // Codes cannot tell on which side of the threshold it is, which is no estimate: the whole error counts.
            Verdict::In if is_near(distance - error) != is_near(distance + error) => Verdict::Open,
            verdict => verdict,
        },
        Rerank::All => Verdict::Open,
        Rerank::None => Verdict::In,
    };
    let (mut certain, rivals): (Vec<Ranked<'a>>, Vec<Ranked<'a>>) =
        known.into_iter().partition(|ranked| verdict(ranked.distance, 0.0) == Verdict::In);
    certain.reserve(candidates.len());
    let mut doubtful = Vec::new();
    for found @ (view, Candidate { position, distance, error }) in candidates {
        match verdict(*distance, *error) {
            Verdict::Out => {}
            Verdict::Open => doubtful.push(*found),
            Verdict::In => {
                let id = id_of(view, *position)?;
                let place = Place::Segment(&view.segment, *position);
                certain.push(Ranked { distance: *distance, error: *error, id, place });
            }
        }
    }
    let mut nearest = Nearest::new(query.width().saturating_sub(certain.len()));
    rivals.into_iter().for_each(|ranked| nearest.push(ranked));
    open(env, state, aimed.vector, doubtful, &mut nearest, counters)?;
    // A stable sort finds that these are two lists in order.
    certain.extend(nearest.into_sorted());
    certain.sort();
    certain.truncate(query.width());
    Ok(certain)
}

/// Opens doubtful rows and adds them to `nearest` by their exact distances, in the order of the least that these can
/// be and as long as that is near enough.
fn open<'a>(
    env: &EnvironmentState,
    state: &CollectionState,
    target: &[f32],
    mut doubtful: Vec<Found<'a>>,
    nearest: &mut Nearest<'a>,
    counters: &mut Counters,
) -> Result<()> {
    doubtful.sort_unstable_by(|(_, a), (_, b)| interval(a).lower.total_cmp(&interval(b).lower));
    let (mut opened, mut vector) = (Zeroizing::default(), Zeroizing::default());
    for doubtful in doubtful.chunks(AT_ONCE) {
        let mut sealed = Vec::with_capacity(doubtful.len());
        for (view, candidate) in doubtful {
            sealed.push(view.segment.sealed_vector(candidate.position, &env.keys)?);
        }
        let keyring = env.keys.read();
        black_box(sealed.iter().fold(0, |sum, sealed| sum ^ sealed.touch(&keyring)));
        for ((view, candidate), sealed) in doubtful.iter().zip(sealed) {
            if nearest.is_closed_at(interval(candidate).lower) {
                return Ok(());
            }
            counters.reranked += 1;
            if view.segment.unseal_vector(&sealed, &keyring, &mut opened, &mut vector)? {
                let distance = state.metric.distance(target, &vector);
                let id = id_of(view, candidate.position)?;
                let place = Place::Segment(&view.segment, candidate.position);
                nearest.push(Ranked { distance, error: 0.0, id, place });
            }
        }
    }
    Ok(())
}

fn interval(candidate: &Candidate) -> Interval {
    Interval::around(candidate.distance, candidate.error)
}

/// Many small graphs need a narrower search each than one large graph (`ef / √S`).
fn ef_of_each(env: &EnvironmentState, query: &SearchQuery<'_>, segments: usize) -> usize {
    let usual = || EF_DEFAULT.max(query.width().saturating_mul(2)).min(env.shared.settings.ef_max);
    let ef = query.ef.unwrap_or_else(usual);
    (ef as f64 / (segments.max(1) as f64).sqrt()).ceil() as usize
}

/// Whose a record is, by what is in memory.
fn owner<'a>(ranked: &Ranked<'a>) -> Option<&'a EntityId> {
    match ranked.place {
        Place::Memtable(record) => record.entity.as_ref(),
        Place::Segment(segment, position) => segment.resident()?.entities.of(position),
    }
}

fn hit(
    env: &EnvironmentState,
    state: &CollectionState,
    query: &SearchQuery<'_>,
    ranked: &Ranked<'_>,
    owner: Option<&EntityId>,
) -> Result<Option<Hit>> {
    let mut hit = Hit {
        id: ranked.id,
        score: state.metric.score(ranked.distance),
        score_error: state.metric.score_error(ranked.distance, ranked.error),
        entity: owner.map(|entity| entity.as_str().to_owned()),
        payload: None,
        vector: None,
    };
    match ranked.place {
        Place::Memtable(record) => {
            hit.payload = if query.with.payload { payload(record.payload.as_ref())? } else { None };
            hit.vector = query.with.vector.then(|| record.vector.clone());
        }
        Place::Segment(segment, position) if query.with.payload || query.with.vector => {
            let record = from_segment(env, segment, position, query.with)?;
            let Some(record) = record else { return Ok(None) };
            hit.payload = record.payload;
            hit.vector = query.with.vector.then_some(record.vector);
        }
        Place::Segment(..) => {}
    }
    Ok(Some(hit))
}
