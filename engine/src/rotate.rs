//! ROTATE: other keys above the data, and no data file touched. The KEK, by an epoch that removes nothing; the root key,
//! by sealing every root page anew, environment by environment; the passphrase, by wrapping the same root key again.
//!
//! Invariant: a crash leaves the old key, the new one or, while the root key is being replaced, some environments with
//! each; whoever opens the database with both goes on where it stopped, since each root page names its key.

use privacy::access::Permission;
use privacy::audit::Act;
use privacy::{Fingerprint, Passphrase, Share, SplitError, split_root_key};

use crate::bootstrap;
use crate::database::Database;
use crate::entropy::generator;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::root_key::RootKey;

impl Environment {
    /// Replaces the anchor and with it the KEK, so that older copies of the keyring do not open any more even for whoever
    /// has the root key. Reads and writes go on; no data file changes. Returns the number of the new epoch.
    ///
    /// # Errors
    /// `Io` where an anchor store or a mirror cannot be written: then nothing has changed; or where an old anchor cannot
    /// be destroyed, which upkeep and the next opening try again.
    pub fn rotate_kek(&self) -> Result<u64> {
        self.state.admit(&self.permit, Permission::KeyRotate)?;
        self.state.check_open()?;
        let epoch = self.state.keys.read().epoch_number() + 1;
        self.state.told(&self.permit, Act::KeysRotated { epoch }, || self.state.keys.rotate())?;
        Ok(self.state.keys.read().epoch_number())
    }
}

impl Database {
    /// Replaces the root key: seals the root page of every environment with the key that `source` gives, while reads and
    /// writes go on. Returns how many were sealed anew. [`RootKey::passphrase`] makes a new key and wraps it in the data
    /// directory under that passphrase, which must be the present one if there is one.
    ///
    /// Where it fails or the process dies, open the database with the new key and [`Builder::previous_root_key`], or call
    /// this again: both go on where it stopped. Keep the old key until this has returned.
    ///
    /// [`Builder::previous_root_key`]: crate::Builder::previous_root_key
    ///
    /// # Errors
    /// `Unapproved` where others approve critical operations, see [`Database::rotate_root_key_approved`];
    /// `KeyUnavailable` if `source` gives no key; `Conflict` while a rotation to another key is not finished, or if the
    /// present key lies wrapped under a passphrase and the new one would not.
    pub fn rotate_root_key(&self, source: &RootKey) -> Result<u64> {
        self.rotate_root_key_approved(source, None)
    }

    /// Replaces the root key once `may` lets the one of the first fingerprint be replaced by that of the second. A rotation
    /// that was begun was let, and goes on.
    pub(crate) fn replace_root_key(
        &self,
        source: &RootKey,
        may: impl Fn(Fingerprint, Fingerprint) -> Result<()>,
    ) -> Result<u64> {
        let seat = &self.inner;
        let _one = seat.rotation.lock();
        let (present, before) = seat.roots.names();
        let may = |next| if before.is_none() && next != present { may(present, next) } else { Ok(()) };
        let is_wrapped = !bootstrap::list(&seat.dir)?.is_empty();
        if let Some(made) = source.with_passphrase(|passphrase| self.make_wrapped(passphrase, may)) {
            made?;
        } else if is_wrapped {
            let doing = "the root key of this store is wrapped under a passphrase, and the next one must be too";
            return Err(Error::new(ErrorKind::Conflict, doing));
        } else {
            let next = self.load(source)?;
            may(next.fingerprint())?;
            seat.roots.turn(&next)?;
        }
        self.finish()
    }

    /// Finishes a rotation of the root key that was interrupted; the database was opened with the new key and the one
    /// before. Returns how many environments were sealed anew.
    ///
    /// # Errors
    /// Those of opening an environment.
    pub fn finish_rotation(&self) -> Result<u64> {
        let _one = self.inner.rotation.lock();
        self.finish()
    }

    /// Wraps the root key in the data directory under `passphrase`, from now on and instead of the present one if there
    /// is one.
    ///
    /// # Errors
    /// `Busy` if the host lacks the memory that guessing is made to cost.
    pub fn set_passphrase(&self, passphrase: &Passphrase) -> Result<()> {
        let seat = &self.inner;
        let _one = seat.rotation.lock();
        // Until then, two keys are wrapped under the passphrase there is.
        self.finish()?;
        let file = self.wrap(&seat.roots.current(), passphrase)?;
        bootstrap::add(&seat.dir, &file)?;
        bootstrap::settle(&seat.dir, true, false)
    }

    /// Splits the root key into `count` shares, of which any `threshold` give it back. The key stays as it is, and so
    /// does every other way to it.
    ///
    /// # Errors
    /// `Invalid`, if the threshold is below 2 or above the count.
    pub fn split_root_key(&self, threshold: u8, count: u8) -> Result<Vec<Share>> {
        let seat = &self.inner;
        let rng = &mut generator(&*seat.shared.entropy)?;
        split_root_key(&seat.roots.current(), threshold, count, rng)
            .map_err(|e: SplitError| Error::with(ErrorKind::Invalid, "the root key cannot be split so", e))
    }

    fn wrap(&self, key: &privacy::RootKey, passphrase: &Passphrase) -> Result<Vec<u8>> {
        let seat = &self.inner;
        let rng = &mut generator(&*seat.shared.entropy)?;
        bootstrap::wrap(key, seat.store, passphrase, seat.shared.settings.passphrase_cost()?, rng)
    }

    /// A new root key, wrapped before anything is sealed with it; none if a rotation that was begun goes on. While others
    /// are to approve it, it lies wrapped as a proposal: they vote for its fingerprint, and it is that key and no other.
    fn make_wrapped(&self, passphrase: &Passphrase, may: impl Fn(Fingerprint) -> Result<()>) -> Result<()> {
        let seat = &self.inner;
        if let Some(newest) = bootstrap::list(&seat.dir)?.first() {
            newest.open(seat.store, passphrase)?;
        }
        if seat.roots.names().1.is_some() {
            return Ok(());
        }
        let proposed = bootstrap::proposed(&seat.dir)?;
        // One that was wrapped under another passphrase is nobody's any more.
        let opened = proposed.and_then(|proposed| Some((proposed.open(seat.store, passphrase).ok()?, proposed)));
        let (key, file, is_proposed) = match opened {
            Some((key, proposed)) => (key, proposed.into_file(), true),
            None => {
                let key = privacy::RootKey::generate(&mut generator(&*seat.shared.entropy)?);
                let file = self.wrap(&key, passphrase)?;
                (key, file, false)
            }
        };
        if let Err(error) = may(key.fingerprint()) {
            if !is_proposed && error.kind() == ErrorKind::Unapproved {
                bootstrap::propose(&seat.dir, &file)?;
            }
            return Err(error);
        }
        bootstrap::add(&seat.dir, &file)?;
        seat.roots.turn(&key)?;
        bootstrap::withdraw(&seat.dir)
    }

    /// Seals with the present root key what is sealed with the one before, and forgets that.
    fn finish(&self) -> Result<u64> {
        let seat = &self.inner;
        let mut sealed = 0;
        for name in self.environments()? {
            // Opening does it by itself, and tells it.
            let was = self.sealed_with(&name)?;
            let Environment { state, permit, .. } = self.open_environment(&name)?;
            if let Some(root_key) = state.keys.next_root_key() {
                state.told(&permit, Act::RootKeyRotated { root_key }, || state.keys.reseal())?;
            }
            sealed += u64::from(was != Some(state.keys.sealed_with()));
        }
        if let Some(system) = self.system(false)? {
            system.env.keys.reseal()?;
        }
        seat.roots.forget_previous();
        bootstrap::settle(&seat.dir, false, false)?;
        Ok(sealed)
    }

    /// Whether every environment is sealed with the root key that was given, or the one before; opens none.
    ///
    /// # Errors
    /// `KeyUnavailable` if one is sealed with another; those of reading the beginnings of their keyrings.
    pub fn check_root_key(&self) -> Result<()> {
        for name in self.environments()? {
            if let Some(key) = self.sealed_with(&name)? {
                self.inner.roots.named(key)?;
            }
        }
        Ok(())
    }

    /// The root key that the newest root page of an environment names.
    pub(crate) fn sealed_with(&self, name: &str) -> Result<Option<Fingerprint>> {
        self.place(name).1.sealed_with()
    }
}
