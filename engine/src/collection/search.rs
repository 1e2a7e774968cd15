//! Searching a collection, from its handle: near a vector, near records, several at once, by groups.

use std::collections::BTreeSet;
use std::sync::Arc;

use privacy::access::Permission;

use super::Collection;
use crate::error::{Error, Result};
use crate::example::{Example, Near};
use crate::filter::Filter;
use crate::group;
use crate::query::{Groups, Hits, SearchQuery, With};
use crate::record::RecordId;
use crate::rerank::Rerank;
use crate::search;
use crate::settings::AuditReads;

impl Collection {
    /// Looks for the records nearest to `vector`.
    pub fn search<'a>(&self, vector: &'a [f32]) -> Search<'a> {
        self.search_for(Near::Vector(vector))
    }

    /// Looks for the records nearest to the one of this id, which is not among the hits.
    pub fn search_like(&self, id: impl Into<RecordId>) -> Search<'static> {
        self.recommend([id.into()])
    }

    /// Looks for the records nearest to what is between these examples, ids or vectors: their mean, each counting with
    /// length one under the cosine metric. [`Search::unlike`] moves away from others. Records that are examples are not
    /// among the hits.
    pub fn recommend(&self, examples: impl IntoIterator<Item = impl Into<Example>>) -> Search<'static> {
        let like = examples.into_iter().map(Into::into).collect();
        self.search_for(Near::Examples { like, unlike: Vec::new() })
    }

    /// Runs several searches of this collection at once, on one state of it; the answers are in their order.
    ///
    /// # Errors
    /// Those of [`Search::run`], naming the search by its place; `Invalid` for too many, see
    /// [`Settings::batch_searches_max`](crate::Settings::batch_searches_max).
    pub fn search_batch<'a>(&self, searches: impl IntoIterator<Item = Search<'a>>) -> Result<Vec<Hits>> {
        let max = self.env.shared.settings.batch_searches_max;
        let mut queries = Vec::new();
        for (at, search) in searches.into_iter().enumerate() {
            if at >= max {
                return Err(Error::invalid(format!("a batch may hold at most {max} searches; send it in parts")));
            }
            if !Arc::ptr_eq(&search.collection.state, &self.state) {
                return Err(Error::invalid(format!("searches[{at}] is for another collection")));
            }
            queries.push(search.ready());
        }
        search::search_batch(&self.env, &self.state, &self.permit, &queries)
    }

    /// Whether a search near a vector here that names no filter would wait for nothing now but the memory and the mapped files
    /// that it reads: indexes are loaded, files open, no upkeep holds anything, nothing is to be written, and the holder may
    /// search and is shown every record. For a caller whose thread others wait for; it may turn out otherwise by the time that
    /// the search runs.
    pub fn is_warm(&self) -> bool {
        let env = &self.env;
        self.permit.shows_all()
            && self.permit.check_read(Permission::SearchQuery, &self.state.name).is_ok()
            && !env.tally.lock().is_full()
            && env.shared.settings.audit_reads == AuditReads::Counted
            && env.maintenance.try_lock().is_some()
            && self.state.view().segments.iter().all(|view| view.segment.is_warm())
    }

    fn search_for<'a>(&self, near: Near<'a>) -> Search<'a> {
        let query = SearchQuery {
            near,
            filter: None,
            limit: 10,
            offset: 0,
            score_threshold: None,
            except: BTreeSet::new(),
            ef: None,
            exact: false,
            rerank: Rerank::default(),
            with_entity: true,
            with: With::default(),
            explain: false,
        };
        Search { collection: self.clone(), query }
    }
}

/// A search being put together.
#[must_use = "call run()"]
pub struct Search<'a> {
    collection: Collection,
    query: SearchQuery<'a>,
}

impl<'a> Search<'a> {
    /// Only records that match.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.query.filter = Some(filter);
        self
    }

    /// How many hits at most; 10 unless said otherwise.
    pub fn limit(mut self, limit: usize) -> Self {
        self.query.limit = limit;
        self
    }

    /// Leave out so many of the nearest hits, to see those behind them; 0 unless said otherwise.
    pub fn offset(mut self, offset: usize) -> Self {
        self.query.offset = offset;
        self
    }

    /// Only hits of this score or a better one: not lower under the cosine metric and the dot product, not higher under
    /// the Euclidean distance.
    pub fn score_threshold(mut self, score: f32) -> Self {
        self.query.score_threshold = Some(score);
        self
    }

    /// Move away from these examples, ids or vectors: instead of near `q` it is searched near `q + (q - n)`, where `n`
    /// is their mean. Under the cosine metric each vector counts with length one. Records that are examples are not
    /// among the hits.
    pub fn unlike(mut self, examples: impl IntoIterator<Item = impl Into<Example>>) -> Self {
        let examples: Vec<Example> = examples.into_iter().map(Into::into).collect();
        match &mut self.query.near {
            Near::Examples { unlike, .. } => unlike.extend(examples),
            Near::Vector(_) if examples.is_empty() => {}
            Near::Vector(vector) => {
                let like = vec![Example::Vector(vector.to_vec())];
                self.query.near = Near::Examples { like, unlike: examples };
            }
        }
        self
    }

    /// Width of the graph search, about how many rows it expands: more finds more of the true neighbours and costs
    /// more. Searches whose neighbours stand out end sooner, hard ones later. Twice the limit unless said otherwise,
    /// at least 64, and at most [`crate::Settings::ef_max`].
    pub fn ef(mut self, ef: usize) -> Self {
        self.query.ef = Some(ef);
        self
    }

    /// Which hits get exact distances: [`Rerank::Auto`], those that decide who is in the answer, unless said otherwise.
    pub fn rerank(mut self, rerank: Rerank) -> Self {
        self.query.rerank = rerank;
        self
    }

    /// Compare with every record instead of using the graph.
    pub fn exact(mut self, exact: bool) -> Self {
        self.query.exact = exact;
        self
    }

    /// Return the entities whose records are found; on unless said otherwise. Who needs ids alone is told no more, and
    /// sooner.
    pub fn with_entity(mut self, with_entity: bool) -> Self {
        self.query.with_entity = with_entity;
        self
    }

    /// Return payloads; on unless said otherwise.
    pub fn with_payload(mut self, with_payload: bool) -> Self {
        self.query.with.payload = with_payload;
        self
    }

    /// Return vectors; off unless said otherwise.
    pub fn with_vector(mut self, with_vector: bool) -> Self {
        self.query.with.vector = with_vector;
        self
    }

    /// Time the phases of the search, for [`Hits::phases`]; off unless said otherwise. What it cost beside time is
    /// always in [`Hits::counters`]. Neither is told to whoever is not shown every record.
    pub fn explain(mut self, explain: bool) -> Self {
        self.query.explain = explain;
        self
    }

    /// Group the hits by what is at a key path, as filters write it: the limit counts groups then.
    pub fn group_by(self, key: &str) -> Grouping<'a> {
        Grouping { search: self, key: key.to_owned(), size: 3 }
    }

    /// Runs the search.
    ///
    /// # Errors
    /// `Invalid` for an unusable vector, limit, ef, score or filter; `NotFound` for an example that is no record. A
    /// damaged segment is no error: see [`Hits::partial`].
    pub fn run(self) -> Result<Hits> {
        let Collection { env, state, permit, .. } = self.collection.clone();
        search::search(&env, &state, &permit, &self.ready())
    }

    /// The query; records that are examples are no hits.
    fn ready(mut self) -> SearchQuery<'a> {
        if let Near::Examples { like, unlike } = &self.query.near {
            self.query.except = like.iter().chain(unlike).filter_map(Example::id).collect();
        }
        self.query
    }
}

/// A search by groups being put together.
#[must_use = "call run()"]
pub struct Grouping<'a> {
    search: Search<'a>,
    key: String,
    size: usize,
}

impl Grouping<'_> {
    /// How many hits a group has at most; 3 unless said otherwise.
    pub fn group_size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// Runs the search. A hit is in the group of every string, number, true or false that is at the key, or in the list
    /// there; hits without any are left out. Groups come in the order of their best hits.
    ///
    /// # Errors
    /// `Invalid` for an unusable key or size, or an offset; those of [`Search::run`].
    pub fn run(self) -> Result<Groups> {
        let Collection { env, state, permit, .. } = self.search.collection.clone();
        group::search(&env, &state, &permit, self.search.ready(), &self.key, self.size)
    }
}
