//! Buckets: the entries split by tag, the key ids split by id, so that one erasure changes a few small pages.
//!
//! Invariant: bucket `i` of `2^n` holds the entries whose tag, and the key ids whose own bytes, start with the bits
//! of `i`. Graves lie by key id rather than with the bucket of the erased entity, because that would keep some bits
//! of its tag for ever. (Which buckets an epoch rewrote still shows in the generations of their places, until they
//! are written again.) `place` is `None` exactly while the content differs from every written page.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::entry::{Entry, EntryKey, Tag};
use crate::secret::{Dek, KeyId, SectionKey};

/// Most entries of a bucket that an epoch leaves; then their number doubles.
pub(super) const MAX_ENTRIES: usize = 256;
/// Most graves of a bucket that an epoch leaves; then their number doubles.
pub(super) const MAX_GRAVES: usize = 1024;

/// Where a bucket's page lies, and its key.
#[derive(Clone)]
pub(super) struct Place {
    pub key: Arc<SectionKey>,
    pub generation: u64,
    pub offset: u64,
    pub length: u64,
}

/// One bucket. `live` is derived from the entries of all buckets; the rest is what its page holds.
#[derive(Clone, Default)]
pub(super) struct Bucket {
    pub entries: BTreeMap<Tag, Entry>,
    pub graves: BTreeSet<KeyId>,
    pub place: Option<Place>,
    live: HashMap<KeyId, Arc<Dek>, BuildHasherDefault<IdHasher>>,
}

/// Key ids are random, so their last bytes are a hash already: several times faster than an ordered map, and
/// without the seed from the operating system that the default hasher takes.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// All buckets of a keyring, a power of two. Cloning shares them; a change copies the bucket it touches.
#[derive(Clone)]
pub(super) struct Buckets(Vec<Arc<Bucket>>);

impl Buckets {
    /// One empty bucket.
    pub fn new() -> Self {
        Self(vec![Arc::default()])
    }

    /// Puts decoded buckets together; `None` if their number is no power of two, if anything lies in a bucket that
    /// is not its own, or if a key id occurs twice.
    pub fn assemble(buckets: Vec<Bucket>) -> Option<Self> {
        let count = buckets.len();
        let at_home = |(at, bucket): (usize, &Bucket)| {
            bucket.entries.keys().all(|tag| slot(count, tag.as_bytes()) == at)
                && bucket.graves.iter().all(|id| slot(count, &id.0) == at)
        };
        if !count.is_power_of_two() || !buckets.iter().enumerate().all(at_home) {
            return None;
        }
        let mut buckets = Self(buckets.into_iter().map(Arc::new).collect());
        buckets.index_keys().then_some(buckets)
    }

    /// Derives `live` from the entries; false if a key id occurs twice.
    fn index_keys(&mut self) -> bool {
        let keys: Vec<_> = self
            .iter()
            .flat_map(|bucket| bucket.entries.values())
            .flat_map(|entry| entry.keys.iter().map(|key| (key.id, key.dek.clone())))
            .collect();
        keys.into_iter().all(|(id, dek)| {
            let bucket = self.bucket_mut(&id.0);
            !bucket.graves.contains(&id) && bucket.live.insert(id, dek).is_none()
        })
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Bucket> {
        self.0.iter().map(|bucket| &**bucket)
    }

    /// Every bucket in order, for writing pages; reading one copies nothing, changing one copies that one.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Arc<Bucket>> {
        self.0.iter_mut()
    }

    pub fn entry(&self, tag: &Tag) -> Option<&Entry> {
        self.bucket(tag.as_bytes()).entries.get(tag)
    }

    pub fn dek(&self, id: KeyId) -> Option<&Arc<Dek>> {
        self.bucket(&id.0).live.get(&id)
    }

    pub fn is_grave(&self, id: KeyId) -> bool {
        self.bucket(&id.0).graves.contains(&id)
    }

    /// Whether [`Buckets::add`] may take these new keys of an entity: same entry if there is one, no period of
    /// a collection and no key id that is already known.
    pub fn accepts(&self, tag: &Tag, new: &Entry) -> bool {
        let fits = self.entry(tag).is_none_or(|entry| {
            entry.generation == new.generation
                && entry.blind.expose() == new.blind.expose()
                && new.keys.iter().all(|key| entry.key(key.collection, key.until).is_none())
        });
        fits && new.keys.iter().all(|key| self.dek(key.id).is_none() && !self.is_grave(key.id))
    }

    /// Adds new keys of an entity to its entry, or a new entry.
    pub fn add(&mut self, tag: Tag, new: Entry) {
        for key in &new.keys {
            self.bucket_mut(&key.id.0).live.insert(key.id, key.dek.clone());
        }
        let bucket = self.bucket_mut(tag.as_bytes());
        bucket.place = None;
        match bucket.entries.get_mut(&tag) {
            Some(entry) => new.keys.into_iter().for_each(|key| entry.add(key)),
            None => drop(bucket.entries.insert(tag, new)),
        }
    }

    /// Removes an entity's entry and buries its keys.
    pub fn remove(&mut self, tag: &Tag) -> Vec<KeyId> {
        if self.entry(tag).is_none() {
            return Vec::new();
        }
        let bucket = self.bucket_mut(tag.as_bytes());
        bucket.place = None;
        let removed: Vec<_> = bucket.entries.remove(tag).into_iter().flat_map(|entry| entry.keys).collect();
        removed.into_iter().map(|key| self.bury(key.id)).collect()
    }

    /// Removes every key of a collection and buries it. An entry that is left without keys goes too: nothing of that entity
    /// is left to speak of. One that has none yet stays.
    pub fn remove_collection(&mut self, collection: &[u8; 16]) -> Vec<KeyId> {
        self.remove_where(|key| key.collection == *collection)
    }

    /// Removes the keys with these ids and buries them; an entry that is left without keys goes as well.
    pub fn remove_keys(&mut self, ids: &BTreeSet<KeyId>) -> Vec<KeyId> {
        if ids.is_empty() { Vec::new() } else { self.remove_where(|key| ids.contains(&key.id)) }
    }

    fn remove_where(&mut self, goes: impl Fn(&EntryKey) -> bool) -> Vec<KeyId> {
        let mut removed = Vec::new();
        for bucket in &mut self.0 {
            if !bucket.entries.values().flat_map(|entry| &entry.keys).any(&goes) {
                continue;
            }
            let bucket = Arc::make_mut(bucket);
            bucket.place = None;
            bucket.entries.retain(|_, entry| {
                let before = entry.keys.len();
                removed.extend(entry.keys.iter().filter(|key| goes(key)).map(|key| key.id));
                entry.keys.retain(|key| !goes(key));
                before == 0 || !entry.keys.is_empty()
            });
        }
        removed.into_iter().map(|id| self.bury(id)).collect()
    }

    fn bury(&mut self, id: KeyId) -> KeyId {
        let bucket = self.bucket_mut(&id.0);
        bucket.live.remove(&id);
        bucket.graves.insert(id);
        bucket.place = None;
        id
    }

    /// Doubles the number of buckets until each is within its limits. Tags and key ids are random, so halves are
    /// even and this ends; the bound on the count holds even if they were not.
    pub fn split(&mut self) {
        let mut count = self.0.len();
        while count < 1 << 24 && self.is_crowded(count) {
            count *= 2;
        }
        if count == self.0.len() {
            return;
        }
        let mut parts = vec![Bucket::default(); count];
        for bucket in self.iter() {
            for (tag, entry) in &bucket.entries {
                parts[slot(count, tag.as_bytes())].entries.insert(*tag, entry.clone());
            }
            for id in &bucket.graves {
                parts[slot(count, &id.0)].graves.insert(*id);
            }
            for (id, dek) in &bucket.live {
                parts[slot(count, &id.0)].live.insert(*id, dek.clone());
            }
        }
        self.0 = parts.into_iter().map(Arc::new).collect();
    }

    /// Whether one of `count` buckets would be over a limit.
    fn is_crowded(&self, count: usize) -> bool {
        let (mut entries, mut graves) = (vec![0; count], vec![0; count]);
        for bucket in self.iter() {
            for tag in bucket.entries.keys() {
                entries[slot(count, tag.as_bytes())] += 1;
            }
            for id in &bucket.graves {
                graves[slot(count, &id.0)] += 1;
            }
        }
        entries.iter().any(|count| *count > MAX_ENTRIES) || graves.iter().any(|count| *count > MAX_GRAVES)
    }

    fn bucket(&self, name: &[u8]) -> &Bucket {
        &self.0[slot(self.0.len(), name)]
    }

    fn bucket_mut(&mut self, name: &[u8]) -> &mut Bucket {
        let at = slot(self.0.len(), name);
        Arc::make_mut(&mut self.0[at])
    }
}

/// The bucket, below `count`, of a tag or key id: its leading bits.
fn slot(count: usize, name: &[u8]) -> usize {
    let leading = name.iter().take(4).fold(0, |bits, byte| (bits << 8) | u64::from(*byte));
    ((leading * count as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_leading_bits() {
        assert_eq!(slot(1, &[0xff; 16]), 0);
        assert_eq!(slot(2, &[0x7f, 0xff, 0xff, 0xff]), 0);
        assert_eq!(slot(2, &[0x80, 0, 0, 0]), 1);
        assert_eq!(slot(256, &[0xab, 0xcd, 0, 0]), 0xab);
        assert_eq!(slot(1 << 24, &[0xff; 32]), (1 << 24) - 1);
    }

    #[test]
    fn strangers_are_not_assembled() {
        let with_grave = |first: u8| Bucket { graves: BTreeSet::from([KeyId([first; 16])]), ..Bucket::default() };
        assert!(Buckets::assemble(vec![with_grave(0x10), with_grave(0x90)]).is_some());
        assert!(Buckets::assemble(vec![with_grave(0x90), with_grave(0x10)]).is_none());
        assert!(Buckets::assemble(vec![Bucket::default(); 3]).is_none());
        assert!(Buckets::assemble(Vec::new()).is_none());
    }
}
