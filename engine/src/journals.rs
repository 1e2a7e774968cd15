//! The journals of an environment made durable and read again: how a change to what must not be forgotten reaches the
//! disk, whatever it is about.
//!
//! Invariant: a change counts once the manifest says that its frame is there, hence whoever answers for it may say so when
//! this returns, and a journal that lost it does not open.

use storage::journal::{self, Journal, JournalError, Place, Subject};
use storage::manifest::Manifest;
use zeroize::Zeroizing;

use crate::entropy::generator;
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::state::EnvironmentState;
use storage::backend::Dir;

/// Makes a change durable; `whole` is the state after it. The caller holds the journal's lock and none that is inside
/// it.
pub(crate) fn write_down(
    env: &EnvironmentState,
    (journal, subject): (&mut Journal, Subject),
    change: &[u8],
    whole: &[u8],
) -> Result<()> {
    let mut rng = generator(&*env.shared.entropy)?;
    let table_key = env.keys.read().table_key();
    let place = Place { dir: &env.dir, key: &table_key, scope: env.scope };
    env.shared.reserve.spend(|| {
        let mark = journal.append(place, change, whole, &mut rng);
        let mark = mark.map_err(|e| Error::io("the journal cannot be written; nothing was changed", e))?;
        let _order = env.apply.lock();
        env.commit(|manifest| *manifest.journal_mut(subject) = Some(mark))
    })?;
    if let Err(error) = journal.remove_others(&env.dir) {
        tracing::warn!(%error, "an old journal stays until the next opening");
    }
    Ok(())
}

/// What the journal on `subject` holds, the state with which it begins first; nothing if there is none.
pub(crate) fn read(dir: &Dir, keys: &Keys, manifest: &Manifest, subject: Subject) -> Result<Vec<Zeroizing<Vec<u8>>>> {
    let Some(mark) = manifest.journal(subject) else { return Ok(Vec::new()) };
    let (key, scope) = {
        let keyring = keys.read();
        (keyring.table_key(), keyring.scope())
    };
    Ok(journal::read(Place { dir, key: &key, scope }, subject, mark)?)
}

/// What is told of a journal whose frames open and make no sense.
pub(crate) fn senseless(subject: Subject, manifest: &Manifest) -> Error {
    let file = subject.file_name(manifest.journal(subject).map_or(0, |mark| mark.number));
    JournalError::Damaged { file }.into()
}
