//! The keyring of an environment made durable: extend and epoch of `privacy::keyring`, with their files,
//! their anchors and the order of syncs that DESIGN §5 demands.
//!
//! Invariant: a key is served only after the bytes that bring it back are synced, and a removed key's last
//! anchor is destroyed only after the new root page has its name.

use std::sync::Arc;

use privacy::{
    Anchor, AnchorStore, Epoch, Fingerprint, Grade, KeyId, Keyring, OpenKeyringError, Removal, RootKey, Scope,
    SectionKey, Wanted,
};
use storage::backend::Dir;
use storage::frame_log::{FrameWriter, Header, LogKind, read_frames};
use storage::sync::{Mutex, RwLock, RwLockReadGuard};

use crate::entropy::{Entropy, generator};
use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;

/// Directory of the keyring inside an environment.
pub(crate) const KEYRING: &str = "keyring";

/// Where an environment's keyring lives and what opens it.
pub(crate) struct Home {
    /// The directory `keyring/`.
    pub dir: Dir,
    /// Every anchor store; all hold the same anchor.
    pub anchors: Vec<Arc<dyn AnchorStore>>,
    /// Where those of them are kept that are directories of this store.
    pub anchors_dir: Dir,
    pub root_key: Arc<RootKey>,
    pub scope: Scope,
    pub entropy: Arc<dyn Entropy>,
}

/// The live keyring of an environment.
pub(crate) struct Keys {
    home: Home,
    keyring: RwLock<Keyring>,
    /// The open log of new keys; `None` until this epoch's first extension.
    log: Mutex<Option<FrameWriter>>,
}

fn root_name(epoch: u64) -> String {
    format!("root-{epoch:020}")
}

fn buckets_name(epoch: u64) -> String {
    format!("buckets-{epoch:020}")
}

fn log_name(epoch: u64) -> String {
    format!("new-{epoch:020}.log")
}

fn numbered(name: &str, prefix: &str) -> Option<u64> {
    name.strip_prefix(prefix).filter(|digits| digits.len() == 20)?.parse().ok()
}

impl Keys {
    /// Whether `dir` holds a committed keyring.
    pub fn exists(dir: &Dir) -> Result<bool> {
        Ok(newest_root(dir)?.is_some())
    }

    /// Makes a keyring with fresh keys and commits its first epoch, after `first` has written what must be
    /// there once the keyring is.
    pub fn create(home: Home, first: impl FnOnce(&SectionKey) -> Result<()>) -> Result<Self> {
        let keyring = Keyring::create(home.scope, &mut generator(&*home.entropy)?);
        first(&keyring.table_key())?;
        let keys = Self { home, keyring: RwLock::new(keyring), log: Mutex::new(None) };
        keys.epoch(&Removal::default())?;
        Ok(keys)
    }

    /// Opens the newest keyring; reads only, changes nothing on disk.
    pub fn open(home: Home) -> Result<Self> {
        let (keyring, _) = read_keyring(&home)?;
        Ok(Self { home, keyring: RwLock::new(keyring), log: Mutex::new(None) })
    }

    /// Opens every file of the keyring once more; the caller keeps epochs away.
    pub fn check(&self) -> Result<()> {
        let log = self.log.lock();
        let (keyring, logged) = read_keyring(&self.home)?;
        // A frame that was damaged at the end of the log looks like one that was never finished.
        if log.as_ref().is_some_and(|log| log.next_number() > logged) {
            return Err(Error::corrupt(format!("the keyring file {} is damaged", log_name(keyring.epoch_number()))));
        }
        Ok(())
    }

    /// Finishes what a crash interrupted, once everything else was read without fault. Keys that an earlier process
    /// logged are folded into synced pages, and what an interrupted epoch left is replaced by an epoch of its own: after
    /// a failed sync, the newest root page may be seen and not be on the disk, so nothing older goes for its sake.
    pub fn settle(&self, keep: &Removal) -> Result<()> {
        let current = self.read().epoch_number();
        let logged = self.list()?.contains(&log_name(current));
        if logged || !self.strays(current)?.is_empty() || self.has_stray_anchors(current)? {
            self.epoch(keep)?;
        }
        Ok(())
    }

    /// How far the destruction of an anchor reaches at least.
    pub fn anchor_grade(&self) -> Grade {
        self.home.anchors.iter().map(|store| store.grade()).min().unwrap_or(Grade::SameVolume)
    }

    /// Whether an anchor and a copy of the keyring outlive the loss of the data's volume.
    pub fn is_recoverable(&self) -> bool {
        // No mirror of the keyring is kept yet.
        false
    }

    /// The public name of the root key.
    pub fn root_fingerprint(&self) -> Fingerprint {
        self.home.root_key.fingerprint()
    }

    /// The keyring, for lookups.
    pub fn read(&self) -> RwLockReadGuard<'_, Keyring> {
        self.keyring.read()
    }

    /// Makes the wanted keys durable, then serves them.
    pub fn extend(&self, wanted: &[Wanted]) -> Result<()> {
        let mut log = self.log.lock();
        let extension = self.keyring.read().extend(wanted, &mut generator(&*self.home.entropy)?);
        if extension.is_empty() {
            return Ok(());
        }
        let epoch = self.keyring.read().epoch_number();
        let doing = "new keys cannot be logged";
        if log.is_none() {
            // What is there under this name is of an attempt that failed: opening leaves no log of the current epoch.
            remove(&self.home.dir, &log_name(epoch))?;
            let header = Header { kind: LogKind::NewKeys, number: epoch, base: 0 };
            let writer =
                FrameWriter::create(&self.home.dir, &log_name(epoch), &header).map_err(|e| Error::io(doing, e))?;
            *log = Some(writer);
        }
        if let Some(writer) = log.as_mut() {
            writer.append(extension.frame()).map_err(|e| Error::io(doing, e))?;
            writer.sync().map_err(|e| Error::io(doing, e))?;
        }
        self.keyring
            .write()
            .apply(extension)
            .map_err(|e| Error::with(ErrorKind::Conflict, "keys changed while new ones were logged", e))
    }

    /// Removes keys by replacing the anchor; returns the ids of the destroyed DEKs.
    ///
    /// Order (DESIGN §5): pages under new names, synced → new anchor in every store, read back → the root
    /// page gets its name → old anchor destroyed everywhere → old pages unlinked.
    pub fn epoch(&self, removal: &Removal) -> Result<Vec<KeyId>> {
        let mut log = self.log.lock();
        let mut rng = generator(&*self.home.entropy)?;
        let anchor = Anchor::generate(&mut rng);
        let epoch = self.keyring.read().epoch(removal, &self.home.root_key, &anchor, &mut rng);
        let number = epoch.number;
        self.write_pages(&epoch)?;
        self.place_anchor(number, &anchor)?;
        let doing = "the new root page cannot be named";
        let dir = &self.home.dir;
        dir.rename(&pending_name(number), &root_name(number)).map_err(|e| Error::io(doing, e))?;
        dir.sync_dir().map_err(|e| Error::io(doing, e))?;
        *self.keyring.write() = epoch.next;
        *log = None;
        self.finish_epoch()?;
        Ok(epoch.destroyed)
    }

    /// Destroys every anchor but the current one and removes the files of other epochs: the end of an epoch, to be done
    /// again where it failed.
    pub fn finish_epoch(&self) -> Result<()> {
        let current = self.read().epoch_number();
        self.destroy_anchors_except(current)?;
        self.remove_files_except(current)
    }

    fn write_pages(&self, epoch: &Epoch) -> Result<()> {
        let doing = "the keyring pages cannot be written";
        let dir = &self.home.dir;
        // Leftovers of an epoch that never committed carry this number; no root page names them.
        for name in [buckets_name(epoch.number), pending_name(epoch.number)] {
            remove(dir, &name)?;
        }
        if let Some(buckets) = &epoch.bucket_file {
            dir.write_new(&buckets_name(epoch.number), buckets).map_err(|e| Error::io(doing, e))?;
        }
        dir.write_new(&pending_name(epoch.number), &epoch.root_page).map_err(|e| Error::io(doing, e))
    }

    fn place_anchor(&self, epoch: u64, anchor: &Anchor) -> Result<()> {
        for store in &self.home.anchors {
            let doing = "an anchor store did not take the new anchor";
            // An anchor left by an epoch that never committed has this number and opens nothing.
            store.destroy(epoch).map_err(|e| Error::io(doing, e))?;
            store.put(epoch, anchor).map_err(|e| Error::io(doing, e))?;
            let back = store.get(epoch).map_err(|e| Error::io(doing, e))?;
            if back.is_none_or(|found| found.expose() != anchor.expose()) {
                return Err(Error::new(ErrorKind::Io, "an anchor store did not keep the new anchor"));
            }
        }
        Ok(())
    }

    fn destroy_anchors_except(&self, epoch: u64) -> Result<()> {
        for store in &self.home.anchors {
            let doing = "an old anchor cannot be destroyed; the store finishes this when it opens next";
            for other in store.list().map_err(|e| Error::io(doing, e))? {
                if other != epoch {
                    store.destroy(other).map_err(|e| Error::io(doing, e))?;
                }
            }
        }
        Ok(())
    }

    fn has_stray_anchors(&self, epoch: u64) -> Result<bool> {
        for store in &self.home.anchors {
            let held = store.list().map_err(|e| Error::io("an anchor store cannot be listed", e))?;
            if held.iter().any(|other| *other != epoch) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn remove_files_except(&self, epoch: u64) -> Result<()> {
        for name in self.strays(epoch)? {
            remove(&self.home.dir, &name)?;
        }
        self.home.dir.sync_dir().map_err(|e| Error::io("the keyring directory cannot be synced", e))
    }

    fn list(&self) -> Result<Vec<String>> {
        self.home.dir.list().map_err(|e| Error::io("the keyring cannot be listed", e))
    }

    /// Files of other epochs.
    fn strays(&self, epoch: u64) -> Result<Vec<String>> {
        let live = self.read().bucket_files();
        let mut names = self.list()?;
        names.retain(|name| {
            let is_live = name == &root_name(epoch)
                || name == &log_name(epoch)
                || numbered(name, "buckets-").is_some_and(|generation| live.contains(&generation));
            !is_live
        });
        Ok(names)
    }
}

/// Reads the newest keyring of `home`; also how many frames of its log there were.
fn read_keyring(home: &Home) -> Result<(Keyring, u64)> {
    let epoch = newest_root(&home.dir)?
        .ok_or_else(|| Error::corrupt("the environment has no keyring; restore its keyring directory"))?;
    let root_page = read(&home.dir, &root_name(epoch))?;
    let header = Keyring::inspect(&root_page).map_err(|e| damaged(&root_name(epoch), e))?;
    if header.root_key != home.root_key.fingerprint() {
        return Err(Error::new(
            ErrorKind::KeyUnavailable,
            format!(
                "the root key given (fingerprint {}) is not the one this environment was sealed with (fingerprint {})",
                home.root_key.fingerprint(),
                header.root_key
            ),
        ));
    }
    let anchor = find_anchor(&home.anchors, epoch)?;
    let mut keyring = Keyring::open(home.scope, &home.root_key, &anchor, &root_page, |generation| {
        read(&home.dir, &buckets_name(generation))
    })
    .map_err(open_error)?;
    let names = home.dir.list().map_err(|e| Error::io("the keyring cannot be listed", e))?;
    let logged = if names.contains(&log_name(epoch)) { replay(&home.dir, epoch, &mut keyring)? } else { 0 };
    Ok((keyring, logged))
}

fn pending_name(epoch: u64) -> String {
    format!("pending-{epoch:020}")
}

fn newest_root(dir: &Dir) -> Result<Option<u64>> {
    let names = dir.list().map_err(|e| Error::io("the keyring cannot be listed", e))?;
    Ok(names.iter().filter_map(|name| numbered(name, "root-")).max())
}

fn read(dir: &Dir, name: &str) -> Result<Vec<u8>> {
    dir.read(name).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Error::with(ErrorKind::Corrupt, format!("the keyring file {name} is missing"), e)
        }
        _ => Error::io(format!("the keyring file {name} cannot be read"), e),
    })
}

fn find_anchor(stores: &[Arc<dyn AnchorStore>], epoch: u64) -> Result<Anchor> {
    for store in stores {
        let unreadable = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::InvalidData => {
                Error::with(ErrorKind::Corrupt, format!("the anchor of keyring epoch {epoch} cannot be used"), e)
            }
            _ => Error::io("an anchor store cannot be read", e),
        };
        if let Some(anchor) = store.get(epoch).map_err(unreadable)? {
            return Ok(anchor);
        }
    }
    Err(Error::new(
        ErrorKind::KeyUnavailable,
        format!(
            "no anchor store holds the anchor of keyring epoch {epoch}: this keyring is a copy that a later epoch has made unreadable, or the anchors directory is elsewhere"
        ),
    ))
}

fn replay(dir: &Dir, epoch: u64, keyring: &mut Keyring) -> Result<u64> {
    let name = log_name(epoch);
    let bytes = read(dir, &name)?;
    let frames = read_frames(&bytes, LogKind::NewKeys, epoch).map_err(|e| damaged(&name, e))?;
    let logged = frames.payloads.len() as u64;
    for (number, range) in (0..).zip(frames.payloads) {
        let frame = bytes.get(range).unwrap_or_default();
        keyring.replay(number, frame).map_err(|e| damaged(&name, e))?;
    }
    Ok(logged)
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
