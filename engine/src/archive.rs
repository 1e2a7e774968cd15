//! The archive: a directory that backups of one database are kept in, apart from its data.
//!
//! ```text
//! <archive>/ lethedb-backups.json (format, store uuid)   env/<name>/ (see `storage::backup`)
//! ```
//!
//! Invariant: it holds backups of one database only, so that no segment is ever looked for in another's. Failures here
//! say nothing about the data, whose own disk goes on taking writes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use privacy::{Scope, SectionKey};
use serde::{Deserialize, Serialize};
use storage::backend::{Dir, Disk, LockError, StorageBackend};
use storage::backup::{BackupError, Contents, numbers, read_contents};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::identity::{ENVIRONMENTS, IDENTITY};

const MARK: &str = "lethedb-backups.json";
const LOCK: &str = "LOCK";
/// The layout of an archive that this build reads and writes.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Mark {
    format: u32,
    store: Uuid,
}

/// A directory of backups. Clones name the same one.
#[derive(Clone)]
pub struct Archive {
    dir: Dir,
    path: PathBuf,
}

impl Archive {
    /// The archive in the directory `path`, which is made if it is missing.
    ///
    /// # Errors
    /// `Io` if the directory cannot be used.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let disk = Disk::open(path).map_err(|e| Error::io(format!("{} cannot be used", path.display()), e))?;
        Ok(Self { dir: Dir::root(Arc::new(disk)), path: path.to_owned() })
    }

    /// The archive in the directory `path`.
    ///
    /// # Errors
    /// `NotFound` if there is no such directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let missing = |e| Error::with(ErrorKind::NotFound, format!("there is no archive in {}", path.display()), e);
        let disk = Disk::open_existing(path).map_err(missing)?;
        Ok(Self { dir: Dir::root(Arc::new(disk)), path: path.to_owned() })
    }

    /// The archive behind this backend instead of the file system.
    pub fn on(backend: Arc<dyn StorageBackend>) -> Self {
        Self { dir: Dir::root(backend), path: PathBuf::from("archive") }
    }

    /// The names of the environments that it has backups of, in order.
    pub fn environments(&self) -> Result<Vec<String>> {
        self.dir.sub(ENVIRONMENTS).list().map_err(|e| self.unreadable(e))
    }

    /// Where backups of an environment are.
    pub(crate) fn place(&self, environment: &str) -> Dir {
        self.dir.sub(ENVIRONMENTS).sub(environment)
    }

    /// The database that it holds backups of; `None` while it holds none.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported` as the mark is found to be.
    pub(crate) fn store(&self) -> Result<Option<Uuid>> {
        let bytes = match self.dir.read(MARK) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.unreadable(e)),
        };
        let mark: Mark = serde_json::from_slice(&bytes)
            .map_err(|e| Error::with(ErrorKind::Corrupt, format!("the file {MARK} is damaged"), e))?;
        if mark.format != FORMAT {
            let doing = format!("the archive has format {}; this version reads format {FORMAT}", mark.format);
            return Err(Error::new(ErrorKind::Unsupported, doing));
        }
        Ok(Some(mark.store))
    }

    /// Fails unless it holds backups of the database `store`.
    pub(crate) fn check_holds(&self, store: [u8; 16]) -> Result<()> {
        match self.store()? {
            Some(found) if found.into_bytes() == store => Ok(()),
            Some(_) => Err(Error::new(
                ErrorKind::Conflict,
                format!("{} holds backups of another database", self.path.display()),
            )),
            None => Err(Error::new(ErrorKind::NotFound, format!("{} holds no backups", self.path.display()))),
        }
    }

    /// Makes it one of the database `store`.
    ///
    /// # Errors
    /// `Conflict` if it is one of another database, or the directory of one.
    pub(crate) fn claim(&self, store: [u8; 16]) -> Result<()> {
        if self.store()?.is_some() {
            return self.check_holds(store);
        }
        let doing = format!("{} cannot be made an archive", self.path.display());
        let names = self.dir.list().map_err(|e| self.unreadable(e))?;
        if names.iter().any(|name| name == IDENTITY || name == ENVIRONMENTS) {
            return Err(Error::new(ErrorKind::Conflict, format!("{doing}: it is the directory of a database")));
        }
        let text = serde_json::to_vec_pretty(&Mark { format: FORMAT, store: Uuid::from_bytes(store) })
            .map_err(|e| Error::with(ErrorKind::Io, doing.clone(), e))?;
        self.dir.write_new(MARK, &text).map_err(|e| Error::io(doing, e))
    }

    /// Keeps whatever else changes the backups of an environment, or counts on them, out for as long as the value lives.
    pub(crate) fn lock(&self, environment: &str) -> Result<Box<dyn Send + Sync>> {
        let dir = self.place(environment);
        dir.make().map_err(|e| Error::io("the archive cannot take a backup", e))?;
        dir.lock(LOCK).map_err(|error| match error {
            LockError::Held { .. } => Error::with(
                ErrorKind::Busy,
                "another backup, pruning or restore is at work in this archive; try again once it is done",
                error,
            ),
            LockError::Io(e) => Error::io("the archive cannot be locked", e),
        })
    }

    /// The numbers of an environment's backups, rising.
    pub(crate) fn numbers(&self, environment: &str) -> Result<Vec<u64>> {
        numbers(&self.place(environment)).map_err(|e| self.unreadable(e))
    }

    /// What backup `number` of an environment holds, or the newest one.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt`, `KeyUnavailable`, `Unsupported` as its list is found to be.
    pub(crate) fn contents(
        &self,
        environment: &str,
        number: Option<u64>,
        under: (&SectionKey, Scope),
    ) -> Result<Contents> {
        let number = match number {
            Some(number) => number,
            None => self
                .numbers(environment)?
                .last()
                .copied()
                .ok_or_else(|| Error::new(ErrorKind::NotFound, "the archive has no backup of this environment"))?,
        };
        read_contents(&self.place(environment), number, under).map_err(|error| {
            let kind = match &error {
                BackupError::Missing { .. } => ErrorKind::NotFound,
                BackupError::Damaged { .. } => ErrorKind::Corrupt,
                BackupError::WrongKey { .. } => ErrorKind::KeyUnavailable,
                BackupError::NewerFormat { .. } => ErrorKind::Unsupported,
                BackupError::Io(_) => ErrorKind::Io,
            };
            Error::with(kind, format!("backup {number} cannot be read"), error)
        })
    }

    fn unreadable(&self, error: std::io::Error) -> Error {
        Error::io(format!("the archive in {} cannot be read", self.path.display()), error)
    }
}
