//! What a data directory is the successor of: the database that an archive holds backups of, and the directory in which
//! its environments lived before.
//!
//! Invariant: both are of one database, and the old directory is locked for as long as the new one is open.

use std::path::PathBuf;
use std::sync::Arc;

use storage::backend::{Dir, Disk, Latch, StorageBackend};
use uuid::Uuid;

use crate::archive::Archive;
use crate::door::{latched, lock, missing};
use crate::error::{Error, ErrorKind, Result};
use crate::home::Where;
use crate::identity;

/// A new home for the environments of a database that there are backups of.
pub struct Succession {
    store: Uuid,
    old: Option<Where>,
}

impl Succession {
    /// Of the database that `archive` holds backups of.
    ///
    /// # Errors
    /// `NotFound` if it holds none.
    pub fn of(archive: &Archive) -> Result<Self> {
        let missing = || Error::new(ErrorKind::NotFound, "the archive holds no backups");
        Ok(Self { store: archive.store()?.ok_or_else(missing)?, old: None })
    }

    /// The environments lived in the data directory `path`: a restore takes their keyrings over from there. Anchor
    /// directories and mirrors outside it are given to the new database as they were to the old one.
    #[must_use]
    pub fn from_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.old = Some(Where::Path(path.into()));
        self
    }

    /// As [`Succession::from_dir`], behind a backend.
    #[must_use]
    pub fn from_backend(mut self, backend: Arc<dyn StorageBackend>) -> Self {
        self.old = Some(Where::Backend(backend));
        self
    }

    /// The identity for a directory that has none yet, once it is clear that one it has is the same.
    pub(crate) fn store(&self, existing: Option<Uuid>) -> Result<Uuid> {
        if existing.is_some_and(|existing| existing != self.store) {
            return Err(Error::new(ErrorKind::Conflict, "the archive holds backups of another database"));
        }
        Ok(self.store)
    }

    /// Opens and locks the old directory.
    pub(crate) fn open(&self, latch: &Latch) -> Result<Option<Predecessor>> {
        let backend: Arc<dyn StorageBackend> = match &self.old {
            None => return Ok(None),
            Some(Where::Path(path)) => Arc::new(Disk::open_existing(path).map_err(|_| missing(path))?),
            Some(Where::Backend(backend)) => Arc::clone(backend),
        };
        let dir = latched(backend, latch);
        let found = identity::read(&dir)?.map(|identity| identity.store);
        if found != Some(self.store) {
            return Err(Error::new(ErrorKind::Conflict, "the old directory is not of the database of the archive"));
        }
        let lock = lock(&dir)?;
        Ok(Some(Predecessor { dir, _lock: lock }))
    }
}

/// The directory that environments lived in before.
pub(crate) struct Predecessor {
    pub dir: Dir,
    _lock: Box<dyn Send + Sync>,
}
