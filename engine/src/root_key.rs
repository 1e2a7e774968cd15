//! Where the root key comes from: given by the caller, the environment, a file, or `auto`, a file that is
//! made once under the user's configuration directory.
//!
//! Invariant: a root key is never made for a store that exists, because such a key could open nothing and
//! would hide the loss of the right one.

use std::path::{Path, PathBuf};

use privacy::{RootKey as Key, format_root_key, parse_root_key};
use storage::key_file::{create_key_file, read_key_file};
use zeroize::Zeroizing;

use crate::entropy::{Entropy, generator};
use crate::error::{Error, ErrorKind, Result};

/// Variable that holds the root key as text.
pub const ROOT_KEY_VARIABLE: &str = "LETHEDB_ROOT_KEY";
/// Variable that holds the path of a root key file.
pub const ROOT_KEY_FILE_VARIABLE: &str = "LETHEDB_ROOT_KEY_FILE";

/// A source of the root key. A key as text is 32 bytes in 64 hexadecimal digits or in base64.
pub struct RootKey {
    source: Source,
}

enum Source {
    Bytes(Zeroizing<[u8; 32]>),
    Variable(String),
    File(PathBuf),
    Auto,
    Ordered,
}

/// A root key that was found, and what to tell the operator about it once.
pub(crate) struct Found {
    pub key: Key,
    pub notice: Option<String>,
}

impl RootKey {
    /// The key itself.
    pub fn bytes(key: [u8; 32]) -> Self {
        Self { source: Source::Bytes(Zeroizing::new(key)) }
    }

    /// The environment variable `name`; other processes of this user can read it, so prefer a file.
    pub fn from_env(name: impl Into<String>) -> Self {
        Self { source: Source::Variable(name.into()) }
    }

    /// A file that only its owner can read.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { source: Source::File(path.into()) }
    }

    /// The file `lethedb/root.key` under the user's configuration directory, made for the first store.
    pub fn auto() -> Self {
        Self { source: Source::Auto }
    }

    /// The first that is set of `LETHEDB_ROOT_KEY` and `LETHEDB_ROOT_KEY_FILE`, else [`RootKey::auto`].
    pub fn sources() -> Self {
        Self { source: Source::Ordered }
    }

    /// Finds the key. `new_store` says whether a key may be made.
    pub(crate) fn load(&self, entropy: &dyn Entropy, new_store: bool) -> Result<Found> {
        match &self.source {
            Source::Bytes(bytes) => Ok(Found { key: Key::from_bytes(**bytes), notice: None }),
            Source::Variable(name) => from_variable(name),
            Source::File(path) => from_file(path),
            Source::Auto => auto(entropy, new_store),
            Source::Ordered => match (variable(ROOT_KEY_VARIABLE), variable(ROOT_KEY_FILE_VARIABLE)) {
                (Some(_), _) => from_variable(ROOT_KEY_VARIABLE),
                (None, Some(path)) => from_file(Path::new(path.as_str())),
                (None, None) => auto(entropy, new_store),
            },
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "root key sources are the one place that reads variables")]
fn variable(name: &str) -> Option<Zeroizing<String>> {
    std::env::var(name).ok().map(Zeroizing::new)
}

fn parse(text: &str, origin: &str) -> Result<Found> {
    let key = parse_root_key(text)
        .map_err(|e| Error::with(ErrorKind::KeyUnavailable, format!("{origin} holds no root key"), e))?;
    Ok(Found { key, notice: None })
}

fn from_variable(name: &str) -> Result<Found> {
    let text = variable(name).ok_or_else(|| {
        Error::new(ErrorKind::KeyUnavailable, format!("the variable {name} is not set; it should hold the root key"))
    })?;
    parse(&text, &format!("the variable {name}"))
}

fn from_file(path: &Path) -> Result<Found> {
    let text = read_key_file(path).map_err(|e| {
        Error::with(ErrorKind::KeyUnavailable, format!("the root key file {} cannot be read", path.display()), e)
    })?;
    parse(&text, &format!("the file {}", path.display()))
}

fn auto(entropy: &dyn Entropy, new_store: bool) -> Result<Found> {
    let path = auto_path()?;
    match read_key_file(&path) {
        Ok(text) => parse(&text, &format!("the file {}", path.display())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && new_store => make(entropy, &path),
        Err(e) => Err(Error::with(
            ErrorKind::KeyUnavailable,
            format!(
                "the root key of this store should be in {}; restore that file, or name the key with {ROOT_KEY_VARIABLE} or {ROOT_KEY_FILE_VARIABLE}",
                path.display()
            ),
            e,
        )),
    }
}

fn auto_path() -> Result<PathBuf> {
    let base = variable("XDG_CONFIG_HOME")
        .filter(|dir| !dir.is_empty())
        .map(|dir| PathBuf::from(dir.as_str()))
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home.as_str()).join(".config")))
        .ok_or_else(|| {
            Error::new(
                ErrorKind::KeyUnavailable,
                format!("there is no home directory to keep a root key in; name one with {ROOT_KEY_FILE_VARIABLE}"),
            )
        })?;
    Ok(base.join("lethedb").join("root.key"))
}

fn make(entropy: &dyn Entropy, path: &Path) -> Result<Found> {
    let key = Key::generate(&mut generator(entropy)?);
    create_key_file(path, &format_root_key(&key))
        .map_err(|e| Error::io(format!("the root key file {} cannot be made", path.display()), e))?;
    let notice = format!(
        "A new root key was made in {} (fingerprint {}). Back this file up: without it nothing stored can be read.",
        path.display(),
        key.fingerprint()
    );
    Ok(Found { key, notice: Some(notice) })
}
