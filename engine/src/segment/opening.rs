//! Opening the rows of a segment with the keys of their owners.
//!
//! Invariant: a key that is neither live nor known to be destroyed is damage, never silence; and whatever damage is met,
//! it quarantines the segment.

use std::collections::BTreeSet;

use privacy::{Dek, KeyId, Keyring, RowContext, RowField, open_row_into};
use roaring::RoaringBitmap;
use storage::record::{Body, decode_body, decode_vector_into};
use storage::segment::{RowEntry, SealedRow};
use zeroize::Zeroizing;

use super::Segment;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::Keys;

/// One blob of a row, and what opens it.
pub(crate) struct Sealed<'a> {
    context: RowContext,
    key: KeyId,
    blob: &'a [u8],
}

impl Sealed<'_> {
    /// Reads a byte of everything that opening it reads. Doing so for many blobs before the first is opened lets
    /// their cache misses overlap.
    pub fn touch(&self, keyring: &Keyring) -> u8 {
        let key = keyring.dek_by_id(self.key).map_or(0, |dek| dek.expose()[0]);
        let ends =
            self.blob.first().zip(self.blob.get(self.blob.len() / 2)).map_or(0, |(first, middle)| first ^ middle);
        key ^ ends
    }
}

impl Segment {
    /// Whether the row at `position` still has a key.
    ///
    /// # Errors
    /// `Corrupt` if the key is neither live nor known to be destroyed: never silence.
    pub fn is_live(&self, position: u32, keys: &Keys) -> Result<bool> {
        let sealed = self.sealed(position, RowField::Vector, keys)?;
        Ok(self.watch(self.dek(&sealed, &keys.read()))?.is_some())
    }

    /// Positions of the rows whose key is one of `ids`.
    pub fn of_keys(&self, ids: &BTreeSet<KeyId>, keys: &Keys) -> Result<RoaringBitmap> {
        let find = || {
            let (rows, mut found) = (self.rows(keys)?, RoaringBitmap::new());
            for position in 0..self.len {
                if ids.contains(&rows.row(position)?.key) {
                    found.insert(position);
                }
            }
            Ok(found)
        };
        self.watch(find())
    }

    fn dek<'a>(&self, sealed: &Sealed<'_>, keyring: &'a Keyring) -> Result<Option<&'a Dek>> {
        match keyring.dek_by_id(sealed.key) {
            Some(dek) => Ok(Some(dek)),
            None if keyring.is_destroyed(sealed.key) => Ok(None),
            None => Err(Error::corrupt(format!(
                "segment {} has a row whose key is neither in the keyring nor destroyed",
                self.id
            ))),
        }
    }

    /// Opens the vector at `position` into `out`; `false` if its entity was erased. `scratch` is reused.
    pub fn vector(&self, position: u32, keys: &Keys, scratch: &mut Vec<u8>, out: &mut Vec<f32>) -> Result<bool> {
        let sealed = self.sealed_vector(position, keys)?;
        self.unseal_vector(&sealed, &keys.read(), scratch, out)
    }

    /// The sealed vector at `position`.
    pub fn sealed_vector(&self, position: u32, keys: &Keys) -> Result<Sealed<'_>> {
        self.sealed(position, RowField::Vector, keys)
    }

    /// Opens what [`Segment::sealed_vector`] gave, as [`Segment::vector`] does.
    pub fn unseal_vector(
        &self,
        sealed: &Sealed<'_>,
        keyring: &Keyring,
        scratch: &mut Vec<u8>,
        out: &mut Vec<f32>,
    ) -> Result<bool> {
        if !self.unseal(sealed, keyring, scratch)? {
            return Ok(false);
        }
        let decoded = decode_vector_into(scratch, out).map_err(|e| self.damaged_row(e));
        let dimension = || format!("segment {} has a vector of another dimension", self.id);
        let checked = decoded.and_then(|()| match out.len() == self.space.dimension() {
            true => Ok(true),
            false => Err(Error::corrupt(dimension())),
        });
        self.watch(checked)
    }

    /// Opens the body at `position`; `None` if its entity was erased.
    pub fn body(&self, position: u32, keys: &Keys) -> Result<Option<Body>> {
        let mut plain = Zeroizing::new(Vec::new());
        if !self.open(position, RowField::Body, keys, &mut plain)? {
            return Ok(None);
        }
        self.watch(decode_body(&plain).map(Some).map_err(|e| self.damaged_row(e)))
    }

    /// The row at `position` as a rewrite copies it, opened first: damage must not move into another file.
    /// `None` if its entity was erased.
    pub fn sound_row(&self, position: u32, keys: &Keys) -> Result<Option<SealedRow<'_>>> {
        let mut plain = Zeroizing::new(Vec::new());
        let mut opens = |field| self.open(position, field, keys, &mut plain);
        if !(opens(RowField::Vector)? && opens(RowField::Body)?) {
            return Ok(None);
        }
        Ok(Some(self.rows(keys)?.sealed_row(position)?))
    }

    /// Opens one blob of a row into `plain`; `false` if its entity was erased.
    fn open(&self, position: u32, field: RowField, keys: &Keys, plain: &mut Vec<u8>) -> Result<bool> {
        let sealed = self.sealed(position, field, keys)?;
        self.unseal(&sealed, &keys.read(), plain)
    }

    fn sealed(&self, position: u32, field: RowField, keys: &Keys) -> Result<Sealed<'_>> {
        let find = || {
            let rows = self.rows(keys)?;
            let RowEntry { row, key } = rows.row(position)?;
            let blob = match field {
                RowField::Vector => rows.vector_blob(position)?,
                RowField::Body => rows.body_blob(position)?,
            };
            let context = RowContext { scope: self.scope, collection: self.collection.0, row: row.0, field };
            Ok(Sealed { context, key, blob })
        };
        self.watch(find())
    }

    fn unseal(&self, sealed: &Sealed<'_>, keyring: &Keyring, plain: &mut Vec<u8>) -> Result<bool> {
        let Some(dek) = self.watch(self.dek(sealed, keyring))? else { return Ok(false) };
        let opened = open_row_into(dek, &sealed.context, sealed.blob, plain);
        self.watch(opened.map_err(|e| self.damaged_row(e)))?;
        Ok(true)
    }

    fn damaged_row(&self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::with(ErrorKind::Corrupt, format!("segment {} has a damaged row", self.id), source)
    }
}
