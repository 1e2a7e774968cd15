//! The root keys of an open database: the one that new root pages are sealed with and, until every environment has such
//! a page, the one before.
//!
//! Invariant: a root page names its key by fingerprint, and is only ever tried with that key; so a wrong key is told from
//! a damaged page.

use std::sync::Arc;

use privacy::{Fingerprint, RootKey};
use storage::sync::RwLock;

use crate::error::{Error, ErrorKind, Result};

/// The present root key and the one before.
pub(crate) struct Roots {
    keys: RwLock<(Arc<RootKey>, Option<Arc<RootKey>>)>,
}

impl Roots {
    pub fn new(current: RootKey, previous: Option<RootKey>) -> Self {
        let fingerprint = current.fingerprint();
        let previous = previous.filter(|key| key.fingerprint() != fingerprint).map(Arc::new);
        Self { keys: RwLock::new((Arc::new(current), previous)) }
    }

    /// The key that root pages are sealed with.
    pub fn current(&self) -> Arc<RootKey> {
        Arc::clone(&self.keys.read().0)
    }

    /// The key of this name.
    pub fn named(&self, name: Fingerprint) -> Result<Arc<RootKey>> {
        let (current, previous) = &*self.keys.read();
        let found = std::iter::once(current).chain(previous).find(|key| key.fingerprint() == name);
        found.cloned().ok_or_else(|| {
            let given = current.fingerprint();
            Error::new(
                ErrorKind::KeyUnavailable,
                format!(
                    "the root key given (fingerprint {given}) is not the one this environment was sealed with (fingerprint {name})"
                ),
            )
        })
    }
}
