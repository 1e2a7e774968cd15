//! A backend that dies: after a given number of changes every call fails, as if the process had been
//! killed there. What was done before stays in the memory below, to be opened again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use storage::backend::{LockError, LogFile, Memory, Region, StorageBackend};

/// Memory behind a life that ends.
pub struct Dying {
    memory: Memory,
    left: Arc<AtomicI64>,
}

impl Dying {
    /// Lets `changes` changes through, then fails for good.
    #[must_use]
    pub fn after(memory: &Memory, changes: i64) -> Self {
        Self { memory: memory.clone(), left: Arc::new(AtomicI64::new(changes)) }
    }

    /// Whether it has died.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 0
    }

    /// A handle on the same life, to ask about it later.
    #[must_use]
    pub fn watch(&self) -> Self {
        Self { memory: self.memory.clone(), left: Arc::clone(&self.left) }
    }

    fn read(&self) -> io::Result<()> {
        if self.is_dead() { Err(io::Error::other("dead")) } else { Ok(()) }
    }

    fn change(&self) -> io::Result<()> {
        spend(&self.left)
    }
}

fn spend(left: &AtomicI64) -> io::Result<()> {
    if left.fetch_sub(1, Ordering::Relaxed) > 0 {
        return Ok(());
    }
    left.store(-1, Ordering::Relaxed);
    Err(io::Error::other("dead"))
}

struct DyingLog {
    file: Box<dyn LogFile>,
    left: Arc<AtomicI64>,
}

impl LogFile for DyingLog {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        spend(&self.left)?;
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        spend(&self.left)?;
        self.file.sync()
    }

    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl StorageBackend for Dying {
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>> {
        self.change()?;
        Ok(Box::new(DyingLog { file: self.memory.create(path)?, left: Arc::clone(&self.left) }))
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        Dying::read(self)?;
        self.memory.read(path)
    }

    fn map(&self, path: &str) -> io::Result<Region> {
        Dying::read(self)?;
        self.memory.map(path)
    }

    fn len(&self, path: &str) -> io::Result<u64> {
        Dying::read(self)?;
        self.memory.len(path)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        Dying::read(self)?;
        self.memory.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.change()?;
        self.memory.create_dir(dir)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change()?;
        self.memory.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.change()?;
        self.memory.remove(path)
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.change()?;
        self.memory.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.change()?;
        self.memory.sync_dir(dir)
    }

    fn lock(&self, path: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        self.memory.lock(path)
    }

    fn wipe(&self, path: &str) -> io::Result<()> {
        self.change()?;
        self.memory.wipe(path)
    }
}
