//! Changing records that are there, from a collection's handle.

use serde_json::Value;

use super::Collection;
use crate::change::Change;
use crate::error::Result;
use crate::filter::Filter;
use crate::query::Updated;
use crate::record::RecordId;
use crate::update::{self, Which};

impl Collection {
    /// Changes the records of these ids that are there.
    pub fn update(&self, ids: impl IntoIterator<Item = impl Into<RecordId>>) -> Update {
        let which = Which::Ids(ids.into_iter().map(Into::into).collect());
        Update { collection: self.clone(), which, changes: Vec::new() }
    }

    /// Changes the records that match. It is as if their ids had been looked up first.
    pub fn update_matching(&self, filter: Filter) -> Update {
        Update { collection: self.clone(), which: Which::Matching(Box::new(filter)), changes: Vec::new() }
    }
}

/// An update being put together: its changes are made in the order in which they are named.
///
/// Each record is changed as a whole and as it is at that moment, so that of two who change different members at once
/// neither undoes what the other did. Its entity never changes. A record that is not there is passed over.
#[must_use = "call run()"]
pub struct Update {
    collection: Collection,
    which: Which,
    changes: Vec<Change>,
}

impl Update {
    /// Sets these members of the payload and leaves the others. A payload that is no object is replaced by one.
    pub fn set(self, members: Value) -> Self {
        self.with(Change::set(None, members))
    }

    /// Sets these members of the object at a key path, as filters write it. Where the path names members alone, what is
    /// missing on the way is made and what is no object is replaced; where it goes through lists, nothing is set but in
    /// elements that are there.
    pub fn set_at(self, key: &str, members: Value) -> Self {
        self.with(Change::set(Some(key), members))
    }

    /// Puts another payload in the place of the old one.
    pub fn overwrite(self, payload: Value) -> Self {
        self.with(Change::Overwrite(payload))
    }

    /// Takes out what is at these key paths, one after the other; `a[]` empties the list `a`.
    pub fn delete_keys(self, keys: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.with(Change::delete(keys))
    }

    /// Takes the payload away.
    pub fn clear(self) -> Self {
        self.with(Change::Clear)
    }

    /// Puts another vector in the place of the old one.
    pub fn vector(self, vector: Vec<f32>) -> Self {
        self.with(Change::Vector(vector))
    }

    /// Makes the changes; durable and visible when this returns. Very many records are written in several batches, of
    /// which some may be stored where an error ends it.
    ///
    /// # Errors
    /// `Invalid` for an unusable filter or change, or one that makes a record that cannot be stored; `Busy` where others
    /// keep writing the same records; `Corrupt` where one is in a damaged segment; those of [`Collection::upsert`].
    pub fn run(self) -> Result<Updated> {
        let Collection { env, state, permit, bell } = &self.collection;
        let (count, sequence) = update::update(env, state, permit, &self.which, &self.changes)?;
        bell.ring();
        Ok(Updated { count, as_of: self.collection.stamp(sequence) })
    }

    fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}
