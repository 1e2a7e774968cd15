//! A permit is the proof, carried by every handle, that its holder may act in a scope.
//!
//! The program that links the engine and opens the database is its trusted host and may do everything;
//! narrower permits come from authorising a caller. The walks ask the permit before anything else.

use privacy::audit::{Actor, Source};
use privacy::dp::ledger::Principal;

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
    /// Ask for a noisy aggregate, which spends of the privacy budget.
    Aggregate,
    /// Give a privacy budget another cap.
    Budget,
    /// Read everything that is stored about an entity.
    Export,
    /// Flush, compact, verify, drill.
    Operate,
}

/// Proof that the holder may act. Handles clone it; nothing outside this crate can make one.
#[derive(Clone, Debug)]
pub struct Permit {
    holder: Holder,
    source: Source,
}

#[derive(Clone, Debug)]
enum Holder {
    TrustedHost,
    Engine,
}

impl Permit {
    /// The permit of the process that holds the root key.
    pub(crate) fn trusted_host() -> Self {
        Self { holder: Holder::TrustedHost, source: Source::Library }
    }

    /// The permit of the engine itself: upkeep and recovery.
    pub(crate) fn engine() -> Self {
        Self { holder: Holder::Engine, source: Source::Worker }
    }

    /// The same, for requests that come by another way.
    pub(crate) fn by_way_of(&self, source: Source) -> Self {
        Self { source, ..self.clone() }
    }

    /// Who the audit log names, and by which way the request came.
    pub(crate) fn by(&self) -> (Actor, Source) {
        let actor = match self.holder {
            Holder::TrustedHost => Actor::Host,
            Holder::Engine => Actor::Engine,
        };
        (actor, self.source)
    }

    /// The opaque id under which the ledger of privacy budgets knows the holder.
    pub(crate) fn principal(&self) -> Principal {
        match self.holder {
            Holder::TrustedHost => Principal([0; 16]),
            Holder::Engine => Principal([1; 16]),
        }
    }

    /// Fails with `Denied` where the holder may not do `action`.
    pub(crate) fn check(&self, action: Action) -> Result<()> {
        match (&self.holder, action) {
            (Holder::TrustedHost | Holder::Engine, _) => Ok(()),
        }
    }
}
