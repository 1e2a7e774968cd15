//! `.del`: which rows of a segment are dead.
//!
//! A bitmap of positions, sealed under the table key. A change never touches a file: it writes the next version, and the
//! manifest names the one that counts.

use std::io;

use privacy::{Scope, SectionContext, SectionKey, SectionKind, open_section, seal_section};
use rand_core::CryptoRng;
use roaring::RoaringBitmap;

use crate::backend::Dir;
use crate::id::SegmentId;
use crate::segment::SegmentError;
use crate::segment::layout::{HEADER_LEN, Kind, header, open, tombstones_name};

/// Writes version `version` of the tombstones of `segment`.
///
/// # Errors
/// Those of the backend; [`io::ErrorKind::AlreadyExists`] if there is such a version.
pub fn write_tombstones(
    dir: &Dir,
    segment: SegmentId,
    version: u64,
    dead: &RoaringBitmap,
    table_key: &SectionKey,
    scope: Scope,
    rng: &mut (impl CryptoRng + ?Sized),
) -> io::Result<()> {
    let mut plaintext = Vec::with_capacity(dead.serialized_size());
    dead.serialize_into(&mut plaintext)?;
    let mut bytes = header(Kind::Tombstones, segment).to_vec();
    bytes.extend(seal_section(table_key, &context(scope, segment, version), &plaintext, rng));
    dir.write_new(&tombstones_name(segment, version), &bytes)
}

/// Reads version `version` of the tombstones of `segment`, which has `rows` rows.
///
/// # Errors
/// [`SegmentError`]; a position that is not below `rows` is [`SegmentError::Damaged`].
pub fn read_tombstones(
    dir: &Dir,
    segment: SegmentId,
    version: u64,
    rows: u64,
    table_key: &SectionKey,
    scope: Scope,
) -> Result<RoaringBitmap, SegmentError> {
    let name = tombstones_name(segment, version);
    let bytes = open(dir, &name, Kind::Tombstones, segment)?;
    let sealed = bytes.get(HEADER_LEN..).unwrap_or_default();
    let plaintext = open_section(table_key, &context(scope, segment, version), sealed)
        .map_err(|error| SegmentError::sealed(&name, "bitmap", error))?;
    decode(&plaintext, rows).ok_or_else(|| SegmentError::damaged(&name, "bitmap"))
}

/// The bitmap in `bytes` if there is exactly one and its positions are below `rows`.
fn decode(mut bytes: &[u8], rows: u64) -> Option<RoaringBitmap> {
    let dead = RoaringBitmap::deserialize_from(&mut bytes).ok()?;
    let fits = dead.max().is_none_or(|last| u64::from(last) < rows);
    (bytes.is_empty() && fits).then_some(dead)
}

fn context(scope: Scope, segment: SegmentId, version: u64) -> SectionContext {
    SectionContext { scope, kind: SectionKind::Tombstones, file: segment.0, place: version }
}

#[cfg(test)]
mod tests;
