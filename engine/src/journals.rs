//! What the journals of an environment say, and what is told of one that makes no sense. How a change gets there is
//! [`EnvironmentState::write_down`](crate::state::EnvironmentState::write_down).

use storage::backend::Dir;
use storage::journal::{self, JournalError, Mark, Place, Subject};
use storage::manifest::Manifest;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::keys::Keys;

/// What the journal on `subject` holds, the state with which it begins first; nothing if there is none.
pub(crate) fn read(dir: &Dir, keys: &Keys, manifest: &Manifest, subject: Subject) -> Result<Vec<Zeroizing<Vec<u8>>>> {
    manifest.journal(subject).map_or(Ok(Vec::new()), |mark| read_marked(dir, keys, subject, mark))
}

/// What the journal on `subject` holds that `mark` names.
pub(crate) fn read_marked(dir: &Dir, keys: &Keys, subject: Subject, mark: Mark) -> Result<Vec<Zeroizing<Vec<u8>>>> {
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
