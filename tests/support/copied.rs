//! A directory as somebody else might copy it: plainly, file by file.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "looks at directories from outside")]

use std::fs;
use std::path::Path;

/// Copies what is in `from` into `to`, which is made, but nothing of the name `without`.
pub fn copy(from: &Path, to: &Path, without: Option<&str>) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name(), entry.path());
        if without.is_some_and(|without| name == without) {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name), without);
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
