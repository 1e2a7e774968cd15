//! A disk that fails once, at an operation and in a way that its maker chooses, and knows what a power loss would leave
//! of its files. Invariant: what it calls durable was synced with success.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use storage::backend::{Dir, LockError, LogFile, Memory, Region, StorageBackend};
use storage::sync::Mutex;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No room, and nothing was written.
    Full,
    /// No room, after a part was written.
    FullAfterPart,
    /// Nothing is known after the error.
    Broken,
}

#[derive(Default)]
struct State {
    /// Operations on open files until the fault, and the fault.
    armed: Option<(u64, Fault)>,
    /// Set once the fault left a file in doubt.
    in_doubt: bool,
    /// Something was written or synced after that.
    trusted_in_doubt: bool,
    durable: BTreeMap<String, u64>,
}

impl State {
    /// Counts an operation; the fault, if it is this one's.
    fn fault(&mut self) -> Option<Fault> {
        self.trusted_in_doubt |= self.in_doubt;
        let (left, fault) = self.armed?;
        self.armed = left.checked_sub(1).map(|left| (left, fault));
        self.armed.is_none().then_some(fault)
    }
}

/// Files in memory that fail.
#[derive(Clone)]
pub struct Flaky {
    memory: Memory,
    state: Arc<Mutex<State>>,
    /// Whether syncs do what they say.
    honest: bool,
}

impl Flaky {
    pub fn new(honest: bool) -> Self {
        Self { memory: Memory::new(), state: Arc::default(), honest }
    }

    /// Fails the operation after so many more, or none.
    pub fn arm(&self, armed: Option<(u64, Fault)>) {
        self.state.lock().armed = armed;
    }

    /// Whether a file was used although it was in doubt.
    pub fn trusted_in_doubt(&self) -> bool {
        self.state.lock().trusted_in_doubt
    }

    pub fn dir(&self) -> Dir {
        Dir::root(Arc::new(self.clone()))
    }

    /// The file `name` cut to what was synced, alone in a directory.
    pub fn after_power_loss(&self, name: &str) -> Dir {
        let durable = self.state.lock().durable.get(name).copied().unwrap_or_default();
        let mut bytes = self.memory.read(name).unwrap();
        bytes.truncate(durable as usize);
        let left = Memory::new();
        left.create(name).unwrap().append(&bytes).unwrap();
        Dir::root(Arc::new(left))
    }
}

struct FlakyFile {
    path: String,
    file: Box<dyn LogFile>,
    disk: Flaky,
}

impl LogFile for FlakyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        match state.fault() {
            None => self.file.append(bytes),
            Some(Fault::Full) => Err(ErrorKind::StorageFull.into()),
            Some(fault) => {
                state.in_doubt = true;
                self.file.append(&bytes[..bytes.len() / 2])?;
                Err(if fault == Fault::Broken { ErrorKind::Other } else { ErrorKind::StorageFull }.into())
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        if state.fault().is_some() {
            state.in_doubt = true;
            return Err(ErrorKind::Other.into());
        }
        if self.disk.honest {
            state.durable.insert(self.path.clone(), self.file.len());
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl StorageBackend for Flaky {
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>> {
        let file = self.memory.create(path)?;
        Ok(Box::new(FlakyFile { path: path.to_owned(), file, disk: self.clone() }))
    }

    fn set_aside(&self, path: &str, bytes: u64) -> io::Result<()> {
        self.memory.set_aside(path, bytes)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.memory.read(path)
    }

    fn map(&self, path: &str) -> io::Result<Region> {
        self.memory.map(path)
    }

    fn len(&self, path: &str) -> io::Result<u64> {
        self.memory.len(path)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.memory.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.memory.create_dir(dir)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.memory.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.memory.remove(path)
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.memory.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.memory.sync_dir(dir)
    }

    fn lock(&self, path: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        self.memory.lock(path)
    }

    fn wipe(&self, path: &str) -> io::Result<()> {
        self.memory.wipe(path)
    }
}
