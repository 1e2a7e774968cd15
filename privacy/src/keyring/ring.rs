//! The keyring in memory: lookups. How it changes is written beside it, in `extension` and `epoch`; how it is read
//! from pages, in `open`.
//!
//! Invariant: what it serves is durable, because an extension is applied only after its frame was synced and an
//! epoch's keyring is taken only after its pages were.

use std::sync::Arc;

use rand_core::CryptoRng;

use super::bucket::Buckets;
use super::entry::{FileKey, Tag};
use super::floor::Floor;
use super::page::{Durable, Files, Stamp};
use super::root_page::{self, InspectError, RootHeader};
use crate::entity::EntityId;
use crate::retention::Until;
use crate::seal::Scope;
use crate::secret::{Blind, Dek, KeyId, LedgerKey, OrderKey, Pepper, RotationSeed, SectionKey, SigningKey, TagKey};

/// All keys of one environment at one epoch. Cloning is cheap and shares the keys; a clone kept beyond an epoch
/// keeps what that epoch removed in memory, so hold one no longer than a request.
#[derive(Clone)]
pub struct Keyring {
    pub(super) scope: Scope,
    pub(super) epoch: u64,
    /// Frames of `new.log` already taken in, hence the number of the next.
    pub(super) frames: u64,
    pub(super) durable: Arc<Durable>,
    pub(super) new_keys: Arc<SectionKey>,
    pub(super) files: Files,
    pub(super) floor: Floor,
    pub(super) buckets: Buckets,
    /// Generations of the bucket files that the root page on disk names, rising. Kept beside the buckets,
    /// because a bucket that a frame of `new.log` has touched forgets its page, and the root page does not.
    pub(super) named_files: Vec<u64>,
    pub(super) stamp: Stamp,
}

impl Keyring {
    /// A fresh keyring at epoch 0, which has no pages and cannot be reopened: follow with [`Keyring::epoch`].
    pub fn create(scope: Scope, rng: &mut (impl CryptoRng + ?Sized)) -> Keyring {
        Keyring {
            scope,
            epoch: 0,
            frames: 0,
            durable: Arc::new(Durable {
                table: Arc::new(SectionKey::generate(rng)),
                order: Arc::new(OrderKey::generate(rng)),
                rotation: RotationSeed::generate(rng),
                tags: TagKey::generate(rng),
                audit: Arc::new(SectionKey::generate(rng)),
                signing: Arc::new(SigningKey::generate(rng)),
            }),
            new_keys: Arc::new(SectionKey::generate(rng)),
            files: Files::new(),
            floor: Floor::default(),
            buckets: Buckets::new(),
            named_files: Vec::new(),
            stamp: Stamp::default(),
        }
    }

    /// What a root page says of itself without any key: its format, its epoch (which names the anchor) and the
    /// fingerprint of its root key.
    pub fn inspect(root_page: &[u8]) -> Result<RootHeader, InspectError> {
        root_page::inspect(root_page)
    }

    /// The environment these keys belong to.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The epoch of the pages this keyring was opened from or written to; 0 if there are none yet.
    pub fn epoch_number(&self) -> u64 {
        self.epoch
    }

    /// What the present epoch notes of itself.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// The same keyring, whose next epoch bears `stamp`.
    #[must_use]
    pub fn stamped(mut self, stamp: Stamp) -> Self {
        self.stamp = stamp;
        self
    }

    /// How far writes, logs, segments and jobs were counted.
    pub fn floor(&self) -> Floor {
        self.floor
    }

    /// The number of the next frame of this epoch's `new.log`, which is how many it holds.
    pub fn next_frame(&self) -> u64 {
        self.frames
    }

    /// The generations of the bucket files that the root page still refers to, rising. Others may be removed.
    pub fn bucket_files(&self) -> Vec<u64> {
        self.named_files.clone()
    }

    /// Seals row tables, manifests and tombstones. Durable: no epoch removes it.
    pub fn table_key(&self) -> Arc<SectionKey> {
        self.durable.table.clone()
    }

    /// Seals the audit log, erasure jobs and stored receipts. Durable, and another than that of tables, so that it can be
    /// handed to an auditor alone.
    pub fn audit_key(&self) -> Arc<SectionKey> {
        self.durable.audit.clone()
    }

    /// Signs checkpoints of the audit log and receipts. Durable: what it signed is checked for years.
    pub fn signing_key(&self) -> Arc<SigningKey> {
        self.durable.signing.clone()
    }

    /// Orders rows canonically. Durable.
    pub fn order_key(&self) -> Arc<OrderKey> {
        self.durable.order.clone()
    }

    /// The seed of a collection's secret rotation, derived from a durable key.
    pub fn rotation_seed(&self, collection: [u8; 16]) -> RotationSeed {
        self.durable.rotation.of_collection(&collection)
    }

    /// Chains the ledger of privacy budgets and hashes its queries, derived from a durable key.
    pub fn ledger_key(&self) -> LedgerKey {
        LedgerKey::of(&self.durable.table)
    }

    /// What secrets of API keys are hashed under. Derived from a durable key: no epoch makes keys unknown.
    pub fn pepper(&self) -> Pepper {
        self.durable.tags.pepper()
    }

    /// The tag of an entity in this environment, known or not.
    pub fn tag(&self, entity: &EntityId) -> Tag {
        Tag::of(&self.durable.tags, entity)
    }

    /// The key of an owner for the writes of a period to a collection.
    pub fn dek(&self, owner: &Tag, collection: [u8; 16], until: Option<Until>) -> Option<(KeyId, Arc<Dek>)> {
        self.buckets.entry(owner)?.key(collection, until).map(|key| (key.id, key.dek.clone()))
    }

    /// Every key of a collection: whose it is, its id, and the end of the period whose writes used it, if they were for one.
    pub fn keys_of(&self, collection: [u8; 16]) -> impl Iterator<Item = (Tag, KeyId, Option<Until>)> {
        let entries = self.buckets.iter().flat_map(|bucket| &bucket.entries);
        entries.flat_map(move |(tag, entry)| entry.keys_of(collection).map(|key| (*tag, key.id, key.until)))
    }

    /// The ids of every key of an owner, rising: what an epoch that removes it destroys.
    pub fn key_ids(&self, owner: &Tag) -> Vec<KeyId> {
        let mut ids: Vec<KeyId> =
            self.buckets.entry(owner).into_iter().flat_map(|entry| &entry.keys).map(|key| key.id).collect();
        ids.sort_unstable();
        ids
    }

    /// The key with this id, if it is live: one lookup in a small hash table.
    pub fn dek_by_id(&self, id: KeyId) -> Option<&Arc<Dek>> {
        self.buckets.dek(id)
    }

    /// Whether the key with this id was destroyed by an epoch. An id that is neither live nor destroyed was never
    /// this keyring's: data that names it is damaged, not erased.
    pub fn is_destroyed(&self, id: KeyId) -> bool {
        self.buckets.is_grave(id)
    }

    /// The blind of an owner, which makes its audit pseudonym; it dies with the owner's entry.
    pub fn blind(&self, owner: &Tag) -> Option<Arc<Blind>> {
        self.buckets.entry(owner).map(|entry| entry.blind.clone())
    }

    /// The key of a write-ahead log.
    pub fn log_key(&self, wal: u64) -> Option<Arc<SectionKey>> {
        self.files.get(&FileKey::Log(wal)).cloned()
    }

    /// The key of a segment's index file.
    pub fn index_key(&self, segment: u64) -> Option<Arc<SectionKey>> {
        self.files.get(&FileKey::Index(segment)).cloned()
    }

    /// The key of a job's record.
    pub fn job_key(&self, job: u64) -> Option<Arc<SectionKey>> {
        self.files.get(&FileKey::Job(job)).cloned()
    }

    /// How many owners have keys, the reserved owner included.
    pub fn entity_count(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.entries.len()).sum()
    }

    /// How many keys were ever destroyed.
    pub fn destroyed_count(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.graves.len()).sum()
    }
}
