//! Disks that lie, and callers that do: each breaks one rule that the engine keeps, so that a suite which stays green
//! with it would prove nothing. Invariant: one lie at a time, all else honest.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use storage::backend::{Faulty, LockError, LogFile, Region, StorageBackend};

/// What is told wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Syncs of the contents of files whose path holds this do nothing.
    SkipsSync(&'static str),
    /// Syncs of directories whose path ends so do nothing.
    SkipsSyncDir(&'static str),
    /// Syncs of files whose path holds this are done at the next operation, after they were answered.
    SyncsLate(&'static str),
    /// Files get their final name before their contents are synced.
    RenamesFirst,
    /// The old anchor is destroyed as soon as a new one is made.
    DestroysAnchorsEarly,
    /// Anchors are never destroyed.
    KeepsAnchors,
    /// A new manifest's name is synced only when the files it replaced are gone for good.
    SyncsManifestsLast,
    /// Directories are made without their names being synced.
    SkipsNewDirs,
    /// Failed syncs are answered with success.
    SwallowsFailures,
}

/// A simulated disk that tells one lie.
pub struct Lying {
    disk: Faulty,
    lie: Lie,
    owed: Arc<Mutex<Vec<Owed>>>,
    sets_apart: AtomicBool,
}

/// A sync that was answered and not done.
type Owed = Arc<Mutex<Box<dyn LogFile>>>;

impl Lying {
    /// A disk that tells `lie`.
    #[must_use]
    pub fn new(disk: Faulty, lie: Lie) -> Self {
        Self { disk, lie, owed: Arc::default(), sets_apart: AtomicBool::new(false) }
    }

    /// Makes good what is owed, late.
    fn pay(&self) -> io::Result<()> {
        let owed = std::mem::take(&mut *self.owed.lock());
        owed.iter().try_for_each(|file| file.lock().sync())
    }

    fn pay_before_next(&self) -> io::Result<()> {
        if matches!(self.lie, Lie::SyncsLate(_)) { self.pay() } else { Ok(()) }
    }
}

struct LyingFile {
    file: Owed,
    path: String,
    lie: Lie,
    owed: Arc<Mutex<Vec<Owed>>>,
}

impl LogFile for LyingFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.lock().append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.lie {
            Lie::SkipsSync(of) if self.path.contains(of) => Ok(()),
            Lie::SyncsLate(of) if self.path.contains(of) => {
                self.owed.lock().push(Arc::clone(&self.file));
                Ok(())
            }
            Lie::RenamesFirst if self.path.ends_with(".tmp") => {
                self.owed.lock().push(Arc::clone(&self.file));
                Ok(())
            }
            Lie::SwallowsFailures => {
                let _ = self.file.lock().sync();
                Ok(())
            }
            _ => self.file.lock().sync(),
        }
    }

    fn len(&self) -> u64 {
        self.file.lock().len()
    }
}

impl StorageBackend for Lying {
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>> {
        self.pay_before_next()?;
        let file: Owed = Arc::new(Mutex::new(self.disk.create(path)?));
        if self.lie == Lie::DestroysAnchorsEarly
            && let Some((dir, name)) = path.rsplit_once('/')
            && dir.starts_with("anchors/")
        {
            for other in self.disk.list(dir)?.iter().filter(|other| *other != name) {
                self.disk.wipe(&format!("{dir}/{other}"))?;
            }
        }
        Ok(Box::new(LyingFile { file, path: path.to_owned(), lie: self.lie, owed: Arc::clone(&self.owed) }))
    }

    fn set_aside(&self, path: &str, bytes: u64) -> io::Result<()> {
        self.disk.set_aside(path, bytes)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.disk.read(path)
    }

    fn map(&self, path: &str) -> io::Result<Region> {
        self.disk.map(path)
    }

    fn len(&self, path: &str) -> io::Result<u64> {
        self.disk.len(path)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = self.disk.list(dir)?;
        if self.lie == Lie::KeepsAnchors && dir.starts_with("anchors/") {
            // Only the newest is shown, as if the others had gone.
            names = names.split_off(names.len().saturating_sub(1));
        }
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        if self.lie == Lie::SkipsNewDirs { self.disk.create_dir_unsynced(dir) } else { self.disk.create_dir(dir) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.pay_before_next()?;
        self.sets_apart.store(to.contains("MANIFEST"), Ordering::Relaxed);
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.pay_before_next()?;
        self.disk.remove(path)?;
        if self.lie == Lie::SyncsManifestsLast && (path.contains("/seg/") || path.contains("/wal/")) {
            let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
            self.disk.sync_dir(dir)?;
        }
        Ok(())
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.pay_before_next()?;
        let synced = match self.lie {
            Lie::SkipsSyncDir(of) if dir.ends_with(of) => Ok(()),
            // The name of the manifest stays in doubt until something else in its directory is synced.
            Lie::SyncsManifestsLast if dir.ends_with("/acme") && self.sets_apart.swap(false, Ordering::Relaxed) => {
                Ok(())
            }
            Lie::SwallowsFailures => {
                let _ = self.disk.sync_dir(dir);
                Ok(())
            }
            _ => self.disk.sync_dir(dir),
        };
        if self.lie == Lie::RenamesFirst {
            self.pay()?;
        }
        synced
    }

    fn lock(&self, path: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        self.disk.lock(path)
    }

    fn wipe(&self, path: &str) -> io::Result<()> {
        self.pay_before_next()?;
        if self.lie == Lie::KeepsAnchors { Ok(()) } else { self.disk.wipe(path) }
    }
}
