//! Epoch: removing keys, the one change that replaces the anchor. Rotation is an epoch that removes nothing.
//!
//! Invariant: no byte written here mentions what was removed, but for random key ids in the graveyard; every bucket
//! page written is under a fresh key, and so is the next `new.log`. Older pages stay behind keys that only an older
//! root page holds.
//!
//! The caller makes it real in this order: bucket file and root page written under new names and synced; the new
//! anchor in every anchor store and read back; mirrors; the root page renamed into place; the old anchor destroyed;
//! this keyring swapped in. Extensions must not be applied to the old keyring meanwhile: the new one lacks them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand_core::CryptoRng;

use super::bucket::{Buckets, Place};
use super::entry::{FileKey, Tag};
use super::page;
use super::ring::Keyring;
use super::root_page::seal_root;
use crate::seal::{Scope, SectionContext, SectionKind, seal_section};
use crate::secret::{Anchor, KeyId, RootKey, SectionKey};

/// What an epoch removes: the entries, collections and keys named, and every log, index and job key *not* named.
#[derive(Debug, Clone, Default)]
pub struct Removal {
    /// Owners whose entries go, with all their keys. Unknown ones are ignored.
    pub entities: Vec<Tag>,
    /// Collections whose keys go, of every owner.
    pub collections: Vec<[u8; 16]>,
    /// Single keys that go. Unknown ones are ignored.
    pub keys: BTreeSet<KeyId>,
    /// Write-ahead logs whose keys stay.
    pub keep_logs: Vec<u64>,
    /// Segments whose index keys stay.
    pub keep_indexes: Vec<u64>,
    /// Jobs whose keys stay.
    pub keep_jobs: Vec<u64>,
}

impl Removal {
    /// Removes nothing that `keyring` holds: what a rotation asks for, and what an erasure starts from.
    pub fn nothing(keyring: &Keyring) -> Removal {
        let mut removal = Removal::default();
        for file in keyring.files.keys() {
            match *file {
                FileKey::Log(number) => removal.keep_logs.push(number),
                FileKey::Index(number) => removal.keep_indexes.push(number),
                FileKey::Job(number) => removal.keep_jobs.push(number),
            }
        }
        removal
    }

    fn kept(&self) -> BTreeSet<FileKey> {
        let logs = self.keep_logs.iter().copied().map(FileKey::Log);
        let indexes = self.keep_indexes.iter().copied().map(FileKey::Index);
        logs.chain(indexes).chain(self.keep_jobs.iter().copied().map(FileKey::Job)).collect()
    }
}

/// The next epoch, ready to be made durable.
pub struct Epoch {
    /// Its number, which names its anchor, its root page, its bucket file and its `new.log`.
    pub number: u64,
    /// The new root page.
    pub root_page: Vec<u8>,
    /// The bucket file of generation `number`; `None` if no bucket changed.
    pub bucket_file: Option<Vec<u8>>,
    /// The keyring to serve from once the pages are in place.
    pub next: Keyring,
    /// The ids of the keys destroyed by this epoch, rising.
    pub destroyed: Vec<KeyId>,
}

impl Keyring {
    /// Computes the next epoch. `anchor` is the new one, fresh from the same `rng`; `root_key` may be another than
    /// before, which rotates it. `self` is unchanged and stays valid until the caller commits.
    pub fn epoch(
        &self,
        removal: &Removal,
        root_key: &RootKey,
        anchor: &Anchor,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Epoch {
        let number = self.epoch + 1;
        let kept = removal.kept();
        let mut next = self.clone();
        next.epoch = number;
        next.frames = 0;
        next.new_keys = Arc::new(SectionKey::generate(rng));
        next.files.retain(|file, _| kept.contains(file));
        let mut destroyed: Vec<KeyId> = removal.entities.iter().flat_map(|tag| next.buckets.remove(tag)).collect();
        destroyed.extend(removal.collections.iter().flat_map(|id| next.buckets.remove_collection(id)));
        destroyed.extend(next.buckets.remove_keys(&removal.keys));
        destroyed.sort_unstable();

        next.buckets.split();
        let bucket_file = write_buckets(&mut next.buckets, self.scope, number, rng);
        let places: Vec<&Place> = next.buckets.iter().filter_map(|bucket| bucket.place.as_ref()).collect();
        let mut named_files: Vec<u64> = places.iter().map(|place| place.generation).collect();
        named_files.sort_unstable();
        named_files.dedup();
        let places = places.into_iter();
        let content = page::encode_root(&next.durable, &next.new_keys, &next.files, &next.floor, places, &next.stamp);
        next.named_files = named_files;
        let root_page = seal_root(self.scope, number, root_key, anchor, &content, rng);
        Epoch { number, root_page, bucket_file, next, destroyed }
    }
}

/// Writes the pages that are due, each under a fresh key, and notes their places.
fn write_buckets(
    buckets: &mut Buckets,
    scope: Scope,
    generation: u64,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Option<Vec<u8>> {
    let due = due(buckets);
    let mut file = Vec::new();
    for (number, bucket) in buckets.iter_mut().enumerate().filter(|(number, _)| due.contains(number)) {
        let key = Arc::new(SectionKey::generate(rng));
        let context = SectionContext { scope, kind: SectionKind::BucketPage, file: generation, place: number as u64 };
        let page = seal_section(&key, &context, &page::encode_bucket(bucket), rng);
        let (offset, length) = (file.len() as u64, page.len() as u64);
        Arc::make_mut(bucket).place = Some(Place { key, generation, offset, length });
        file.extend_from_slice(&page);
    }
    (!due.is_empty()).then_some(file)
}

/// Which buckets to write: those that changed and, so that files do not pile up, those of every older file that has
/// no more live pages than are being written anyway, smallest first. Small files thus merge as a counter carries,
/// and a page is written again about once for every doubling of the file it lies in.
fn due(buckets: &Buckets) -> BTreeSet<usize> {
    let mut due = BTreeSet::new();
    let mut files: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (number, bucket) in buckets.iter().enumerate() {
        match &bucket.place {
            Some(place) => files.entry(place.generation).or_default().push(number),
            None => drop(due.insert(number)),
        }
    }
    let mut files: Vec<_> = files.into_values().collect();
    files.sort_by_key(Vec::len);
    for file in files {
        if file.len() <= due.len() {
            due.extend(file);
        }
    }
    due
}
