//! The root page as bytes: a plaintext header, and a body sealed under the KEK.
//!
//! ```text
//! magic 8 | format u32 | epoch u64 | root key fingerprint 8 | checksum 8 | sealed section …      big-endian
//! ```
//!
//! Invariant: header and checksum keep this shape in every format. The checksum (SHA-256 of all other bytes, cut to
//! 8) catches accidents and so tells damage from a wrong key; it authenticates nothing. Epoch, environment and
//! database are authenticated by the KEK and the section's context.

use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256, Sha512};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::seal::{OpenError, Scope, SectionContext, SectionKind, open_section, seal_section};
use crate::secret::{Anchor, Fingerprint, RootKey, SectionKey};

/// The format written, and the only one that opens: 2 has the keys of the audit log, 3 the stamp, 4 the floor, 5
/// which audit log there is, 6 the periods of keys, 7 how long the ledger of budgets is.
pub(super) const FORMAT: u32 = 7;

const MAGIC: [u8; 8] = *b"lethkeys";
const HEADER: usize = 36;
const CHECKSUM: std::ops::Range<usize> = 28..36;

/// What a root page says of itself without any key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootHeader {
    /// The format of the page.
    pub format: u32,
    /// The epoch, which names the anchor that opens it.
    pub epoch: u64,
    /// The root key that opens it.
    pub root_key: Fingerprint,
}

/// Why a page has no readable header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InspectError {
    /// Written by a newer version of this engine.
    #[error("the root page has format {found}, the newest known here is {max}")]
    NewerFormat {
        /// The page's format.
        found: u32,
        /// The newest format that opens here.
        max: u32,
    },
    /// No root page, or one with changed or missing bytes.
    #[error("the root page is damaged")]
    Damaged,
}

/// Why a sound page does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenRootError {
    Inspect(InspectError),
    WrongRootKey { expected: Fingerprint, found: Fingerprint },
    WrongAnchor,
}

/// Reads the header and checks the page against accidents.
pub(super) fn inspect(page: &[u8]) -> Result<RootHeader, InspectError> {
    let mut rest = page;
    let magic: [u8; 8] = take(&mut rest)?;
    let format = u32::from_be_bytes(take(&mut rest)?);
    let epoch = u64::from_be_bytes(take(&mut rest)?);
    let root_key = Fingerprint(take(&mut rest)?);
    let found: [u8; 8] = take(&mut rest)?;
    if magic != MAGIC || found != checksum(page) || format < FORMAT {
        return Err(InspectError::Damaged);
    }
    if format > FORMAT {
        return Err(InspectError::NewerFormat { found: format, max: FORMAT });
    }
    Ok(RootHeader { format, epoch, root_key })
}

/// Seals the content of a root page.
pub(super) fn seal_root(
    scope: Scope,
    epoch: u64,
    root_key: &RootKey,
    anchor: &Anchor,
    content: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Vec<u8> {
    let mut page = Vec::with_capacity(HEADER + content.len() + 1024);
    page.extend_from_slice(&MAGIC);
    page.extend_from_slice(&FORMAT.to_be_bytes());
    page.extend_from_slice(&epoch.to_be_bytes());
    page.extend_from_slice(&root_key.fingerprint().0);
    page.extend_from_slice(&[0; 8]);
    page.extend_from_slice(&seal_section(&kek(root_key, anchor, scope, epoch), &context(scope, epoch), content, rng));
    let checksum = checksum(&page);
    page[CHECKSUM].copy_from_slice(&checksum);
    page
}

/// Opens the content of a root page.
pub(super) fn open_root(
    scope: Scope,
    root_key: &RootKey,
    anchor: &Anchor,
    page: &[u8],
) -> Result<(u64, Zeroizing<Vec<u8>>), OpenRootError> {
    let header = inspect(page).map_err(OpenRootError::Inspect)?;
    let (expected, found) = (header.root_key, root_key.fingerprint());
    if expected != found {
        return Err(OpenRootError::WrongRootKey { expected, found });
    }
    let kek = kek(root_key, anchor, scope, header.epoch);
    match open_section(&kek, &context(scope, header.epoch), page.get(HEADER..).unwrap_or_default()) {
        Ok(content) => Ok((header.epoch, content)),
        Err(OpenError::WrongKey) => Err(OpenRootError::WrongAnchor),
        Err(OpenError::Damaged | OpenError::TooShort) => Err(OpenRootError::Inspect(InspectError::Damaged)),
    }
}

/// `HKDF-SHA-512(ikm = root key, salt = anchor, info = label || environment || epoch)`, RFC 5869. Either input
/// being unknown leaves the output unknown, so the key dies with the anchor.
fn kek(root_key: &RootKey, anchor: &Anchor, scope: Scope, epoch: u64) -> SectionKey {
    let mut key = Zeroizing::new([0; 32]);
    let info: [&[u8]; 3] = [b"lethedb kek v1\0", &scope.environment, &epoch.to_be_bytes()];
    let expanded = Hkdf::<Sha512>::new(Some(anchor.expose()), root_key.expose()).expand_multi_info(&info, &mut *key);
    debug_assert!(expanded.is_ok(), "32 bytes are within the reach of HKDF");
    SectionKey::from_bytes(*key)
}

fn context(scope: Scope, epoch: u64) -> SectionContext {
    SectionContext { scope, kind: SectionKind::RootPage, file: epoch, place: 0 }
}

fn checksum(page: &[u8]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in [page.get(..CHECKSUM.start), page.get(CHECKSUM.end..)] {
        hash.update(part.unwrap_or_default());
    }
    let mut checksum = [0; 8];
    checksum.copy_from_slice(&hash.finalize()[..8]);
    checksum
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], InspectError> {
    let (head, tail) = bytes.split_first_chunk().ok_or(InspectError::Damaged)?;
    *bytes = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_of_the_kek_counts() {
        let (root, anchor) = (RootKey::from_bytes([1; 32]), Anchor::from_bytes([2; 32]));
        let scope = Scope::new([3; 16], "acme");
        let base = kek(&root, &anchor, scope, 1);
        let other = [
            kek(&RootKey::from_bytes([9; 32]), &anchor, scope, 1),
            kek(&root, &Anchor::from_bytes([9; 32]), scope, 1),
            kek(&root, &anchor, Scope::new([3; 16], "other"), 1),
            kek(&root, &anchor, scope, 2),
            // Exchanged roles must not meet: the KDF is not symmetric.
            kek(&RootKey::from_bytes([2; 32]), &Anchor::from_bytes([1; 32]), scope, 1),
        ];
        assert!(other.iter().all(|key| key.expose() != base.expose()));
        assert_ne!(base.expose(), &[0; 32]);
    }
}
