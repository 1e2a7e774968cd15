//! The erasure job on disk: which entity, through which write, sealed under an ephemeral key of its own.
//!
//! Invariant: the job's key goes in the same epoch as the entity's keys. A job file that still opens was
//! interrupted before that epoch; one that does not is past it, and says nothing about anyone.

use privacy::{EntityId, Scope, SectionContext, SectionKey, SectionKind, open_section, seal_section};
use rand_core::CryptoRng;
use storage::backend::Dir;
use storage::id::{NUMBER_MAX, Sequence};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::keys::Keys;

/// Directory of jobs inside an environment.
pub(crate) const JOBS: &str = "jobs";

/// An erasure that is under way.
#[derive(Clone)]
pub(crate) struct Job {
    pub number: u64,
    pub entity: EntityId,
    /// The last write that the erasure covers.
    pub through: Sequence,
}

impl Job {
    /// Makes the job durable.
    pub fn write(
        &self,
        environment: &Dir,
        key: &SectionKey,
        scope: Scope,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<()> {
        let mut plain = Zeroizing::new(self.through.to_be_bytes().to_vec());
        plain.extend_from_slice(self.entity.as_str().as_bytes());
        let sealed = seal_section(key, &context(scope, self.number), &plain, rng);
        environment
            .sub(JOBS)
            .write_new(&name(self.number), &sealed)
            .map_err(|e| Error::io("the erasure job cannot be written; nothing was erased", e))
    }

    fn decode(number: u64, plain: &[u8]) -> Option<Self> {
        let (through, entity) = plain.split_first_chunk::<8>()?;
        let entity = EntityId::new(std::str::from_utf8(entity).ok()?).ok()?;
        Some(Self { number, entity, through: u64::from_be_bytes(*through) })
    }
}

/// The jobs that still open, oldest first.
pub(crate) fn interrupted(environment: &Dir, keys: &Keys) -> Result<Vec<Job>> {
    let mut open = Vec::new();
    let keyring = keys.read();
    for number in numbers(environment)? {
        let Some(key) = keyring.job_key(number) else { continue };
        let damaged = || format!("the erasure job {number} is damaged");
        let sealed =
            environment.sub(JOBS).read(&name(number)).map_err(|e| Error::io("an erasure job cannot be read", e))?;
        let plain = open_section(&key, &context(keyring.scope(), number), &sealed)
            .map_err(|e| Error::with(ErrorKind::Corrupt, damaged(), e))?;
        open.push(Job::decode(number, &plain).ok_or_else(|| Error::corrupt(damaged()))?);
    }
    Ok(open)
}

/// The numbers of all job files, ascending. Files that are not named as a job is are not ours.
pub(crate) fn numbers(environment: &Dir) -> Result<Vec<u64>> {
    let names = environment.sub(JOBS).list().map_err(|e| Error::io("the erasure jobs cannot be listed", e))?;
    Ok(names.iter().filter_map(|name| number(name)).filter(|&number| number < NUMBER_MAX).collect())
}

/// Removes what a crash left of jobs that were never begun.
pub(crate) fn remove_unfinished(environment: &Dir) -> Result<()> {
    let dir = environment.sub(JOBS);
    let names = dir.list().map_err(|e| Error::io("the erasure jobs cannot be listed", e))?;
    names.iter().filter(|name| number(name).is_none()).try_for_each(|name| crate::files::remove(&dir, name))
}

/// Removes a job that is done.
pub(crate) fn remove(environment: &Dir, number: u64) -> Result<()> {
    let dir = environment.sub(JOBS);
    crate::files::remove(&dir, &name(number))?;
    dir.sync_dir().map_err(|e| Error::io("a finished erasure job cannot be removed", e))
}

fn name(number: u64) -> String {
    format!("{number:020}.job")
}

/// The number in a job's file name; none for any other name.
fn number(file: &str) -> Option<u64> {
    file.strip_suffix(".job")?.parse().ok().filter(|&number| name(number) == file)
}

fn context(scope: Scope, number: u64) -> SectionContext {
    SectionContext { scope, kind: SectionKind::Job, file: number, place: 0 }
}
