//! The identity of a data directory: `lethedb.json`, its format and the random name of the store.
//!
//! Invariant: every scope, and so every sealed byte, is bound to that name; it is written once and never changes.

use serde::{Deserialize, Serialize};
use storage::backend::Dir;
use uuid::Uuid;

use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;

pub(crate) const IDENTITY: &str = "lethedb.json";
/// Directory of the environments.
pub(crate) const ENVIRONMENTS: &str = "env";
/// The layout of a data directory that this build reads and writes.
const FORMAT: u32 = 2;

/// What `lethedb.json` says.
#[derive(Serialize, Deserialize)]
pub(crate) struct Identity {
    format: u32,
    pub store: Uuid,
}

pub(crate) fn read(dir: &Dir) -> Result<Option<Identity>> {
    let bytes = match dir.read(IDENTITY) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let has_data =
                !dir.sub(ENVIRONMENTS).list().map_err(|e| Error::io("the data cannot be listed", e))?.is_empty();
            return if has_data {
                Err(Error::corrupt(format!("the file {IDENTITY} is missing; restore it")))
            } else {
                Ok(None)
            };
        }
        Err(e) => return Err(Error::io(format!("the file {IDENTITY} cannot be read"), e)),
    };
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let damaged = |e: serde_json::Error| Error::with(ErrorKind::Corrupt, format!("the file {IDENTITY} is damaged"), e);
    // The version first: another layout may have other members.
    let Version { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if format == 0 {
        return Err(Error::corrupt(format!("the file {IDENTITY} is damaged: no format is 0")));
    }
    if format != FORMAT {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("the data directory has format {format}; this version reads format {FORMAT}"),
        ));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// The identity of the store `store`.
pub(crate) fn of(store: Uuid) -> Identity {
    Identity { format: FORMAT, store }
}

/// Whether nothing depends on the identity yet.
pub(crate) fn is_unused(dir: &Dir) -> Result<bool> {
    Ok(dir.sub(ENVIRONMENTS).list().map_err(|e| Error::io("the data cannot be listed", e))?.is_empty())
}

/// A random name, for what is about to be made.
pub(crate) fn draw(entropy: &dyn Entropy) -> Result<Uuid> {
    let mut bytes = [0u8; 16];
    entropy.fill(&mut bytes).map_err(|e| Error::with(ErrorKind::Io, "the system gave no randomness", e))?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

/// Writes the identity anew while nothing depends on it: after a failed sync, what is seen of it may not be on the disk.
pub(crate) fn renew(dir: &Dir, identity: &Identity) -> Result<()> {
    if is_unused(dir)? {
        remove(dir, IDENTITY)?;
        write(dir, identity)?;
    }
    Ok(())
}

/// Writes the identity of a new store.
pub(crate) fn write(dir: &Dir, identity: &Identity) -> Result<()> {
    let text = serde_json::to_vec_pretty(identity)
        .map_err(|e| Error::with(ErrorKind::Io, "the identity cannot be written", e))?;
    dir.write_new(IDENTITY, &text).map_err(|e| Error::io(format!("the file {IDENTITY} cannot be written"), e))
}
