//! Where permissions count: one environment, and in it all or some collections and data subjects.
//!
//! Invariant: there are no wildcards and no way to name two environments. What is not named is outside, and records
//! without a data subject are outside of every scope that names data subjects.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::entity::EntityId;

/// The longest name of an environment or collection, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// How many names and ids one scope holds.
const MEMBERS_MAX: usize = 1024;

/// Where permissions count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    environment: String,
    collections: Option<BTreeSet<String>>,
    entities: Option<Entities>,
}

/// Some data subjects: those of these types, and these.
///
/// The type of a data subject is what its id has before its first `:`, as in `patient:17`; an id without one has none.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Entities {
    /// All of these types.
    pub types: BTreeSet<String>,
    /// These.
    pub ids: BTreeSet<EntityId>,
}

/// Why something is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ScopeError {
    /// A name that no environment or collection can have; there are no wildcards.
    #[error("a scope names environments and collections by letters, digits, '_' or '-', without wildcards")]
    Name,
    /// A type that no data subject can have.
    #[error("the type of a data subject has 1 to {NAME_BYTES_MAX} characters before the first ':' of its id")]
    Type,
    /// More names and ids than a scope holds.
    #[error("a scope holds at most {MEMBERS_MAX} collections, types and ids each")]
    TooMany,
}

impl Scope {
    /// All of an environment.
    ///
    /// # Errors
    /// [`ScopeError::Name`].
    pub fn environment(name: &str) -> Result<Scope, ScopeError> {
        check_name(name)?;
        Ok(Scope { environment: name.to_owned(), collections: None, entities: None })
    }

    /// Only these collections of it, by their own names.
    ///
    /// # Errors
    /// [`ScopeError`].
    pub fn collections(mut self, names: impl IntoIterator<Item = String>) -> Result<Scope, ScopeError> {
        let names: BTreeSet<String> = names.into_iter().collect();
        names.iter().try_for_each(|name| check_name(name))?;
        check_count(names.len())?;
        self.collections = Some(names);
        Ok(self)
    }

    /// Only these data subjects.
    ///
    /// # Errors
    /// [`ScopeError`].
    pub fn entities(mut self, entities: Entities) -> Result<Scope, ScopeError> {
        check_count(entities.types.len())?;
        check_count(entities.ids.len())?;
        let fits = |kind: &String| {
            (1..=NAME_BYTES_MAX).contains(&kind.len()) && !kind.contains(|c: char| c == ':' || c.is_control())
        };
        if !entities.types.iter().all(fits) {
            return Err(ScopeError::Type);
        }
        self.entities = Some(entities);
        Ok(self)
    }

    /// The environment.
    pub fn environment_name(&self) -> &str {
        &self.environment
    }

    /// The collections; none if all.
    pub fn collection_names(&self) -> Option<&BTreeSet<String>> {
        self.collections.as_ref()
    }

    /// The data subjects; none if all, and records without one, too.
    pub fn subjects(&self) -> Option<&Entities> {
        self.entities.as_ref()
    }

    /// Whether it is all of its environment.
    pub fn is_whole(&self) -> bool {
        self.collections.is_none() && self.entities.is_none()
    }

    /// Whether the collection of this name is inside.
    pub fn has_collection(&self, name: &str) -> bool {
        self.collections.as_ref().is_none_or(|names| names.contains(name))
    }

    /// Whether records of this data subject, or of none, are inside.
    pub fn has_entity(&self, entity: Option<&EntityId>) -> bool {
        self.entities.as_ref().is_none_or(|entities| entity.is_some_and(|entity| entities.has(entity)))
    }

    /// Whether everything that is inside this is inside `other`, too.
    pub fn is_within(&self, other: &Scope) -> bool {
        let collections = match (&self.collections, &other.collections) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(these), Some(those)) => these.is_subset(those),
        };
        let entities = match (&self.entities, &other.entities) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(these), Some(those)) => {
                these.types.is_subset(&those.types) && these.ids.iter().all(|id| those.has(id))
            }
        };
        self.environment == other.environment && collections && entities
    }
}

impl Entities {
    /// Whether `entity` is one of them.
    pub fn has(&self, entity: &EntityId) -> bool {
        let kind = entity.as_str().split_once(':').map(|(kind, _)| kind);
        self.ids.contains(entity) || kind.is_some_and(|kind| self.types.contains(kind))
    }
}

fn check_name(name: &str) -> Result<(), ScopeError> {
    let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if starts_well && is_plain && name.len() <= NAME_BYTES_MAX { Ok(()) } else { Err(ScopeError::Name) }
}

fn check_count(count: usize) -> Result<(), ScopeError> {
    if count <= MEMBERS_MAX { Ok(()) } else { Err(ScopeError::TooMany) }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn scopes() -> impl Strategy<Value = Scope> {
        let some = |what: &'static str| prop::option::of(prop::collection::btree_set(what, 0..4));
        let entities = (prop::collection::btree_set("[ab]", 0..3), prop::collection::btree_set("[ab]?:?[xy]", 0..4));
        ("[ab]", some("[cde]"), prop::option::of(entities)).prop_map(|(environment, collections, entities)| Scope {
            environment,
            collections,
            entities: entities.map(|(types, ids)| Entities {
                types,
                ids: ids.into_iter().filter_map(|id| EntityId::new(id).ok()).collect(),
            }),
        })
    }

    proptest! {
        /// Whoever is within has nothing that the other lacks, for all that could be asked.
        #[test]
        fn within_means_never_more(narrow in scopes(), wide in scopes()) {
            let names = ["c", "d", "e", "f"];
            let ids: Vec<Option<EntityId>> = std::iter::once(None)
                .chain(["x", "y", "a:x", "b:x", "a:y", "c:x", ":x"].map(|id| EntityId::new(id).ok()))
                .collect();
            if narrow.is_within(&wide) {
                prop_assert_eq!(narrow.environment_name(), wide.environment_name());
                prop_assert!(names.iter().all(|name| !narrow.has_collection(name) || wide.has_collection(name)));
                prop_assert!(ids.iter().all(|id| !narrow.has_entity(id.as_ref()) || wide.has_entity(id.as_ref())));
                prop_assert!(!narrow.is_whole() || wide.is_whole());
            }
            prop_assert!(narrow.is_within(&narrow));
        }
    }

    #[test]
    fn a_type_is_what_stands_before_the_colon() {
        let entities = Entities {
            types: BTreeSet::from(["patient".to_owned()]),
            ids: EntityId::new("staff:7").into_iter().collect(),
        };
        let scope = Scope::environment("acme").and_then(|scope| scope.entities(entities));
        let has = |id: &str| {
            let id = EntityId::new(id).ok();
            scope.as_ref().is_ok_and(|scope| scope.has_entity(id.as_ref()))
        };
        assert!(has("patient:1") && has("patient:1:2") && has("staff:7"));
        assert!(!has("patient") && !has("patients:1") && !has("staff:8") && !has(":patient:1"));
        assert!(scope.is_ok_and(|scope| !scope.has_entity(None)), "a record of nobody is not inside");
    }

    #[test]
    fn wildcards_and_odd_names_are_no_scope() {
        for bad in ["", "*", "a*", "a/b", "_system", "é", &"x".repeat(65)] {
            assert_eq!(Scope::environment(bad), Err(ScopeError::Name), "{bad}");
            let of = Scope::environment("acme").and_then(|scope| scope.collections([bad.to_owned()]));
            assert_eq!(of, Err(ScopeError::Name), "{bad}");
        }
        for bad in ["", "a:", "a\n"] {
            let entities = Entities { types: BTreeSet::from([bad.to_owned()]), ..Entities::default() };
            let of = Scope::environment("acme").and_then(|scope| scope.entities(entities));
            assert_eq!(of, Err(ScopeError::Type), "{bad}");
        }
    }
}
