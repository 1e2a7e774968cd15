//! What the keyring holds: an entity's entry, and the names under which keys are kept.
//!
//! Invariant: an entry has one key per collection and period, in rising order of both; none while the log of writes alone
//! knows its owner. Tags are the only form in which
//! an entity appears in a page.

use std::fmt;
use std::sync::Arc;

use hkdf::HmacImpl;
use hkdf::hmac::Hmac;
use sha2::Sha256;

use crate::entity::EntityId;
use crate::retention::Until;
use crate::secret::{Blind, Dek, KeyId, TagKey};

/// The pseudonym of an entity inside the keyring: HMAC-SHA-256 of its id under the environment's tag key. Personal
/// data still, hence never printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag([u8; 32]);

impl Tag {
    /// The reserved owner of a collection's records without an entity.
    pub const COLLECTION: Tag = Tag([0; 32]);

    /// The tag of an entity.
    pub(super) fn of(key: &TagKey, entity: &EntityId) -> Tag {
        let mut mac = <Hmac<Sha256> as HmacImpl>::new_from_slice(key.expose());
        HmacImpl::update(&mut mac, entity.as_str().as_bytes());
        Tag(HmacImpl::finalize(mac).into())
    }

    /// The tag with these bytes, as read from a sealed page or job.
    pub fn from_bytes(bytes: [u8; 32]) -> Tag {
        Tag(bytes)
    }

    /// The bytes, for a sealed page or job only.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(..)")
    }
}

/// All that is known of one entity. Cloning shares the keys.
#[derive(Clone)]
pub(super) struct Entry {
    /// The epoch in which the entry was made. An entity that returns after an erasure gets a higher one, without
    /// anything having remembered it.
    pub generation: u64,
    pub blind: Arc<Blind>,
    pub keys: Vec<EntryKey>,
}

/// The key of one entity in one collection, for the writes of one period.
#[derive(Clone)]
pub(super) struct EntryKey {
    pub collection: [u8; 16],
    /// None where the collection kept records for ever.
    pub until: Option<Until>,
    pub id: KeyId,
    pub dek: Arc<Dek>,
}

impl EntryKey {
    /// What keys are ordered by.
    pub fn place(&self) -> ([u8; 16], Option<Until>) {
        (self.collection, self.until)
    }
}

impl Entry {
    /// The key for the writes of a period to a collection.
    pub fn key(&self, collection: [u8; 16], until: Option<Until>) -> Option<&EntryKey> {
        let at = self.keys.binary_search_by_key(&(collection, until), EntryKey::place).ok()?;
        self.keys.get(at)
    }

    /// Every key for a collection, that of the earliest period first.
    pub fn keys_of(&self, collection: [u8; 16]) -> impl Iterator<Item = &EntryKey> {
        let first = self.keys.partition_point(|key| key.collection < collection);
        self.keys.iter().skip(first).take_while(move |key| key.collection == collection)
    }

    /// Adds a key. A period that has one keeps it.
    pub fn add(&mut self, key: EntryKey) {
        if let Err(at) = self.keys.binary_search_by_key(&key.place(), EntryKey::place) {
            self.keys.insert(at, key);
        }
    }
}

/// Which file an ephemeral key belongs to. The order and the codes are those of the pages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FileKey {
    Log(u64),
    Index(u64),
    Job(u64),
}
