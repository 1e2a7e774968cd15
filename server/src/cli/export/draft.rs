//! A file that appears whole or not at all.
//!
//! Invariant: until [`Draft::keep`] the bytes are in a file of another name beside it, which goes when the draft is dropped;
//! only its owner can read either, because it holds people's data in the clear.
#![expect(clippy::disallowed_methods, reason = "writes a file that the user names; no file of ours")]

use std::fs;
use std::io::{self, BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::cli::failure::Failure;

/// A file in the making.
pub struct Draft {
    path: PathBuf,
    replaces: bool,
    file: BufWriter<NamedTempFile>,
}

impl Draft {
    /// Begins the file `path`; one that is there is refused, or with `replaces` kept until this one is whole.
    pub fn new(path: &Path, replaces: bool) -> Result<Self, Failure> {
        if !replaces && fs::symlink_metadata(path).is_ok() {
            return Err(taken());
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Readable and writable by the owner alone, as such files are made.
        let file = tempfile::Builder::new().prefix(".lethedb-export-").tempfile_in(folder);
        let file = file.map_err(|error| Failure::Io(NOT_WRITTEN, error))?;
        Ok(Self { path: path.to_owned(), replaces, file: BufWriter::with_capacity(1 << 20, file) })
    }

    /// Makes the bytes durable and gives the file its name.
    pub fn keep(self) -> Result<(), Failure> {
        let not_written = |error| Failure::Io(NOT_WRITTEN, error);
        let file = self.file.into_inner().map_err(|error| not_written(error.into_error()))?;
        file.as_file().sync_all().map_err(not_written)?;
        let kept = if self.replaces { file.persist(&self.path) } else { file.persist_noclobber(&self.path) };
        kept.map(drop).map_err(|error| match error.error.kind() {
            ErrorKind::AlreadyExists => taken(),
            _ => not_written(error.error),
        })
    }
}

const NOT_WRITTEN: &str = "the export cannot be written";

fn taken() -> Failure {
    Failure::Usage("there is such a file already; --force replaces it".into())
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Draft {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_seen_of_a_file_that_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let mut draft = Draft::new(&path, false).unwrap();
        draft.write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(names(), 0);
        let mut draft = Draft::new(&path, false).unwrap();
        draft.write_all(b"whole").unwrap();
        fs::write(&path, b"theirs").unwrap();
        assert!(matches!(draft.keep(), Err(Failure::Usage(_))), "it appeared meanwhile");
        assert!(matches!(Draft::new(&path, false), Err(Failure::Usage(_))));
        let mut draft = Draft::new(&path, true).unwrap();
        draft.write_all(b"ours").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        draft.keep().unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"ours".to_vec(), 1));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
