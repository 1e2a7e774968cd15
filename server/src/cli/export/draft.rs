//! A file that appears whole or not at all.
//!
//! Invariant: until [`Draft::keep`] the bytes are in a file of another name beside it, which goes when the draft is dropped;
//! only its owner can read either, because it holds people's data in the clear. Of two that belong together the second is
//! there only with the first: whoever finds it finds a pair ([`keep_both`]).
#![expect(clippy::disallowed_methods, reason = "writes a file that the user names; no file of ours")]

use std::fs;
use std::io::{self, BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::cli::failure::Failure;

/// A file in the making.
pub struct Draft {
    path: PathBuf,
    folder: PathBuf,
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
        let file = BufWriter::with_capacity(1 << 20, file.map_err(not_written)?);
        Ok(Self { path: path.to_owned(), folder: folder.to_owned(), replaces, file })
    }

    /// Makes the bytes durable and gives the file its name.
    pub fn keep(self) -> Result<(), Failure> {
        self.whole()?.keep()
    }

    fn whole(self) -> Result<Whole, Failure> {
        let Self { path, folder, replaces, file } = self;
        let file = file.into_inner().map_err(|error| not_written(error.into_error()))?;
        file.as_file().sync_all().map_err(not_written)?;
        Ok(Whole { path, folder, replaces, file })
    }
}

/// Makes two files of which the second is worth nothing without the first. Wherever this ends there are both, or those that
/// they were to replace, or no second one.
pub fn keep_both(first: Draft, second: Draft) -> Result<(), Failure> {
    let (first, second) = (first.whole()?, second.whole()?);
    second.make_room()?;
    let path = first.path.clone();
    first.keep()?;
    // Whatever took the name of the second meanwhile is not to be found with this first one.
    second.keep().inspect_err(|_| drop(fs::remove_file(&path)))
}

/// A file that is durable and has yet to get its name.
struct Whole {
    path: PathBuf,
    folder: PathBuf,
    replaces: bool,
    file: NamedTempFile,
}

impl Whole {
    /// Removes the file that it replaces.
    fn make_room(&self) -> Result<(), Failure> {
        if !self.replaces {
            return Ok(());
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| sync(&self.folder)).map_err(not_written),
        }
    }

    fn keep(self) -> Result<(), Failure> {
        let Self { path, folder, replaces, file } = self;
        let kept = if replaces { file.persist(&path) } else { file.persist_noclobber(&path) };
        let kept = kept.map(drop).map_err(|error| error.error).and_then(|()| sync(&folder));
        kept.map_err(|error| if error.kind() == ErrorKind::AlreadyExists { taken() } else { not_written(error) })
    }
}

/// Makes the names in `folder` durable, where the system can.
fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

fn not_written(error: io::Error) -> Failure {
    Failure::Io(NOT_WRITTEN, error)
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

    #[test]
    fn whoever_finds_the_second_file_finds_its_first() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        let read = || [&first, &second].map(|path| fs::read_to_string(path).ok());
        let both = |text: &str, replaces| -> Result<(), Failure> {
            let [mut one, mut other] = [Draft::new(&first, replaces)?, Draft::new(&second, replaces)?];
            one.write_all(text.as_bytes()).unwrap();
            other.write_all(text.as_bytes()).unwrap();
            keep_both(one, other)
        };
        both("old", false).unwrap();
        both("new", true).unwrap();
        assert_eq!(read(), [Some("new".into()), Some("new".into())]);
        // The second cannot be replaced.
        fs::remove_file(&second).unwrap();
        fs::create_dir(&second).unwrap();
        assert!(both("newer", true).is_err());
        assert_eq!(read(), [Some("new".into()), None]);
        // Somebody else makes the second meanwhile.
        fs::remove_dir(&second).unwrap();
        fs::remove_file(&first).unwrap();
        let drafts = [Draft::new(&first, false).unwrap(), Draft::new(&second, false).unwrap()];
        fs::write(&second, "theirs").unwrap();
        let [one, other] = drafts;
        assert!(matches!(keep_both(one, other), Err(Failure::Usage(_))));
        assert_eq!(read(), [None, Some("theirs".into())]);
    }

    /// What a process leaves that dies between two names.
    #[test]
    fn a_second_file_that_is_replaced_goes_before_the_first_comes() {
        let folder = tempfile::tempdir().unwrap();
        let second = folder.path().join("second");
        fs::write(&second, "old").unwrap();
        Draft::new(&second, false).err().unwrap();
        let whole = Draft::new(&second, true).unwrap().whole().unwrap();
        assert_eq!(fs::read_to_string(&second).unwrap(), "old");
        whole.make_room().unwrap();
        assert!(!second.exists());
        whole.keep().unwrap();
        assert!(second.exists());
    }
}
