//! The keyring of an environment made durable: extend and epoch of `privacy::keyring`, with their files, mirrors and
//! anchors and the order of syncs that DESIGN §5 demands.
//!
//! Invariant: a key is served only after the bytes that bring it back are synced, here and in every mirror, and a removed
//! key's last anchor is destroyed only after the new root page has its name. The directory of the environment decides
//! what was committed; a mirror is read only where that directory does not open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use privacy::audit::Origin;
use privacy::{
    Anchor, AnchorStore, Epoch, Fingerprint, Grade, KeyId, Keyring, Removal, Scope, SectionKey, Stamp, Wanted,
};
use storage::backend::Dir;
use storage::frame_log::FrameWriter;
use storage::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard};

use crate::anchors::Anchors;
use crate::clock::Clock;
use crate::entropy::{Entropy, generator};
use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;
use crate::pages::{Live, Opened, Pages, buckets_name, log_name, pending_name, root_name};
use crate::roots::Roots;
use crate::trail;

/// Directory of the keyring inside an environment.
pub(crate) const KEYRING: &str = "keyring";

/// Where an environment's keyring lives and what opens it.
pub(crate) struct Home {
    /// The directory `keyring/` and, after it, its mirrors.
    pub pages: Vec<Pages>,
    pub anchors: Anchors,
    pub roots: Arc<Roots>,
    pub scope: Scope,
    pub entropy: Arc<dyn Entropy>,
    pub clock: Arc<dyn Clock>,
}

/// The live keyring of an environment.
pub(crate) struct Keys {
    home: Home,
    keyring: RwLock<Keyring>,
    /// The root key that the newest root page is sealed with.
    sealed_with: Mutex<Fingerprint>,
    /// Which directory the keyring was read from; the first, once there was an epoch.
    source: AtomicUsize,
    /// A mirror was found to differ, so the next epoch writes all of it anew.
    distrusted: AtomicBool,
    log: Mutex<Log>,
}

/// The logs of new keys, one in each directory.
enum Log {
    /// There is none until this epoch's first extension.
    None,
    Open(Vec<FrameWriter>),
    /// Something was begun that is in some directories and not in others: nothing is added until an epoch has put
    /// another beginning in its place everywhere.
    Torn,
}

impl Home {
    /// Whether any directory holds a committed keyring.
    pub fn has_keyring(&self) -> Result<bool> {
        for pages in &self.pages {
            if !pages.roots()?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The root key that the newest root page names.
    pub fn sealed_with(&self) -> Result<Option<Fingerprint>> {
        for pages in &self.pages {
            if let Some(newest) = pages.roots()?.first() {
                return pages.inspect(*newest).map(|header| Some(header.root_key));
            }
        }
        Ok(None)
    }

    /// Makes every directory.
    pub fn make(&self) -> Result<()> {
        self.anchors.make()?;
        let doing = "the keyring cannot be kept";
        self.pages.iter().try_for_each(|pages| pages.dir.make().map_err(|e| Error::io(doing, e)))
    }

    fn primary(&self) -> Result<&Pages> {
        self.pages.first().ok_or_else(|| Error::corrupt("the environment has no keyring directory"))
    }

    fn mirrors(&self) -> &[Pages] {
        self.pages.get(1..).unwrap_or_default()
    }

    /// Reads the newest keyring that opens, and says from which directory. An older one never opens, because its anchor
    /// is destroyed.
    fn read(&self) -> Result<(usize, Opened)> {
        let mut failed = None;
        for (place, pages) in self.pages.iter().enumerate() {
            for epoch in pages.roots()? {
                match pages.open(epoch, self.scope, &self.roots, &self.anchors) {
                    Ok(opened) => {
                        self.anchors.check_all_here(&opened.keyring.stamp().anchor_stores)?;
                        return Ok((place, opened));
                    }
                    Err(error) => failed = failed.or(Some(error)),
                }
                if place == 0 {
                    // What was committed last is what holds.
                    break;
                }
            }
        }
        let missing = || Error::corrupt("the environment has no keyring; restore its keyring directory");
        Err(failed.unwrap_or_else(missing))
    }
}

impl Keys {
    /// Makes a keyring with fresh keys and commits its first epoch, after `first` has written what must be
    /// there once the keyring is.
    pub fn create(home: Home, first: impl FnOnce(&SectionKey) -> Result<()>) -> Result<Self> {
        let keyring = Keyring::create(home.scope, &mut generator(&*home.entropy)?);
        first(&keyring.table_key())?;
        let keys = Self::new(home, 0, Fingerprint([0; 8]), keyring);
        keys.epoch(&Removal::default())?;
        Ok(keys)
    }

    /// Opens the newest keyring; reads only, changes nothing on disk.
    pub fn open(home: Home) -> Result<Self> {
        let (source, Opened { keyring, root_key, .. }) = home.read()?;
        if source > 0 {
            tracing::warn!("the keyring directory does not open; its mirror does, and is put in its place");
        }
        Ok(Self::new(home, source, root_key, keyring))
    }

    fn new(home: Home, source: usize, root_key: Fingerprint, keyring: Keyring) -> Self {
        Self {
            home,
            keyring: RwLock::new(keyring),
            sealed_with: Mutex::new(root_key),
            source: AtomicUsize::new(source),
            distrusted: AtomicBool::new(false),
            log: Mutex::new(Log::None),
        }
    }

    /// Opens every file of the keyring once more, and holds its mirrors against it; the caller keeps epochs away.
    pub fn check(&self) -> Result<()> {
        let log = self.log.lock();
        let Home { scope, roots, anchors, .. } = &self.home;
        let primary = self.home.primary()?;
        let epoch = self.read().epoch_number();
        let opened = primary.open(epoch, *scope, roots, anchors)?;
        // A frame that was damaged at the end of the log looks like one that was never finished.
        if let Log::Open(logs) = &*log
            && logs.first().is_some_and(|log| log.next_number() > opened.logged)
        {
            return Err(Error::corrupt(format!("the keyring file {} is damaged", log_name(epoch))));
        }
        for mirror in self.home.mirrors() {
            let copy = mirror.open(epoch, *scope, roots, anchors).map(|copy| copy.logged);
            if copy.as_ref().ok() != Some(&opened.logged) {
                self.distrusted.store(true, Ordering::Release);
                let lacks = Error::corrupt("it lacks new keys");
                let doing = "a keyring mirror differs from the keyring, and is written anew at the next key rotation";
                return Err(copy.err().unwrap_or(lacks).within(doing));
            }
        }
        Ok(())
    }

    /// Finishes what a crash interrupted, once everything else was read without fault. Keys that an earlier process
    /// logged are folded into synced pages, and what an interrupted epoch left is replaced by an epoch of its own: after
    /// a failed sync, the newest root page may be seen and not be on the disk, so nothing older goes for its sake.
    /// The same brings mirrors and anchor stores that were missing or stale to the present, and root pages under the
    /// present root key.
    pub fn settle(&self, keep: &Removal) -> Result<()> {
        if self.is_settled()? {
            return Ok(());
        }
        // A mirror or an anchor store may be new.
        self.home.make()?;
        self.epoch(keep).map(drop)
    }

    fn is_settled(&self) -> Result<bool> {
        let (live, primary) = (Live::of(&self.read()), self.home.primary()?);
        let is_primary = self.source.load(Ordering::Acquire) == 0;
        let is_current = self.next_root_key().is_none();
        let is_stamped = self.read().stamp().anchor_stores == self.home.anchors.names;
        if !is_primary || !is_current || !is_stamped || !self.home.anchors.are_settled(live.epoch)? {
            return Ok(false);
        }
        for pages in &self.home.pages {
            if !pages.matches(primary, &live)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where the audit log in `dir` lives, with the durable keys and the anchor stores of this keyring.
    pub fn trail_home(&self, dir: Dir) -> trail::Home {
        let keyring = self.read();
        trail::Home {
            dir,
            scope: self.home.scope,
            origin: Origin::after(self.home.scope, keyring.floor().trail),
            key: keyring.audit_key(),
            signing: keyring.signing_key(),
            anchors: self.home.anchors.stores.clone(),
            entropy: Arc::clone(&self.home.entropy),
        }
    }

    /// Where anchors were kept before.
    pub fn left_anchors(&self) -> &[Arc<dyn AnchorStore>] {
        &self.home.anchors.left
    }

    /// What every anchor store is good for.
    pub fn grades(&self) -> Vec<Grade> {
        self.home.anchors.stores.iter().map(|store| store.grade()).collect()
    }

    /// The keyring, for lookups.
    pub fn read(&self) -> RwLockReadGuard<'_, Keyring> {
        self.keyring.read()
    }

    /// Makes the wanted keys durable, here and in every mirror, then serves them.
    pub fn extend(&self, wanted: &[Wanted]) -> Result<()> {
        let mut log = self.log.lock();
        let mut extension = self.keyring.read().extend(wanted, &mut generator(&*self.home.entropy)?);
        if extension.is_empty() {
            return Ok(());
        }
        if matches!(*log, Log::Torn) {
            let nothing = Removal::nothing(&self.keyring.read());
            self.epoch_under(&mut log, &nothing)?;
            extension = self.keyring.read().extend(wanted, &mut generator(&*self.home.entropy)?);
        }
        if matches!(*log, Log::None) {
            let epoch = self.read().epoch_number();
            let logs = self.home.pages.iter().map(|pages| pages.make_log(epoch));
            *log = Log::Open(logs.collect::<Result<_>>()?);
        }
        if let Log::Open(logs) = &mut *log {
            let doing = "new keys cannot be logged";
            for at in 0..logs.len() {
                let Some(writer) = logs.get_mut(at) else { continue };
                let logged = writer.append(extension.frame()).and_then(|_| writer.sync());
                if let Err(error) = logged {
                    if at > 0 {
                        *log = Log::Torn;
                    }
                    return Err(Error::io(doing, error));
                }
            }
        }
        self.keyring
            .write()
            .apply(extension)
            .map_err(|e| Error::with(ErrorKind::Conflict, "keys changed while new ones were logged", e))
    }

    /// Removes keys by replacing the anchor; returns the ids of the destroyed DEKs.
    ///
    /// Order (DESIGN §5): pages under new names, synced → new anchor in every store, read back → mirrors hold the new
    /// pages → the root page gets its name → old anchor destroyed everywhere → old pages unlinked.
    pub fn epoch(&self, removal: &Removal) -> Result<Vec<KeyId>> {
        self.epoch_under(&mut self.log.lock(), removal)
    }

    /// An epoch that removes nothing: another anchor, and so another KEK.
    pub fn rotate(&self) -> Result<()> {
        let mut log = self.log.lock();
        let nothing = Removal::nothing(&self.keyring.read());
        self.epoch_under(&mut log, &nothing).map(drop)
    }

    /// [`Keys::rotate`] if the last epoch was `age` milliseconds ago or more at the time `now`; whether it was.
    pub fn rotate_if_older(&self, age: u64, now: u64) -> Result<bool> {
        let made_at = self.read().stamp().made_at;
        if now.saturating_sub(made_at) < age { Ok(false) } else { self.rotate().map(|()| true) }
    }

    /// The root key that the next root page is sealed with, if the newest is sealed with another.
    pub fn next_root_key(&self) -> Option<Fingerprint> {
        Some(self.home.roots.names().0).filter(|next| *next != self.sealed_with())
    }

    /// Seals the root page with the present root key, if it is sealed with another; whether it was.
    pub fn reseal(&self) -> Result<bool> {
        let mut log = self.log.lock();
        if self.next_root_key().is_none() {
            return Ok(false);
        }
        let nothing = Removal::nothing(&self.keyring.read());
        self.epoch_under(&mut log, &nothing).map(|_| true)
    }

    /// The root key that the root page is sealed with.
    pub fn sealed_with(&self) -> Fingerprint {
        *self.sealed_with.lock()
    }

    fn epoch_under(&self, log: &mut MutexGuard<'_, Log>, removal: &Removal) -> Result<Vec<KeyId>> {
        let mut rng = generator(&*self.home.entropy)?;
        let anchor = Anchor::generate(&mut rng);
        let root_key = self.home.roots.current();
        let stamp = Stamp { made_at: self.home.clock.now_ms(), anchor_stores: self.home.anchors.names.clone() };
        let present = self.keyring.read().clone().stamped(stamp);
        let epoch = present.epoch(removal, &root_key, &anchor, &mut rng);
        drop(present);
        if let Err(error) = self.commit(&epoch, &anchor) {
            // A mirror may hold the root page of an epoch that never was, and must not hold it while keys are added to
            // the present one.
            if !self.home.mirrors().is_empty() {
                **log = Log::Torn;
            }
            return Err(error);
        }
        let destroyed = epoch.destroyed;
        *self.keyring.write() = epoch.next;
        *self.sealed_with.lock() = root_key.fingerprint();
        self.source.store(0, Ordering::Release);
        self.distrusted.store(false, Ordering::Release);
        **log = Log::None;
        self.clean_up()?;
        Ok(destroyed)
    }

    /// Writes everything that an epoch needs, and then gives its root page the name that commits it.
    fn commit(&self, epoch: &Epoch, anchor: &Anchor) -> Result<()> {
        let place = self.source.load(Ordering::Acquire);
        let source = self.home.pages.get(place).ok_or_else(|| Error::corrupt("the keyring was read from nowhere"))?;
        let (number, primary) = (epoch.number, self.home.primary()?);
        write_pages(primary, source, epoch, &pending_name(number), place > 0)?;
        self.home.anchors.place(number, anchor)?;
        let anew = self.distrusted.load(Ordering::Acquire);
        for mirror in self.home.mirrors() {
            write_pages(mirror, primary, epoch, &root_name(number), anew)
                .map_err(|e| e.within("a keyring mirror did not take the new keyring"))?;
        }
        let doing = "the new root page cannot be named";
        primary.dir.rename(&pending_name(number), &root_name(number)).map_err(|e| Error::io(doing, e))?;
        primary.dir.sync_dir().map_err(|e| Error::io(doing, e))
    }

    /// Destroys every anchor but the current one and removes the files of other epochs: the end of an epoch, to be done
    /// again where it failed.
    pub fn finish_epoch(&self) -> Result<()> {
        let _no_other_epoch = self.log.lock();
        self.clean_up()
    }

    fn clean_up(&self) -> Result<()> {
        let live = Live::of(&self.read());
        self.home.anchors.destroy_all_but(live.epoch)?;
        self.home.pages.iter().try_for_each(|pages| pages.remove_strays(&live))
    }
}

/// Writes the pages of an epoch into one directory, the root page last, and brings there what it lacks of older ones;
/// all of them if what is there is not to be trusted.
fn write_pages(pages: &Pages, source: &Pages, epoch: &Epoch, root: &str, anew: bool) -> Result<()> {
    // That of an attempt that failed goes before the buckets it names.
    remove(&pages.dir, root)?;
    let older = epoch.next.bucket_files().into_iter().filter(|generation| *generation != epoch.number);
    pages.take_over(source, older, anew)?;
    if let Some(buckets) = &epoch.bucket_file {
        pages.write(&buckets_name(epoch.number), buckets)?;
    }
    pages.write(root, &epoch.root_page)
}
