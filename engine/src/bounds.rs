//! What indexes know about which rows match a filter: some surely, some perhaps, the others surely not.
//!
//! Invariant: `certain` ⊆ the rows that match ⊆ `possible`. Every combination keeps that, so that a condition which no
//! index answers makes an answer wider and never wrong; whoever needs the answer itself opens the rows in between.

use roaring::RoaringBitmap;

use crate::filter::{Clauses, Filter, Node};
use crate::segment::Index;

/// Which rows match, as far as is known.
pub(crate) struct Bounds {
    /// Rows that match.
    pub certain: RoaringBitmap,
    /// Rows that may match, the certain ones among them.
    pub possible: RoaringBitmap,
}

/// How many conditions indexes answered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Answered {
    /// Conditions in the filter.
    pub conditions: u64,
    /// Those that some row has to be opened for.
    pub unindexed: u64,
}

impl Bounds {
    /// What `index` knows about the rows in `all`.
    pub fn of(filter: &Filter, index: &Index, all: &RoaringBitmap) -> (Self, Answered) {
        let mut walk = Walk { index, all, answered: Answered::default() };
        let bounds = walk.filter(filter);
        (Self { certain: bounds.certain & all, possible: bounds.possible & all }, walk.answered)
    }

    /// The rows in between.
    pub fn doubtful(&self) -> RoaringBitmap {
        &self.possible - &self.certain
    }

    fn exact(rows: RoaringBitmap) -> Self {
        Self { certain: rows.clone(), possible: rows }
    }
}

struct Walk<'a> {
    index: &'a Index,
    all: &'a RoaringBitmap,
    answered: Answered,
}

impl Walk<'_> {
    fn filter(&mut self, filter: &Filter) -> Bounds {
        if !matches!(filter.node(), Node::Clauses(_)) {
            self.answered.conditions += 1;
        }
        match filter.node() {
            Node::Clauses(clauses) => self.combination(clauses),
            Node::HasId(ids) => Bounds::exact(ids.iter().filter_map(|id| self.index.ids.position(id)).collect()),
            Node::Entity(ids) => Bounds::exact(ids.iter().flat_map(|id| self.index.entities.positions(id)).collect()),
            Node::Field(..) | Node::IsEmpty(_) | Node::IsNull(_) | Node::Nested(..) => self.unknown(),
            // Refused before any view is looked at.
            Node::Wrong(_) => Bounds::exact(RoaringBitmap::new()),
        }
    }

    fn unknown(&mut self) -> Bounds {
        self.answered.unindexed += 1;
        Bounds { certain: RoaringBitmap::new(), possible: self.all.clone() }
    }

    fn combination(&mut self, clauses: &Clauses) -> Bounds {
        let mut bounds = Bounds::exact(self.all.clone());
        for filter in &clauses.must {
            let one = self.filter(filter);
            bounds.certain &= one.certain;
            bounds.possible &= one.possible;
        }
        for filter in &clauses.must_not {
            let one = self.filter(filter);
            bounds.certain -= one.possible;
            bounds.possible -= one.certain;
        }
        if !clauses.should.is_empty() {
            let mut any = Bounds::exact(RoaringBitmap::new());
            for filter in &clauses.should {
                let one = self.filter(filter);
                any.certain |= one.certain;
                any.possible |= one.possible;
            }
            bounds.certain &= any.certain;
            bounds.possible &= any.possible;
        }
        if let Some((filters, least)) = &clauses.min_should {
            let all: Vec<Bounds> = filters.iter().map(|filter| self.filter(filter)).collect();
            bounds.certain = at_least(*least, all.iter().map(|one| &one.certain), bounds.certain);
            bounds.possible = at_least(*least, all.iter().map(|one| &one.possible), bounds.possible);
        }
        bounds
    }
}

/// Those of `rows` that are in at least so many of `sets`.
fn at_least<'a>(least: u64, sets: impl Iterator<Item = &'a RoaringBitmap>, rows: RoaringBitmap) -> RoaringBitmap {
    let Some(end) = rows.max().map(|last| last as usize + 1).filter(|_| least > 0) else { return rows };
    let mut counts = vec![0_u16; end];
    for row in sets.flatten() {
        // A filter has fewer clauses than this counts to.
        counts.get_mut(row as usize).into_iter().for_each(|count| *count += 1);
    }
    let is_enough = |row: &u32| counts.get(*row as usize).is_some_and(|count| u64::from(*count) >= least);
    rows.into_iter().filter(is_enough).collect()
}
