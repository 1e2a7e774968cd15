//! What a search did, as JSON and as one line.

use std::fmt;

use engine::Hits;
use serde::Serialize;
use utoipa::ToSchema;

/// What the search did and how long it took.
#[derive(Serialize, ToSchema)]
pub struct ExplainAnswer {
    /// Segments searched.
    segments: u64,
    /// Lists of neighbours read.
    hops: u64,
    /// Codes compared with the query.
    compared: u64,
    /// Sealed vectors opened for exact distances.
    reranked: u64,
    /// Bytes of codes, lists and opened vectors that this took.
    bytes: u64,
    /// Microseconds of looking for candidates.
    find_us: u64,
    /// Microseconds of opening those that codes cannot tell apart.
    decide_us: u64,
    /// Microseconds of putting the hits together.
    answer_us: u64,
}

impl ExplainAnswer {
    /// What `hits` tell of their search; nothing if they were not asked to.
    pub fn of(hits: &Hits) -> Option<Self> {
        let (phases, counters) = (hits.phases?, hits.counters);
        Some(Self {
            segments: counters.segments,
            hops: counters.hops,
            compared: counters.compared,
            reranked: counters.reranked,
            bytes: counters.bytes,
            find_us: phases.find_us,
            decide_us: phases.decide_us,
            answer_us: phases.answer_us,
        })
    }
}

impl fmt::Display for ExplainAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, hops, compared, reranked, bytes, find_us, decide_us, answer_us } = self;
        writeln!(f, "{segments} segment(s): {hops} lists read, {compared} codes compared, {reranked} vectors opened")?;
        write!(f, "{bytes} bytes read; {find_us} µs to find, {decide_us} to decide, {answer_us} to answer")
    }
}
