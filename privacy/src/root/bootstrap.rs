//! A root key wrapped under a passphrase, as the one file that a database may start from.
//!
//! ```text
//! magic 8 | format u32 | database 16 | memory u32 | passes u32 | salt 16 | fingerprint 8 | checksum 8 | section …
//! ```
//!
//! Invariant: the root key is random and only wrapped, so another passphrase is another file and nothing else changes.
//! The checksum (SHA-256 of all other bytes, cut to 8) catches accidents; what it lets pass and does not open was given
//! the wrong passphrase. Whoever alters more than that gains a refusal: cost and salt go into the key, the database
//! into the section, and the key that comes out must have the fingerprint.

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::passphrase::{Cost, CostError, Passphrase, SALT};
use crate::seal::{OpenError, Scope, SectionContext, SectionKind, open_section, seal_section};
use crate::secret::{Fingerprint, RootKey};

/// The format written, and the newest that opens.
const FORMAT: u32 = 1;
const MAGIC: [u8; 8] = *b"lethroot";
const CHECKSUM: std::ops::Range<usize> = 60..68;
const HEADER: usize = 68;

/// What a wrapped root key says of itself to anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootstrapHeader {
    /// The format of the file.
    pub format: u32,
    /// The database that it starts.
    pub database: [u8; 16],
    /// What one guess at the passphrase costs.
    pub cost: Cost,
    /// The root key inside.
    pub root_key: Fingerprint,
}

/// Why a wrapped root key cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BootstrapError {
    /// Written by a newer version of this engine.
    #[error("the wrapped root key has format {found}, the newest known here is {max}")]
    NewerFormat {
        /// The file's format.
        found: u32,
        /// The newest format that opens here.
        max: u32,
    },
    /// No wrapped root key, or one with changed or missing bytes. Fetch a copy of the file.
    #[error("the wrapped root key is damaged")]
    Damaged,
    /// The file is whole, and of another database.
    #[error("the wrapped root key is of another database")]
    Foreign,
    /// The file is whole, and another passphrase opens it.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The cost is out of bounds, or cannot be paid here.
    #[error(transparent)]
    Cost(#[from] CostError),
}

/// Wraps the root key of a database under a passphrase.
///
/// # Errors
/// [`CostError::Memory`], if the host lacks the memory.
pub fn wrap_root_key(
    key: &RootKey,
    database: [u8; 16],
    passphrase: &Passphrase,
    cost: Cost,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<u8>, CostError> {
    let mut salt = [0; SALT];
    rng.fill_bytes(&mut salt);
    let wrapping = cost.key(passphrase, &salt)?;
    let mut file = Vec::with_capacity(HEADER + 128);
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&FORMAT.to_be_bytes());
    file.extend_from_slice(&database);
    file.extend_from_slice(&cost.memory_kib().to_be_bytes());
    file.extend_from_slice(&cost.passes().to_be_bytes());
    file.extend_from_slice(&salt);
    file.extend_from_slice(&key.fingerprint().0);
    file.extend_from_slice(&[0; 8]);
    file.extend_from_slice(&seal_section(&wrapping, &context(database), key.expose(), rng));
    let checksum = checksum(&file);
    file[CHECKSUM].copy_from_slice(&checksum);
    Ok(file)
}

/// The root key of a database, out of a file of [`wrap_root_key`].
///
/// # Errors
/// [`BootstrapError`], which tells a wrong passphrase, damage and another database apart.
pub fn unwrap_root_key(file: &[u8], database: [u8; 16], passphrase: &Passphrase) -> Result<RootKey, BootstrapError> {
    let (header, salt) = read(file)?;
    if header.database != database {
        return Err(BootstrapError::Foreign);
    }
    let wrapping = header.cost.key(passphrase, &salt)?;
    let sealed = file.get(HEADER..).unwrap_or_default();
    let opened = open_section(&wrapping, &context(database), sealed).map_err(|error| match error {
        OpenError::WrongKey => BootstrapError::WrongPassphrase,
        OpenError::Damaged | OpenError::TooShort => BootstrapError::Damaged,
    })?;
    let bytes = <&[u8; 32]>::try_from(opened.as_slice()).map_err(|_| BootstrapError::Damaged)?;
    let key = RootKey::from_bytes(*bytes);
    if key.fingerprint() == header.root_key { Ok(key) } else { Err(BootstrapError::Damaged) }
}

/// What a file of [`wrap_root_key`] says of itself, without a passphrase.
///
/// # Errors
/// [`BootstrapError`], if it is damaged, from a newer version or of a cost out of bounds.
pub fn inspect_bootstrap(file: &[u8]) -> Result<BootstrapHeader, BootstrapError> {
    read(file).map(|(header, _)| header)
}

fn read(file: &[u8]) -> Result<(BootstrapHeader, [u8; SALT]), BootstrapError> {
    let mut rest = file;
    let magic: [u8; 8] = take(&mut rest)?;
    let format = u32::from_be_bytes(take(&mut rest)?);
    if magic != MAGIC || format == 0 || file.get(CHECKSUM) != Some(&checksum(file)[..]) {
        return Err(BootstrapError::Damaged);
    }
    if format > FORMAT {
        return Err(BootstrapError::NewerFormat { found: format, max: FORMAT });
    }
    let database = take(&mut rest)?;
    let (memory_kib, passes) = (u32::from_be_bytes(take(&mut rest)?), u32::from_be_bytes(take(&mut rest)?));
    let (salt, root_key) = (take(&mut rest)?, Fingerprint(take(&mut rest)?));
    Ok((BootstrapHeader { format, database, cost: Cost::new(memory_kib, passes)?, root_key }, salt))
}

/// No environment has this id, which is a hash of a name.
fn context(database: [u8; 16]) -> SectionContext {
    let scope = Scope { database, environment: [0; 16] };
    SectionContext { scope, kind: SectionKind::Bootstrap, file: 0, place: 0 }
}

fn checksum(file: &[u8]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in [file.get(..CHECKSUM.start), file.get(CHECKSUM.end..)] {
        hash.update(part.unwrap_or_default());
    }
    let mut checksum = [0; 8];
    checksum.copy_from_slice(&hash.finalize()[..8]);
    checksum
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], BootstrapError> {
    let (head, tail) = bytes.split_first_chunk().ok_or(BootstrapError::Damaged)?;
    *bytes = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const DATABASE: [u8; 16] = [7; 16];

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The cheapest that is allowed, because these tests pay it often.
    fn cheap() -> Cost {
        Cost::new(Cost::MEMORY_KIB_MIN, Cost::PASSES_MIN).unwrap()
    }

    fn wrapped(text: &str, seed: u64) -> Vec<u8> {
        let (key, rng) = (RootKey::from_bytes([0x42; 32]), &mut StdRng::seed_from_u64(seed));
        wrap_root_key(&key, DATABASE, &passphrase(text), cheap(), rng).unwrap()
    }

    fn unwrapped(file: &[u8], text: &str) -> Result<[u8; 32], BootstrapError> {
        unwrap_root_key(file, DATABASE, &passphrase(text)).map(|key| *key.expose())
    }

    /// With the checksum that whoever alters a file on purpose would give it.
    fn forged(mut file: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        change(&mut file);
        let checksum = checksum(&file);
        file[CHECKSUM].copy_from_slice(&checksum);
        file
    }

    #[test]
    fn a_passphrase_gives_the_key_back_and_another_is_told() {
        let file = wrapped("correct horse", 1);
        assert_eq!(unwrapped(&file, "correct horse"), Ok([0x42; 32]));
        for wrong in ["correct horse ", "Correct horse", "battery staple"] {
            assert_eq!(unwrapped(&file, wrong), Err(BootstrapError::WrongPassphrase));
        }
        let other = unwrap_root_key(&file, [8; 16], &passphrase("correct horse")).map(drop);
        assert_eq!(other, Err(BootstrapError::Foreign));
        let root_key = RootKey::from_bytes([0x42; 32]).fingerprint();
        let header = BootstrapHeader { format: 1, database: DATABASE, cost: cheap(), root_key };
        assert_eq!(inspect_bootstrap(&file), Ok(header));
        assert!(!file.windows(8).any(|window| window == [0x42; 8]));
    }

    #[test]
    fn another_passphrase_wraps_the_same_key() {
        let old = wrapped("first", 1);
        let key = unwrap_root_key(&old, DATABASE, &passphrase("first")).unwrap_or_else(|error| panic!("{error}"));
        let new = wrap_root_key(&key, DATABASE, &passphrase("second"), cheap(), &mut StdRng::seed_from_u64(2)).unwrap();
        assert_eq!(unwrapped(&new, "second"), Ok([0x42; 32]));
        assert_eq!(unwrapped(&new, "first"), Err(BootstrapError::WrongPassphrase));
        assert_eq!(inspect_bootstrap(&new).unwrap().root_key, inspect_bootstrap(&old).unwrap().root_key);
        assert_ne!(wrapped("first", 1), wrapped("first", 2), "every wrapping has a salt of its own");
    }

    /// The file needs no passphrase to be found damaged.
    #[test]
    fn every_changed_bit_and_every_cut_is_damage() {
        let file = wrapped("first", 1);
        for bit in 0..file.len() * 8 {
            let mut changed = file.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(inspect_bootstrap(&changed), Err(BootstrapError::Damaged));
        }
        for cut in 0..file.len() {
            assert_eq!(inspect_bootstrap(&file[..cut]), Err(BootstrapError::Damaged));
        }
    }

    #[test]
    fn forged_files_give_no_key_and_take_no_more_than_is_granted() {
        let file = wrapped("first", 1);
        let opened = |change: &dyn Fn(&mut Vec<u8>)| unwrapped(&forged(file.clone(), |file| change(file)), "first");
        let put =
            |at: usize, number: u32| move |file: &mut Vec<u8>| file[at..at + 4].copy_from_slice(&number.to_be_bytes());
        let (memory_kib, passes) = (100 * 1024 * 1024, 2);
        assert_eq!(opened(&put(28, memory_kib)), Err(CostError::Dear { memory_kib, passes }.into()));
        let (memory_kib, passes) = (Cost::MEMORY_KIB_MIN, u32::MAX);
        assert_eq!(opened(&put(32, passes)), Err(CostError::Dear { memory_kib, passes }.into()));
        assert_eq!(opened(&put(28, 64)), Err(CostError::Cheap { memory_kib: 64, passes: 2 }.into()));
        assert_eq!(opened(&put(8, 2)), Err(BootstrapError::NewerFormat { found: 2, max: 1 }));
        assert_eq!(opened(&put(8, 0)), Err(BootstrapError::Damaged));
        assert_eq!(opened(&put(32, 3)), Err(BootstrapError::WrongPassphrase));
        assert_eq!(opened(&|file| file[36] ^= 1), Err(BootstrapError::WrongPassphrase));
        assert_eq!(opened(&|file| file[52] ^= 1), Err(BootstrapError::Damaged));
        assert_eq!(opened(&|file| file.truncate(file.len() - 1)), Err(BootstrapError::Damaged));
        assert_eq!(opened(&|file| file.truncate(HEADER)), Err(BootstrapError::Damaged));
        // Moved to another database by rewriting its id.
        let moved = forged(file.clone(), |file| file[12..28].fill(8));
        let opened = unwrap_root_key(&moved, [8; 16], &passphrase("first")).map(drop);
        assert_eq!(opened, Err(BootstrapError::WrongPassphrase));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_file_or_an_error(bytes: Vec<u8>) {
            let _ = inspect_bootstrap(&bytes);
        }
    }
}
