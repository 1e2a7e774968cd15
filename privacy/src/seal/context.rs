//! What a sealed blob is bound to: where it belongs, as bytes that go into its authentication.
//!
//! Invariant: the encoding is of fixed length and injective under a version label, so two different places never
//! share one. A blob moved between tenants, collections, rows, files or frames therefore does not open.

use sha2::{Digest, Sha256};

const ROW_LABEL: &[u8; 15] = b"lethedb row v1\0";
const SECTION_LABEL: &[u8; 19] = b"lethedb section v1\0";

/// One environment of one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The random id of the database.
    pub database: [u8; 16],
    /// The id of the environment, derived from its name.
    pub environment: [u8; 16],
}

impl Scope {
    /// The scope of the environment with this name: its id is the first 16 bytes of SHA-256 over a label and the
    /// name.
    pub fn new(database: [u8; 16], environment_name: &str) -> Scope {
        let digest = Sha256::new().chain_update(b"lethedb environment v1\0").chain_update(environment_name).finalize();
        let mut environment = [0; 16];
        environment.copy_from_slice(&digest[..16]);
        Scope { database, environment }
    }
}

/// Which of the two blobs of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RowField {
    /// The vector, f32 little-endian.
    Vector = 1,
    /// Record id, sequence, entity and payload.
    Body = 2,
}

/// What a row blob is bound to: the row itself, not a file or a position, so that a rewrite copies ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowContext {
    /// The environment.
    pub scope: Scope,
    /// The collection's id.
    pub collection: [u8; 16],
    /// The random row id.
    pub row: [u8; 16],
    /// Which blob of the row.
    pub field: RowField,
}

impl RowContext {
    pub(super) fn encode(&self) -> [u8; 80] {
        join([
            ROW_LABEL,
            &self.scope.database,
            &self.scope.environment,
            &self.collection,
            &self.row,
            &[self.field as u8],
        ])
    }
}

/// What kind of section a blob is. The codes are part of the format and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SectionKind {
    /// The keyring's root page.
    RootPage = 1,
    /// A page of entity entries.
    BucketPage = 2,
    /// A frame of `new.log`.
    NewKeys = 3,
    /// The row table of a segment.
    RowTable = 4,
    /// The tombstones of a segment.
    Tombstones = 5,
    /// A manifest.
    Manifest = 6,
    /// A frame of the write-ahead log.
    WalFrame = 7,
    /// A section of an index file.
    Index = 8,
    /// A resumable job.
    Job = 9,
    /// A wrapped root key.
    Bootstrap = 10,
    /// A frame of the audit log.
    AuditFrame = 11,
    /// What an audit event says of a person, under that person's blind.
    AuditDetail = 12,
    /// How far the audit log was checked.
    AuditWatermark = 13,
    /// Who has revoked consent.
    Consent = 14,
    /// The receipt of an erasure.
    Receipt = 15,
    /// Whose data must not be erased yet.
    Holds = 16,
    /// What a backup holds.
    Backup = 17,
    /// What was spent of the privacy budgets.
    Budget = 18,
    /// A noisy answer that was given.
    Answer = 19,
    /// Who may do what: API keys and roles.
    Access = 20,
}

/// What a section is bound to: its file, its kind and its place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SectionContext {
    /// The environment.
    pub scope: Scope,
    /// What the section is.
    pub kind: SectionKind,
    /// The number of its file: generation, segment, log or manifest number.
    pub file: u64,
    /// Its place in the file: frame number, section code or page number.
    pub place: u64,
}

impl SectionContext {
    pub(super) fn encode(&self) -> [u8; 68] {
        join([
            SECTION_LABEL,
            &self.scope.database,
            &self.scope.environment,
            &[self.kind as u8],
            &self.file.to_be_bytes(),
            &self.place.to_be_bytes(),
        ])
    }
}

/// The parts end to end; their lengths are constants that add up to `N`.
fn join<const N: usize, const P: usize>(parts: [&[u8]; P]) -> [u8; N] {
    let mut joined = [0; N];
    let mut rest = joined.as_mut_slice();
    for part in parts {
        let (head, tail) = rest.split_at_mut(part.len());
        head.copy_from_slice(part);
        rest = tail;
    }
    joined
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SCOPE: Scope = Scope { database: [1; 16], environment: [2; 16] };

    #[test]
    fn every_byte_of_a_row_context_counts() {
        let base = RowContext { scope: SCOPE, collection: [3; 16], row: [4; 16], field: RowField::Vector };
        let mut seen = HashSet::from([base.encode()]);
        for i in 0..16 {
            let flip = |mut bytes: [u8; 16]| {
                bytes[i] ^= 1;
                bytes
            };
            let scope_database = Scope { database: flip(SCOPE.database), ..SCOPE };
            let scope_environment = Scope { environment: flip(SCOPE.environment), ..SCOPE };
            assert!(seen.insert(RowContext { scope: scope_database, ..base }.encode()));
            assert!(seen.insert(RowContext { scope: scope_environment, ..base }.encode()));
            assert!(seen.insert(RowContext { collection: flip(base.collection), ..base }.encode()));
            assert!(seen.insert(RowContext { row: flip(base.row), ..base }.encode()));
        }
        assert!(seen.insert(RowContext { field: RowField::Body, ..base }.encode()));
    }

    #[test]
    fn every_bit_of_a_section_context_counts() {
        let base = SectionContext { scope: SCOPE, kind: SectionKind::Manifest, file: 0, place: 0 };
        let mut seen = HashSet::from([base.encode()]);
        for bit in 0..64 {
            assert!(seen.insert(SectionContext { file: 1 << bit, ..base }.encode()));
            assert!(seen.insert(SectionContext { place: 1 << bit, ..base }.encode()));
        }
        assert!(seen.insert(SectionContext { kind: SectionKind::Job, ..base }.encode()));
        assert!(seen.insert(SectionContext { scope: Scope::new([1; 16], "acme"), ..base }.encode()));
    }

    #[test]
    fn nothing_is_cut_off() {
        let row = RowContext { scope: SCOPE, collection: [3; 16], row: [4; 16], field: RowField::Body }.encode();
        assert_eq!((&row[..15], row[79]), (&ROW_LABEL[..], 2));
        let section = SectionContext { scope: SCOPE, kind: SectionKind::Job, file: u64::MAX, place: 5 }.encode();
        assert_eq!((&section[..19], section[51], section[67]), (&SECTION_LABEL[..], 9, 5));
    }

    #[test]
    fn names_make_scopes() {
        assert_eq!(Scope::new([1; 16], "a"), Scope::new([1; 16], "a"));
        assert_ne!(Scope::new([1; 16], "a"), Scope::new([1; 16], "b"));
        assert_ne!(Scope::new([1; 16], "a"), Scope::new([2; 16], "a"));
    }
}
