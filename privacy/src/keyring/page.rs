//! The plaintext of pages and frames: deterministic CBOR (RFC 8949 §4.2: shortest integers, definite lengths).
//!
//! ```text
//! root    [[table, order, rotation, tags, audit, signing], new_keys, files, [sequence, log, index, job, trail, ledger],
//!          [[key, generation, offset, length], …], stamp]
//! stamp   [made at, [anchor store, …]]
//! bucket  [entries, [key id, …]]
//! frame   [entries, files, sequence, trail, ledger]
//! entries [[tag, generation, blind, [[collection, until or 0, key id, dek], …]], …]       files [[code, number, key], …]
//! ```
//!
//! Invariant: every list of named things is in strictly rising order, so equal contents have equal bytes. Decoding
//! is total, allocates no more than its input justifies, and refuses all bytes that encoding would not give.

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::{Decoder, Encoder};
use zeroize::Zeroizing;

use super::bucket::{Bucket, Place};
use super::entry::{Entry, EntryKey, FileKey, Tag};
use super::floor::Floor;
use crate::cbor::{Malformed, Sink, Written, array, decoded, fixed, length, rising, written};
use crate::retention::Until;
use crate::secret::{Blind, Dek, KeyId, OrderKey, RotationSeed, SectionKey, SigningKey, TagKey};

/// The environment's keys that no epoch removes, so that older data files still open.
pub(super) struct Durable {
    pub table: Arc<SectionKey>,
    pub order: Arc<OrderKey>,
    pub rotation: RotationSeed,
    pub tags: TagKey,
    pub audit: Arc<SectionKey>,
    pub signing: Arc<SigningKey>,
}

/// What an epoch notes of itself, beside its keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamp {
    /// When it was made, in milliseconds since the Unix epoch: how old the KEK is.
    pub made_at: u64,
    /// The names of the anchor stores that hold its anchor, rising. All must be there at the next epoch, so that none
    /// keeps an anchor that the others destroy.
    pub anchor_stores: Vec<[u8; 16]>,
}

/// Ephemeral keys by file.
pub(super) type Files = BTreeMap<FileKey, Arc<SectionKey>>;

/// The content of a root page.
pub(super) struct RootContent {
    pub durable: Durable,
    pub new_keys: SectionKey,
    pub files: Files,
    pub floor: Floor,
    pub places: Vec<Place>,
    pub stamp: Stamp,
}

/// The content of a frame: keys to add, up to which number writes may be counted, which audit log there is, and
/// how long the ledger of budgets is; 0 leaves that as it is.
#[derive(Default)]
pub(super) struct Additions {
    pub entries: BTreeMap<Tag, Entry>,
    pub files: Files,
    pub sequence: u64,
    pub trail: u64,
    pub ledger: u64,
}

/// The plaintext of a root page. Places come from the buckets, all of which must have been written.
pub(super) fn encode_root<'a>(
    durable: &Durable,
    new_keys: &SectionKey,
    files: &Files,
    floor: &Floor,
    places: impl ExactSizeIterator<Item = &'a Place>,
    stamp: &Stamp,
) -> Zeroizing<Vec<u8>> {
    written(|e| {
        e.array(6)?.array(6)?;
        e.bytes(durable.table.expose())?.bytes(durable.order.expose())?;
        e.bytes(durable.rotation.expose())?.bytes(durable.tags.expose())?;
        e.bytes(durable.audit.expose())?.bytes(durable.signing.expose())?;
        e.bytes(new_keys.expose())?;
        encode_files(e, files)?;
        e.array(6)?.u64(floor.sequence)?.u64(floor.log)?.u64(floor.index)?;
        e.u64(floor.job)?.u64(floor.trail)?.u64(floor.ledger)?;
        e.array(places.len() as u64)?;
        for place in places {
            e.array(4)?.bytes(place.key.expose())?;
            e.u64(place.generation)?.u64(place.offset)?.u64(place.length)?;
        }
        e.array(2)?.u64(stamp.made_at)?.array(stamp.anchor_stores.len() as u64)?;
        stamp.anchor_stores.iter().try_for_each(|store| e.bytes(store).map(drop))
    })
}

pub(super) fn decode_root(bytes: &[u8]) -> Result<RootContent, Malformed> {
    let again = |r: &RootContent| encode_root(&r.durable, &r.new_keys, &r.files, &r.floor, r.places.iter(), &r.stamp);
    decoded(bytes, again, |d| {
        fixed(d, 6)?;
        fixed(d, 6)?;
        let durable = Durable {
            table: Arc::new(SectionKey::from_bytes(array(d)?)),
            order: Arc::new(OrderKey::from_bytes(array(d)?)),
            rotation: RotationSeed::from_bytes(array(d)?),
            tags: TagKey::from_bytes(array(d)?),
            audit: Arc::new(SectionKey::from_bytes(array(d)?)),
            signing: Arc::new(SigningKey::from_bytes(array(d)?)),
        };
        let new_keys = SectionKey::from_bytes(array(d)?);
        let files = decode_files(d)?;
        fixed(d, 6)?;
        let (sequence, log, index) = (d.u64()?, d.u64()?, d.u64()?);
        let floor = Floor { sequence, log, index, job: d.u64()?, trail: d.u64()?, ledger: d.u64()? };
        let mut places = Vec::new();
        for _ in 0..length(d)? {
            fixed(d, 4)?;
            let key = Arc::new(SectionKey::from_bytes(array(d)?));
            places.push(Place { key, generation: d.u64()?, offset: d.u64()?, length: d.u64()? });
        }
        fixed(d, 2)?;
        let mut stamp = Stamp { made_at: d.u64()?, anchor_stores: Vec::new() };
        for _ in 0..length(d)? {
            let store = array(d)?;
            rising(stamp.anchor_stores.last(), &store)?;
            stamp.anchor_stores.push(store);
        }
        Ok(RootContent { durable, new_keys, files, floor, places, stamp })
    })
}

/// The plaintext of a bucket's page.
pub(super) fn encode_bucket(bucket: &Bucket) -> Zeroizing<Vec<u8>> {
    written(|e| {
        e.array(2)?;
        encode_entries(e, &bucket.entries)?;
        e.array(bucket.graves.len() as u64)?;
        bucket.graves.iter().try_for_each(|id| e.bytes(&id.0).map(drop))
    })
}

/// The entries and graves of a bucket's page; its place is the caller's to fill in.
pub(super) fn decode_bucket(bytes: &[u8]) -> Result<Bucket, Malformed> {
    decoded(bytes, encode_bucket, |d| {
        fixed(d, 2)?;
        let mut bucket = Bucket::default();
        bucket.entries = decode_entries(d)?;
        for _ in 0..length(d)? {
            let id = KeyId(array(d)?);
            rising(bucket.graves.last(), &id)?;
            bucket.graves.insert(id);
        }
        Ok(bucket)
    })
}

/// The plaintext of a frame.
pub(super) fn encode_additions(additions: &Additions) -> Zeroizing<Vec<u8>> {
    written(|e| {
        e.array(5)?;
        encode_entries(e, &additions.entries)?;
        encode_files(e, &additions.files)?;
        e.u64(additions.sequence)?.u64(additions.trail)?.u64(additions.ledger).map(drop)
    })
}

pub(super) fn decode_additions(bytes: &[u8]) -> Result<Additions, Malformed> {
    decoded(bytes, encode_additions, |d| {
        fixed(d, 5)?;
        let (entries, files) = (decode_entries(d)?, decode_files(d)?);
        Ok(Additions { entries, files, sequence: d.u64()?, trail: d.u64()?, ledger: d.u64()? })
    })
}

fn encode_entries(e: &mut Encoder<Sink>, entries: &BTreeMap<Tag, Entry>) -> Written {
    e.array(entries.len() as u64)?;
    for (tag, entry) in entries {
        e.array(4)?.bytes(tag.as_bytes())?.u64(entry.generation)?.bytes(entry.blind.expose())?;
        e.array(entry.keys.len() as u64)?;
        for key in &entry.keys {
            e.array(4)?
                .bytes(&key.collection)?
                .u64(key.until.map_or(0, Until::as_ms))?
                .bytes(&key.id.0)?
                .bytes(key.dek.expose())?;
        }
    }
    Ok(())
}

fn decode_entries(d: &mut Decoder<'_>) -> Result<BTreeMap<Tag, Entry>, Malformed> {
    let mut entries = BTreeMap::new();
    for _ in 0..length(d)? {
        fixed(d, 4)?;
        let tag = Tag::from_bytes(array(d)?);
        rising(entries.last_key_value().map(|(last, _)| last), &tag)?;
        let (generation, blind) = (d.u64()?, Arc::new(Blind::from_bytes(array(d)?)));
        let mut keys: Vec<EntryKey> = Vec::new();
        for _ in 0..length(d)? {
            fixed(d, 4)?;
            let (collection, until) = (array(d)?, Until::from_ms(d.u64()?));
            rising(keys.last().map(EntryKey::place).as_ref(), &(collection, until))?;
            let (id, dek) = (KeyId(array(d)?), Arc::new(Dek::from_bytes(array(d)?)));
            keys.push(EntryKey { collection, until, id, dek });
        }
        entries.insert(tag, Entry { generation, blind, keys });
    }
    Ok(entries)
}

fn encode_files(e: &mut Encoder<Sink>, files: &Files) -> Written {
    e.array(files.len() as u64)?;
    for (file, key) in files {
        let (code, number) = match file {
            FileKey::Log(number) => (0, number),
            FileKey::Index(number) => (1, number),
            FileKey::Job(number) => (2, number),
        };
        e.array(3)?.u8(code)?.u64(*number)?.bytes(key.expose())?;
    }
    Ok(())
}

fn decode_files(d: &mut Decoder<'_>) -> Result<Files, Malformed> {
    let mut files = Files::new();
    for _ in 0..length(d)? {
        fixed(d, 3)?;
        let file = match (d.u8()?, d.u64()?) {
            (0, number) => FileKey::Log(number),
            (1, number) => FileKey::Index(number),
            (2, number) => FileKey::Job(number),
            _ => return Err(Malformed),
        };
        rising(files.last_key_value().map(|(last, _)| last), &file)?;
        files.insert(file, Arc::new(SectionKey::from_bytes(array(d)?)));
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
