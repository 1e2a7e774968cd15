//! Files of rows, each named by the SHA-256 (FIPS 180-4) of what it holds.
//!
//! Invariant: a file under such a name is whole, because it gets the name once it is synced; whether it still holds what
//! its name says, only reading it tells.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use crate::backend::{Dir, Region};

/// Directory of the files inside an archive's directory of an environment.
const OBJECTS: &str = "rec";
const ENDING: &str = ".rec";
/// Bytes copied between two reports of progress.
const PIECE: usize = 1 << 20;

/// What a file holds, by its SHA-256. Displayed as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Digest(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The digest of `bytes`.
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// The files of rows of one environment's backups.
pub struct Objects {
    dir: Dir,
}

impl Objects {
    /// Those in an archive's directory of an environment.
    pub fn of(environment: &Dir) -> Self {
        Self { dir: environment.sub(OBJECTS) }
    }

    /// Makes room for them.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn make(&self) -> io::Result<()> {
        self.dir.make()
    }

    /// The path of a file inside the archive, for messages.
    pub fn path(&self, digest: &Digest) -> String {
        self.dir.path(&name(digest))
    }

    /// A view of a file, whatever it holds now.
    ///
    /// # Errors
    /// `NotFound`; those of the backend.
    pub fn map(&self, digest: &Digest) -> io::Result<Region> {
        self.dir.map(&name(digest))
    }

    /// Length of a file.
    ///
    /// # Errors
    /// `NotFound`; those of the backend.
    pub fn len(&self, digest: &Digest) -> io::Result<u64> {
        self.dir.len(&name(digest))
    }

    /// Writes `bytes` in place of whatever is under their name, and tells `copied` of every piece. Durable on return.
    ///
    /// # Errors
    /// Those of the backend; then there may be no such file.
    pub fn put(&self, digest: &Digest, bytes: &[u8], copied: &mut dyn FnMut(u64)) -> io::Result<()> {
        let name = name(digest);
        match self.dir.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = self.dir.stage(&name)?;
        for piece in bytes.chunks(PIECE) {
            file.append(piece)?;
            copied(piece.len() as u64);
        }
        file.publish()
    }

    /// The paths inside the archive of the files that are none of `named`: what interrupted copies left, and what backups
    /// that are gone named.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn strays(&self, named: &BTreeSet<Digest>) -> io::Result<Vec<String>> {
        Ok(self.others(named)?.iter().map(|stray| self.dir.path(stray)).collect())
    }

    /// Removes every file but those of `named`, and what interrupted copies left. Returns how many bytes went.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn keep_only(&self, named: &BTreeSet<Digest>) -> io::Result<u64> {
        let mut freed = 0;
        for other in self.others(named)? {
            freed += self.dir.len(&other)?;
            self.dir.remove(&other)?;
        }
        Ok(freed)
    }

    fn others(&self, named: &BTreeSet<Digest>) -> io::Result<Vec<String>> {
        let named: BTreeSet<String> = named.iter().map(name).collect();
        let is_other = |found: &String| found.trim_end_matches(".tmp").ends_with(ENDING) && !named.contains(found);
        Ok(self.dir.list()?.into_iter().filter(is_other).collect())
    }
}

fn name(digest: &Digest) -> String {
    format!("{digest}{ENDING}")
}
