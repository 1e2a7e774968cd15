//! Who has revoked consent, in memory and where it is written down.
//!
//! Invariant: the latch is what the journal says; [`crate::consent`] shuts it after the journal is synced.

use privacy::{EntityId, Latch};
use storage::backend::Dir;
use storage::journal::{Journal, Subject};
use storage::manifest::Manifest;
use storage::sync::{Mutex, RwLock};

use crate::error::{Error, ErrorKind, Result};
use crate::journals::{read, senseless};
use crate::keys::Keys;

/// The latch of an environment, and where it is written down.
pub(crate) struct Consents {
    /// One revocation at a time.
    pub journal: Mutex<Journal>,
    pub latch: RwLock<Latch>,
}

impl Consents {
    /// The latch that the journal in `dir` holds.
    ///
    /// # Errors
    /// `Corrupt`: without the latch nothing may be taken in.
    pub fn open(dir: &Dir, keys: &Keys, manifest: &Manifest) -> Result<Self> {
        let latch = stored(dir, keys, manifest)?;
        let journal = Journal::resume(Subject::Consent, manifest.journal(Subject::Consent));
        Ok(Self { journal: Mutex::new(journal), latch: RwLock::new(latch) })
    }

    /// A latch that nobody has shut.
    pub fn fresh() -> Self {
        Self { journal: Mutex::new(Journal::resume(Subject::Consent, None)), latch: RwLock::default() }
    }

    /// Those of `owners` who have revoked. The caller holds the queue.
    pub fn revoked<'a, T>(&self, keys: &Keys, owners: impl Iterator<Item = (T, &'a EntityId)>) -> Vec<T> {
        let latch = self.latch.read();
        if latch.is_empty() {
            return Vec::new();
        }
        let keyring = keys.read();
        owners.filter(|(_, owner)| latch.consent(keyring.tag(owner)).is_err()).map(|(what, _)| what).collect()
    }

    /// How many entities have revoked.
    pub fn len(&self) -> u64 {
        self.latch.read().len() as u64
    }
}

/// What the journal of an environment says.
pub(crate) fn stored(dir: &Dir, keys: &Keys, manifest: &Manifest) -> Result<Latch> {
    let mut latch = Latch::new();
    for plain in read(dir, keys, manifest, Subject::Consent)? {
        latch.merge(&Latch::decode(&plain).map_err(|_| senseless(Subject::Consent, manifest))?);
    }
    Ok(latch)
}

/// What a write of somebody who revoked is told.
pub(crate) fn refusal() -> Error {
    Error::new(ErrorKind::ConsentRevoked, "the data subject withdrew consent, for good; do not send it again")
}
