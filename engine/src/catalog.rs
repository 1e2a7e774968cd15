//! The names of an environment: its collections, and the aliases by which they go as well.
//!
//! Invariant: no name stands for two collections, and every alias for one that is here; the manifest says the same. It
//! holds what is open and decides nothing, so that whoever changes both the manifest and this does it in one place.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::collection_state::CollectionState;

/// Collections by their names, and aliases.
#[derive(Default)]
pub(crate) struct Catalog {
    collections: BTreeMap<String, Arc<CollectionState>>,
    /// Each with the name of its collection.
    aliases: BTreeMap<String, String>,
}

impl Catalog {
    /// Adds a collection under its name.
    pub fn insert(&mut self, state: Arc<CollectionState>) {
        self.collections.insert(state.name.clone(), state);
    }

    /// Takes a collection out, and its aliases.
    pub fn remove(&mut self, name: &str) {
        self.collections.remove(name);
        self.aliases.retain(|_, collection| collection != name);
    }

    /// Has `alias` stand for a collection that is here, and for no other any longer.
    pub fn set_alias(&mut self, alias: String, collection: &CollectionState) {
        self.aliases.insert(alias, collection.name.clone());
    }

    /// Takes an alias out.
    pub fn remove_alias(&mut self, alias: &str) {
        self.aliases.remove(alias);
    }

    /// The collection of this very name.
    pub fn named(&self, name: &str) -> Option<&Arc<CollectionState>> {
        self.collections.get(name)
    }

    /// The name of the collection that this alias stands for.
    pub fn alias(&self, alias: &str) -> Option<&str> {
        self.aliases.get(alias).map(String::as_str)
    }

    /// The collection that goes by this name, its own or an alias.
    pub fn find(&self, name: &str) -> Option<&Arc<CollectionState>> {
        self.named(self.alias(name).unwrap_or(name))
    }

    /// Whether this very collection is here, and not another that was made under its name later.
    pub fn has(&self, state: &CollectionState) -> bool {
        self.named(&state.name).is_some_and(|current| current.id == state.id)
    }

    /// Every collection, in the order of their names.
    pub fn collections(&self) -> impl Iterator<Item = &Arc<CollectionState>> {
        self.collections.values()
    }

    /// Every alias and the name of its collection, in the order of the aliases.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(alias, collection)| (alias.as_str(), collection.as_str()))
    }
}
