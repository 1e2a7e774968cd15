//! Reading many records without a vector, from a collection's handle: pages, samples, counts.

use serde::Deserialize;

use super::Collection;
use crate::error::Result;
use crate::facet;
use crate::filter::{Filter, Operand};
use crate::query::{Counted, Facets, OrderBy, Page, ScrollQuery};
use crate::read;
use crate::record::RecordId;
use crate::sample;
use crate::scroll;

impl Collection {
    /// Counts records.
    pub fn count(&self) -> Count {
        Count { collection: self.clone(), filter: None }
    }

    /// Counts records by what is at a key path, as filters write it.
    pub fn facet(&self, key: &str) -> Facet {
        Facet { collection: self.clone(), key: key.to_owned(), filter: None, limit: 10 }
    }

    /// Reads records in id order or another, page by page.
    pub fn scroll(&self) -> Scroll {
        Scroll { collection: self.clone(), query: ScrollQuery::new(100) }
    }

    /// Reads `count` random records, or all if there are fewer; every set of so many is equally likely.
    pub fn sample(&self, count: usize) -> Sample {
        Sample { collection: self.clone(), query: ScrollQuery::new(count), seed: None }
    }
}

/// From which end a scroll reads values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Order {
    /// The least first.
    #[default]
    #[serde(rename = "asc")]
    Ascending,
    /// The greatest first.
    #[serde(rename = "desc")]
    Descending,
}

/// A facet count being put together.
#[must_use = "call run()"]
pub struct Facet {
    collection: Collection,
    key: String,
    filter: Option<Filter>,
    limit: usize,
}

impl Facet {
    /// Only records that match.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// How many values at most; 10 unless said otherwise.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Runs the count, which is exact: records that have several values count for each, those without any for none. The
    /// index of payloads knows them; without one for the key, all records that match are opened.
    ///
    /// # Errors
    /// `Invalid` for an unusable key, limit or filter, or if too many records would have to be opened.
    pub fn run(self) -> Result<Facets> {
        let Collection { env, state, permit, .. } = &self.collection;
        facet::facet(env, state, permit, &self.key, self.filter.as_ref(), self.limit)
    }
}

/// A sample being put together.
#[must_use = "call run()"]
pub struct Sample {
    collection: Collection,
    query: ScrollQuery,
    seed: Option<u64>,
}

impl Sample {
    /// Only records that match.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.query.filter = Some(filter);
        self
    }

    /// Take the same records again as long as nothing is written or rewritten in between.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
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

    /// Reads the records, in random order.
    ///
    /// # Errors
    /// `Invalid` for an unusable count or filter.
    pub fn run(self) -> Result<Page> {
        let Collection { env, state, permit, .. } = &self.collection;
        sample::sample(env, state, permit, &self.query, self.seed)
    }
}

/// A count being put together.
#[must_use = "call run()"]
pub struct Count {
    collection: Collection,
    filter: Option<Filter>,
}

impl Count {
    /// Only records that match.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Runs the count, which is exact.
    pub fn run(self) -> Result<Counted> {
        let Collection { env, state, permit, .. } = &self.collection;
        read::count(env, state, permit, self.filter.as_ref())
    }
}

/// A scroll being put together.
#[must_use = "call run()"]
pub struct Scroll {
    collection: Collection,
    query: ScrollQuery,
}

impl Scroll {
    /// Start after this id, as the last page's `next` says.
    pub fn after(mut self, id: impl Into<RecordId>) -> Self {
        self.query.after = Some(id.into());
        self
    }

    /// Give the records in the order of what is at a key path, and after that of their ids: false, true, numbers, texts
    /// by their bytes. Of several values in a list the first in the order counts; records without any are left out. The
    /// index of payloads knows the order; without one for the key, all records that match are opened.
    pub fn order_by(mut self, key: &str, order: Order) -> Self {
        let is_descending = order == Order::Descending;
        self.query.order = Some(OrderBy { key: key.to_owned(), is_descending, start_from: None });
        self
    }

    /// Start at this value of [`Scroll::order_by`], which comes first. Together with [`Scroll::after`] the page starts
    /// behind the record of that id at this value: pass the `next_value` and `next` of the page before.
    pub fn start_from(mut self, value: impl Into<Operand>) -> Self {
        if let Some(order) = &mut self.query.order {
            order.start_from = value.into().into_scalar();
        }
        self
    }

    /// Only records that match.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.query.filter = Some(filter);
        self
    }

    /// How many records at most; 100 unless said otherwise.
    pub fn limit(mut self, limit: usize) -> Self {
        self.query.limit = limit;
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

    /// Reads the page.
    ///
    /// # Errors
    /// `Invalid` for an unusable limit or filter. A damaged segment is no error: see [`Page::partial`].
    pub fn run(self) -> Result<Page> {
        let Collection { env, state, permit, .. } = &self.collection;
        scroll::scroll(env, state, permit, &self.query)
    }
}
