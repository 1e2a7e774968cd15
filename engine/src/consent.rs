//! CONSENT: permit → told → latch → journal (sealed, synced) → manifest → latch shut. Who has revoked is never taken in again.
//!
//! Invariant: a write of an entity is given its sequence before the latch shuts, or is refused: both hold the queue.
//! Nothing opens the latch again: not a restart, since the journal is read whole or not at all, and nothing here or in
//! [`privacy::consent`] takes a tag out. What is stored already stays; whoever wants that gone erases it.

use privacy::access::Permission;
use privacy::audit::{Act, Pseudonym};
use privacy::{EntityId, Latch, Tag};
use serde::Serialize;
use storage::journal::Subject;

use crate::consents::stored;
use crate::error::Result;
use crate::journals::senseless;
use crate::permit::Permit;
use crate::state::EnvironmentState;

/// Whether an entity's data may be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// Nobody has revoked it.
    Granted,
    /// It was revoked, for good.
    Revoked,
}

/// Whether what the journal on the disk says is what this process goes by.
pub(crate) fn check(env: &EnvironmentState) -> Result<()> {
    let _one = env.consents.journal.lock();
    let manifest = env.manifest.lock().clone();
    let stored = stored(&env.dir, &env.keys, &manifest)?;
    if stored == *env.consents.latch.read() { Ok(()) } else { Err(senseless(Subject::Consent, &manifest)) }
}

/// Revokes the consent of `entity` for ever; `false` if it was revoked before.
pub(crate) fn revoke(env: &EnvironmentState, permit: &Permit, entity: &EntityId) -> Result<bool> {
    env.admit_about(permit, Permission::ConsentRevoke, [entity])?;
    let tag = env.keys.read().tag(entity);
    let subject = env.pseudonym(Pseudonym::listed, entity)?;
    env.told(permit, Act::ConsentRevoked { subject }, || merge(env, &shut_for(tag)))
}

/// How the consent of `entity` stands.
pub(crate) fn state(env: &EnvironmentState, permit: &Permit, entity: &EntityId) -> Result<Consent> {
    env.admit_about(permit, Permission::ConsentRead, [entity])?;
    let tag = env.keys.read().tag(entity);
    Ok(if env.consents.latch.read().consent(tag).is_ok() { Consent::Granted } else { Consent::Revoked })
}

/// Shuts the latch for all for whom `other` is shut, which is a latch of this environment: that of an older copy, say.
/// Whether it was open for any of them.
pub(crate) fn merge(env: &EnvironmentState, other: &Latch) -> Result<bool> {
    let mut journal = env.consents.journal.lock();
    env.check_open()?;
    let mut whole = env.consents.latch.read().clone();
    let before = whole.len();
    whole.merge(other);
    if whole.len() == before {
        return Ok(false);
    }
    env.write_down((&mut journal, Subject::Consent), &other.encode(), &whole.encode())?;
    let _no_sequence_meanwhile = env.queue.lock();
    *env.consents.latch.write() = whole;
    Ok(true)
}

/// A latch that is shut for one.
fn shut_for(tag: Tag) -> Latch {
    let mut latch = Latch::new();
    if let Ok(granted) = latch.consent(tag) {
        let _revoked = latch.revoke(granted);
    }
    latch
}
