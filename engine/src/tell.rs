//! TELL: an act reaches the audit log, at once or counted with others of its minute.
//!
//! Invariant: an act is told once nothing but the disk can refuse it, and before it takes effect. Only what is counted
//! waits: batches, which the log of writes holds until they are told, and looks, of which a crash loses at most a minute
//! unless [`Settings::audit_reads`](crate::settings::Settings::audit_reads) has each of them told.

use std::sync::Arc;

use privacy::access::Permission;
use privacy::audit::{Act, Entry, Outcome, Pseudonym};
use privacy::{Blind, EntityId, Scope, Tag, Wanted};
use storage::record::Record as StoredRecord;

use crate::entropy::generator;
use crate::error::Result;
use crate::permit::Permit;
use crate::settings::AuditReads;
use crate::state::{CollectionState, EnvironmentState};
use crate::trail::{By, read};

impl EnvironmentState {
    /// Tells the audit log what `permit`'s holder is about to do; durable when it returns. Gives the event's place.
    ///
    /// An act is told once nothing but the disk can refuse it, and before it takes effect: what cannot be told is not done,
    /// and no crash hides what was. One that then fails is told again by [`EnvironmentState::told`].
    pub fn tell(&self, permit: &Permit, act: Act) -> Result<u64> {
        let places = self.append(vec![self.entry(permit, act, Outcome::Done)])?;
        Ok(places.last().copied().unwrap_or_default())
    }

    /// Tells an act, then does it; one that fails is told as failed, too.
    pub fn told<T>(&self, permit: &Permit, act: Act, done: impl FnOnce() -> Result<T>) -> Result<T> {
        self.tell(permit, act.clone())?;
        done().inspect_err(|_| {
            // The error that is answered is the one that matters.
            if let Err(error) = self.append(vec![self.entry(permit, act, Outcome::Failed)]) {
                tracing::warn!(%error, "the audit log does not tell that an act failed");
            }
        })
    }

    /// Tells the batches that were counted. To be called before any of the log of writes that holds them goes.
    pub fn tell_batches(&self) -> Result<()> {
        self.tell_denials();
        let _one = self.telling.lock();
        let acts = self.tally.lock().take();
        self.append_counted(&acts).inspect_err(|_| self.tally.lock().put_back(&acts, self.shared.clock.now_ms()))
    }

    /// Tells all that was counted.
    pub fn tell_counts(&self) -> Result<()> {
        self.tell_batches()?;
        let _one = self.telling.lock();
        let acts = self.tally.lock().take_reads();
        self.append_counted(&acts).inspect_err(|_| self.tally.lock().put_back(&acts, self.shared.clock.now_ms()))
    }

    /// Tells, or counts, that `permit`'s holder looks `times` times at what `permission` lets them see.
    ///
    /// # Errors
    /// Those of the disk, where each look is told: what cannot be told is not shown.
    pub fn looked(
        &self,
        permit: &Permit,
        permission: Permission,
        collection: Option<[u8; 16]>,
        times: u64,
    ) -> Result<()> {
        match self.shared.settings.audit_reads {
            AuditReads::Each => {
                let one = |_| Some(self.entry(permit, read(permission, collection, None, 1)?, Outcome::Done));
                self.append((0..times).filter_map(one).collect()).map(drop)
            }
            AuditReads::Counted => {
                let now_ms = self.shared.clock.now_ms();
                let is_full = self.tally.lock().look(permit.by(), (permission, collection), times, now_ms);
                if is_full { self.tell_counts() } else { Ok(()) }
            }
        }
    }

    fn append_counted(&self, acts: &[(By, Act)]) -> Result<()> {
        if acts.is_empty() {
            return Ok(());
        }
        let entry = |(by, act): &(By, Act)| self.entry_by(by.clone(), act.clone(), Outcome::Done);
        self.append(acts.iter().map(entry).collect()).map(drop)
    }

    /// Tells several acts at once; before the first that this process tells, that it opened the environment, and where the
    /// log begins in the place of one that was lost, that it does.
    pub fn append(&self, mut entries: Vec<Entry>) -> Result<Vec<u64>> {
        if !self.trail.has_told() {
            let epoch = self.keys.read().epoch_number();
            let lost = self.trail.begins_anew()?.then_some(Act::AuditLost {});
            let opened = [Act::Opened { epoch }].into_iter().chain(lost);
            entries
                .splice(0..0, opened.map(|act| self.entry(&Permit::engine(), act, Outcome::Done)).collect::<Vec<_>>());
        }
        self.trail.tell(entries)
    }

    /// What is told of an act now.
    pub fn entry(&self, permit: &Permit, act: Act, outcome: Outcome) -> Entry {
        self.entry_by(permit.by(), act, outcome)
    }

    fn entry_by(&self, (actor, source): By, act: Act, outcome: Outcome) -> Entry {
        Entry { time_ms: self.shared.clock.now_ms(), actor, source, outcome, request: None, act, detail: None }
    }

    /// What the audit log calls an entity, by [`Pseudonym::of`] or [`Pseudonym::listed`]: the same from the first event about
    /// who is here. Nobody can resolve it once the entity is erased; who is not here gets one too, of their own for each event,
    /// so that nothing of them is kept.
    pub fn pseudonym(&self, of: fn(&Blind, Scope, &Tag) -> Pseudonym, entity: &EntityId) -> Result<Pseudonym> {
        let tag = self.keys.read().tag(entity);
        let blind = || self.keys.read().blind(&tag);
        if blind().is_none() {
            self.blind_in_memory(entity, tag)?;
        }
        match blind() {
            Some(blind) => Ok(of(&blind, self.scope, &tag)),
            None => Ok(of(&Blind::generate(&mut generator(&*self.shared.entropy)?), self.scope, &tag)),
        }
    }

    /// Gives a blind to an entity that has records in memory alone, and hence no key; whatever keys it gets stand beside it,
    /// and an erasure destroys it with them.
    fn blind_in_memory(&self, entity: &EntityId, tag: Tag) -> Result<()> {
        // Whoever erases hides, and destroys keys, with this lock held: no entry is made of somebody who has just gone.
        let _no_erasure_meanwhile = self.apply.lock();
        let is_theirs = |record: &Arc<StoredRecord>| record.entity.as_ref() == Some(entity);
        let has = |state: &Arc<CollectionState>| {
            state.view().memtable.iter().any(|(_, slot)| slot.live().is_some_and(is_theirs))
        };
        if self.check_open().is_ok() && self.all().iter().any(has) {
            self.keys.extend(&[Wanted::Blind(tag)])
        } else {
            Ok(())
        }
    }
}
