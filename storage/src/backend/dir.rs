//! A directory of a backend as other rooms hold it, and the protocol by which a whole file appears:
//! written beside, synced, renamed without replacing, directory synced. A file under a final name
//! is therefore complete, or the disk lied. Here because every room above publishes this way.

use std::io;
use std::sync::Arc;

use super::contract::{LockError, LogFile, StorageBackend};
use super::map::Region;

/// One directory of a [`StorageBackend`]. Cheap to clone. Names are relative to it.
///
/// Errors are those of the backend's operation of the same name.
#[derive(Clone)]
pub struct Dir {
    backend: Arc<dyn StorageBackend>,
    path: String,
}

impl Dir {
    /// The root directory of a backend.
    pub fn root(backend: Arc<dyn StorageBackend>) -> Self {
        Self { backend, path: String::new() }
    }

    /// The directory `name` inside this one; it need not exist, see [`make`](Self::make).
    pub fn sub(&self, name: &str) -> Self {
        Self { backend: Arc::clone(&self.backend), path: self.path(name) }
    }

    /// The backend's path of the file `name`, also what errors should call it.
    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }

    /// Creates this directory and its parents, durably; fine if it exists.
    ///
    /// # Errors
    /// See [`StorageBackend::create_dir`].
    pub fn make(&self) -> io::Result<()> {
        self.backend.create_dir(&self.path)
    }

    /// Creates an empty file for appending; its name is durable after [`sync_dir`](Self::sync_dir).
    ///
    /// # Errors
    /// `AlreadyExists`; see [`StorageBackend::create`].
    pub fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.backend.create(&self.path(name))
    }

    /// Keeps room for `bytes` bytes from others for as long as the file `name` is there.
    ///
    /// # Errors
    /// See [`StorageBackend::set_aside`].
    pub fn set_aside(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.backend.set_aside(&self.path(name), bytes)
    }

    /// The whole contents of a file.
    ///
    /// # Errors
    /// See [`StorageBackend::read`].
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.backend.read(&self.path(name))
    }

    /// A view of a published, hence immutable, file.
    ///
    /// # Errors
    /// See [`StorageBackend::map`].
    pub fn map(&self, name: &str) -> io::Result<Region> {
        self.backend.map(&self.path(name))
    }

    /// Length of a file in bytes.
    ///
    /// # Errors
    /// See [`StorageBackend::len`].
    pub fn len(&self, name: &str) -> io::Result<u64> {
        self.backend.len(&self.path(name))
    }

    /// Whether the file `name` exists.
    ///
    /// # Errors
    /// Those of [`StorageBackend::len`] but `NotFound`.
    pub fn exists(&self, name: &str) -> io::Result<bool> {
        match self.len(name) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Names in this directory, sorted; none if it does not exist.
    ///
    /// # Errors
    /// See [`StorageBackend::list`].
    pub fn list(&self) -> io::Result<Vec<String>> {
        self.backend.list(&self.path)
    }

    /// Renames a file of this directory without replacing; durable after [`sync_dir`](Self::sync_dir).
    ///
    /// # Errors
    /// `AlreadyExists`; see [`StorageBackend::rename`].
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.backend.rename(&self.path(from), &self.path(to))
    }

    /// Removes a file; durable after [`sync_dir`](Self::sync_dir).
    ///
    /// # Errors
    /// See [`StorageBackend::remove`].
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.backend.remove(&self.path(name))
    }

    /// Removes the empty directory `name`; durable after [`sync_dir`](Self::sync_dir).
    ///
    /// # Errors
    /// See [`StorageBackend::remove_dir`].
    pub fn remove_dir(&self, name: &str) -> io::Result<()> {
        self.backend.remove_dir(&self.path(name))
    }

    /// Makes the names of this directory durable.
    ///
    /// # Errors
    /// See [`StorageBackend::sync_dir`].
    pub fn sync_dir(&self) -> io::Result<()> {
        self.backend.sync_dir(&self.path)
    }

    /// Takes the lock `name`, at once or not at all.
    ///
    /// # Errors
    /// [`LockError::Held`]; see [`StorageBackend::lock`].
    pub fn lock(&self, name: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        self.backend.lock(&self.path(name))
    }

    /// Overwrites, removes and forgets a file, durably.
    ///
    /// # Errors
    /// See [`StorageBackend::wipe`].
    pub fn wipe(&self, name: &str) -> io::Result<()> {
        self.backend.wipe(&self.path(name))
    }

    /// Publishes a whole new file. On return its contents and name are durable.
    ///
    /// # Errors
    /// `AlreadyExists` if `name` is taken, and then nothing changed. After any other error the file
    /// may or may not be there whole, but never in part.
    pub fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.stage(name)?;
        file.append(bytes)?;
        file.publish()
    }

    /// Starts a new file that takes its name only when it is [published](NewFile::publish), for
    /// contents too large to hold in memory. What a crash left of an earlier attempt is removed.
    ///
    /// # Errors
    /// Those of [`StorageBackend::remove`] but `NotFound`, and of [`StorageBackend::create`].
    pub fn stage(&self, name: &str) -> io::Result<NewFile> {
        let staged = format!("{name}{STAGED}");
        match self.remove(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.create(&staged)?;
        Ok(NewFile { file, dir: self.clone(), name: name.to_owned(), published: false })
    }
}

/// Ending of a file that is not yet published. A later open may remove every file that has it.
const STAGED: &str = ".tmp";

/// A file being written beside its final name. Dropped unpublished, it is removed.
pub struct NewFile {
    file: Box<dyn LogFile>,
    dir: Dir,
    name: String,
    published: bool,
}

impl NewFile {
    /// Appends to the file.
    ///
    /// # Errors
    /// See [`LogFile::append`]; the file must then be dropped.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)
    }

    /// Bytes appended so far.
    pub fn len(&self) -> u64 {
        self.file.len()
    }

    /// Whether nothing was appended so far.
    pub fn is_empty(&self) -> bool {
        self.file.is_empty()
    }

    /// Syncs the contents, gives the file its name and syncs the directory.
    ///
    /// # Errors
    /// As [`Dir::write_new`].
    pub fn publish(mut self) -> io::Result<()> {
        self.file.sync()?;
        self.dir.rename(&format!("{}{STAGED}", self.name), &self.name)?;
        self.published = true;
        self.dir.sync_dir()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.published {
            // Only frees space early. If it fails, the next attempt or the next open removes it.
            let _ = self.dir.remove(&format!("{}{STAGED}", self.name));
        }
    }
}
