//! Removing files that nothing names any more.

use storage::backend::Dir;

use crate::error::{Error, Result};

/// Unlinks `name`; it may be gone already.
pub(crate) fn remove(dir: &Dir, name: &str) -> Result<()> {
    match dir.remove(name) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("the file {name}, which nothing names any more, cannot be removed"), e))
        }
        _ => Ok(()),
    }
}
