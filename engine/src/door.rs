//! How a data directory is opened: behind the latch that its database shares, and under its lock.

use std::path::Path;
use std::sync::Arc;

use storage::backend::{Dir, Disk, Latch, Latched, LockError, StorageBackend};

use crate::error::{Error, ErrorKind, Result};

const LOCK: &str = "LOCK";

/// The directory `path`, made if it is missing.
pub(crate) fn open_disk(path: &Path) -> Result<Arc<dyn StorageBackend>> {
    let disk =
        Disk::open(path).map_err(|e| Error::io(format!("the directory {} cannot be used", path.display()), e))?;
    Ok(Arc::new(disk))
}

/// The error of a directory that holds no database.
pub(crate) fn missing(path: &Path) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no database in {}", path.display()))
}

/// The root of `backend`, which takes no more changes once one has an unknown outcome.
pub(crate) fn latched(backend: Arc<dyn StorageBackend>, latch: &Latch) -> Dir {
    Dir::root(Arc::new(Latched::new(backend, latch.clone())))
}

/// The lock of a data directory.
pub(crate) fn lock(dir: &Dir) -> Result<Box<dyn Send + Sync>> {
    dir.lock(LOCK).map_err(|error| match error {
        LockError::Held { .. } => Error::with(
            ErrorKind::Busy,
            "the database is open elsewhere; ask the server that has it, or stop that first",
            error,
        ),
        LockError::Io(e) => Error::io("the database cannot be locked", e),
    })
}
