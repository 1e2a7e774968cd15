//! The entrance: a data directory found and locked, its name settled and its root key found, before anything in it opens.
//!
//! Invariant: a root key is made only for a database that is made. A successor is not: its name and its keys are those of
//! the database that it succeeds, and a key that is not found is never replaced by a fresh one. What is wrong is told
//! before anything is written.

use std::sync::Arc;

use privacy::RootKeySource;
use storage::backend::{Dir, Disk, Latch, StorageBackend};
use uuid::Uuid;

use crate::bootstrap;
use crate::builder::Builder;
use crate::door::{self, latched, missing, open_disk};
use crate::error::Result;
use crate::identity;
use crate::root_key::{Found, Sought};
use crate::roots::Roots;
use crate::succession::Predecessor;

/// A data directory that this process has for itself.
pub(crate) struct Entrance {
    pub dir: Dir,
    /// The volume it is on, if that is known.
    pub volume: Option<u64>,
    /// The name of the database.
    pub store: Uuid,
    pub found: Found,
    pub roots: Roots,
    pub predecessor: Option<Predecessor>,
    pub lock: Box<dyn Send + Sync>,
}

impl Builder {
    /// Finds the directory, its name and its root key, locks it, and writes what a new one needs.
    pub(crate) fn enter(&self, latch: &Latch) -> Result<Entrance> {
        let backend = self.data_dir()?;
        let volume = backend.volume();
        let dir = latched(backend, latch);
        let existing = identity::read(&dir)?;
        if existing.is_none() && !self.create {
            return Err(missing(&self.path));
        }
        let there = existing.as_ref().map(|identity| identity.store);
        let succeeded = self.succession.as_ref().map(|succession| succession.store(there)).transpose()?;
        let predecessor = self.succession.as_ref().map_or(Ok(None), |succession| succession.open(latch))?;
        let is_unused = there.is_none() || identity::is_unused(&dir)?;
        let store = there.or(succeeded).map_or_else(|| identity::draw(&*self.entropy), Ok)?;
        // Until a restore has brought the first environment here, a wrapped key is in the old directory.
        let bequeathed = predecessor.as_ref().filter(|_| is_unused);
        let sought = Sought {
            entropy: &*self.entropy,
            dir: bequeathed.map_or(&dir, |old| &old.dir),
            store,
            is_new: there.is_none() && succeeded.is_none(),
            is_empty: is_unused && succeeded.is_none(),
            cost: self.settings.passphrase_cost()?,
        };
        let (found, roots) = self.find_root_keys(&sought)?;
        let lock = door::lock(&dir)?;
        match existing {
            Some(identity) => identity::renew(&dir, &identity)?,
            None => identity::write(&dir, &identity::of(store))?,
        }
        bequeathed.map_or(Ok(()), |old| bootstrap::copy(&old.dir, &dir))?;
        if let Some(wrapped) = &found.wrapped {
            bootstrap::add(&dir, wrapped)?;
        } else if found.source == RootKeySource::Passphrase {
            bootstrap::settle(&dir, false, true)?;
        }
        Ok(Entrance { dir, volume, store, found, roots, predecessor, lock })
    }

    /// The root key, and the one before if there is one.
    fn find_root_keys(&self, sought: &Sought<'_>) -> Result<(Found, Roots)> {
        let mut found = self.root_key.load(sought)?;
        let given = self.previous_root_key.as_ref().map(|source| source.load(sought)).transpose()?;
        let before = given.map(|found| found.key).or(found.previous.take());
        let roots = Roots::new(&found.key, before.as_ref())?;
        Ok((found, roots))
    }

    fn data_dir(&self) -> Result<Arc<dyn StorageBackend>> {
        match &self.backend {
            Some(backend) => Ok(Arc::clone(backend)),
            None if self.create => open_disk(&self.path),
            None => Ok(Arc::new(Disk::open_existing(&self.path).map_err(|_| missing(&self.path))?)),
        }
    }
}
