//! A plain copy of a data directory, as a backup tool makes it, and the root key file beside it.
#![expect(clippy::disallowed_methods, reason = "the demonstration plays a user who copies files")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// Makes `dir` and its parents.
pub fn create_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}

/// Writes a new root key, as hexadecimal text that only its owner can read.
pub fn write_root_key(path: &Path) -> io::Result<()> {
    // Two random UUIDs have 244 random bits, which is plenty for a key that is thrown away in a minute.
    let key = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(key.as_bytes())
}

/// Where a data directory keeps its anchors; they belong on another volume than copies.
pub fn anchors(data: &Path) -> PathBuf {
    data.join("anchors")
}

/// Copies the directory `from` to `to`, which must not exist, but not what lies at `without`. Returns how many bytes it
/// took.
pub fn copy(from: &Path, to: &Path, without: Option<&Path>) -> io::Result<u64> {
    fs::create_dir(to)?;
    let mut bytes = 0;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if without == Some(from.as_path()) {
            continue;
        }
        bytes += if from.is_dir() { copy(&from, &to, without)? } else { fs::copy(&from, &to)? };
    }
    Ok(bytes)
}

/// Removes `dir` with everything in it.
pub fn remove(dir: &Path) -> io::Result<()> {
    fs::remove_dir_all(dir)
}
