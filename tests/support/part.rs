//! A part of a disk as a disk of its own: its files lie under a prefix of the whole. Data, anchors and mirrors that are
//! parts of one simulated disk crash in one moment, with one order of all their changes.

use std::io;
use std::sync::Arc;

use storage::backend::{LockError, LogFile, Region, StorageBackend};

/// The files of `whole` below `prefix`.
pub struct Part {
    whole: Arc<dyn StorageBackend>,
    prefix: &'static str,
    volume: u64,
}

impl Part {
    /// The part of `whole` below `prefix`, which says that it lies on `volume`.
    #[must_use]
    pub fn of(whole: &Arc<dyn StorageBackend>, prefix: &'static str, volume: u64) -> Arc<dyn StorageBackend> {
        // A disk that failed fails again at the first use.
        let _ = whole.create_dir(prefix);
        Arc::new(Self { whole: Arc::clone(whole), prefix, volume })
    }

    fn path(&self, path: &str) -> String {
        if path.is_empty() { self.prefix.to_owned() } else { format!("{}/{path}", self.prefix) }
    }
}

impl StorageBackend for Part {
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>> {
        self.whole.create(&self.path(path))
    }

    fn set_aside(&self, path: &str, bytes: u64) -> io::Result<()> {
        self.whole.set_aside(&self.path(path), bytes)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.whole.read(&self.path(path))
    }

    fn map(&self, path: &str) -> io::Result<Region> {
        self.whole.map(&self.path(path))
    }

    fn len(&self, path: &str) -> io::Result<u64> {
        self.whole.len(&self.path(path))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.whole.list(&self.path(dir))
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.whole.create_dir(&self.path(dir))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.whole.rename(&self.path(from), &self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.whole.remove(&self.path(path))
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.whole.remove_dir(&self.path(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.whole.sync_dir(&self.path(dir))
    }

    fn lock(&self, path: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        self.whole.lock(&self.path(path))
    }

    fn wipe(&self, path: &str) -> io::Result<()> {
        self.whole.wipe(&self.path(path))
    }

    fn volume(&self) -> Option<u64> {
        Some(self.volume)
    }
}
