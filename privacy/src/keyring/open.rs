//! Opening a keyring from its pages.
//!
//! Invariant: every failure says which of the few things is wrong that an operator can act on: a newer engine, the
//! wrong root key, the wrong anchor, or damage and where. Nothing is served from a keyring that did not open whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::bucket::{Bucket, Buckets, Place};
use super::page::{self, RootContent};
use super::ring::Keyring;
use super::root_page::{InspectError, OpenRootError, open_root};
use crate::seal::{Scope, SectionContext, SectionKind, open_section};
use crate::secret::{Anchor, Fingerprint, RootKey};

/// A part of a keyring on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The root page.
    Root,
    /// A page in the bucket file of this generation.
    Buckets {
        /// The generation that names the file.
        generation: u64,
    },
}

/// Why a keyring does not open. `E` is the error of reading a bucket file.
#[derive(Debug, Error)]
pub enum OpenKeyringError<E> {
    /// Written by a newer version of this engine.
    #[error("the keyring has format {found}, the newest known here is {max}")]
    NewerFormat {
        /// The page's format.
        found: u32,
        /// The newest format that opens here.
        max: u32,
    },
    /// The root key is not the one the page names.
    #[error("the keyring needs the root key {expected}, the key given is {found}")]
    WrongRootKey {
        /// The fingerprint that the page names.
        expected: Fingerprint,
        /// The fingerprint of the key given.
        found: Fingerprint,
    },
    /// The root key is right and the page whole, but it was sealed under another anchor, or for another environment.
    #[error("the keyring was sealed under another anchor or for another environment")]
    WrongAnchor,
    /// Changed, cut or exchanged bytes.
    #[error("the keyring is damaged: {part:?}")]
    Damaged {
        /// Where.
        part: Part,
    },
    /// A bucket file could not be read.
    #[error("a bucket file of the keyring could not be read")]
    Read(#[source] E),
}

impl<E> From<OpenRootError> for OpenKeyringError<E> {
    fn from(error: OpenRootError) -> Self {
        match error {
            OpenRootError::Inspect(InspectError::Damaged) => Self::Damaged { part: Part::Root },
            OpenRootError::Inspect(InspectError::NewerFormat { found, max }) => Self::NewerFormat { found, max },
            OpenRootError::WrongRootKey { expected, found } => Self::WrongRootKey { expected, found },
            OpenRootError::WrongAnchor => Self::WrongAnchor,
        }
    }
}

impl Keyring {
    /// Opens the pages of one epoch. `read_bucket_file` returns the bytes of the bucket file of a generation; each
    /// is asked for once. Follow with [`Keyring::replay`] for every frame of that epoch's `new.log`.
    pub fn open<E>(
        scope: Scope,
        root_key: &RootKey,
        anchor: &Anchor,
        root_page: &[u8],
        mut read_bucket_file: impl FnMut(u64) -> Result<Vec<u8>, E>,
    ) -> Result<Keyring, OpenKeyringError<E>> {
        let (epoch, content) = open_root(scope, root_key, anchor, root_page)?;
        let damaged = |part| OpenKeyringError::Damaged { part };
        let RootContent { durable, new_keys, files, floor, places, stamp } =
            page::decode_root(&content).map_err(|_| damaged(Part::Root))?;

        let mut buckets = vec![Bucket::default(); places.len()];
        let mut by_file: BTreeMap<u64, Vec<_>> = BTreeMap::new();
        for ((number, place), bucket) in places.into_iter().enumerate().zip(&mut buckets) {
            by_file.entry(place.generation).or_default().push((number as u64, place, bucket));
        }
        let named_files = by_file.keys().copied().collect();
        for (generation, pages) in by_file {
            let file = read_bucket_file(generation).map_err(OpenKeyringError::Read)?;
            for (number, place, bucket) in pages {
                *bucket =
                    open_bucket(scope, &file, number, place).ok_or_else(|| damaged(Part::Buckets { generation }))?;
            }
        }
        Ok(Keyring {
            scope,
            epoch,
            frames: 0,
            durable: Arc::new(durable),
            new_keys: Arc::new(new_keys),
            files,
            floor,
            buckets: Buckets::assemble(buckets).ok_or_else(|| damaged(Part::Root))?,
            named_files,
            stamp,
        })
    }
}

fn open_bucket(scope: Scope, file: &[u8], number: u64, place: Place) -> Option<Bucket> {
    let start = usize::try_from(place.offset).ok()?;
    let end = start.checked_add(usize::try_from(place.length).ok()?)?;
    let context = SectionContext { scope, kind: SectionKind::BucketPage, file: place.generation, place: number };
    let content = open_section(&place.key, &context, file.get(start..end)?).ok()?;
    let mut bucket = page::decode_bucket(&content).ok()?;
    bucket.place = Some(place);
    Some(bucket)
}
