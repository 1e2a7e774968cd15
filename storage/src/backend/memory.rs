//! A backend in memory, for tests and databases that need not outlive the process. It keeps the
//! contract of the disk except that there is nothing to survive: sync does nothing.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::contract::{LockError, LogFile, StorageBackend, check_dir, check_path};
use super::map::Region;
use super::names::{Names, Node};
use crate::sync::Mutex;

/// Files in memory. Clones share them.
#[derive(Clone, Default)]
pub struct Memory {
    tree: Arc<Mutex<Tree>>,
}

type Contents = Arc<Mutex<Vec<u8>>>;

#[derive(Default)]
struct Tree {
    names: Names<Contents>,
    locked: HashSet<String>,
}

impl Memory {
    /// An empty backend.
    pub fn new() -> Self {
        Self::default()
    }

    fn file(&self, path: &str) -> io::Result<Contents> {
        check_path(path)?;
        self.tree.lock().names.file(path).cloned()
    }
}

impl StorageBackend for Memory {
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>> {
        check_path(path)?;
        let contents = Contents::default();
        self.tree.lock().names.insert_new(path, Node::File(Arc::clone(&contents)))?;
        Ok(Box::new(MemoryFile(contents)))
    }

    fn set_aside(&self, path: &str, _: u64) -> io::Result<()> {
        self.create(path).map(drop)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        Ok(self.file(path)?.lock().clone())
    }

    fn map(&self, path: &str) -> io::Result<Region> {
        Ok(Region::Owned(Arc::from(self.file(path)?.lock().as_slice())))
    }

    fn len(&self, path: &str) -> io::Result<u64> {
        Ok(self.file(path)?.lock().len() as u64)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        check_dir(dir)?;
        let names = &self.tree.lock().names;
        match names.check_is_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(names.list(dir)),
        }
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        check_dir(dir)?;
        let names = &mut self.tree.lock().names;
        let levels = dir.match_indices('/').map(|(end, _)| &dir[..end]).chain([dir]);
        for level in levels.filter(|level| !level.is_empty()) {
            match names.insert_new(level, Node::Dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    names.check_is_dir(level)?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_path(from)?;
        check_path(to)?;
        let names = &mut self.tree.lock().names;
        let contents = Arc::clone(names.file(from)?);
        names.insert_new(to, Node::File(contents))?;
        names.remove(from);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        check_path(path)?;
        let names = &mut self.tree.lock().names;
        names.file(path)?;
        names.remove(path);
        Ok(())
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        check_path(dir)?;
        let names = &mut self.tree.lock().names;
        names.check_is_empty_dir(dir)?;
        names.remove(dir);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        check_dir(dir)?;
        self.tree.lock().names.check_is_dir(dir)
    }

    fn lock(&self, path: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        check_path(path)?;
        let mut tree = self.tree.lock();
        match tree.names.insert_new(path, Node::File(Contents::default())) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        if !tree.locked.insert(path.to_owned()) {
            return Err(LockError::Held { pid: Some(std::process::id()) });
        }
        Ok(Box::new(MemoryLock { tree: Arc::clone(&self.tree), path: path.to_owned() }))
    }

    fn wipe(&self, path: &str) -> io::Result<()> {
        self.file(path)?.lock().fill(0);
        self.remove(path)
    }
}

struct MemoryFile(Contents);

impl LogFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> u64 {
        self.0.lock().len() as u64
    }
}

struct MemoryLock {
    tree: Arc<Mutex<Tree>>,
    path: String,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.tree.lock().locked.remove(&self.path);
    }
}
