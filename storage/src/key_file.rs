//! The file of a root key, which lies outside the data directory and belongs to its owner alone. Invariant: a key file
//! is written once, whole, and never replaced, because losing it loses the database. Here because only this crate
//! touches files.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::backend::disk;
use crate::backend::{Dir, Disk};

/// The longest key file that is read, in bytes.
const MAX_LEN: usize = 4096;

/// The text of the key file at `path`, which may be a pipe.
///
/// # Errors
/// `NotFound`; `PermissionDenied` if group or others may read or write it; `InvalidData` if it exceeds 4 KiB or is not
/// UTF-8.
pub fn read_key_file(path: &Path) -> io::Result<Zeroizing<String>> {
    read_private(path, 0o077)
}

/// The text of the credential at `path`, which systemd keeps in memory that is never swapped. It grants the service by an
/// access list, whose mask shows as rights of the group.
///
/// # Errors
/// As [`read_key_file`], but the group may read it.
pub fn read_credential(path: &Path) -> io::Result<Zeroizing<String>> {
    read_private(path, 0o007)
}

fn read_private(path: &Path, others: u32) -> io::Result<Zeroizing<String>> {
    let bytes = disk::read_private(path, MAX_LEN, others)?;
    let text = str::from_utf8(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Creates the key file `path` (mode 0600) with its parent directories (0700). Durable on return.
///
/// # Errors
/// `AlreadyExists`: a key file is never replaced. `InvalidInput` if `path` names no file.
pub fn create_key_file(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().and_then(OsStr::to_str).ok_or(io::ErrorKind::InvalidInput)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let dir = Dir::root(Arc::new(Disk::open(parent)?));
    dir.write_new(name, text.as_bytes()).inspect_err(|error| {
        if error.kind() != io::ErrorKind::AlreadyExists {
            // It may be seen and not be on the disk: nobody must use it. The first error is the one to tell.
            let _ = dir.remove(name);
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "the file is looked at from outside")]

    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_file_is_made_once_for_its_owner() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("config/lethedb/root.key");
        assert_eq!(read_key_file(&path).unwrap_err().kind(), ErrorKind::NotFound);
        create_key_file(&path, "00ff\n").unwrap();
        assert_eq!(create_key_file(&path, "11").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(read_key_file(&path).unwrap().as_str(), "00ff\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(create_key_file(Path::new("/"), "").unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("root.key");
        for (mode, readable) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            create_key_file(&path, "key").unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let kind = read_key_file(&path).err().map(|error| error.kind());
            assert_eq!(kind, (!readable).then_some(ErrorKind::PermissionDenied), "{mode:o}");
            let is_credential = read_credential(&path).is_ok();
            assert_eq!(is_credential, mode & 0o007 == 0, "{mode:o}");
            fs::remove_file(&path).unwrap();
        }
        create_key_file(&path, &"x".repeat(MAX_LEN + 1)).unwrap();
        assert_eq!(read_key_file(&path).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(read_key_file(scratch.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
    }
}
