//! Where the root key comes from: given by the caller, the environment, a file, a systemd credential, a passphrase,
//! shares, or `auto`, a file that is made once under the user's configuration directory.
//!
//! Invariant: a root key is never made for a store that exists, because such a key could open nothing and
//! would hide the loss of the right one. No key, passphrase or share is taken from a command line, which others can read.

use std::path::{Path, PathBuf};

use privacy::{
    Cost, Passphrase, RootKey as Key, RootKeySource, Share, combine_root_key, format_root_key, parse_root_key,
};
use storage::backend::Dir;
use storage::key_file::{create_key_file, read_credential, read_key_file};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::bootstrap;
use crate::entropy::{Entropy, OsEntropy, generator};
use crate::error::{Error, ErrorKind, Result};

/// Variable that holds the root key as text.
pub const ROOT_KEY_VARIABLE: &str = "LETHEDB_ROOT_KEY";
/// Variable that holds the path of a root key file.
pub const ROOT_KEY_FILE_VARIABLE: &str = "LETHEDB_ROOT_KEY_FILE";
/// Variable that holds the path of a file with the passphrase of a wrapped root key; a pipe or `/dev/fd/3` will do.
pub const PASSPHRASE_FILE_VARIABLE: &str = "LETHEDB_PASSPHRASE_FILE";
/// Variable that holds the path of a file with shares of a root key, one on each line.
pub const SHARES_FILE_VARIABLE: &str = "LETHEDB_SHARES_FILE";
/// The systemd credential that holds the root key: `LoadCredentialEncrypted=lethedb-root-key`.
pub const ROOT_KEY_CREDENTIAL: &str = "lethedb-root-key";
/// The systemd credential that holds a passphrase.
pub const PASSPHRASE_CREDENTIAL: &str = "lethedb-passphrase";

/// A source of the root key. A key as text is 32 bytes in 64 hexadecimal digits or in base64.
pub struct RootKey {
    source: Source,
    ask: Option<Ask>,
}

type Ask = Box<dyn Fn() -> std::io::Result<Option<Passphrase>> + Send + Sync>;

enum Source {
    Bytes(Zeroizing<[u8; 32]>),
    Variable(String),
    File(PathBuf),
    Passphrase(Passphrase),
    PassphraseFile(PathBuf),
    Shares(Vec<Share>),
    Auto,
    Ordered,
}

/// The store that a key is looked for.
pub(crate) struct Sought<'a> {
    pub entropy: &'a dyn Entropy,
    /// Its data directory.
    pub dir: &'a Dir,
    /// Its name, which it may be about to be given.
    pub store: Uuid,
    /// Whether it is about to be made.
    pub is_new: bool,
    /// Whether nothing is sealed in it yet.
    pub is_empty: bool,
    /// What guessing a passphrase is to cost from now on.
    pub cost: Cost,
}

/// A root key that was found, and what to tell the operator about it once.
pub(crate) struct Found {
    pub key: Key,
    /// The key before, where a rotation under a passphrase is not finished.
    pub previous: Option<Key>,
    pub source: RootKeySource,
    pub notice: Option<String>,
    /// The key is new: this, its wrapping, is to be kept before anything is sealed with it.
    pub wrapped: Option<Vec<u8>>,
}

impl Found {
    fn of(key: Key, source: RootKeySource) -> Self {
        Self { key, previous: None, source, notice: None, wrapped: None }
    }
}

impl RootKey {
    fn from(source: Source) -> Self {
        Self { source, ask: None }
    }

    /// The key itself.
    pub fn bytes(key: [u8; 32]) -> Self {
        Self::from(Source::Bytes(Zeroizing::new(key)))
    }

    /// The environment variable `name`; other processes of this user can read it, so prefer a file.
    pub fn from_env(name: impl Into<String>) -> Self {
        Self::from(Source::Variable(name.into()))
    }

    /// A file that only its owner can read.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::from(Source::File(path.into()))
    }

    /// The root key that lies wrapped under this passphrase in the data directory; made there for a new store.
    pub fn passphrase(passphrase: Passphrase) -> Self {
        Self::from(Source::Passphrase(passphrase))
    }

    /// As [`RootKey::passphrase`], the passphrase being in a file that only its owner can read; one newline at its end
    /// does not count.
    pub fn passphrase_file(path: impl Into<PathBuf>) -> Self {
        Self::from(Source::PassphraseFile(path.into()))
    }

    /// The root key that these shares give together.
    pub fn shares(shares: Vec<Share>) -> Self {
        Self::from(Source::Shares(shares))
    }

    /// The file `lethedb/root.key` under the user's configuration directory, made for the first store.
    pub fn auto() -> Self {
        Self::from(Source::Auto)
    }

    /// The first that there is of: `LETHEDB_ROOT_KEY`, `LETHEDB_ROOT_KEY_FILE`, the systemd credential
    /// `lethedb-root-key`, a passphrase (`LETHEDB_PASSPHRASE_FILE` or the credential `lethedb-passphrase`, or asked for
    /// where the store has a wrapped root key), shares (`LETHEDB_SHARES_FILE`), [`RootKey::auto`].
    pub fn sources() -> Self {
        Self::from(Source::Ordered)
    }

    /// Whom to ask for the passphrase of a store that has one, where no other source gives the key. `None` as the answer
    /// means that nobody is there.
    #[must_use]
    pub fn ask(mut self, ask: impl Fn() -> std::io::Result<Option<Passphrase>> + Send + Sync + 'static) -> Self {
        self.ask = Some(Box::new(ask));
        self
    }

    /// Makes the key file `path` with a fresh key, for its owner only; `false` if the file is there already.
    ///
    /// # Errors
    /// Those of writing it.
    pub fn make_file(path: &Path) -> Result<bool> {
        let key = Key::generate(&mut generator(&OsEntropy)?);
        match create_key_file(path, &format_root_key(&key)) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(Error::io(format!("the root key file {} cannot be made", path.display()), e)),
        }
    }

    /// The passphrase in a file that only its owner can read; one newline at its end does not count.
    ///
    /// # Errors
    /// `KeyUnavailable` if it cannot be read or is empty.
    pub fn read_passphrase(path: &Path) -> Result<Passphrase> {
        passphrase_of(&read(path, "passphrase")?)
    }

    /// The shares in a file that only its owner can read, one on each line.
    ///
    /// # Errors
    /// `KeyUnavailable` if it cannot be read, or a line is no share.
    pub fn read_shares(path: &Path) -> Result<Vec<Share>> {
        shares_of(path)
    }

    /// The root key that these shares give, and its text for a key file.
    ///
    /// # Errors
    /// `KeyUnavailable`, which tells too few, mixed and altered shares apart.
    pub fn combine(shares: &[Share]) -> Result<(RootKey, Zeroizing<String>)> {
        let key = from_shares(shares)?.key;
        Ok((Self::bytes(*key.expose()), format_root_key(&key)))
    }

    /// Does `work` with the passphrase, if this is one.
    pub(crate) fn with_passphrase<T>(&self, work: impl FnOnce(&Passphrase) -> Result<T>) -> Option<Result<T>> {
        match &self.source {
            Source::Passphrase(passphrase) => Some(work(passphrase)),
            Source::PassphraseFile(path) => {
                let passphrase = read(path, "passphrase").and_then(|text| passphrase_of(&text));
                Some(passphrase.and_then(|passphrase| work(&passphrase)))
            }
            _ => None,
        }
    }

    /// Finds the key.
    pub(crate) fn load(&self, sought: &Sought<'_>) -> Result<Found> {
        match &self.source {
            Source::Bytes(bytes) => Ok(Found::of(Key::from_bytes(**bytes), RootKeySource::Explicit)),
            Source::Variable(name) => from_variable(name),
            Source::File(path) => from_file(path),
            Source::Passphrase(passphrase) => from_passphrase(passphrase, sought),
            Source::PassphraseFile(path) => from_passphrase_file(path, sought),
            Source::Shares(shares) => from_shares(shares),
            Source::Auto => auto(sought),
            Source::Ordered => self.first_of_all(sought),
        }
    }

    fn first_of_all(&self, sought: &Sought<'_>) -> Result<Found> {
        if variable(ROOT_KEY_VARIABLE).is_some() {
            return from_variable(ROOT_KEY_VARIABLE);
        }
        if let Some(path) = variable(ROOT_KEY_FILE_VARIABLE) {
            return from_file(Path::new(path.as_str()));
        }
        if let Some(text) = credential(ROOT_KEY_CREDENTIAL)? {
            return parse(&text, &format!("the credential {ROOT_KEY_CREDENTIAL}"), RootKeySource::Credential);
        }
        if let Some(path) = variable(PASSPHRASE_FILE_VARIABLE) {
            return from_passphrase_file(Path::new(path.as_str()), sought);
        }
        if let Some(text) = credential(PASSPHRASE_CREDENTIAL)? {
            return from_passphrase_text(&text, sought);
        }
        if let Some(path) = variable(SHARES_FILE_VARIABLE) {
            return from_shares_file(Path::new(path.as_str()));
        }
        if bootstrap::list(sought.dir)?.is_empty() {
            return auto(sought);
        }
        let asked = self.ask.as_ref().map_or(Ok(None), |ask| ask());
        match asked.map_err(|e| Error::with(ErrorKind::KeyUnavailable, "no passphrase was given", e))? {
            Some(passphrase) => from_passphrase(&passphrase, sought),
            None => Err(Error::new(
                ErrorKind::KeyUnavailable,
                format!(
                    "the root key of this store is wrapped under a passphrase: name a file that holds it with {PASSPHRASE_FILE_VARIABLE}, or give the key itself with {ROOT_KEY_FILE_VARIABLE}"
                ),
            )),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "root key sources are the one place that reads variables")]
fn variable(name: &str) -> Option<Zeroizing<String>> {
    std::env::var(name).ok().map(Zeroizing::new)
}

/// A credential that systemd passed to this unit, if it did.
fn credential(name: &str) -> Result<Option<Zeroizing<String>>> {
    let Some(dir) = variable("CREDENTIALS_DIRECTORY") else { return Ok(None) };
    match read_credential(&Path::new(dir.as_str()).join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => {
            Err(Error::with(ErrorKind::KeyUnavailable, format!("the systemd credential {name} cannot be read"), e))
        }
    }
}

fn parse(text: &str, origin: &str, source: RootKeySource) -> Result<Found> {
    let key = parse_root_key(text)
        .map_err(|e| Error::with(ErrorKind::KeyUnavailable, format!("{origin} holds no root key"), e))?;
    Ok(Found::of(key, source))
}

fn from_variable(name: &str) -> Result<Found> {
    let text = variable(name).ok_or_else(|| {
        Error::new(ErrorKind::KeyUnavailable, format!("the variable {name} is not set; it should hold the root key"))
    })?;
    parse(&text, &format!("the variable {name}"), RootKeySource::Variable)
}

fn read(path: &Path, what: &str) -> Result<Zeroizing<String>> {
    read_key_file(path).map_err(|e| {
        Error::with(ErrorKind::KeyUnavailable, format!("the {what} file {} cannot be read", path.display()), e)
    })
}

fn from_file(path: &Path) -> Result<Found> {
    parse(&read(path, "root key")?, &format!("the file {}", path.display()), RootKeySource::File)
}

fn from_passphrase_file(path: &Path, sought: &Sought<'_>) -> Result<Found> {
    from_passphrase_text(&read(path, "passphrase")?, sought)
}

fn from_passphrase_text(text: &str, sought: &Sought<'_>) -> Result<Found> {
    from_passphrase(&passphrase_of(text)?, sought)
}

/// A passphrase as a file holds it: one newline at the end, which editors put there, does not count.
fn passphrase_of(text: &str) -> Result<Passphrase> {
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Passphrase::new(line).map_err(|e| Error::with(ErrorKind::KeyUnavailable, "no passphrase was given", e))
}

fn from_passphrase(passphrase: &Passphrase, sought: &Sought<'_>) -> Result<Found> {
    let wrapped = bootstrap::list(sought.dir)?;
    let Some((newest, older)) = wrapped.split_first() else {
        if !sought.is_empty {
            let doing = "this store has no root key under a passphrase; open it with its root key, and then give it a passphrase";
            return Err(Error::new(ErrorKind::KeyUnavailable, doing));
        }
        let key = Key::generate(&mut generator(sought.entropy)?);
        let file = bootstrap::wrap(&key, sought.store, passphrase, sought.cost, &mut generator(sought.entropy)?)?;
        return Ok(Found { wrapped: Some(file), ..Found::of(key, RootKeySource::Passphrase) });
    };
    let key = newest.open(sought.store, passphrase)?;
    let other = older.iter().find(|older| older.root_key().is_some_and(|key| Some(key) != newest.root_key()));
    let previous = other.map(|other| other.open(sought.store, passphrase)).transpose()?;
    Ok(Found { previous, ..Found::of(key, RootKeySource::Passphrase) })
}

fn from_shares_file(path: &Path) -> Result<Found> {
    from_shares(&shares_of(path)?)
}

fn shares_of(path: &Path) -> Result<Vec<Share>> {
    let text = read(path, "shares")?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let parsed = lines.enumerate().map(|(at, line)| {
        let doing = || format!("share {} of the file {} cannot be used", at + 1, path.display());
        Share::parse(line).map_err(|e| Error::with(ErrorKind::KeyUnavailable, doing(), e))
    });
    parsed.collect()
}

fn from_shares(shares: &[Share]) -> Result<Found> {
    let key = combine_root_key(shares)
        .map_err(|e| Error::with(ErrorKind::KeyUnavailable, "the shares do not give the root key", e))?;
    Ok(Found::of(key, RootKeySource::Shares))
}

fn auto(sought: &Sought<'_>) -> Result<Found> {
    let path = auto_path()?;
    match read_key_file(&path) {
        Ok(text) => parse(&text, &format!("the file {}", path.display()), RootKeySource::Auto),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && sought.is_new => make(sought.entropy, &path),
        Err(e) => Err(Error::with(
            ErrorKind::KeyUnavailable,
            format!(
                "the root key of this store should be in {}; restore that file, name the key with {ROOT_KEY_VARIABLE} or {ROOT_KEY_FILE_VARIABLE}, or give shares of it to a server that starts --sealed",
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
    Ok(Found { notice: Some(notice), ..Found::of(key, RootKeySource::Auto) })
}
