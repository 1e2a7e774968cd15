//! What a caller asks and what comes back: plain values, filled by builders, read by the walks.
//!
//! Invariant: `Debug` of an answer prints ids and scores alone.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;

use index::Metric;
use serde::Serialize;

use crate::error::Error;
use crate::example::Near;
use crate::filter::{Filter, Scalar};
use crate::record::{Record, RecordId};
use crate::rerank::Rerank;

/// The state of the store that an answer describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AsOf {
    /// Every write up to here is in the answer, and no later one.
    pub sequence: u64,
    /// When the answer was made, in milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// What one search cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Graph nodes whose neighbours were looked at.
    pub hops: u64,
    /// Codes compared with the query.
    pub compared: u64,
    /// Sealed vectors opened for exact distances.
    pub reranked: u64,
    /// Bytes of codes, lists of neighbours and opened vectors that this took, without what cache lines round them up to.
    pub bytes: u64,
    /// Segments searched.
    pub segments: u64,
    /// What its filter cost; nothing without one.
    pub filter: Filtered,
}

/// What applying a filter to the segments cost. Records that are in no segment yet are in the clear and looked at
/// themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filtered {
    /// Conditions in it, as far as they were looked at.
    pub conditions: u64,
    /// Those that no index answers in some segment.
    pub unindexed: u64,
    /// Rows that may match by what indexes know.
    pub estimated: u64,
    /// Rows that were opened to find out.
    pub opened: u64,
    /// Rows that match.
    pub matched: u64,
}

/// How long the phases of one search took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Phases {
    /// Microseconds of searching memtable and segments for candidates, or of comparing every record.
    pub find_us: u64,
    /// Microseconds of opening the candidates that codes cannot tell apart.
    pub decide_us: u64,
    /// Microseconds of putting the hits together, with what they carry.
    pub answer_us: u64,
}

/// One record found by a search.
#[derive(Clone, PartialEq)]
pub struct Hit {
    /// The record's id.
    pub id: RecordId,
    /// Cosine similarity, dot product (both: higher is nearer) or Euclidean distance (lower is nearer).
    pub score: f32,
    /// The exact score is at most this far from `score`, up to a few in a thousand times; 0 if it is exact.
    pub score_error: f32,
    /// The data subject, if the record has one and it was asked for.
    pub entity: Option<String>,
    /// The payload, if there is one and it was asked for.
    pub payload: Option<serde_json::Value>,
    /// The vector, if it was asked for.
    pub vector: Option<Vec<f32>>,
}

impl fmt::Debug for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hit").field("id", &self.id).field("score", &self.score).finish_non_exhaustive()
    }
}

/// The answer of a search, nearest first by score.
#[derive(Clone, Debug, PartialEq)]
pub struct Hits {
    /// At most `limit` hits; equal distances are ordered by id.
    pub hits: Vec<Hit>,
    /// The state the answer describes.
    pub as_of: AsOf,
    /// Whether a part of the collection could not be searched, because it is damaged.
    pub partial: bool,
    /// The segments that are damaged, as paths inside the environment; none of their records is among the hits.
    pub damaged: Vec<String>,
    /// What the search cost; nothing to whoever is not shown every record.
    pub counters: Counters,
    /// How long it took, if that was asked for by who is shown every record.
    pub phases: Option<Phases>,
}

impl Hits {
    /// The same, for whoever is or is not shown all records: what a search did tells of those that it passed over.
    pub(crate) fn told_to(self, is_shown_all: bool) -> Self {
        if is_shown_all { self } else { Self { counters: Counters::default(), phases: None, ..self } }
    }
}

impl Deref for Hits {
    type Target = [Hit];
    fn deref(&self) -> &[Hit] {
        &self.hits
    }
}

impl IntoIterator for Hits {
    type Item = Hit;
    type IntoIter = std::vec::IntoIter<Hit>;
    fn into_iter(self) -> Self::IntoIter {
        self.hits.into_iter()
    }
}

/// Hits that have a value in common.
#[derive(Clone, PartialEq)]
pub struct Group {
    /// The value: a string, a number, true or false.
    pub key: serde_json::Value,
    /// Nearest first; at most as many as a group may have.
    pub hits: Vec<Hit>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("hits", &self.hits).finish_non_exhaustive()
    }
}

/// The answer of a search by groups, in the order of their nearest hits.
#[derive(Clone, Debug, PartialEq)]
pub struct Groups {
    /// At most `limit` groups.
    pub groups: Vec<Group>,
    /// Whether these are all the groups and hits that were asked for and that a search can find; otherwise they are
    /// those among the nearest [`Settings::limit_max`](crate::Settings::limit_max) records.
    pub is_complete: bool,
    /// The state the answer describes.
    pub as_of: AsOf,
    /// Whether a part of the collection could not be searched, because it is damaged.
    pub partial: bool,
    /// The segments that are damaged, as paths inside the environment; none of their records is among the hits.
    pub damaged: Vec<String>,
}

/// One page of a scroll, or a sample.
#[derive(Clone, PartialEq)]
pub struct Page {
    /// At most `limit` records.
    pub records: Vec<Record>,
    /// Where the next page starts after, if there is one.
    pub next: Option<RecordId>,
    /// Of a page in the order of values: the value of its last record, if there is a next page, which starts from it
    /// and after `next`.
    pub next_value: Option<serde_json::Value>,
    /// The state the answer describes.
    pub as_of: AsOf,
    /// Whether a part of the collection could not be read, because it is damaged.
    pub partial: bool,
    /// The segments that are damaged, as paths inside the environment; none of their records is on the page.
    pub damaged: Vec<String>,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Page");
        shown.field("records", &self.records).field("next", &self.next).field("as_of", &self.as_of);
        shown.field("partial", &self.partial).finish_non_exhaustive()
    }
}

/// How many records have a value.
#[derive(Clone, PartialEq)]
pub struct FacetCount {
    /// A string, a number, true or false.
    pub value: serde_json::Value,
    /// Records that have it.
    pub count: u64,
}

impl fmt::Debug for FacetCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FacetCount").field("count", &self.count).finish_non_exhaustive()
    }
}

/// The answer of a facet count.
#[derive(Clone, Debug, PartialEq)]
pub struct Facets {
    /// The commonest values first; equally common ones false before true, then numbers, then texts.
    pub counts: Vec<FacetCount>,
    /// How many values there are, those beyond the limit included.
    pub distinct: u64,
    /// The state the answer describes.
    pub as_of: AsOf,
    /// Whether a part of the collection could not be counted, because it is damaged.
    pub partial: bool,
    /// The segments that are damaged, as paths inside the environment; none of their records is counted.
    pub damaged: Vec<String>,
}

/// The answer of a count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Records that match and can be read.
    pub count: u64,
    /// The state the answer describes.
    pub as_of: AsOf,
    /// Whether a part of the collection could not be counted, because it is damaged.
    pub partial: bool,
    /// The segments that are damaged, as paths inside the environment; none of their records is counted.
    pub damaged: Vec<String>,
}

/// The answer of an upsert of each record by itself.
#[derive(Debug)]
pub struct Upserted {
    /// Records that were stored.
    pub written: u64,
    /// What was wrong with the others, by their places in the batch from 0, ascending. Records that are not usable
    /// whatever is there are all here, and count for nothing else: one that comes last leaves those of its id before it
    /// standing. Of several usable records with one id the last counts, with what it expects to be there; the others are
    /// neither stored nor here.
    pub errors: Vec<(usize, Error)>,
    /// The state after the write.
    pub as_of: AsOf,
}

/// The answer of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// Records that were there and are not any more.
    pub count: u64,
    /// The state after the delete.
    pub as_of: AsOf,
}

/// The answer of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Updated {
    /// Records that were changed.
    pub count: u64,
    /// The state after the update.
    pub as_of: AsOf,
}

/// What of a record comes with an answer, beside its id and its entity.
#[derive(Clone, Copy)]
pub(crate) struct With {
    pub payload: bool,
    pub vector: bool,
}

impl Default for With {
    fn default() -> Self {
        Self { payload: true, vector: false }
    }
}

impl With {
    /// All of it.
    pub const ALL: Self = Self { payload: true, vector: true };
}

/// A search as the walk sees it.
pub(crate) struct SearchQuery<'a> {
    pub near: Near<'a>,
    pub filter: Option<Filter>,
    pub limit: usize,
    /// Nearest hits that are passed over.
    pub offset: usize,
    pub score_threshold: Option<f32>,
    /// Records that are no hits.
    pub except: BTreeSet<RecordId>,
    pub ef: Option<usize>,
    pub exact: bool,
    pub rerank: Rerank,
    pub with_entity: bool,
    pub with: With,
    pub explain: bool,
}

impl SearchQuery<'_> {
    /// How many of the nearest must be known for the answer.
    pub fn width(&self) -> usize {
        self.limit.saturating_add(self.offset).saturating_add(self.except.len())
    }

    /// Whether a record at this distance is near enough for a hit.
    pub fn is_near(&self, metric: Metric, distance: f32) -> bool {
        self.score_threshold.is_none_or(|threshold| match metric {
            Metric::L2 => metric.score(distance) <= threshold,
            _ => metric.score(distance) >= threshold,
        })
    }
}

/// A scroll as the walk sees it.
pub(crate) struct ScrollQuery {
    pub after: Option<RecordId>,
    pub order: Option<OrderBy>,
    pub filter: Option<Filter>,
    pub limit: usize,
    pub with: With,
}

/// The order of a scroll by values.
pub(crate) struct OrderBy {
    pub key: String,
    pub is_descending: bool,
    pub start_from: Option<Scalar>,
}

impl ScrollQuery {
    /// The first `limit` records with their payloads.
    pub fn new(limit: usize) -> Self {
        Self { after: None, order: None, filter: None, limit, with: With::default() }
    }

    /// Whether `id` comes after the cursor.
    pub fn is_ahead(&self, id: &RecordId) -> bool {
        self.after.is_none_or(|cursor| *id > cursor)
    }
}
