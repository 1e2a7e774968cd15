//! RECEIPT: job → statement, signed → told to the audit log → checkpoint → proven, stored, answered.
//!
//! Invariant: a receipt is stored under the number of its job, sealed under the audit key, beside the reason that was
//! given. One is made once the job has purged, and another once the graphs are rebuilt, which takes its place. A crash
//! between the telling and the storing has it told twice: the same words, under the same hash.

use std::collections::BTreeSet;

use privacy::erasure::{Job, Receipt, Statement};
use privacy::{Keyring, SectionContext, SectionKind, open_section, seal_section};
use storage::backend::Dir;
use storage::codec::Reader;

use crate::entropy::generator;
use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;
use crate::permit::Permit;
use crate::state::EnvironmentState;

/// Directory of receipts inside an environment.
pub(crate) const RECEIPTS: &str = "receipts";

/// A receipt as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReceipt {
    /// The receipt, for whoever is to check it.
    pub receipt: Receipt,
    /// What was said when the erasure was asked for. It is no part of the receipt.
    pub reason: Option<String>,
}

/// Signs what can be said of a job that has purged, tells it, and stores the receipt; gives it with the place of the event
/// that tells of it.
pub(crate) fn issue(env: &EnvironmentState, permit: &Permit, job: &Job) -> Result<(Receipt, u64)> {
    let signing = env.keys.read().signing_key();
    let unpurged = || Error::new(ErrorKind::Conflict, "the erasure has not purged yet: there is nothing to sign");
    let signed = Statement::of(job, env.scope).ok_or_else(unpurged)?.sign(&signing);
    let event = env.tell(permit, signed.act())?;
    env.trail.checkpoint()?;
    let proven = env.trail.prove(event)?.ok_or_else(|| Error::corrupt("an event that was signed for is missing"))?;
    let receipt = signed.prove(proven.event, proven.proof, proven.note);
    store(env, job, &receipt)?;
    Ok((receipt, event))
}

fn store(env: &EnvironmentState, job: &Job, receipt: &Receipt) -> Result<()> {
    let doing = "the receipt cannot be stored";
    let dir = env.dir.sub(RECEIPTS);
    let (number, version) = (job.number(), version(job));
    let mut plain = Vec::new();
    let reason = job.reason().map(str::as_bytes);
    plain.push(u8::from(reason.is_some()));
    let reason = reason.unwrap_or_default();
    plain.extend_from_slice(&(reason.len() as u64).to_le_bytes());
    plain.extend_from_slice(reason);
    plain.extend_from_slice(&receipt.encode());
    let keyring = env.keys.read();
    let sealed = seal_section(
        &keyring.audit_key(),
        &context(&keyring, number, version),
        &plain,
        &mut generator(&*env.shared.entropy)?,
    );
    drop(keyring);
    dir.make().map_err(|e| Error::io(doing, e))?;
    remove(&dir, &name(number, version))?;
    dir.write_new(&name(number, version), &sealed).map_err(|e| Error::io(doing, e))?;
    let mut older = versions(&dir, number)?.into_iter().filter(|other| *other < version);
    older.try_for_each(|other| remove(&dir, &name(number, other)))
}

/// Whether the receipt for how far `job` has come is stored.
pub(crate) fn is_stored(env: &EnvironmentState, job: &Job) -> Result<bool> {
    Ok(versions(&env.dir.sub(RECEIPTS), job.number())?.contains(&version(job)))
}

/// The receipt of job `number`.
///
/// # Errors
/// `NotFound` if there is none, or none yet; `Corrupt` if it was changed.
pub(crate) fn fetch(env: &EnvironmentState, number: u64) -> Result<StoredReceipt> {
    let dir = env.dir.sub(RECEIPTS);
    let Some(version) = versions(&dir, number)?.pop() else {
        let is_hidden = env.hidden.lock().iter().any(|job| job.number() == number);
        let doing = if is_hidden {
            "there is no receipt of this erasure yet: its entities are hidden, and their keys are not destroyed yet, above all because an anchor store or a keyring mirror is away; upkeep tries again"
        } else {
            "there is no receipt of this erasure, or none yet: one is made once it has purged"
        };
        return Err(Error::new(ErrorKind::NotFound, doing));
    };
    let sealed = dir.read(&name(number, version)).map_err(|e| Error::io("a receipt cannot be read", e))?;
    let damaged = || format!("the file {RECEIPTS}/{} is damaged; restore it from a copy", name(number, version));
    let keyring = env.keys.read();
    let plain = open_section(&keyring.audit_key(), &context(&keyring, number, version), &sealed)
        .map_err(|e| Error::with(ErrorKind::Corrupt, damaged(), e))?;
    decode(&plain).ok_or_else(|| Error::corrupt(damaged()))
}

/// The numbers of all jobs with a receipt in `dir`, rising.
pub(crate) fn numbers(dir: &Dir) -> Result<Vec<u64>> {
    let found: BTreeSet<u64> = list(dir)?.iter().filter_map(|file| parts(file)).map(|(number, _)| number).collect();
    Ok(found.into_iter().collect())
}

/// Removes what a crash or a failing disk left of receipts that were not stored.
pub(crate) fn remove_unfinished(environment: &Dir) -> Result<()> {
    let dir = environment.sub(RECEIPTS);
    list(&dir)?.iter().filter(|name| name.ends_with(".tmp")).try_for_each(|name| remove(&dir, name))
}

fn decode(plain: &[u8]) -> Option<StoredReceipt> {
    let mut reader = Reader::new(plain);
    let has_reason = reader.u8("reason").ok()? == 1;
    let length = usize::try_from(reader.u64("length").ok()?).ok()?;
    let reason = String::from_utf8(reader.bytes(length, "reason").ok()?.to_vec()).ok()?;
    let receipt = Receipt::decode(reader.rest()).ok()?;
    Some(StoredReceipt { receipt, reason: has_reason.then_some(reason) })
}

/// How far a job had come when its receipt was made: later ones say more.
fn version(job: &Job) -> u64 {
    if job.due().is_none() { 2 } else { 1 }
}

fn list(dir: &Dir) -> Result<Vec<String>> {
    dir.list().map_err(|e| Error::io("the receipts cannot be listed", e))
}

fn versions(dir: &Dir, number: u64) -> Result<Vec<u64>> {
    Ok(list(dir)?
        .iter()
        .filter_map(|file| parts(file))
        .filter(|(of, _)| *of == number)
        .map(|(_, version)| version)
        .collect())
}

fn name(number: u64, version: u64) -> String {
    format!("{number:020}.{version}.receipt")
}

fn parts(file: &str) -> Option<(u64, u64)> {
    let (number, version) = file.strip_suffix(".receipt")?.split_once('.')?;
    let parts = (number.parse().ok()?, version.parse().ok()?);
    (name(parts.0, parts.1) == file).then_some(parts)
}

fn context(keyring: &Keyring, file: u64, place: u64) -> SectionContext {
    SectionContext { scope: keyring.scope(), kind: SectionKind::Receipt, file, place }
}
