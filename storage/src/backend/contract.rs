//! What a place for files must do: the trait [`StorageBackend`], its open file [`LogFile`] and the
//! check of path names. Everything above this room promises durability only by these sentences, so
//! that a simulated disk which forgets, tears and reorders can be written from this text alone.
//!
//! # The model of durability
//!
//! A backend holds a tree of directories and files. Two things about a file survive a crash
//! separately:
//!
//! - its **contents**, made durable by [`LogFile::sync`] and by nothing else;
//! - its **name** (that a directory has an entry for it), made durable by
//!   [`StorageBackend::sync_dir`] of the directory that holds the entry, and by nothing else.
//!
//! After a crash (power loss; the death of the process alone loses nothing) any subset of what was
//! not made durable may be there: for contents, any of the appended bytes, also torn inside one
//! append, also a length without its bytes (zeros); for names, each creation, rename and removal
//! may have happened or not. A rename is seen as the old name or the new name, never neither.
//! Syncing the contents does not make the name durable, nor the other way round.
//!
//! Creation fails when the name is taken and renaming never replaces, so nothing that was
//! published under a name can be exchanged by accident, and the same protocols can be served from
//! an object store. Files only grow, and only through the one handle that created them.

use std::io;

use super::map::Region;

/// A tree of files as lethedb needs it. See the [module](self) for what survives a crash.
///
/// Paths are relative to the backend's root, `/`-separated and checked by [`check_path`]; a bad one
/// is refused with [`io::ErrorKind::InvalidInput`], one that leads through a file with `NotADirectory`.
/// The empty path names the root directory.
/// Every operation is atomic as seen by other callers and may be called from any thread.
pub trait StorageBackend: Send + Sync {
    /// Creates an empty file readable by its owner only and opens it for appending.
    ///
    /// The only way to create a file. Durable: nothing; the contents by [`LogFile::sync`], the name
    /// by [`sync_dir`](Self::sync_dir) of the parent.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken, `NotFound` if the parent directory is missing.
    fn create(&self, path: &str) -> io::Result<Box<dyn LogFile>>;

    /// Creates a file that only keeps `bytes` bytes of the disk from being used by others until it is removed. What
    /// it holds says nothing. Durable: nothing.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` as [`create`](Self::create); `StorageFull` if there is not as much room, and
    /// `Unsupported` where room cannot be set aside: then there is no file.
    fn set_aside(&self, path: &str, bytes: u64) -> io::Result<()>;

    /// The whole contents of a file, including bytes that are not yet durable.
    ///
    /// # Errors
    /// `NotFound`; `IsADirectory`.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// A view of a file that will never change again: one that was published under its final name.
    /// It stays valid after the file is removed.
    ///
    /// # Errors
    /// `NotFound`; `IsADirectory`.
    fn map(&self, path: &str) -> io::Result<Region>;

    /// Length of a file in bytes.
    ///
    /// # Errors
    /// `NotFound`; `IsADirectory`.
    fn len(&self, path: &str) -> io::Result<u64>;

    /// Names of the files and directories directly inside `dir`, sorted bytewise. A missing
    /// directory gives no names. Names that are not UTF-8 are an error, since skipping one would
    /// hide a file.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Creates a directory, with its parents, open to its owner only; fine if it is there already.
    ///
    /// Durable: on return the names of all its levels are (each parent was synced, also where the
    /// level was there before, because who created it may have died before its sync).
    ///
    /// # Errors
    /// `NotADirectory` or `AlreadyExists` where a level is a file; `Other` where a sync failed, which leaves in doubt
    /// whether the names are durable.
    fn create_dir(&self, dir: &str) -> io::Result<()>;

    /// Renames a file, without replacing.
    ///
    /// Durable: nothing until [`sync_dir`](Self::sync_dir) of the parent, or of both parents where
    /// they differ. The contents must have been synced before, or the new name may show a torn file
    /// after a crash.
    ///
    /// # Errors
    /// `AlreadyExists` if `to` is taken, `NotFound` if `from` or a parent is missing,
    /// `IsADirectory` if `from` is a directory. After any other error but `StorageFull` it may have happened.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name. Open handles and maps of it stay usable.
    ///
    /// Durable: nothing until [`sync_dir`](Self::sync_dir) of the parent; until then the file may
    /// come back.
    ///
    /// # Errors
    /// `NotFound`; `IsADirectory`.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Removes an empty directory. Durable by [`sync_dir`](Self::sync_dir) of its parent.
    ///
    /// # Errors
    /// `NotFound`; `DirectoryNotEmpty`; `NotADirectory`.
    fn remove_dir(&self, dir: &str) -> io::Result<()>;

    /// Makes every creation, rename and removal done in `dir` so far durable. It says nothing about
    /// the contents of the files.
    ///
    /// # Errors
    /// `NotFound`. After any other error the names' fate is unknown and must not be relied on, even
    /// if a later call succeeds.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Takes the exclusive lock named by the file `path`, which is created if absent and never
    /// removed. It answers at once. The lock ends when the returned value is dropped or when the
    /// process dies, whichever comes first.
    ///
    /// # Errors
    /// [`LockError::Held`] if another handle, in this process or another, holds it.
    fn lock(&self, path: &str) -> Result<Box<dyn Send + Sync>, LockError>;

    /// Destroys a file: overwrites it with zeros in place, syncs, removes the name and syncs the
    /// parent. On return the removal is durable. Copies that the medium keeps (wear levelling,
    /// snapshots, journals) are out of reach.
    ///
    /// # Errors
    /// `NotFound`; `IsADirectory`. After any other error the call must be repeated.
    fn wipe(&self, path: &str) -> io::Result<()>;

    /// Names the volume that the files lie on; backends with the same name share its fate. `None` where there is no
    /// telling, and then the worst is to be assumed.
    fn volume(&self) -> Option<u64> {
        None
    }
}

/// The one handle through which a file grows; it came from [`StorageBackend::create`].
pub trait LogFile: Send {
    /// Appends all of `bytes`.
    ///
    /// Durable: nothing until [`sync`](Self::sync).
    ///
    /// # Errors
    /// After an error [`len`](Self::len) tells what was kept. Unchanged: not one byte, now or
    /// after a crash; the file is as before and may be appended to again. Grown: a piece of `bytes` stays at the end and could
    /// not be cut off; the caller must give the file up.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything appended so far, and the length, durable (the guarantees of `fdatasync`).
    ///
    /// # Errors
    /// After an error the fate of every byte since the last good sync is unknown: reads may show
    /// it, the medium may lack it, and the next sync may report success all the same (Rebello et
    /// al., ATC 2020). The caller must never append to or sync this file again.
    fn sync(&mut self) -> io::Result<()>;

    /// Length of the file in bytes, durable or not.
    fn len(&self) -> u64;

    /// Whether nothing was ever appended.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Someone else holds it.
    #[error("already open in process {}", pid.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string()))]
    Held {
        /// The holder's process id, where the lock file tells it.
        pid: Option<u32>,
    },
    /// The lock file could not be created, locked or written.
    #[error("lock file")]
    Io(#[from] io::Error),
}

/// Longest component of a path in bytes, as common file systems have it.
const MAX_COMPONENT: usize = 255;

/// Checks the path of a file: `/`-separated components of 1 to 255 bytes, none of them `.` or `..`,
/// without NUL and without backslash. Hence it is relative and stays below the root.
///
/// # Errors
/// `InvalidInput`; the text names the rule, not the path.
pub fn check_path(path: &str) -> io::Result<()> {
    let sound =
        |part: &str| !matches!(part, "" | "." | "..") && part.len() <= MAX_COMPONENT && !part.contains(['\0', '\\']);
    if path.split('/').all(sound) {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "a path needs plain relative components"))
    }
}

/// Checks the path of a directory: as [`check_path`], or empty for the root.
///
/// # Errors
/// `InvalidInput`.
pub fn check_dir(dir: &str) -> io::Result<()> {
    if dir.is_empty() { Ok(()) } else { check_path(dir) }
}

/// The directory that holds `path`; empty for one directly in the root.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leaves_the_root() {
        for good in ["a", "a/b", "seg/00ff.rec", "..a", "a..", "env/ü"] {
            assert!(check_path(good).is_ok(), "{good}");
            assert!(check_dir(good).is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        for bad in ["/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.", "a\0b", "a\\b", &long] {
            assert!(check_path(bad).is_err(), "{bad}");
            assert!(check_dir(bad).is_err(), "{bad}");
        }
        assert!(check_path("").is_err());
        assert!(check_dir("").is_ok());
        assert_eq!(parent("a"), "");
        assert_eq!(parent("a/b/c"), "a/b");
    }
}
