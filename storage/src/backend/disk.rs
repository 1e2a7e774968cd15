//! The real disk: a tree of files below one directory. Invariant: nothing is ever replaced, every
//! file is its owner's only (0600, directories 0700), and what [`super::contract`] calls durable
//! was flushed by the kernel. The only file of the crate that calls `std::fs`.

#![expect(clippy::disallowed_methods, reason = "this is the room where files are touched")]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FallocateFlags, FlockOperation, RenameFlags};
use zeroize::Zeroizing;

use super::contract::{LockError, LogFile, StorageBackend, check_dir, check_path, parent};
use super::map::Region;

/// Files below one directory of the local file system. Network file systems are not supported:
/// their locks and syncs promise less.
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// Opens the directory `root`, creating it and its parents (mode 0700, durable) if missing.
    ///
    /// # Errors
    /// Those of creating a directory; `NotADirectory` if `root` is a file.
    pub fn open(root: &Path) -> io::Result<Self> {
        make_dirs(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// Opens the directory `root` and creates nothing.
    ///
    /// # Errors
    /// `NotFound` if there is none, `NotADirectory` if `root` is a file.
    pub fn open_existing(root: &Path) -> io::Result<Self> {
        if fs::metadata(root)?.is_dir() {
            Ok(Self { root: root.to_owned() })
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    fn file_path(&self, path: &str) -> io::Result<PathBuf> {
        check_path(path)?;
        Ok(self.root.join(path))
    }

    fn dir_path(&self, dir: &str) -> io::Result<PathBuf> {
        check_dir(dir)?;
        Ok(if dir.is_empty() { self.root.clone() } else { self.root.join(dir) })
    }
}

/// Reads a secret file that is named by the user and lies outside every backend. Pipes are fine.
///
/// # Errors
/// `PermissionDenied` if group or others may read it, `InvalidData` if it exceeds `max` bytes.
pub(crate) fn read_private(path: &Path, max: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = open_file(path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file must be its owner's only: chmod 600"));
    }
    // Room for all of it at once, because a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(max.saturating_add(1)));
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(bytes)
}

/// Creates `dir` and its missing parents; the parent of each created level is synced.
fn make_dirs(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => sync_path(above(dir)),
        Err(_) if dir.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(io::ErrorKind::NotADirectory.into()),
        // A parent that is there and still takes no directory (one of /proc) is no missing parent.
        Err(error) if error.kind() == io::ErrorKind::NotFound && above(dir) != dir && !above(dir).is_dir() => {
            make_dirs(above(dir))?;
            make_dirs(dir)
        }
        Err(error) => Err(error),
    }
}

/// The directory that holds `path`; `.` for a bare name, itself for the file system's root.
fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

fn sync_path(dir: &Path) -> io::Result<()> {
    let dir = File::open(dir)?;
    if !dir.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    dir.sync_all()
}

/// Opens a file for reading; a directory is an error now rather than at the first read.
fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

fn check_is_file(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(())
}

impl StorageBackend for Disk {
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(self.file_path(path)?)?;
        Ok(Box::new(DiskFile { file, len: 0 }))
    }

    fn set_aside(&self, path: &str, bytes: u64) -> io::Result<()> {
        let full = self.file_path(path)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&full)?;
        let set = rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes).map_err(|errno| match errno {
            rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS => io::ErrorKind::Unsupported.into(),
            other => io::Error::from(other),
        });
        if set.is_err() {
            fs::remove_file(&full)?;
        }
        set
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        open_file(&self.file_path(path)?)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn map(&self, path: &str) -> io::Result<Region> {
        Region::map(&open_file(&self.file_path(path)?)?)
    }

    fn len(&self, path: &str) -> io::Result<u64> {
        Ok(open_file(&self.file_path(path)?)?.metadata()?.len())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.dir_path(dir)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "a file name is not UTF-8");
        let mut names =
            entries.map(|entry| entry?.file_name().into_string().map_err(not_text)).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        check_dir(dir)?;
        let levels = dir.match_indices('/').map(|(end, _)| &dir[..end]).chain([dir]);
        for level in levels.filter(|level| !level.is_empty()) {
            make_dirs(&self.dir_path(level)?)?;
            self.sync_dir(parent(level)).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.file_path(from)?, self.file_path(to)?);
        check_is_file(&from)?;
        match rustix::fs::renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            // The file system does not know the flag. A second link never replaces either; a crash
            // between the two calls leaves both names, of which the staged one is removed later.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
                fs::hard_link(&from, &to)?;
                // The new name is there: to report less would be wrong. The staged one is removed later as well.
                let _ = fs::remove_file(&from);
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let path = self.file_path(path)?;
        check_is_file(&path)?;
        fs::remove_file(path)
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        fs::remove_dir(self.file_path(dir)?)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        sync_path(&self.dir_path(dir)?)
    }

    fn lock(&self, path: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.file_path(path)?)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Held { pid: read_pid(&mut file)? }),
            Err(error) => Err(LockError::Io(error.into())),
            Ok(()) => {
                // In place and of one length, because a full disk has no room to write anew.
                writeln!(file, "{:<10}", std::process::id())?;
                Ok(Box::new(file))
            }
        }
    }

    fn wipe(&self, path: &str) -> io::Result<()> {
        let full = self.file_path(path)?;
        check_is_file(&full)?;
        let mut file = OpenOptions::new().write(true).open(&full)?;
        let len = file.metadata()?.len();
        file.rewind()?;
        io::copy(&mut io::repeat(0).take(len), &mut file)?;
        file.sync_all()?;
        fs::remove_file(&full)?;
        self.sync_dir(parent(path))
    }

    /// The device number of the root directory.
    fn volume(&self) -> Option<u64> {
        fs::metadata(&self.root).ok().map(|found| found.dev())
    }
}

/// The process id in a lock file; none if its holder has not written it yet.
fn read_pid(file: &mut File) -> io::Result<Option<u32>> {
    let mut text = Vec::new();
    file.take(16).read_to_end(&mut text)?;
    Ok(str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()))
}

struct DiskFile {
    /// Opened to append, so that it stays right after a cut.
    file: File,
    len: u64,
}

impl DiskFile {
    /// Cuts off what a failed append left, durably, so that a crash cannot bring it back.
    fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.len)?;
        self.file.sync_data()
    }
}

impl LogFile for DiskFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let failure = match self.file.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            let kept = (bytes.len() - rest.len()) as u64;
            if kept > 0 && self.cut().is_err() {
                self.len += kept;
            }
            return Err(failure);
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> u64 {
        self.len
    }
}
