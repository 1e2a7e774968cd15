//! What lies in a directory, for suites that hold what a program left there against what was there before.
#![allow(clippy::disallowed_methods, reason = "looks at the files that a test made")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Paths and lengths of all files below `path`.
///
/// # Panics
/// Where it cannot be listed.
#[must_use]
pub fn tree(path: &Path) -> BTreeSet<(String, u64)> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
        let Ok(entry) = entry else { panic!("an entry of {} is gone", path.display()) };
        match entry.metadata() {
            Ok(found) if found.is_dir() => files.extend(tree(&entry.path())),
            Ok(found) => drop(files.insert((entry.path().display().to_string(), found.len()))),
            Err(error) => panic!("{}: {error}", entry.path().display()),
        }
    }
    files
}
