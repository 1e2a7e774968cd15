//! Whose data must not be erased yet, in memory and where it is written down.
//!
//! Invariant: it is what the journal says; [`crate::hold`] changes it after the journal is synced.

use privacy::{Holds, Tag};
use storage::backend::Dir;
use storage::journal::{Journal, Subject};
use storage::manifest::Manifest;
use storage::sync::{Mutex, RwLock};

use crate::error::Result;
use crate::journals::{read, senseless};
use crate::keys::Keys;

/// The holds of an environment, and where they are written down.
pub(crate) struct HoldBook {
    /// One change at a time.
    pub journal: Mutex<Journal>,
    pub holds: RwLock<Holds>,
}

impl HoldBook {
    /// The holds that the journal in `dir` has.
    ///
    /// # Errors
    /// `Corrupt`: without them nobody may be erased.
    pub fn open(dir: &Dir, keys: &Keys, manifest: &Manifest) -> Result<Self> {
        let holds = stored(dir, keys, manifest)?;
        let journal = Journal::resume(Subject::Holds, manifest.journal(Subject::Holds));
        Ok(Self { journal: Mutex::new(journal), holds: RwLock::new(holds) })
    }

    /// No holds.
    pub fn fresh() -> Self {
        Self { journal: Mutex::new(Journal::resume(Subject::Holds, None)), holds: RwLock::default() }
    }

    /// Whether whoever has this tag is held.
    pub fn is_held(&self, tag: &Tag) -> bool {
        self.holds.read().get(tag).is_some()
    }
}

/// Every frame holds all of it, so the last one counts.
pub(crate) fn stored(dir: &Dir, keys: &Keys, manifest: &Manifest) -> Result<Holds> {
    match read(dir, keys, manifest, Subject::Holds)?.last() {
        Some(plain) => Holds::decode(plain).map_err(|_| senseless(Subject::Holds, manifest)),
        None => Ok(Holds::default()),
    }
}
