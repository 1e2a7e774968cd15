//! RESOLVE: filter → what indexes know about it, without opening a row.
//!
//! Conditions on ids, entities and indexed fields are answered; the others leave every row possible. Invariant: the
//! bounds hold for what [`Filter::matches`] says of the rows.

use roaring::RoaringBitmap;
use storage::segment::{EntityMap, FieldMap, IdMap};

use crate::bounds::Bounds;
use crate::fields::{absent, answer, nulls, unfilled};
use crate::filter::{Clauses, Filter, Node, Path};

/// What is known about some rows.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub ids: &'a IdMap,
    pub entities: &'a EntityMap,
    pub fields: &'a FieldMap,
}

/// How many conditions of a filter were answered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Answered {
    /// Conditions in the filter.
    pub conditions: u64,
    /// Those that leave rows in doubt.
    pub unindexed: u64,
}

/// What follows from `known` for the rows in `all`.
pub(crate) fn resolve(filter: &Filter, known: Known<'_>, all: &RoaringBitmap) -> (Bounds, Answered) {
    let mut walk = Walk { known, all, answered: Answered::default() };
    let bounds = walk.filter(filter);
    (bounds.and(&Bounds::exact(all.clone())), walk.answered)
}

struct Walk<'a> {
    known: Known<'a>,
    all: &'a RoaringBitmap,
    answered: Answered,
}

impl Walk<'_> {
    fn filter(&mut self, filter: &Filter) -> Bounds {
        if let Node::Clauses(clauses) = filter.node() {
            return self.combination(clauses);
        }
        let bounds = self.condition(filter.node(), None);
        self.answered.conditions += 1;
        self.answered.unindexed += u64::from(!bounds.doubtful().is_empty());
        bounds
    }

    fn combination(&mut self, clauses: &Clauses) -> Bounds {
        let mut bounds = Bounds::exact(self.all.clone());
        for filter in &clauses.must {
            bounds = bounds.and(&self.filter(filter));
        }
        for filter in &clauses.must_not {
            bounds = bounds.but_not(&self.filter(filter));
        }
        if !clauses.should.is_empty() {
            let none = Bounds::exact(RoaringBitmap::new());
            bounds = bounds.and(&clauses.should.iter().fold(none, |any, filter| any.or(&self.filter(filter))));
        }
        if let Some((filters, least)) = &clauses.min_should {
            let all: Vec<Bounds> = filters.iter().map(|filter| self.filter(filter)).collect();
            bounds = bounds.and(&Bounds::at_least(*least, &all, self.all));
        }
        bounds
    }

    /// A condition, with its path behind `within` if that is given.
    fn condition(&self, node: &Node, within: Option<&Path>) -> Bounds {
        let full = |path: &Path| within.map_or_else(|| path.clone(), |within| within.join(path));
        match node {
            Node::HasId(ids) => Bounds::exact(ids.iter().filter_map(|id| self.known.ids.position(id)).collect()),
            Node::Subjects(subjects) => {
                let entities = self.known.entities;
                let theirs = entities.entities().iter().filter(|entity| subjects.has(entity));
                Bounds::exact(theirs.flat_map(|entity| entities.positions(entity)).collect())
            }
            Node::Entity(ids) => Bounds::exact(ids.iter().flat_map(|id| self.known.entities.positions(id)).collect()),
            Node::Field(path, predicate) => {
                let path = full(path);
                match self.known.fields.field(&path.to_string()) {
                    Some(field) => answer(field, predicate, self.all),
                    None if self.is_nowhere(&path) => absent(predicate, self.all),
                    None => Bounds::unknown(self.all),
                }
            }
            Node::IsNull(path) => {
                let path = full(path);
                match self.known.fields.field(&path.to_string()) {
                    Some(field) => Bounds::exact(nulls(field)),
                    None if self.is_nowhere(&path) => Bounds::exact(RoaringBitmap::new()),
                    None => Bounds::unknown(self.all),
                }
            }
            Node::IsEmpty(path) => match self.known.fields.field(&full(path).to_string()) {
                Some(field) => Bounds::exact(unfilled(field, self.all)),
                None if self.is_nowhere(&full(path)) => Bounds::exact(self.all.clone()),
                None => Bounds::unknown(self.all),
            },
            Node::Nested(path, inner) => {
                Bounds { certain: RoaringBitmap::new(), possible: self.on_an_element(inner, &full(path)) }
            }
            // Combinations are taken apart before; the other is refused before any view is looked at.
            Node::Clauses(_) | Node::Wrong(_) => Bounds::unknown(self.all),
        }
    }

    /// The rows of which an element at `within` may match: whatever holds for one element holds for the values of all.
    fn on_an_element(&self, filter: &Filter, within: &Path) -> RoaringBitmap {
        match filter.node() {
            Node::Clauses(clauses) => {
                let one = |filter: &Filter| Bounds::exact(self.on_an_element(filter, within));
                // That an element matches says nothing about whether another does not: exclusions are left aside.
                let must = clauses.must.iter().map(one);
                let mut bounds = must.fold(Bounds::exact(self.all.clone()), |all, some| all.and(&some));
                if !clauses.should.is_empty() {
                    let none = Bounds::exact(RoaringBitmap::new());
                    bounds = bounds.and(&clauses.should.iter().map(one).fold(none, |all, some| all.or(&some)));
                }
                if let Some((filters, least)) = &clauses.min_should {
                    let all: Vec<Bounds> = filters.iter().map(one).collect();
                    bounds = bounds.and(&Bounds::at_least(*least, &all, self.all));
                }
                bounds.possible
            }
            // An element without any value may be one of several, of which others have some.
            Node::IsEmpty(_) => self.all.clone(),
            Node::Field(_, predicate) if predicate.holds_for_nothing() => self.all.clone(),
            node => self.condition(node, Some(within)).possible,
        }
    }

    /// Whether the index knows that no row has anything at `path`.
    fn is_nowhere(&self, path: &Path) -> bool {
        // Elements of lists are no paths of their own there.
        if !self.known.fields.is_complete() || path.has_number() || path.is_of_elements() {
            return false;
        }
        let name = path.to_string();
        let fields = self.known.fields.fields();
        let first = fields.partition_point(|field| *field.name < name);
        let behind = |other: &str| other.strip_prefix(&name).is_some_and(|rest| rest.starts_with(['.', '[']));
        !fields.iter().skip(first).take_while(|field| field.name.starts_with(&name)).any(|field| behind(&field.name))
    }
}
