//! Asking a collection for noisy aggregates.

use privacy::dp::LEAST_GROUP;

use super::Collection;
use crate::aggregate;
use crate::error::Result;
use crate::filter::{Filter, Operand};
use crate::inquiry::{Asked, Grouped, Inquiry, Wish};
use crate::released::{Predicted, Released};

impl Collection {
    /// Asks for the noisy mean of vectors. Same as [`Collection::aggregate`] and [`Aggregate::centroid`].
    pub fn centroid(&self) -> Aggregate {
        self.aggregate().centroid()
    }

    /// Asks for a noisy aggregate over people: a count of them, unless something else is asked for. Whatever adding or
    /// removing one entity with all its records changes about the odds of any answer is bounded by e^ε, and all answers
    /// together by the collection's [budget](crate::Budget). A record without an entity counts as one of its own.
    pub fn aggregate(&self) -> Aggregate {
        let wish = Wish {
            asked: Asked::Count,
            filter: None,
            grouped: Grouped::Whole,
            epsilon: None,
            delta: None,
            clip_l2: None,
            clip_l1: None,
            is_projected: false,
            least_group: LEAST_GROUP,
        };
        Aggregate { collection: self.clone(), wish, is_refreshed: false }
    }
}

/// A private query being put together.
#[derive(Clone)]
#[must_use = "call release() or plan()"]
pub struct Aggregate {
    collection: Collection,
    wish: Wish,
    is_refreshed: bool,
}

impl Aggregate {
    /// How many entities match.
    pub fn count(self) -> Self {
        self.asking(Asked::Count)
    }

    /// The mean over entities of their mean vectors.
    pub fn centroid(self) -> Self {
        self.asking(Asked::Centroid)
    }

    /// How many entities have each of these values at a key path. An entity weighs 1 in all, shared among its records, so
    /// that any number of values costs ε once. Values that are not listed are not told of.
    pub fn histogram(self, field: &str, values: impl IntoIterator<Item = impl Into<Operand>>) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.asking(Asked::Histogram { field: field.to_owned(), values })
    }

    /// The mean over entities of the mean of their numbers at a key path, each of them held between `low` and `high`.
    pub fn mean(self, field: &str, low: f64, high: f64) -> Self {
        self.asking(Asked::Mean { field: field.to_owned(), low, high })
    }

    /// The sum over entities of the sum of their numbers at a key path, that of each entity held between `low` and `high`.
    pub fn sum(self, field: &str, low: f64, high: f64) -> Self {
        self.asking(Asked::Total { field: field.to_owned(), low, high })
    }

    /// Only records that match. Conditions on entities are refused.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.wish.filter = Some(filter);
        self
    }

    /// How much it may tell of anybody: 1/1024 to 64, rounded down to 2⁻²⁰. There is no default.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.wish.epsilon = Some(epsilon);
        self
    }

    /// Allows for less noise on long vectors at the price of a δ: how likely the promise of ε may fail, far less than one in
    /// the number of entities. The collection's budget must have a δ, too.
    pub fn delta(mut self, delta: f64) -> Self {
        self.wish.delta = Some(delta);
        self
    }

    /// The L2 norm to which an entity's mean vector is clipped; 1 unless said otherwise.
    pub fn clip(mut self, l2: f64) -> Self {
        self.wish.clip_l2 = Some(l2);
        self
    }

    /// The L1 norm to which an entity's mean vector is clipped, where it is known to be less than √dimension times the L2
    /// norm: noise of pure ε is in proportion to it.
    pub fn clip_l1(mut self, l1: f64) -> Self {
        self.wish.clip_l1 = Some(l1);
        self
    }

    /// Pulls a centroid back to the norm that vectors are clipped to, where noise took it beyond.
    pub fn project(mut self) -> Self {
        self.wish.is_projected = true;
        self
    }

    /// Withholds the numbers of groups whose noisy count is below this; 20 unless said otherwise. It spares useless
    /// answers, protects nobody, and saves no budget.
    pub fn least_group(mut self, entities: u64) -> Self {
        self.wish.least_group = entities;
        self
    }

    /// One answer for each filter. An entity may be in several of these groups, so each of them is paid for.
    pub fn group_by(mut self, filters: impl IntoIterator<Item = Filter>) -> Self {
        self.wish.grouped = Grouped::Filters(filters.into_iter().collect());
        self
    }

    /// One answer for each of these values at a key path, as [`Aggregate::group_by`].
    pub fn group_by_values(self, field: &str, values: impl IntoIterator<Item = impl Into<Operand>>) -> Self {
        self.group_by(values.into_iter().map(|value| Filter::eq(field, value)))
    }

    /// One centroid for each of these points, of the entities whose mean is nearest to it (in L2, whatever the collection's
    /// metric). An entity is in one group, so all of them cost ε once. The points are the caller's: groups that are found
    /// in the data would themselves tell of it.
    pub fn group_by_nearest(mut self, points: impl IntoIterator<Item = Vec<f32>>) -> Self {
        self.wish.grouped = Grouped::Nearest(points.into_iter().collect());
        self
    }

    /// Asks anew, and pays anew, where the same was answered before.
    pub fn refresh(mut self, is_refreshed: bool) -> Self {
        self.is_refreshed = is_refreshed;
        self
    }

    /// How far the answer will probably be off if so many entities match. Free: it touches neither data nor budget.
    ///
    /// # Errors
    /// `Invalid` for what cannot be asked.
    pub fn plan(self, entities: u64) -> Result<Predicted> {
        Ok(self.inquiry()?.plan.predict(entities).into())
    }

    /// Pays and answers. Nothing of the data is read before the debit is durable, and no error after it gives anything
    /// back. The very same query is given the same answer again, as it was then, and pays nothing.
    ///
    /// # Errors
    /// `Invalid` for what cannot be asked, `BudgetExhausted` and `Conflict` (a δ that the budget does not have), which charge
    /// nothing; `Corrupt` while nobody can say what was spent. After the debit: damage and failures of the disk.
    pub fn release(self) -> Result<Released> {
        let inquiry = self.inquiry()?;
        let Collection { env, state, permit, .. } = &self.collection;
        aggregate::release(env, state, permit, &inquiry, self.is_refreshed)
    }

    fn asking(mut self, asked: Asked) -> Self {
        self.wish.asked = asked;
        self
    }

    fn inquiry(&self) -> Result<Inquiry> {
        let state = &self.collection.state;
        Inquiry::new(self.wish.clone(), state.id, state.space.dimension())
    }
}
