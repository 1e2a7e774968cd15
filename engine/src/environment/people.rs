//! What an environment can do for the people whose data it holds: consent, legal holds, retention, and what they are given of theirs.
//! Erasing them stands with the handle itself.

use std::sync::Arc;

use privacy::EntityId;

use super::Environment;
use crate::consent::{self, Consent};
use crate::error::Result;
use crate::hold::{self, LegalHold};
use crate::portable::{self, EntityExport};
use crate::retention::Retain;

impl Environment {
    /// Removes records that are past the window of their collection, see
    /// [`Collection::set_retention`](crate::Collection::set_retention).
    pub fn retain(&self) -> Retain {
        Retain { env: Arc::clone(&self.state), permit: self.permit.clone(), bell: self.bell.clone() }
    }

    /// Revokes the consent of a data subject, for ever: nothing of it is taken in any more, in any collection here and on
    /// any way, what is sent to change its records included. What is stored stays until it is deleted or erased. Returns
    /// `false` if it was revoked already.
    ///
    /// There is no way back, here or in the files, which name the subject by a keyed hash alone:
    ///
    /// ```compile_fail,E0599
    /// fn regret(env: lethedb::Environment) {
    ///     let _ = env.revoke_consent("user-42");
    ///     let _ = env.grant_consent("user-42");
    /// }
    /// ```
    ///
    /// A write at the same time is stored whole before the revocation, or refused with `ConsentRevoked`.
    pub fn revoke_consent(&self, entity: impl Into<String>) -> Result<bool> {
        consent::revoke(&self.state, &self.permit, &EntityId::new(entity)?)
    }

    /// How the consent of a data subject stands.
    pub fn consent(&self, entity: impl Into<String>) -> Result<Consent> {
        consent::state(&self.state, &self.permit, &EntityId::new(entity)?)
    }

    /// How many data subjects have revoked consent.
    pub fn revoked_consents(&self) -> u64 {
        self.state.consents.len()
    }

    /// Holds a data subject, for example for a litigation: until it is released, its erasure is refused with `Held` and
    /// retention passes it over. Ordinary deletes and updates of its records go on, and so does an erasure that has begun.
    /// The reason should not name anybody. Returns `false` if it was held already; then the new reason counts.
    ///
    /// # Errors
    /// `Invalid` without a reason; `Conflict` if an erasure of it has begun and was interrupted.
    pub fn hold(&self, entity: impl Into<String>, reason: &str) -> Result<bool> {
        hold::place(&self.state, &self.permit, &EntityId::new(entity)?, reason)
    }

    /// Releases a data subject; `false` if it was not held.
    pub fn release_hold(&self, entity: impl Into<String>) -> Result<bool> {
        hold::release(&self.state, &self.permit, &EntityId::new(entity)?)
    }

    /// The hold on a data subject, if there is one.
    pub fn hold_of(&self, entity: impl Into<String>) -> Result<Option<LegalHold>> {
        hold::show(&self.state, &self.permit, &EntityId::new(entity)?)
    }

    /// Every hold, those placed first at the beginning. It is not known whose they are, but to who asks for one by its id.
    pub fn holds(&self) -> Result<Vec<LegalHold>> {
        hold::list(&self.state, &self.permit)
    }

    /// Everything that is stored about a data subject, in all collections and of one moment: what it has a right to be
    /// given, in a form that programs read.
    ///
    /// # Errors
    /// `Corrupt` if a segment is damaged, since nobody can say what it holds. While records are read: `Busy` once anything
    /// was erased or dropped meanwhile, since what was given so far is not complete then, or no longer there.
    pub fn export_entity(&self, entity: impl Into<String>) -> Result<EntityExport> {
        portable::export(&self.state, &self.permit, &EntityId::new(entity)?)
    }
}
