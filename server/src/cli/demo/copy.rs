//! A plain copy of a data directory, as a backup tool makes it, and the root key file beside it.
#![expect(clippy::disallowed_methods, reason = "the demonstration plays a user who copies files")]

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use uuid::Uuid;

/// The directory with the anchors, which belong on another volume than copies.
const ANCHORS: &str = "anchors";

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

/// Copies the data directory `from` to `to`, without its anchors. Returns how many bytes were copied.
pub fn copy_without_anchors(from: &Path, to: &Path) -> io::Result<u64> {
    fs::create_dir_all(to)?;
    let mut bytes = 0;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() != ANCHORS {
            bytes += copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(bytes)
}

fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    if !from.is_dir() {
        return fs::copy(from, to);
    }
    fs::create_dir(to)?;
    let mut bytes = 0;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        bytes += copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(bytes)
}
