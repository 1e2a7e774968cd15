//! An erasure as it proceeds: what has to survive a crash so that it is carried on, and told truly afterwards.
//!
//! ```text
//! begun ── hide ── shred ── purge ── rebuild          each once, in this order, with time and sequence
//! ```
//!
//! Invariant: a job only goes forward. It never holds an id: while ids are still needed they lie beside it, sealed under
//! a key that the shredding epoch drops ([`seal_entities`]); what a receipt will say of a person is a salted hash from
//! the start. So a job that is found after the epoch can be finished, and says nothing about anyone. What the epoch will
//! destroy is noted before it does ([`Job::intend`]): afterwards no key is left that would tell.
//!
//! A job about records past their window is the same walk over keys instead of people: it names nobody, says from the
//! start which keys go, and gives no receipt.

use minicbor::Decoder;
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use super::facts::{Erased, Expired, Fate, Purging, Segments, Shredding, Stamp};
use super::subject::Subject;
use crate::cbor::{Malformed, decoded, length, written};
use crate::entity::EntityId;
use crate::seal::{OpenError, Scope, SectionContext, SectionKind, open_section, seal_section};
use crate::secret::SectionKey;

/// The format written, and the newest that is read.
const FORMAT: u64 = 3;
/// Places inside a job's files: the ids, and the progress.
const ENTITIES: u64 = 0;
const PROGRESS: u64 = 1;

/// What an erasure reaches, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// No read returns a record of the entities any more.
    Hidden,
    /// Their keys are destroyed: no copy of any file opens for them, as far as the anchor stores reach.
    Shredded,
    /// No live file holds a row of theirs.
    Purged,
    /// Every index is one that never knew them.
    Rebuilt,
}

/// Why a job does not go on as asked. It is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JobError {
    /// Another stage is due, or none.
    #[error("the erasure cannot become {asked:?} when {due:?} is due")]
    OutOfTurn {
        /// The stage asked for.
        asked: Stage,
        /// The stage that is due; `None` once all are reached.
        due: Option<Stage>,
    },
    /// The sequence of writes went back, which it never does.
    #[error("the erasure stood at write {before}, which is after write {found}")]
    Sequence {
        /// The sequence at the last stage.
        before: u64,
        /// The sequence given.
        found: u64,
    },
    /// The destroyed keys are not in strictly rising order.
    #[error("the destroyed keys of an erasure must be given in rising order")]
    Keys,
    /// It was not noted what shredding would destroy.
    #[error("an erasure must note what it will destroy before it does")]
    Unintended,
}

/// Why a job or its ids do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenJobError {
    /// Sealed under another key. For the ids of a job: the epoch has dropped the key, so the job was shredded.
    #[error("the erasure job is sealed under another key")]
    WrongKey,
    /// Changed or cut, or of a newer version.
    #[error("the erasure job is damaged, or of a newer version of this engine")]
    Damaged,
}

/// An erasure of one or more entities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    number: u64,
    begun: Stamp,
    erased: Vec<Erased>,
    reached: Vec<Stamp>,
    /// What shredding will do, or did.
    shredding: Option<Shredding>,
    /// What it purges, once that is noted; jobs of earlier versions did not note it.
    segments: Option<Segments>,
    purging: Option<Purging>,
    reason: Option<String>,
    /// What it hid, if it is about keys and not about people.
    expired: Option<Vec<Expired>>,
}

impl Job {
    /// A job that begins: `number` was never used in its environment, and `begun` is when, and after which write, it was
    /// asked for. Subjects are put in order, so that theirs says nothing; each counts once.
    pub fn begin(number: u64, begun: Stamp, subjects: impl IntoIterator<Item = Subject>) -> Job {
        let mut erased: Vec<Erased> = subjects.into_iter().map(|subject| Erased { subject, records: 0 }).collect();
        erased.sort_unstable();
        erased.dedup();
        let (reached, shredding, segments) = (Vec::new(), None, None);
        Job { number, begun, erased, reached, shredding, segments, purging: None, reason: None, expired: None }
    }

    /// A job that destroys the keys named in `shredding`, whoever's they are, because what they open is past its window.
    ///
    /// # Errors
    /// [`JobError::Keys`], if the keys are out of order.
    pub fn begin_expiry(number: u64, begun: Stamp, shredding: Shredding) -> Result<Job, JobError> {
        let shredding = Some(in_order(shredding)?);
        Ok(Job { shredding, expired: Some(Vec::new()), ..Job::begin(number, begun, []) })
    }

    /// The same with what the caller said it is for. It stays with the job, and is in no receipt.
    pub fn with_reason(self, reason: Option<String>) -> Job {
        Job { reason, ..self }
    }

    /// Notes that no read returns the entities any more, and how many records `count` says each had.
    ///
    /// # Errors
    /// [`JobError`], if another stage is due or the sequence went back.
    pub fn hide(&mut self, at: Stamp, mut count: impl FnMut(&Subject) -> u64) -> Result<(), JobError> {
        self.reach(Stage::Hidden, at)?;
        for erased in &mut self.erased {
            erased.records = count(&erased.subject);
        }
        Ok(())
    }

    /// Notes that no read returns what the keys open any more, and how many live records that were, by collection.
    ///
    /// # Errors
    /// [`JobError`], if another stage is due or the sequence went back.
    pub fn hide_expired(&mut self, at: Stamp, mut expired: Vec<Expired>) -> Result<(), JobError> {
        self.reach(Stage::Hidden, at)?;
        expired.sort_unstable();
        expired.dedup_by_key(|one| one.collection);
        self.expired = Some(expired);
        Ok(())
    }

    /// Notes what shredding will do, and which segments hold rows of the entities; to be made durable before it is done.
    /// What was noted before is replaced.
    ///
    /// # Errors
    /// [`JobError`], if another stage is due or the keys are out of order.
    pub fn intend(&mut self, shredding: Shredding, segments: Segments) -> Result<(), JobError> {
        let (asked, due) = (Stage::Shredded, self.due());
        if due != Some(asked) {
            return Err(JobError::OutOfTurn { asked, due });
        }
        self.shredding = Some(in_order(shredding)?);
        self.segments = Some(segments);
        Ok(())
    }

    /// Notes what becomes of a segment; to be made durable before it does. Whether the job purges that segment.
    pub fn note(&mut self, segment: u64, fate: Fate) -> bool {
        self.purging.is_none() && self.segments.as_mut().is_some_and(|segments| segments.note(segment, fate))
    }

    /// Notes that the keys are destroyed in every anchor store, as was intended.
    ///
    /// # Errors
    /// [`JobError`], if another stage is due, the sequence went back or nothing was intended.
    pub fn shred(&mut self, at: Stamp) -> Result<(), JobError> {
        if self.due() == Some(Stage::Shredded) && self.shredding.is_none() {
            return Err(JobError::Unintended);
        }
        self.reach(Stage::Shredded, at)
    }

    /// Notes that no live file holds a row of the entities, but for damaged segments, of which `is_left` knows: what they
    /// hold opens for nobody.
    ///
    /// # Errors
    /// [`JobError`], if another stage is due or the sequence went back.
    pub fn purge(&mut self, at: Stamp, is_left: impl Fn(u64) -> bool) -> Result<(), JobError> {
        self.reach(Stage::Purged, at)?;
        self.purging = Some(self.segments.take().unwrap_or_default().purging(is_left));
        Ok(())
    }

    /// Notes that every index is one that never knew the entities.
    ///
    /// # Errors
    /// [`JobError`], if another stage is due or the sequence went back.
    pub fn rebuild(&mut self, at: Stamp) -> Result<(), JobError> {
        self.reach(Stage::Rebuilt, at)
    }

    fn reach(&mut self, asked: Stage, at: Stamp) -> Result<(), JobError> {
        let due = self.due();
        if due != Some(asked) {
            return Err(JobError::OutOfTurn { asked, due });
        }
        let last = self.last();
        if at.sequence < last.sequence {
            return Err(JobError::Sequence { before: last.sequence, found: at.sequence });
        }
        // A clock may be set back meanwhile. An erasure does not fail for it, and stages stay in order.
        self.reached.push(Stamp { time_ms: at.time_ms.max(last.time_ms), ..at });
        Ok(())
    }

    fn last(&self) -> Stamp {
        self.reached.last().copied().unwrap_or(self.begun)
    }

    /// Its number in the environment.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When it was asked for.
    pub fn begun(&self) -> Stamp {
        self.begun
    }

    /// The entities, in the order of their subjects.
    pub fn erased(&self) -> &[Erased] {
        &self.erased
    }

    /// What it hid by collection, rising, if it is about records past their window; `None` for an erasure.
    pub fn expired(&self) -> Option<&[Expired]> {
        self.expired.as_deref()
    }

    /// When a stage was reached, if it was.
    pub fn reached(&self, stage: Stage) -> Option<Stamp> {
        self.reached.get(stage as usize).copied()
    }

    /// The stage to reach next; `None` once all are.
    pub fn due(&self) -> Option<Stage> {
        [Stage::Hidden, Stage::Shredded, Stage::Purged, Stage::Rebuilt].get(self.reached.len()).copied()
    }

    /// What shredding did, once it has.
    pub fn shredding(&self) -> Option<&Shredding> {
        self.shredding.as_ref().filter(|_| self.reached(Stage::Shredded).is_some())
    }

    /// What shredding will do, once that is noted, or did.
    pub fn intended(&self) -> Option<&Shredding> {
        self.shredding.as_ref()
    }

    /// What the caller said it is for.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What purging did, once it has.
    pub fn purging(&self) -> Option<Purging> {
        self.purging
    }

    /// The job as bytes, sealed under a durable key: it must be readable after the shredding epoch.
    pub fn seal(&self, key: &SectionKey, scope: Scope, rng: &mut (impl CryptoRng + ?Sized)) -> Vec<u8> {
        seal_section(key, &context(scope, self.number, PROGRESS), &encode(self), rng)
    }

    /// Opens job `number`.
    ///
    /// # Errors
    /// [`OpenJobError`], if it is not this job's progress, or damaged.
    pub fn open(key: &SectionKey, scope: Scope, number: u64, sealed: &[u8]) -> Result<Job, OpenJobError> {
        let bytes = open(key, scope, number, PROGRESS, sealed)?;
        let read = |d: &mut Decoder<'_>| decode(number, d);
        decoded(&bytes, encode, read).map_err(|Malformed| OpenJobError::Damaged)
    }
}

/// With anchors in order, which says nothing; keys must be.
fn in_order(mut shredding: Shredding) -> Result<Shredding, JobError> {
    if !shredding.destroyed.is_sorted_by(|a, b| a < b) {
        return Err(JobError::Keys);
    }
    shredding.anchors.sort_unstable();
    Ok(shredding)
}

/// Seals whom job `number` erases under the job's ephemeral key, which goes in the epoch that destroys their keys.
pub fn seal_entities(
    key: &SectionKey,
    scope: Scope,
    number: u64,
    entities: &[EntityId],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Vec<u8> {
    seal_section(key, &context(scope, number, ENTITIES), &encode_entities(entities), rng)
}

/// Opens whom job `number` erases.
///
/// # Errors
/// [`OpenJobError`], if these are not this job's ids, or damaged.
pub fn open_entities(
    key: &SectionKey,
    scope: Scope,
    number: u64,
    sealed: &[u8],
) -> Result<Vec<EntityId>, OpenJobError> {
    let bytes = open(key, scope, number, ENTITIES, sealed)?;
    let read = |d: &mut Decoder<'_>| {
        (0..length(d)?).map(|_| EntityId::new(d.str()?).map_err(|_| Malformed)).collect::<Result<Vec<_>, _>>()
    };
    decoded(&bytes, |entities: &Vec<EntityId>| encode_entities(entities), read)
        .map_err(|Malformed| OpenJobError::Damaged)
}

fn open(
    key: &SectionKey,
    scope: Scope,
    number: u64,
    place: u64,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenJobError> {
    open_section(key, &context(scope, number, place), sealed).map_err(|error| match error {
        OpenError::WrongKey => OpenJobError::WrongKey,
        OpenError::Damaged | OpenError::TooShort => OpenJobError::Damaged,
    })
}

fn context(scope: Scope, number: u64, place: u64) -> SectionContext {
    SectionContext { scope, kind: SectionKind::Job, file: number, place }
}

fn encode_entities(entities: &[EntityId]) -> Zeroizing<Vec<u8>> {
    written(|e| {
        e.array(entities.len() as u64)?;
        entities.iter().try_for_each(|entity| e.str(entity.as_str()).map(drop))
    })
}

/// `[format, begun, [stage, …], [[subject, records], …], [shredding]?, [purging]?, [reason]?,
/// [[[collection, records], …]]?, [[segment, fate], …]?]`; the last only between noting and purging.
fn encode(job: &Job) -> Zeroizing<Vec<u8>> {
    written(|e| {
        e.array(8 + job.segments.iter().len() as u64)?.u64(FORMAT)?;
        job.begun.write(e)?;
        e.array(job.reached.len() as u64)?;
        job.reached.iter().try_for_each(|stamp| stamp.write(e))?;
        Erased::write_all(&job.erased, e)?;
        e.array(job.shredding.iter().len() as u64)?;
        job.shredding.iter().try_for_each(|shredding| shredding.write(e))?;
        e.array(job.purging.iter().len() as u64)?;
        job.purging.iter().try_for_each(|purging| purging.write(e))?;
        e.array(job.reason.iter().len() as u64)?;
        job.reason.iter().try_for_each(|reason| e.str(reason).map(drop))?;
        e.array(job.expired.iter().len() as u64)?;
        job.expired.iter().try_for_each(|expired| Expired::write_all(expired, e))?;
        job.segments.iter().try_for_each(|segments| segments.write(e))
    })
}

fn decode(number: u64, d: &mut Decoder<'_>) -> Result<Job, Malformed> {
    let fields = length(d)?;
    if !(8..=9).contains(&fields) || d.u64()? != FORMAT {
        return Err(Malformed);
    }
    let begun = Stamp::read(d)?;
    let reached = (0..length(d)?).map(|_| Stamp::read(d)).collect::<Result<Vec<_>, _>>()?;
    let erased = Erased::read_all(d)?;
    let shredding = if length(d)? == 0 { None } else { Some(Shredding::read(d)?) };
    let purging = if length(d)? == 0 { None } else { Some(Purging::read(d)?) };
    let reason = if length(d)? == 0 { None } else { Some(d.str()?.to_owned()) };
    let expired = if length(d)? == 0 { None } else { Some(Expired::read_all(d)?) };
    let segments = if fields == 8 { None } else { Some(Segments::read(d)?) };
    let stages = reached.len();
    // What will be shredded is noted once the entities are hidden, and which keys are past their window at the start.
    let is_due = |shredding: &Option<Shredding>| match expired {
        Some(_) => shredding.is_some() && erased.is_empty(),
        None => (shredding.is_some() || stages < 2) && (shredding.is_none() || stages >= 1),
    };
    let is_told = is_due(&shredding) && (stages >= 1 || expired.as_ref().is_none_or(Vec::is_empty));
    let is_told = is_told && purging.is_some() == (stages >= 3);
    let is_forward = Stamp::are_forward([begun].into_iter().chain(reached.iter().copied()));
    let is_told = is_told && segments.as_ref().is_none_or(|_| purging.is_none() && shredding.is_some());
    let job = Job { number, begun, erased, reached, shredding, segments, purging, reason, expired };
    if stages <= 4 && is_told && is_forward { Ok(job) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests;
