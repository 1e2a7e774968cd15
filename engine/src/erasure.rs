//! An erasure as a program asks for it, and what it is told.

use std::fmt;
use std::sync::Arc;

use privacy::access::Permission;
use privacy::erasure::{Erased, Receipt, Stage};
use privacy::{EntityId, Salt, VerifyingKey};

use crate::entropy::generator;
use crate::erase::{self, Asked, Done};
use crate::erasure_plan::{ErasurePlan, plan};
use crate::error::{Error, ErrorKind, Result};
use crate::permit::Permit;
use crate::state::EnvironmentState;
use crate::worker::Bell;

/// Longest reason in bytes.
const REASON_BYTES_MAX: usize = 1024;
/// Most entities of one erasure.
const ENTITIES_MAX: usize = 10_000;

/// When an erasure is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Once the keys are destroyed. Upkeep does the rest, and the receipt is there when it has:
    /// [`Environment::receipt`](crate::Environment::receipt).
    Shred,
    /// Once no live file holds a row of the entities, with the receipt.
    #[default]
    Purge,
}

/// An erasure being put together.
#[must_use = "call run()"]
pub struct Erase {
    pub(crate) env: Arc<EnvironmentState>,
    pub(crate) permit: Permit,
    pub(crate) bell: Bell,
    pub(crate) people: Vec<(String, Option<Salt>)>,
    pub(crate) reason: Option<String>,
    pub(crate) wait: Wait,
}

/// What an erasure did, with its times in milliseconds since the Unix epoch.
#[derive(PartialEq, Eq)]
pub struct Erasure {
    /// Number of the job in its environment, by which its receipt can be asked for again.
    pub job: u64,
    /// Live records that were the entities'.
    pub records_deleted: u64,
    /// The entities as the receipt names them, with the records of each.
    pub erased: Vec<Erased>,
    /// Segments that held rows of the entities and were rewritten or removed.
    pub segments_purged: u64,
    /// Indexes built anew for survivors, as if the entities had never been there.
    pub indexes_rebuilt: u64,
    /// Indexes of survivors whose graph was repaired, because building it takes long. They hold nothing of the entities,
    /// but some edges were chosen when they were there; upkeep rebuilds them.
    pub indexes_repaired: u64,
    /// Damaged segments that hold rows of the entities or may hold some, and could not be rewritten. What is left
    /// of those rows opens for nobody, since their key is destroyed.
    pub segments_quarantined: u64,
    /// From here on no read returns a record of the entities.
    pub hidden_at: u64,
    /// From here on no copy of any file opens for the entities: their keys are destroyed in every anchor store. `None` while
    /// that is [pending](Self::pending).
    pub shredded_at: Option<u64>,
    /// Why the keys are not destroyed yet: above all, an anchor store or a keyring mirror that is away. No read returns the
    /// entities, upkeep tries again, and the receipt is made once nothing is pending.
    pub pending: Option<String>,
    /// From here on no live file holds a row of the entities, and nothing that was being built when the erasure came holds
    /// a trace of them. `None` if it was not waited for, or while the disk has no room for it: upkeep does it.
    pub purged_at: Option<u64>,
    /// From here on every index in the environment is one that never knew the entities. `None` while a repaired graph
    /// waits to be rebuilt, see [`CollectionInfo::repaired_segments`](crate::CollectionInfo::repaired_segments):
    /// upkeep does it within [`Settings::rebuild_hours`](crate::Settings::rebuild_hours), and
    /// [`Environment::compact`](crate::Environment::compact) at once. The receipt is made anew then.
    pub rebuilt_at: Option<u64>,
    /// When the receipt was signed; `None` while the erasure has not purged.
    pub completed_at: Option<u64>,
    /// The place in the audit log of the event that tells of the receipt.
    pub audit_event: Option<u64>,
    /// What others can check; `None` while the erasure has not purged.
    pub receipt: Option<Receipt>,
    /// Why, as the caller said.
    pub reason: Option<String>,
    salts: Vec<[u8; 32]>,
}

impl Erase {
    /// Erases this entity as well, with one change of the keys for all.
    pub fn and(mut self, entity: impl Into<String>) -> Self {
        self.people.push((entity.into(), None));
        self
    }

    /// The salt of the entity named last, 32 random bytes: who has it and the id can tell that the receipt is about that
    /// id. Without it one is made and given with the answer, once; an answer that is lost takes it along.
    pub fn salt(mut self, salt: [u8; 32]) -> Self {
        if let Some((_, its)) = self.people.last_mut() {
            *its = Some(Salt::from_bytes(salt));
        }
        self
    }

    /// Why, for example the number of the request. It is kept with the receipt, not in it, for as long as that is; name
    /// nobody in it.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// When to answer; once it has purged unless said otherwise.
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// Runs the erasure. An entity without records, one that was erased before and one that was never here are erased as
    /// well: the answer looks the same, with no records, so that it tells nobody who was here.
    ///
    /// # Errors
    /// `Invalid` for an unusable id or reason; otherwise a job that has begun goes on when the database opens next.
    pub fn run(self) -> Result<Erasure> {
        if self.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            return Err(Error::invalid(format!("a reason may have at most {REASON_BYTES_MAX} bytes")));
        }
        let mut rng = generator(&*self.env.shared.entropy)?;
        let (mut entities, mut salts): (Vec<EntityId>, Vec<Salt>) = (Vec::new(), Vec::new());
        for (entity, salt) in unique(self.people)? {
            entities.push(entity);
            salts.push(salt.unwrap_or_else(|| Salt::generate(&mut rng)));
        }
        let leaves_purge = self.wait == Wait::Shred;
        let asked = Asked { entities, salts, reason: self.reason, leaves_purge };
        let done = erase::erase(&self.env, &self.permit, &asked)?;
        self.bell.ring();
        Ok(Erasure::new(done, asked))
    }

    /// What it would do. Changes nothing, and tells nobody.
    ///
    /// # Errors
    /// As for [`Erase::run`].
    pub fn dry_run(self) -> Result<ErasurePlan> {
        let entities: Vec<EntityId> = unique(self.people)?.into_iter().map(|(entity, _)| entity).collect();
        self.env.admit_about(&self.permit, Permission::EntityErase, &entities)?;
        plan(&self.env, &entities)
    }
}

/// The usable ids, each once, with the salt that was given for it.
fn unique(people: Vec<(String, Option<Salt>)>) -> Result<Vec<(EntityId, Option<Salt>)>> {
    if people.len() > ENTITIES_MAX {
        return Err(Error::invalid(format!("one erasure takes at most {ENTITIES_MAX} entities")));
    }
    let mut found: Vec<(EntityId, Option<Salt>)> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for (entity, salt) in people {
        let entity = EntityId::new(entity)?;
        let place = *places.entry(entity.as_str().to_owned()).or_insert(found.len());
        match found.get_mut(place) {
            Some((_, its)) => *its = salt.or(its.take()),
            None => found.push((entity, salt)),
        }
    }
    Ok(found)
}

impl Erasure {
    fn new(done: Done, asked: Asked) -> Self {
        let Done { progress, receipt, pending } = done;
        let at = |stage| progress.reached(stage).map(|stamp| stamp.time_ms);
        let purging = progress.purging();
        let count = |of: fn(&privacy::erasure::Purging) -> u64| purging.as_ref().map_or(0, of);
        let (receipt, audit_event) = receipt.map_or((None, None), |(receipt, event)| (Some(receipt), Some(event)));
        Self {
            job: progress.number(),
            records_deleted: progress.erased().iter().map(|erased| erased.records).sum(),
            erased: progress.erased().to_vec(),
            segments_purged: count(|purging| purging.purged),
            indexes_rebuilt: count(|purging| purging.rebuilt),
            indexes_repaired: count(|purging| purging.repaired),
            segments_quarantined: count(|purging| purging.quarantined),
            hidden_at: at(Stage::Hidden).unwrap_or_default(),
            shredded_at: at(Stage::Shredded),
            pending: pending.map(|error| error.to_string()),
            purged_at: at(Stage::Purged),
            rebuilt_at: at(Stage::Rebuilt),
            completed_at: receipt.as_ref().and_then(|_| at(Stage::Rebuilt).or(at(Stage::Purged))),
            audit_event,
            receipt,
            reason: asked.reason,
            salts: asked.salts.iter().map(|salt| *salt.expose()).collect(),
        }
    }

    /// The salt of each entity, in the order in which they were named: to be given to the person with the receipt. It is
    /// kept nowhere.
    pub fn salts(&self) -> &[[u8; 32]] {
        &self.salts
    }

    /// Checks the receipt with the environment's [`receipt_key`](crate::Environment::receipt_key).
    ///
    /// # Errors
    /// `NotFound` while there is none; `Corrupt` if it is not what this key signed.
    pub fn verify(&self, key: &VerifyingKey) -> Result<()> {
        let receipt = self.receipt.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the erasure has not purged yet, so there is no receipt; ask for it later")
        })?;
        receipt.verify(key).map_err(|e| Error::with(ErrorKind::Corrupt, "the receipt does not verify", e))
    }
}

/// Without the salts: whoever reads a log must not be able to try ids.
impl fmt::Debug for Erasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, records_deleted, segments_purged, hidden_at, shredded_at, purged_at, rebuilt_at, .. } = self;
        f.debug_struct("Erasure")
            .field("job", job)
            .field("records_deleted", records_deleted)
            .field("segments_purged", segments_purged)
            .field("hidden_at", hidden_at)
            .field("shredded_at", shredded_at)
            .field("purged_at", purged_at)
            .field("rebuilt_at", rebuilt_at)
            .finish_non_exhaustive()
    }
}
