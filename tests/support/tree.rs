//! What lies in a directory, for suites that hold what a program left there against what was there before.
#![allow(clippy::disallowed_methods, reason = "looks at the files that a test made")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// Paths and lengths of all files below `path`.
///
/// # Errors
/// Those of listing it.
pub fn tree(path: &Path) -> io::Result<BTreeSet<(String, u64)>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if found.is_dir() {
            files.extend(tree(&entry.path())?);
        } else {
            files.insert((entry.path().display().to_string(), found.len()));
        }
    }
    Ok(files)
}
