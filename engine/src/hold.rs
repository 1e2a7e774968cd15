//! HOLD: permit → told → journal (sealed, synced) → manifest → held. What is held is neither erased nor past its time.
//!
//! Invariant: an erasure begins before its entity is held, or is refused: both take `maintenance`. Ordinary deletes and
//! updates are not stopped: a hold keeps the engine from destroying, and not its users from tidying.

use privacy::access::Permission;
use privacy::audit::{Act, Pseudonym};
use privacy::{EntityId, Hold, Holds, Tag};
use serde::Serialize;
use storage::journal::Subject;

use crate::error::{Error, ErrorKind, Result};
use crate::hold_book::stored;
use crate::job::Job;
use crate::journals::senseless;
use crate::permit::Permit;
use crate::state::EnvironmentState;

/// Longest reason in bytes.
const REASON_BYTES_MAX: usize = 1024;

/// Why a data subject's data must stay for now. It does not say whose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LegalHold {
    /// As whoever placed it said.
    pub reason: String,
    /// Since then, in milliseconds since the Unix epoch.
    pub since: u64,
}

impl From<&Hold> for LegalHold {
    fn from(hold: &Hold) -> Self {
        Self { reason: hold.reason.to_string(), since: hold.since_ms }
    }
}

/// Whether what the journal on the disk says is what this process goes by.
pub(crate) fn check_journal(env: &EnvironmentState) -> Result<()> {
    let _one = env.holds.journal.lock();
    let manifest = env.manifest.lock().clone();
    let stored = stored(&env.dir, &env.keys, &manifest)?;
    if stored == *env.holds.holds.read() { Ok(()) } else { Err(senseless(Subject::Holds, &manifest)) }
}

/// Fails with `Held` where `entity` is. The caller holds `maintenance`.
pub(crate) fn check(env: &EnvironmentState, entity: &EntityId) -> Result<()> {
    let tag = env.keys.read().tag(entity);
    if env.holds.is_held(&tag) {
        let doing = "a legal hold keeps the data of this entity; nothing was erased: release it first";
        return Err(Error::new(ErrorKind::Held, doing));
    }
    Ok(())
}

/// Holds `entity`; `false` if it was held already, which gives it the new reason.
pub(crate) fn place(env: &EnvironmentState, permit: &Permit, entity: &EntityId, reason: &str) -> Result<bool> {
    env.admit_about(permit, Permission::EntityHold, [entity])?;
    if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(Error::invalid(format!("a legal hold needs a reason of at most {REASON_BYTES_MAX} bytes")));
    }
    let since_ms = env.shared.clock.now_ms();
    let place = |tag, holds: &mut Holds| {
        let its = env.keys.read().key_ids(&tag);
        let goes = |job: &Job| job.entities.contains(entity) || its.iter().any(|key| job.keys.contains(key));
        if env.hidden.lock().iter().any(goes) {
            let doing = "an erasure of this entity, or of records past their window, has begun and cannot be undone";
            return Err(Error::new(ErrorKind::Conflict, doing));
        }
        Ok(holds.place(tag, Hold { reason: reason.to_owned().into(), since_ms }))
    };
    env.told(permit, Act::HoldPlaced { subject: env.pseudonym(Pseudonym::listed, entity)? }, || {
        change(env, place, entity)
    })
}

/// Releases `entity`; `false` if it was not held.
pub(crate) fn release(env: &EnvironmentState, permit: &Permit, entity: &EntityId) -> Result<bool> {
    env.admit_about(permit, Permission::EntityHold, [entity])?;
    let lift = || change(env, |tag, holds| Ok(holds.release(&tag)), entity);
    env.told(permit, Act::HoldLifted { subject: env.pseudonym(Pseudonym::listed, entity)? }, lift)
}

/// The hold on `entity`, if there is one.
pub(crate) fn show(env: &EnvironmentState, permit: &Permit, entity: &EntityId) -> Result<Option<LegalHold>> {
    env.admit_about(permit, Permission::EntityRead, [entity])?;
    let tag = env.keys.read().tag(entity);
    Ok(env.holds.holds.read().get(&tag).map(LegalHold::from))
}

/// Every hold, without whose it is; those placed first come first.
pub(crate) fn list(env: &EnvironmentState, permit: &Permit) -> Result<Vec<LegalHold>> {
    env.admit(permit, Permission::EntityRead)?;
    Ok(env.holds.holds.read().list().iter().map(LegalHold::from).collect())
}

fn change(
    env: &EnvironmentState,
    change: impl FnOnce(Tag, &mut Holds) -> Result<bool>,
    entity: &EntityId,
) -> Result<bool> {
    let _no_erasure_meanwhile = env.maintenance.lock();
    let mut journal = env.holds.journal.lock();
    env.check_open()?;
    let before = env.holds.holds.read().clone();
    let mut holds = before.clone();
    let changed = change(env.keys.read().tag(entity), &mut holds)?;
    if holds != before {
        let bytes = holds.encode();
        env.write_down((&mut journal, Subject::Holds), &bytes, &bytes)?;
        *env.holds.holds.write() = holds;
    }
    Ok(changed)
}
