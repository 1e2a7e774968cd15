//! A backend for tests: it counts syncs, fails on demand, and shows the least that a power loss may leave, which is what
//! was synced under names that were synced.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, mpsc};

use super::contract::{LockError, LogFile, StorageBackend, parent};
use super::dir::Dir;
use super::map::Region;
use super::memory::Memory;
use crate::sync::Mutex;

/// What a file does when told to fail.
pub(crate) type Fault = Box<dyn Fn(&mut dyn LogFile, &[u8]) -> io::Result<()> + Send>;

#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) syncs: usize,
    /// Bytes of each file that were synced, by its present name.
    contents: BTreeMap<String, u64>,
    /// Names that were there when their directory was last synced.
    names: BTreeSet<String>,
    /// Replaces the next appends, first first.
    pub(crate) append_faults: Vec<Fault>,
    /// Fails the next syncs.
    pub(crate) failing_syncs: usize,
    /// Reports each sync and waits for a word before doing it.
    pub(crate) gate: Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>,
}

/// A backend in memory under watch.
#[derive(Clone, Default)]
pub(crate) struct Watched {
    pub(crate) inner: Memory,
    pub(crate) watch: Arc<Mutex<Watch>>,
    /// Sabotage: syncs of contents report success and do nothing.
    pub(crate) keeps_no_contents: bool,
    /// Sabotage: syncs of directories report success and do nothing.
    pub(crate) keeps_no_names: bool,
}

impl Watched {
    pub(crate) fn dir(&self) -> Dir {
        Dir::root(Arc::new(self.clone()))
    }

    /// The files of which a name was synced, cut to the contents that were.
    pub(crate) fn after_power_loss(&self) -> Dir {
        let (left, watch) = (Memory::new(), self.watch.lock());
        for path in &watch.names {
            // Directories are recreated by their files; a removed file is left out.
            let Ok(mut bytes) = self.inner.read(path) else { continue };
            bytes.truncate(watch.contents.get(path).map_or(0, |&length| length as usize));
            left.create_dir(parent(path)).unwrap();
            left.create(path).unwrap().append(&bytes).unwrap();
        }
        Dir::root(Arc::new(left))
    }
}

struct WatchedFile {
    file: Box<dyn LogFile>,
    path: String,
    backend: Watched,
}

impl LogFile for WatchedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fault = {
            let faults = &mut self.backend.watch.lock().append_faults;
            (!faults.is_empty()).then(|| faults.remove(0))
        };
        match fault {
            Some(fault) => fault(self.file.as_mut(), bytes),
            None => self.file.append(bytes),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.backend.keeps_no_contents {
            return Ok(());
        }
        let gate = self.backend.watch.lock().gate.take();
        if let Some((begun, go_on)) = gate {
            begun.send(()).unwrap();
            go_on.recv().unwrap();
        }
        let mut watch = self.backend.watch.lock();
        if watch.failing_syncs > 0 {
            watch.failing_syncs -= 1;
            return Err(ErrorKind::StorageFull.into());
        }
        watch.syncs += 1;
        watch.contents.insert(self.path.clone(), self.file.len());
        Ok(())
    }

    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl StorageBackend for Watched {
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>> {
        let file = self.inner.create(path)?;
        Ok(Box::new(WatchedFile { file, path: path.to_owned(), backend: self.clone() }))
    }
    fn set_aside(&self, path: &str, bytes: u64) -> io::Result<()> {
        self.inner.set_aside(path, bytes)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }
    fn map(&self, path: &str) -> io::Result<Region> {
        self.inner.map(path)
    }
    fn len(&self, path: &str) -> io::Result<u64> {
        self.inner.len(path)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }
    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.inner.create_dir(dir)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)?;
        let mut watch = self.watch.lock();
        if let Some(length) = watch.contents.remove(from) {
            watch.contents.insert(to.to_owned(), length);
        }
        Ok(())
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.inner.remove(path)?;
        self.watch.lock().contents.remove(path);
        Ok(())
    }
    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.inner.remove_dir(dir)
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.inner.sync_dir(dir)?;
        if !self.keeps_no_names {
            let above = if dir.is_empty() { String::new() } else { format!("{dir}/") };
            let mut watch = self.watch.lock();
            watch.names.retain(|name| parent(name) != dir);
            watch.names.extend(self.inner.list(dir)?.iter().map(|name| format!("{above}{name}")));
        }
        Ok(())
    }
    fn lock(&self, path: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        self.inner.lock(path)
    }
    fn wipe(&self, path: &str) -> io::Result<()> {
        self.inner.wipe(path)
    }
}
