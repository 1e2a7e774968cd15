//! A permit is the proof, carried by every handle, that its holder may act in a scope.
//!
//! The program that links the engine and opens the database is its trusted host and may do everything;
//! narrower permits come from authorising a caller. The walks ask the permit before anything else.

use crate::error::Result;

/// What a walk is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Create, change or drop collections.
    Manage,
    /// Store or delete records.
    Write,
    /// Search, get, scroll, count.
    Read,
    /// Erase an entity.
    Erase,
    /// Revoke consent, and see who did.
    Consent,
    /// Hold an entity's data, release it, and see who is held.
    Hold,
    /// Read everything that is stored about an entity.
    Export,
    /// Flush, compact, verify, drill.
    Operate,
}

/// Proof that the holder may act. Handles clone it; nothing outside this crate can make one.
#[derive(Clone, Debug)]
pub struct Permit {
    holder: Holder,
}

#[derive(Clone, Debug)]
enum Holder {
    TrustedHost,
}

impl Permit {
    /// The permit of the process that holds the root key.
    pub(crate) fn trusted_host() -> Self {
        Self { holder: Holder::TrustedHost }
    }

    /// Fails with `Denied` where the holder may not do `action`.
    pub(crate) fn check(&self, action: Action) -> Result<()> {
        match (&self.holder, action) {
            (Holder::TrustedHost, _) => Ok(()),
        }
    }
}
