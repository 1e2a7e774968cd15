//! A filter: conditions on a record, and how they are combined.
//!
//! Invariant: no filter is deeper than [`DEPTH_MAX`] or has more than [`CLAUSES_MAX`] clauses, however it was put
//! together: what would be is replaced by [`Node::Wrong`], which whoever runs it is told. So nothing that walks a
//! filter can exhaust a stack. `Debug` prints nothing of it, because values in filters are people's data.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use privacy::EntityId;
use privacy::access::Entities;
use storage::id::RecordId;

use super::json::FILTER_FAULT;
use super::path::Path;
use super::predicate::Predicate;

/// How deep filters may be nested in one another: so deep that each of them can be written as messages that readers of
/// protobuf, which stop at a hundred in one another, still read.
pub(crate) const DEPTH_MAX: usize = 16;
/// What is told of one that is deeper.
pub(crate) const TOO_DEEP: &str = "filters may be nested at most 16 deep, where nested and min_should count as two";
/// So much deeper is a filter inside one that has an object of its own around it.
pub(crate) const INSIDE_OBJECT: usize = 2;
/// How many conditions and combinations a filter may have.
pub(crate) const CLAUSES_MAX: usize = 1024;

/// Which records a read may return. See the module's page for what conditions mean.
#[derive(Clone, PartialEq, Eq)]
pub struct Filter {
    node: Node,
    depth: usize,
    clauses: usize,
    /// What of it says which records whoever asks is shown at all; none where they are shown every record.
    shown: Option<Arc<Filter>>,
}

/// One condition or combination.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Clauses(Clauses),
    /// Any value at the path is so.
    Field(Path, Predicate),
    /// Nothing but nulls and empty lists is at the path.
    IsEmpty(Path),
    /// A null is at the path.
    IsNull(Path),
    HasId(BTreeSet<RecordId>),
    /// It belongs to one of these.
    Entity(BTreeSet<EntityId>),
    /// It belongs to one of those that a permit names: no filter that somebody sends says this.
    Subjects(Arc<Entities>),
    /// One element of the list at the path matches all of the filter.
    Nested(Path, Box<Filter>),
    /// It cannot be used, for this reason.
    Wrong(&'static str),
}

/// Filters that are combined: all parts must hold.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Clauses {
    /// All of these.
    pub must: Vec<Filter>,
    /// Any of these, unless there are none.
    pub should: Vec<Filter>,
    /// None of these.
    pub must_not: Vec<Filter>,
    /// So many of these.
    pub min_should: Option<(Vec<Filter>, u64)>,
}

impl Node {
    /// How deep it is: one more than the deepest below it, or two.
    fn depth(&self) -> usize {
        let below = |filters: &[Filter], step| filters.iter().map(|filter| filter.depth + step).max();
        let deepest = match self {
            Self::Nested(_, inner) => Some(inner.depth + INSIDE_OBJECT),
            Self::Clauses(Clauses { must, should, must_not, min_should }) => {
                let plain = [must, should, must_not].into_iter().filter_map(|filters| below(filters, 1)).max();
                plain.max(min_should.as_ref().and_then(|(filters, _)| below(filters, INSIDE_OBJECT)))
            }
            _ => None,
        };
        deepest.unwrap_or(1)
    }

    /// The filters right below it, each list with its place in the JSON form.
    fn children(&self) -> Vec<(&'static str, &[Filter])> {
        match self {
            Self::Clauses(Clauses { must, should, must_not, min_should }) => {
                let counted = min_should.as_ref().map_or(&[][..], |(filters, _)| filters);
                vec![
                    ("must", must.as_slice()),
                    ("should", should),
                    ("must_not", must_not),
                    ("min_should.conditions", counted),
                ]
            }
            Self::Nested(_, inner) => vec![("nested.filter", std::slice::from_ref(inner))],
            _ => Vec::new(),
        }
    }
}

impl Filter {
    /// The filter of `node`, unless that is too deep or too large.
    pub(crate) fn of(node: Node) -> Self {
        let depth = node.depth();
        let children = node.children().into_iter().flat_map(|(_, filters)| filters);
        let clauses = children.fold(1_usize, |sum, child| sum.saturating_add(child.clauses));
        let wrong = |what| Self { node: Node::Wrong(what), depth: 1, clauses: 1, shown: None };
        if depth > DEPTH_MAX {
            return wrong(TOO_DEEP);
        }
        if clauses > CLAUSES_MAX {
            return wrong("a filter may have at most 1024 clauses");
        }
        Self { node, depth, clauses, shown: None }
    }

    /// Whether it says anything of a record: `{}`, which all records match, and lists of nothing else do not.
    #[must_use]
    pub fn has_condition(&self) -> bool {
        match &self.node {
            Node::Clauses(_) => {
                self.node.children().into_iter().flat_map(|(_, filters)| filters).any(Self::has_condition)
            }
            _ => true,
        }
    }

    /// What was asked for, of the records that are shown.
    pub(crate) fn within(shown: Self, asked: Option<&Self>) -> Self {
        let both = asked.map_or_else(|| shown.clone(), |asked| Self::all([shown.clone(), asked.clone()]));
        Self { shown: Some(Arc::new(shown)), ..both }
    }

    /// Which records whoever asks is shown, if not all of them.
    pub(crate) fn shown(&self) -> Option<&Self> {
        self.shown.as_deref()
    }

    /// What it says.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Whether any part of it is a condition on whose records are.
    pub(crate) fn names_entities(&self) -> bool {
        let inside = |(_, filters): (&str, &[Self])| filters.iter().any(Self::names_entities);
        matches!(self.node, Node::Entity(_)) || self.node.children().into_iter().any(inside)
    }

    /// Why it cannot be used, if it cannot, told as of the JSON form.
    pub(crate) fn fault(&self) -> Option<String> {
        self.wrong().map(|(place, what)| match &place[..] {
            "" => format!("{FILTER_FAULT}: {what}"),
            place => format!("{FILTER_FAULT} at `{place}`: {what}"),
        })
    }

    /// The first part that cannot be used: where it is, and why.
    fn wrong(&self) -> Option<(String, &'static str)> {
        if let Node::Wrong(what) = &self.node {
            return Some((String::new(), what));
        }
        let is_list = !matches!(self.node, Node::Nested(..));
        let of_list = |(name, filters): (&'static str, &[Self])| {
            let (number, (inside, what)) =
                filters.iter().map(Self::wrong).enumerate().find_map(|(number, wrong)| Some((number, wrong?)))?;
            let number = if is_list { format!("[{number}]") } else { String::new() };
            let dot = if inside.is_empty() { "" } else { "." };
            Some((format!("{name}{number}{dot}{inside}"), what))
        };
        self.node.children().into_iter().find_map(of_list)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter(..)")
    }
}
