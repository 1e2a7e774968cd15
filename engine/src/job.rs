//! The erasure job on disk: whom it erases, sealed under an ephemeral key of its own, and how far it has come, sealed under
//! the audit key.
//!
//! ```text
//! <n>.<k>.progress   the job after its k-th saving; the highest counts          names nobody
//! <n>.job            the ids; once it is there, the job has begun
//! ```
//!
//! A job about records past their window names keys, not people, and is its progress alone.
//!
//! Invariant: the key of the ids goes in the same epoch as the entities' keys. Ids that still open were interrupted before
//! that epoch; a job without is past it, and says nothing about anyone. Progress is written before the ids, so that a job
//! with ids always says how far it has come.

use std::collections::BTreeSet;

use privacy::erasure::{
    self, Expired, JobError, OpenJobError, Shredding, Stamp, Subject, open_entities, seal_entities,
};
use privacy::{EntityId, KeyId, Keyring};
use rand_core::CryptoRng;
use storage::backend::Dir;
use storage::id::{NUMBER_MAX, Sequence};

use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;
use crate::keys::Keys;

/// Directory of jobs inside an environment.
pub(crate) const JOBS: &str = "jobs";

/// An erasure whose keys are not destroyed yet.
#[derive(Clone)]
pub(crate) struct Job {
    /// In the order of their subjects, so that it is known after a crash, too, which is which.
    pub entities: Vec<EntityId>,
    /// What it destroys instead, where it is about records past their window.
    pub keys: BTreeSet<KeyId>,
    pub progress: erasure::Job,
}

impl Job {
    pub fn number(&self) -> u64 {
        self.progress.number()
    }

    /// The last write that the erasure covers.
    pub fn through(&self) -> Sequence {
        self.progress.begun().sequence
    }

    /// Notes that the entities are hidden, and how many records each had, in their order.
    pub fn hide(&mut self, time_ms: u64, counts: &[u64]) -> Result<()> {
        let through = self.through();
        let mut counts = counts.iter();
        // Both are in the order of subjects.
        let count = |_: &Subject| counts.next().copied().unwrap_or_default();
        self.progress.hide(Stamp { time_ms, sequence: through }, count).map_err(out_of_turn)
    }

    /// A job about keys and not about people.
    pub fn of_keys(progress: erasure::Job) -> Self {
        let intended = progress.intended().map(|intended| intended.destroyed.clone()).unwrap_or_default();
        Self { entities: Vec::new(), keys: intended.into_iter().collect(), progress }
    }

    /// Notes that what its keys open is hidden, and how many records that were in each collection.
    pub fn hide_expired(&mut self, time_ms: u64, expired: Vec<Expired>) -> Result<()> {
        let through = self.through();
        self.progress.hide_expired(Stamp { time_ms, sequence: through }, expired).map_err(out_of_turn)
    }

    /// Makes the job durable: from here on it will be carried through.
    pub fn write(&self, environment: &Dir, keyring: &Keyring, rng: &mut (impl CryptoRng + ?Sized)) -> Result<()> {
        let number = self.number();
        let key = keyring.job_key(number).ok_or_else(|| Error::corrupt("a new job key is missing"))?;
        save(environment, keyring, &self.progress, rng)?;
        let sealed = seal_entities(&key, keyring.scope(), number, &self.entities, rng);
        environment
            .sub(JOBS)
            .write_new(&ids_name(number), &sealed)
            .map_err(|e| Error::io("the erasure job cannot be written; nothing was erased", e))
    }
}

/// Makes it durable how far a job has come, in place of what was saved before.
pub(crate) fn save(
    environment: &Dir,
    keyring: &Keyring,
    progress: &erasure::Job,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<()> {
    let (dir, number) = (environment.sub(JOBS), progress.number());
    let before = savings(&dir, number)?;
    let next = before.last().map_or(0, |newest| newest + 1);
    let sealed = progress.seal(&keyring.audit_key(), keyring.scope(), rng);
    dir.write_new(&progress_name(number, next), &sealed)
        .map_err(|e| Error::io("how far the erasure has come cannot be written; it goes on at the next opening", e))?;
    before.into_iter().try_for_each(|saving| remove(&dir, &progress_name(number, saving)))
}

/// How far job `number` has come; none if it never said.
pub(crate) fn progress(environment: &Dir, keyring: &Keyring, number: u64) -> Result<Option<erasure::Job>> {
    let dir = environment.sub(JOBS);
    let Some(newest) = savings(&dir, number)?.pop() else { return Ok(None) };
    let sealed = dir.read(&progress_name(number, newest)).map_err(|e| Error::io("an erasure job cannot be read", e))?;
    erasure::Job::open(&keyring.audit_key(), keyring.scope(), number, &sealed).map(Some).map_err(|e| damaged(number, e))
}

/// The jobs whose ids still open, and those whose keys are not destroyed, oldest first.
pub(crate) fn interrupted(environment: &Dir, keys: &Keys) -> Result<Vec<Job>> {
    let mut open = Vec::new();
    let keyring = keys.read();
    for number in numbers(environment)? {
        let progress = progress(environment, &keyring, number)?;
        if let Some(job) = progress.as_ref().filter(|job| is_expiry_due(job, &keyring)) {
            open.push(Job::of_keys(job.clone()));
        } else if let Some(entities) = entities(environment, &keyring, number)? {
            let progress = progress.ok_or_else(|| {
                Error::corrupt(format!("the erasure job {number} does not say how far it has come; restore its files"))
            })?;
            open.push(Job { entities, keys: BTreeSet::new(), progress });
        }
    }
    Ok(open)
}

/// Whom job `number` erases; none if there is no such file any more, or its key is gone.
fn entities(environment: &Dir, keyring: &Keyring, number: u64) -> Result<Option<Vec<EntityId>>> {
    let (dir, name) = (environment.sub(JOBS), ids_name(number));
    let Some(key) = keyring.job_key(number) else { return Ok(None) };
    if !dir.exists(&name).map_err(|e| Error::io("an erasure job cannot be read", e))? {
        return Ok(None);
    }
    let sealed = dir.read(&name).map_err(|e| Error::io("an erasure job cannot be read", e))?;
    open_entities(&key, keyring.scope(), number, &sealed).map(Some).map_err(|e| damaged(number, e))
}

/// The numbers of all jobs, ascending. Files that are not named as those of a job are not ours.
pub(crate) fn numbers(environment: &Dir) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> = list(&environment.sub(JOBS))?.iter().filter_map(|name| number(name)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// Removes what a crash left of jobs that never began, and of savings.
pub(crate) fn remove_unfinished(environment: &Dir, keys: &Keys) -> Result<()> {
    let dir = environment.sub(JOBS);
    for name in list(&dir)?.iter().filter(|name| name.ends_with(".tmp")) {
        remove(&dir, name)?;
    }
    let keyring = keys.read();
    for number in numbers(environment)? {
        let has_ids = dir.exists(&ids_name(number)).map_err(|e| Error::io("an erasure job cannot be read", e))?;
        let progress = progress(environment, &keyring, number)?;
        // One that destroyed nothing is before its epoch, where its ids are; or they were lost with it.
        let is_past = progress.as_ref().is_some_and(|job| is_shredded(job, &keyring));
        let is_expiry_due = progress.is_some_and(|job| is_expiry_due(&job, &keyring));
        let is_before = is_expiry_due || (has_ids && keyring.job_key(number).is_some());
        match (is_past, is_before) {
            (false, false) => forget(&dir, number)?,
            // Their key is gone; a crash may have brought the file back.
            (true, false) => remove(&dir, &ids_name(number))?,
            _ => {}
        }
    }
    Ok(())
}

/// Removes the ids of a job, whose key is gone.
pub(crate) fn remove_ids(environment: &Dir, number: u64) -> Result<()> {
    remove(&environment.sub(JOBS), &ids_name(number))
}

/// Removes a job that is done.
pub(crate) fn remove_all(environment: &Dir, number: u64) -> Result<()> {
    let dir = environment.sub(JOBS);
    forget(&dir, number)?;
    dir.sync_dir().map_err(|e| Error::io("a finished erasure job cannot be removed", e))
}

/// Whether what a job said it would destroy is destroyed.
pub(crate) fn is_shredded(job: &erasure::Job, keyring: &Keyring) -> bool {
    let gone = |intended: &Shredding| intended.destroyed.iter().all(|id| keyring.is_destroyed(*id));
    job.intended().is_some_and(|intended| intended.epoch <= keyring.epoch_number() && gone(intended))
}

/// Whether a job is about keys, some of which live still.
fn is_expiry_due(job: &erasure::Job, keyring: &Keyring) -> bool {
    job.expired().is_some() && !is_shredded(job, keyring)
}

fn forget(dir: &Dir, job: u64) -> Result<()> {
    // The ids first: they are what makes it a job.
    remove(dir, &ids_name(job))?;
    list(dir)?.iter().filter(|name| number(name) == Some(job)).try_for_each(|name| remove(dir, name))
}

fn list(dir: &Dir) -> Result<Vec<String>> {
    dir.list().map_err(|e| Error::io("the erasure jobs cannot be listed", e))
}

/// The savings of a job, rising.
fn savings(dir: &Dir, job: u64) -> Result<Vec<u64>> {
    let mut found: Vec<u64> =
        list(dir)?.iter().filter_map(|name| saving(name)).filter(|(of, _)| *of == job).map(|(_, k)| k).collect();
    found.sort_unstable();
    Ok(found)
}

fn ids_name(number: u64) -> String {
    format!("{number:020}.job")
}

fn progress_name(number: u64, saving: u64) -> String {
    format!("{number:020}.{saving:04}.progress")
}

/// The number of the job that a file belongs to; none for any other file.
fn number(file: &str) -> Option<u64> {
    let ids = || file.strip_suffix(".job")?.parse().ok().filter(|&number| ids_name(number) == file);
    ids().or_else(|| saving(file).map(|(job, _)| job)).filter(|&number| number < NUMBER_MAX)
}

fn saving(file: &str) -> Option<(u64, u64)> {
    let (job, saving) = file.strip_suffix(".progress")?.split_once('.')?;
    let numbers = (job.parse().ok()?, saving.parse().ok()?);
    (progress_name(numbers.0, numbers.1) == file).then_some(numbers)
}

/// The error of a job that is asked for a stage that is not due.
pub(crate) fn out_of_turn(error: JobError) -> Error {
    Error::with(ErrorKind::Corrupt, "an erasure job is not where it should be", error)
}

fn damaged(number: u64, error: OpenJobError) -> Error {
    Error::with(ErrorKind::Corrupt, format!("the erasure job {number} is damaged"), error)
}
