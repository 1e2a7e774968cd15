//! The logged writes that are in no segment yet, applied again in their order, with what erasures hide of them.
//!
//! Invariant: an erasure that was interrupted hides what was written before it, and nothing written after it.

use privacy::erasure::{Expired, Stage};
use storage::backend::Dir;
use storage::id::Sequence;
use storage::manifest::Manifest;
use storage::recovery::LOGS;
use storage::wal::{Entry, Loss, Salvaged, replay, salvage};

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::keys::Keys;
use crate::pending::Write;
use crate::run::encode;
use crate::state::Shared;

/// What happens where a log is damaged or missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damaged {
    /// The environment is not opened.
    Refused,
    /// What is left is taken, and what is not is told.
    Salvaged,
}

/// Applies every logged write that is in no segment yet; returns the last sequence ever given out, and what is lost.
pub(crate) fn logs(
    dir: &Dir,
    keys: &Keys,
    manifest: &Manifest,
    catalog: &Catalog,
    (interrupted, shared): (&mut [Job], &Shared),
    damaged: Damaged,
    mut replayed: impl FnMut(Sequence, &Entry),
) -> Result<(Sequence, Vec<(u64, Loss)>)> {
    let flushed = manifest.collections.iter().map(|entry| entry.flushed).max().unwrap_or_default();
    let mut last = manifest.last_sequence.max(flushed);
    interrupted.sort_unstable_by_key(|job| job.through());
    let mut jobs = interrupted.iter_mut().peekable();
    let mask = |job: &mut Job| mask(keys, catalog, job, shared.clock.now_ms());
    let (scope, logs) = (keys.read().scope(), dir.sub(LOGS));
    let mut losses = Vec::new();
    for number in &manifest.logs {
        let key = keys
            .read()
            .log_key(*number)
            .ok_or_else(|| Error::corrupt(format!("the key of log {number} is missing from the keyring")))?;
        let Salvaged { entries, loss } = match damaged {
            Damaged::Refused => Salvaged { entries: replay(&logs, *number, &key, scope)?.entries, loss: None },
            Damaged::Salvaged => salvage(&logs, *number, &key, scope)?,
        };
        if let Some(loss) = loss {
            last = last.max(loss.last);
            losses.push((*number, loss));
        }
        for (sequence, entry) in entries {
            while let Some(job) = jobs.next_if(|job| job.through() < sequence) {
                mask(job)?;
            }
            last = last.max(sequence);
            replayed(sequence, &entry);
            let Some(state) = catalog.collections().find(|state| state.id == entry.collection()) else { continue };
            let mut view = (*state.view()).clone();
            let flushed = manifest.collection(state.id).map_or(0, |entry| entry.flushed);
            if sequence > flushed {
                let codes = encode(&state.space, entry.records());
                Write::replayed(sequence, entry, codes).apply(&mut view, keys)?;
                view.memtable.merge(&state.space)?;
                state.publish(view);
            }
        }
    }
    jobs.try_for_each(mask)?;
    Ok((last, losses))
}

/// Hides whom or what a job erases; how many records that were, if the job did not say it yet.
fn mask(keys: &Keys, catalog: &Catalog, job: &mut Job, now_ms: u64) -> Result<()> {
    let (mut counts, mut expired) = (vec![0; job.entities.len()], Vec::new());
    for state in catalog.collections() {
        let mut view = (*state.view()).clone();
        for (entity, count) in job.entities.iter().zip(&mut counts) {
            *count += view.mask(entity, &state.space, keys)?;
        }
        expired.push(Expired { collection: state.id.0, records: view.mask_keys(&job.keys, keys)? });
        state.publish(view);
    }
    expired.retain(|one| one.records > 0);
    match job.progress.expired() {
        _ if job.progress.due() != Some(Stage::Hidden) => Ok(()),
        Some(_) => job.hide_expired(now_ms, expired),
        None => job.hide(now_ms, &counts),
    }
}
