//! A backend that takes no more changes once the outcome of one is unknown. After a failed sync, what reads show may be
//! missing from the medium, and a later sync may report success all the same (Rebello et al., ATC 2020), so nothing may
//! be built on it: only a restart, which reads again what is there, tells. Reads go on.
//!
//! Invariant: once set, the latch stays set for the life of the process, for every backend that shares it. Here, below
//! everything that writes, because a rule that each caller had to keep would be broken by one.

use std::io;
use std::sync::{Arc, OnceLock};

use super::contract::{LockError, LogFile, StorageBackend};
use super::map::Region;

/// Shared by all backends of a database: whether, and why, they take no more changes.
#[derive(Clone, Default)]
pub struct Latch {
    cause: Arc<OnceLock<io::ErrorKind>>,
}

/// Why a change is refused, or that its own outcome is unknown. The inner error of the [`io::Error`]s that tell so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a write or sync failed ({cause}), so what is on the disk is unknown; restart to read it again")]
pub struct Poisoned {
    /// What the failed operation said.
    pub cause: io::ErrorKind,
}

impl Poisoned {
    /// Whether `error` tells of a poisoned disk.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl Latch {
    /// The failure that set it, if one did.
    pub fn poisoned(&self) -> Option<Poisoned> {
        self.cause.get().map(|cause| Poisoned { cause: *cause })
    }

    fn check(&self) -> io::Result<()> {
        self.poisoned().map_or(Ok(()), |poisoned| Err(io::Error::other(poisoned)))
    }

    fn set(&self, error: &io::Error) -> io::Error {
        let cause = *self.cause.get_or_init(|| error.kind());
        io::Error::new(error.kind(), Poisoned { cause })
    }

    /// Does `change`; an error that is not one of `clean`, after which nothing has happened, sets the latch.
    fn guard<T>(&self, clean: &[io::ErrorKind], change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.check()?;
        change().map_err(|error| if clean.contains(&error.kind()) { error } else { self.set(&error) })
    }
}

/// A backend behind a [`Latch`].
pub struct Latched {
    inner: Arc<dyn StorageBackend>,
    latch: Latch,
}

impl Latched {
    /// Lets changes through to `inner` until `latch` is set.
    pub fn new(inner: Arc<dyn StorageBackend>, latch: Latch) -> Self {
        Self { inner, latch }
    }
}

/// What a bad name or a full disk gives: nothing was done.
const REFUSALS: [io::ErrorKind; 8] = [
    io::ErrorKind::AlreadyExists,
    io::ErrorKind::InvalidInput,
    io::ErrorKind::IsADirectory,
    io::ErrorKind::NotADirectory,
    io::ErrorKind::NotFound,
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::QuotaExceeded,
    io::ErrorKind::StorageFull,
];

impl StorageBackend for Latched {
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>> {
        self.latch.check()?;
        let file = self.inner.create(path)?;
        Ok(Box::new(LatchedFile { file, latch: self.latch.clone() }))
    }

    fn set_aside(&self, path: &str, bytes: u64) -> io::Result<()> {
        self.latch.check()?;
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
        self.latch.guard(&REFUSALS, || self.inner.create_dir(dir))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.latch.guard(&REFUSALS, || self.inner.rename(from, to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.latch.check()?;
        self.inner.remove(path)
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.latch.check()?;
        self.inner.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.latch.guard(&[io::ErrorKind::NotFound], || self.inner.sync_dir(dir))
    }

    fn lock(&self, path: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        self.inner.lock(path)
    }

    fn wipe(&self, path: &str) -> io::Result<()> {
        self.latch.guard(&[io::ErrorKind::NotFound], || self.inner.wipe(path))
    }

    fn volume(&self) -> Option<u64> {
        self.inner.volume()
    }
}

struct LatchedFile {
    file: Box<dyn LogFile>,
    latch: Latch,
}

impl LogFile for LatchedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.latch.check()?;
        let before = self.file.len();
        let appended = self.file.append(bytes);
        match appended {
            Err(error) if self.file.len() != before => Err(self.latch.set(&error)),
            other => other,
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.latch.guard(&[], || self.file.sync())
    }

    fn len(&self) -> u64 {
        self.file.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::backend::faulty::{Fault, FaultKind};
    use crate::backend::{Dir, Faulty};

    /// A latched disk whose next operation of `kind` fails, and the disk.
    fn failing(kind: FaultKind, operations: u64) -> (Dir, Latch, Faulty) {
        let (disk, latch) = (Faulty::new(), Latch::default());
        let dir = Dir::root(Arc::new(Latched::new(Arc::new(disk.clone()), latch.clone())));
        disk.fail(Some(Fault { at: operations, kind, sticky: false }));
        (dir, latch, disk)
    }

    /// Writing a new file is: remove, create, append, sync, rename, sync the directory.
    #[test]
    fn every_doubtful_step_of_writing_a_file_sets_the_latch() {
        for (step, kind, sets) in [
            (0, FaultKind::Io, false),
            (1, FaultKind::Full, false),
            (2, FaultKind::Full, false),
            (2, FaultKind::Io, false),
            (2, FaultKind::Short, true),
            (3, FaultKind::Full, true),
            (3, FaultKind::Io, true),
            (4, FaultKind::Full, false),
            (4, FaultKind::Io, true),
            (5, FaultKind::TooManyFiles, true),
        ] {
            let (dir, latch, disk) = failing(kind, step);
            let error = dir.write_new("a", b"xy").unwrap_err();
            assert_eq!((latch.poisoned().is_some(), Poisoned::is(&error)), (sets, sets), "step {step}, {kind:?}");
            assert_eq!(disk.struck(), 1);
            let again = dir.write_new("b", b"y");
            assert_eq!(again.is_err(), sets);
            assert!(dir.list().is_ok(), "reads go on");
        }
    }

    #[test]
    fn nothing_reaches_the_disk_behind_a_set_latch() {
        let (dir, latch, disk) = failing(FaultKind::Io, 1);
        let mut file = dir.create("a").unwrap();
        assert!(file.sync().is_err());
        let disk = disk.recording();
        assert!(file.append(b"x").is_err() && file.sync().is_err() && dir.create("b").is_err());
        assert!(dir.sub("c").make().is_err() && dir.rename("a", "d").is_err() && dir.remove("a").is_err());
        assert!(dir.sync_dir().is_err() && dir.wipe("a").is_err() && dir.remove_dir("c").is_err());
        assert_eq!(disk.trace(), [], "and a sync that would now succeed is not asked for");
        assert!(latch.poisoned().is_some());
        assert_eq!(dir.read("a").unwrap(), b"");
    }
}
