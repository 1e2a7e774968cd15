//! The root key wrapped under a passphrase, in the data directory: files `bootstrap-<n>`, of which the newest holds.
//!
//! Invariant: a file is never replaced, only followed by one with a higher number; so a crash leaves the old passphrase
//! or the new one, and nothing in between. An older file goes once nothing needs it: at once where it wraps the same key,
//! and where it wraps the key before, once no environment is sealed with that any more.

use privacy::{
    BootstrapError, BootstrapHeader, Cost, Fingerprint, Passphrase, RootKey, inspect_bootstrap, unwrap_root_key,
    wrap_root_key,
};
use rand::rngs::StdRng;
use storage::backend::Dir;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};

const PREFIX: &str = "bootstrap-";
/// A root key that is to be approved before it is one: no number, so it is never the newest.
const PROPOSED: &str = "bootstrap-proposed";

/// A wrapped root key. One whose destruction was interrupted has no header.
pub(crate) struct Wrapped {
    number: u64,
    file: Vec<u8>,
    header: Option<BootstrapHeader>,
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number:020}")
}

/// Every wrapped root key of the database in `dir`, the newest first.
pub(crate) fn list(dir: &Dir) -> Result<Vec<Wrapped>> {
    let mut found: Vec<Wrapped> = Vec::new();
    let mut names = dir.list().map_err(|e| Error::io("the data directory cannot be listed", e))?;
    names.reverse();
    for entry in names {
        let Some(number) = entry.strip_prefix(PREFIX).filter(|digits| digits.len() == 20) else { continue };
        let Ok(number) = number.parse() else { continue };
        let file = dir.read(&entry).map_err(|e| Error::io(format!("the file {entry} cannot be read"), e))?;
        let header = match inspect_bootstrap(&file) {
            Ok(header) => Some(header),
            Err(error) if found.is_empty() => return Err(failed(&entry, error)),
            Err(_) => None,
        };
        found.push(Wrapped { number, file, header });
    }
    Ok(found)
}

impl Wrapped {
    /// The public name of the key.
    pub fn root_key(&self) -> Option<Fingerprint> {
        self.header.map(|header| header.root_key)
    }

    /// The file it is in.
    pub fn into_file(self) -> Vec<u8> {
        self.file
    }

    /// The key, out of its wrapping.
    pub fn open(&self, store: Uuid, passphrase: &Passphrase) -> Result<RootKey> {
        unwrap_root_key(&self.file, store.into_bytes(), passphrase).map_err(|e| failed(&name(self.number), e))
    }
}

/// The root key that is proposed, if one is whose file is whole.
pub(crate) fn proposed(dir: &Dir) -> Result<Option<Wrapped>> {
    let unread = |e| Error::io("the root key that is proposed cannot be read", e);
    if !dir.exists(PROPOSED).map_err(unread)? {
        return Ok(None);
    }
    let file = dir.read(PROPOSED).map_err(unread)?;
    let header = inspect_bootstrap(&file).ok();
    Ok(header.map(|header| Wrapped { number: 0, file, header: Some(header) }))
}

/// Proposes a wrapped root key, instead of another one if there is one.
pub(crate) fn propose(dir: &Dir, file: &[u8]) -> Result<()> {
    withdraw(dir)?;
    dir.write_new(PROPOSED, file).map_err(|e| Error::io("the wrapped root key cannot be written", e))
}

/// Destroys the proposal, if there is one.
pub(crate) fn withdraw(dir: &Dir) -> Result<()> {
    let left = |e| Error::io("the root key that was proposed cannot be destroyed", e);
    if dir.exists(PROPOSED).map_err(left)? { dir.wipe(PROPOSED).map_err(left) } else { Ok(()) }
}

/// Wraps `key`.
pub(crate) fn wrap(
    key: &RootKey,
    store: Uuid,
    passphrase: &Passphrase,
    cost: Cost,
    rng: &mut StdRng,
) -> Result<Vec<u8>> {
    wrap_root_key(key, store.into_bytes(), passphrase, cost, rng)
        .map_err(|e| Error::with(ErrorKind::Busy, "the root key cannot be wrapped", e))
}

/// Writes a wrapped root key under a higher number than all others.
pub(crate) fn add(dir: &Dir, file: &[u8]) -> Result<()> {
    let number = list(dir)?.first().map_or(0, |newest| newest.number) + 1;
    dir.write_new(&name(number), file).map_err(|e| Error::io("the wrapped root key cannot be written", e))
}

/// Writes the wrapped root keys in `from` into `to`, too, each under its number.
pub(crate) fn copy(from: &Dir, to: &Dir) -> Result<()> {
    let doing = "the wrapped root key cannot be written";
    // The newest last: whatever interrupts this, it is done again.
    for Wrapped { number, file, .. } in list(from)?.into_iter().rev() {
        if to.exists(&name(number)).map_err(|e| Error::io(doing, e))? {
            to.wipe(&name(number)).map_err(|e| Error::io(doing, e))?;
        }
        to.write_new(&name(number), &file).map_err(|e| Error::io(doing, e))?;
    }
    Ok(())
}

/// Destroys the older files, but those of other keys where `keeps_others`. The newest is written again before, unless
/// this process wrote it: after a failed sync, what is seen of it may not be on the disk.
pub(crate) fn settle(dir: &Dir, is_ours: bool, keeps_others: bool) -> Result<()> {
    let wrapped = list(dir)?;
    let Some((newest, older)) = wrapped.split_first() else { return Ok(()) };
    let goes = |older: &&Wrapped| !keeps_others || older.root_key().is_none_or(|key| Some(key) == newest.root_key());
    let older: Vec<&Wrapped> = older.iter().filter(goes).collect();
    if older.is_empty() {
        return Ok(());
    }
    let renewed = if is_ours { None } else { Some(newest) };
    if renewed.is_some() {
        add(dir, &newest.file)?;
    }
    for older in older.into_iter().chain(renewed) {
        dir.wipe(&name(older.number)).map_err(|e| {
            Error::io("an older wrapped root key cannot be destroyed; this is done at the next opening", e)
        })?;
    }
    Ok(())
}

fn failed(file: &str, error: BootstrapError) -> Error {
    let kind = match error {
        BootstrapError::NewerFormat { .. } => ErrorKind::Unsupported,
        BootstrapError::Damaged | BootstrapError::Foreign => ErrorKind::Corrupt,
        BootstrapError::WrongPassphrase | BootstrapError::Cost(_) => ErrorKind::KeyUnavailable,
    };
    Error::with(kind, format!("the file {file} gives no root key"), error)
}
