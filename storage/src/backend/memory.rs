//! A backend in memory, for tests and databases that need not outlive the process. It keeps the
//! contract of the disk except that there is nothing to survive: sync does nothing.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use super::contract::{LockError, LogFile, StorageBackend, check_dir, check_path, parent};
use super::map::Region;
use crate::sync::Mutex;

/// Files in memory. Clones share them.
#[derive(Clone, Default)]
pub struct Memory {
    tree: Arc<Mutex<Tree>>,
}

type Contents = Arc<Mutex<Vec<u8>>>;

#[derive(Default)]
struct Tree {
    /// By full path; the root is not listed.
    nodes: BTreeMap<String, Node>,
    locked: HashSet<String>,
}

enum Node {
    Dir,
    File(Contents),
}

impl Memory {
    /// An empty backend.
    pub fn new() -> Self {
        Self::default()
    }

    fn file(&self, path: &str) -> io::Result<Contents> {
        check_path(path)?;
        self.tree.lock().file(path).cloned()
    }
}

impl Tree {
    fn file(&self, path: &str) -> io::Result<&Contents> {
        match self.nodes.get(path) {
            Some(Node::File(contents)) => Ok(contents),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(self.absence(path)),
        }
    }

    fn check_is_dir(&self, dir: &str) -> io::Result<()> {
        match self.nodes.get(dir) {
            _ if dir.is_empty() => Ok(()),
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(self.absence(dir)),
        }
    }

    /// Why nothing is at `path`: the error depends on whether it would lie inside a file.
    fn absence(&self, path: &str) -> io::Error {
        let mut above = path.match_indices('/').map(|(end, _)| &path[..end]);
        if above.any(|level| matches!(self.nodes.get(level), Some(Node::File(_)))) {
            io::ErrorKind::NotADirectory.into()
        } else {
            io::ErrorKind::NotFound.into()
        }
    }

    fn insert_new(&mut self, path: &str, node: Node) -> io::Result<()> {
        self.check_is_dir(parent(path))?;
        if self.nodes.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    fn names(&self, dir: &str) -> Vec<String> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        self.nodes
            .range(prefix.clone()..)
            .map_while(|(path, _)| path.strip_prefix(&prefix))
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect()
    }
}

impl StorageBackend for Memory {
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>> {
        check_path(path)?;
        let contents = Contents::default();
        self.tree.lock().insert_new(path, Node::File(Arc::clone(&contents)))?;
        Ok(Box::new(MemoryFile(contents)))
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
        let tree = self.tree.lock();
        match tree.check_is_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(tree.names(dir)),
        }
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        check_dir(dir)?;
        let mut tree = self.tree.lock();
        let levels = dir.match_indices('/').map(|(end, _)| &dir[..end]).chain([dir]);
        for level in levels.filter(|level| !level.is_empty()) {
            match tree.insert_new(level, Node::Dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    tree.check_is_dir(level)?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_path(from)?;
        check_path(to)?;
        let mut tree = self.tree.lock();
        let contents = Arc::clone(tree.file(from)?);
        tree.insert_new(to, Node::File(contents))?;
        tree.nodes.remove(from);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        check_path(path)?;
        let mut tree = self.tree.lock();
        tree.file(path)?;
        tree.nodes.remove(path);
        Ok(())
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        check_path(dir)?;
        let mut tree = self.tree.lock();
        tree.check_is_dir(dir)?;
        if !tree.names(dir).is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        tree.nodes.remove(dir);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        check_dir(dir)?;
        self.tree.lock().check_is_dir(dir)
    }

    fn lock(&self, path: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        check_path(path)?;
        let mut tree = self.tree.lock();
        match tree.insert_new(path, Node::File(Contents::default())) {
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
