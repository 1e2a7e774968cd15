//! The files of a keyring in one directory: root pages, bucket files and the log of new keys, by epoch. The directory of
//! the environment has them, and so has each mirror.
//!
//! Invariant: a root page has its name only when every bucket file that it names is there, whole.

use privacy::{Fingerprint, Keyring, OpenKeyringError, Scope};
use storage::backend::Dir;
use storage::frame_log::{FrameWriter, Header, LogKind, read_frames};

use crate::anchors::Anchors;
use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;
use crate::roots::Roots;

/// What a directory of pages held.
pub(crate) struct Opened {
    pub keyring: Keyring,
    /// The root key that its root page is sealed with.
    pub root_key: Fingerprint,
    /// How many frames its log had.
    pub logged: u64,
}

/// The files of an epoch: its root page and the bucket files that this names. Its log of new keys is extra.
pub(crate) struct Live {
    pub epoch: u64,
    pub names: Vec<String>,
}

/// One directory of pages.
#[derive(Clone)]
pub(crate) struct Pages {
    pub dir: Dir,
}

pub(crate) fn root_name(epoch: u64) -> String {
    format!("root-{epoch:020}")
}

pub(crate) fn buckets_name(epoch: u64) -> String {
    format!("buckets-{epoch:020}")
}

pub(crate) fn log_name(epoch: u64) -> String {
    format!("new-{epoch:020}.log")
}

pub(crate) fn pending_name(epoch: u64) -> String {
    format!("pending-{epoch:020}")
}

fn numbered(name: &str, prefix: &str) -> Option<u64> {
    name.strip_prefix(prefix).filter(|digits| digits.len() == 20)?.parse().ok()
}

impl Pages {
    /// The epochs of the root pages here, the newest first.
    pub fn roots(&self) -> Result<Vec<u64>> {
        let mut roots: Vec<u64> = self.list()?.iter().filter_map(|name| numbered(name, "root-")).collect();
        roots.reverse();
        Ok(roots)
    }

    /// The bytes of a file that must be there.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.dir.read(name).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::with(ErrorKind::Corrupt, format!("the keyring file {name} is missing"), e)
            }
            _ => Error::io(format!("the keyring file {name} cannot be read"), e),
        })
    }

    /// Opens the keyring of `epoch`.
    pub fn open(&self, epoch: u64, scope: Scope, roots: &Roots, anchors: &Anchors) -> Result<Opened> {
        let root_page = self.read(&root_name(epoch))?;
        let header = Keyring::inspect(&root_page).map_err(|e| damaged(&root_name(epoch), e))?;
        let root_key = roots.named(header.root_key)?;
        let anchor = anchors.find(epoch)?;
        let mut keyring =
            Keyring::open(scope, &root_key, &anchor, &root_page, |generation| self.read(&buckets_name(generation)))
                .map_err(open_error)?;
        let logged = if self.list()?.contains(&log_name(epoch)) { self.replay(epoch, &mut keyring)? } else { 0 };
        Ok(Opened { keyring, root_key: header.root_key, logged })
    }

    fn replay(&self, epoch: u64, keyring: &mut Keyring) -> Result<u64> {
        let name = log_name(epoch);
        let bytes = self.read(&name)?;
        let frames = read_frames(&bytes, LogKind::NewKeys, epoch).map_err(|e| damaged(&name, e))?;
        let logged = frames.payloads.len() as u64;
        for (number, range) in (0..).zip(frames.payloads) {
            let frame = bytes.get(range).unwrap_or_default();
            keyring.replay(number, frame).map_err(|e| damaged(&name, e))?;
        }
        Ok(logged)
    }

    /// A new log of new keys.
    pub fn make_log(&self, epoch: u64) -> Result<FrameWriter> {
        // What is there under this name is of an attempt that failed: opening leaves no log of the current epoch.
        remove(&self.dir, &log_name(epoch))?;
        let header = Header { kind: LogKind::NewKeys, number: epoch, base: 0 };
        FrameWriter::create(&self.dir, &log_name(epoch), &header).map_err(|e| Error::io("new keys cannot be logged", e))
    }

    /// Writes a file; what is there under its name is of an epoch that never committed.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        remove(&self.dir, name)?;
        self.dir.write_new(name, bytes).map_err(|e| Error::io("the keyring pages cannot be written", e))
    }

    /// Brings every bucket file of `generations` here from `source`; those that are here already only if `anew`.
    pub fn take_over(&self, source: &Pages, generations: impl Iterator<Item = u64>, anew: bool) -> Result<()> {
        for name in generations.map(buckets_name) {
            if anew || !self.same_length(source, &name)? {
                self.write(&name, &source.read(&name)?)?;
            }
        }
        Ok(())
    }

    /// Whether this directory holds what `source` holds of the present epoch and nothing else, as far as names and
    /// lengths tell.
    pub fn matches(&self, source: &Pages, live: &Live) -> Result<bool> {
        let there = self.list()?;
        let has_all = live.names.iter().all(|name| there.contains(name));
        if !has_all || there.len() != live.names.len() {
            return Ok(false);
        }
        for name in &live.names {
            if !self.same_length(source, name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn same_length(&self, source: &Pages, name: &str) -> Result<bool> {
        let length = |pages: &Pages| match pages.dir.len(name) {
            Ok(length) => Ok(Some(length)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(format!("the keyring file {name} cannot be read"), e)),
        };
        let here = length(self)?;
        Ok(here.is_some() && here == length(source)?)
    }

    /// Removes the files that are not of the present epoch.
    pub fn remove_strays(&self, live: &Live) -> Result<()> {
        let is_stray = |name: &&String| **name != log_name(live.epoch) && !live.names.contains(name);
        for name in self.list()?.iter().filter(is_stray) {
            remove(&self.dir, name)?;
        }
        self.dir.sync_dir().map_err(|e| Error::io("the keyring directory cannot be synced", e))
    }

    /// Names of what is here.
    pub fn list(&self) -> Result<Vec<String>> {
        self.dir.list().map_err(|e| Error::io("the keyring cannot be listed", e))
    }
}

impl Live {
    pub fn of(keyring: &Keyring) -> Self {
        let epoch = keyring.epoch_number();
        let buckets = keyring.bucket_files().into_iter().map(buckets_name);
        Self { epoch, names: std::iter::once(root_name(epoch)).chain(buckets).collect() }
    }
}

fn damaged(file: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::with(ErrorKind::Corrupt, format!("the keyring file {file} is damaged"), source)
}

fn open_error(error: OpenKeyringError<Error>) -> Error {
    match error {
        OpenKeyringError::Read(error) => error,
        OpenKeyringError::WrongRootKey { .. } | OpenKeyringError::WrongAnchor => {
            Error::with(ErrorKind::KeyUnavailable, "the keyring does not open", error)
        }
        OpenKeyringError::NewerFormat { .. } => {
            Error::with(ErrorKind::Unsupported, "the keyring was written by a newer version", error)
        }
        _ => Error::with(ErrorKind::Corrupt, "the keyring is damaged", error),
    }
}
