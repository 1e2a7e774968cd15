//! What a search did, as JSON and as one line.

use std::fmt;

use engine::{Filtered, Hits};
use serde::Serialize;
use utoipa::ToSchema;

use super::plural::count;

/// What the search did and how long it took.
#[derive(Serialize, ToSchema)]
pub struct ExplainAnswer {
    /// Segments searched.
    pub segments: u64,
    /// Lists of neighbours read.
    pub hops: u64,
    /// Codes compared with the query.
    pub compared: u64,
    /// Sealed vectors opened for exact distances.
    pub reranked: u64,
    /// Bytes of codes, lists and opened vectors that this took.
    pub bytes: u64,
    /// What the filter cost; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterAnswer>,
    /// Microseconds of looking for candidates.
    pub find_us: u64,
    /// Microseconds of opening those that codes cannot tell apart.
    pub decide_us: u64,
    /// Microseconds of putting the hits together.
    pub answer_us: u64,
}

/// What applying the filter to the segments cost. Records that are in no segment yet are looked at themselves.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub struct FilterAnswer {
    /// Conditions in it, as far as they were looked at.
    pub conditions: u64,
    /// Those that no index answers in some segment.
    pub unindexed: u64,
    /// Records that may match by what indexes know.
    pub estimated: u64,
    /// Records that were opened to find out.
    pub opened: u64,
    /// Records that match.
    pub matched: u64,
}

impl From<Filtered> for FilterAnswer {
    fn from(cost: Filtered) -> Self {
        let Filtered { conditions, unindexed, estimated, opened, matched } = cost;
        Self { conditions, unindexed, estimated, opened, matched }
    }
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
            filter: (counters.filter != Filtered::default()).then(|| counters.filter.into()),
            find_us: phases.find_us,
            decide_us: phases.decide_us,
            answer_us: phases.answer_us,
        })
    }
}

impl fmt::Display for ExplainAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, hops, compared, reranked, bytes, filter, find_us, decide_us, answer_us } = self;
        if let Some(FilterAnswer { conditions, unindexed, estimated, opened, matched }) = filter {
            let (conditions, may) = (count(*conditions, "condition"), count(*estimated, "record"));
            write!(f, "{conditions}, {unindexed} without an index: {may} may match, ")?;
            writeln!(f, "{opened} were opened, {matched} do")?;
        }
        let segments = count(*segments, "segment");
        writeln!(f, "{segments}: {hops} lists read, {compared} codes compared, {reranked} vectors opened")?;
        write!(f, "{bytes} bytes read; {find_us} µs to find, {decide_us} to decide, {answer_us} to answer")
    }
}
