//! The root keys of an open database: the one that new root pages are sealed with and, until every environment has such
//! a page, the one before. They lie in a locked page of memory, and outside of it only while one is used.
//!
//! Invariant: a root page names its key by fingerprint, and is only ever tried with that key; so a wrong key is told from
//! a damaged page.

use privacy::{Fingerprint, RootKey};
use storage::backend::{Protection, Slab};
use storage::sync::RwLock;

use crate::error::{Error, ErrorKind, Result};

/// Places in the slab.
const CURRENT: usize = 0;
const PREVIOUS: usize = 1;

/// The present root key and the one before.
pub(crate) struct Roots {
    keys: RwLock<Keys>,
}

struct Keys {
    slab: Slab,
    current: Fingerprint,
    previous: Option<Fingerprint>,
}

impl Keys {
    fn at(&self, place: usize) -> RootKey {
        RootKey::from_bytes(self.slab.get(place).copied().unwrap_or_default())
    }

    fn put(&mut self, current: &RootKey, previous: Option<&RootKey>) {
        self.current = current.fingerprint();
        self.slab.put(CURRENT, current.expose());
        self.slab.wipe(PREVIOUS);
        self.previous = previous.map(RootKey::fingerprint).filter(|previous| *previous != self.current);
        if let Some(previous) = previous.filter(|_| self.previous.is_some()) {
            self.slab.put(PREVIOUS, previous.expose());
        }
    }
}

impl Roots {
    pub fn new(current: &RootKey, previous: Option<&RootKey>) -> Result<Self> {
        let slab = Slab::new().map_err(|e| Error::io("there is no memory for the root key", e))?;
        let mut keys = Keys { slab, current: current.fingerprint(), previous: None };
        keys.put(current, previous);
        Ok(Self { keys: RwLock::new(keys) })
    }

    /// The key that root pages are sealed with.
    pub fn current(&self) -> RootKey {
        self.keys.read().at(CURRENT)
    }

    /// The public names of that key and of the one before.
    pub fn names(&self) -> (Fingerprint, Option<Fingerprint>) {
        let keys = self.keys.read();
        (keys.current, keys.previous)
    }

    /// The key of this name.
    pub fn named(&self, name: Fingerprint) -> Result<RootKey> {
        let keys = self.keys.read();
        if name == keys.current {
            return Ok(keys.at(CURRENT));
        }
        if Some(name) == keys.previous {
            return Ok(keys.at(PREVIOUS));
        }
        let given = keys.current;
        Err(Error::new(
            ErrorKind::KeyUnavailable,
            format!(
                "the root key given (fingerprint {given}) is not the one this environment was sealed with (fingerprint {name})"
            ),
        ))
    }

    /// Makes `next` the present key, and the present one the one before.
    ///
    /// # Errors
    /// `Conflict` while a rotation to another key is not finished.
    pub fn turn(&self, next: &RootKey) -> Result<()> {
        let mut keys = self.keys.write();
        if next.fingerprint() == keys.current {
            return Ok(());
        }
        if keys.previous.is_some() {
            let doing = "a rotation of the root key is not finished: finish it before the next";
            return Err(Error::new(ErrorKind::Conflict, doing));
        }
        let present = keys.at(CURRENT);
        keys.put(next, Some(&present));
        Ok(())
    }

    /// Forgets the key before.
    pub fn forget_previous(&self) {
        let mut keys = self.keys.write();
        keys.slab.wipe(PREVIOUS);
        keys.previous = None;
    }

    /// How the keys are kept in memory.
    pub fn protection(&self) -> Protection {
        self.keys.read().slab.protection()
    }
}
