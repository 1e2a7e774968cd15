//! PRUNE: every list read and what is kept found there → told → the lists of the backups that go, oldest first, until they
//! are gone for good → the files of rows that no list names.
//!
//! Invariant: a file of rows goes only once no list that names it can come back. So it is refused where a list does not
//! open, since nobody can say what that one names; a crash leaves backups that are whole, and files that the next pruning
//! or backup removes.

use std::collections::BTreeSet;

use privacy::access::Permission;
use privacy::audit::Act;
use serde::Serialize;
use storage::backup::{Contents, Objects, remove_contents};

use crate::archive::Archive;
use crate::error::{Error, ErrorKind, Result};
use crate::permit::Permit;
use crate::state::EnvironmentState;

/// What a pruning left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The numbers of the backups that are kept, rising.
    pub kept: Vec<u64>,
    /// The numbers of those that were removed, rising.
    pub removed: Vec<u64>,
    /// Bytes of the files of rows that were removed.
    pub freed_bytes: u64,
}

/// Removes all but the newest `keep` backups.
pub(crate) fn prune(env: &EnvironmentState, permit: &Permit, archive: &Archive, keep: usize) -> Result<Pruned> {
    env.admit(permit, Permission::SnapshotDelete)?;
    env.check_open()?;
    if keep == 0 {
        return Err(Error::invalid("at least one backup must be kept; to keep none, remove the archive's directory"));
    }
    archive.check_holds(env.scope.database)?;
    let _one = archive.lock(&env.name)?;
    let place = archive.place(&env.name);
    let objects = Objects::of(&place);
    let table_key = env.keys.read().table_key();
    let read = |number| archive.contents(&env.name, Some(number), (&table_key, env.scope));
    let mut all: Vec<Contents> =
        archive.numbers(&env.name)?.into_iter().map(read).collect::<Result<_>>().map_err(|error| {
            error.within("nothing was pruned, because a list that does not open may name any file; move it away")
        })?;
    let kept = all.split_off(all.len().saturating_sub(keep));
    let named: BTreeSet<_> = kept.iter().flat_map(|contents| contents.segments().map(|(_, of)| of.digest)).collect();
    let Some(first) = kept.first().map(|contents| contents.number) else {
        return Err(Error::new(ErrorKind::NotFound, "the archive has no backup of this environment"));
    };
    kept.iter().try_for_each(|contents| check_there(&objects, contents))?;
    let numbers = |of: &[Contents]| of.iter().map(|contents| contents.number).collect::<Vec<u64>>();
    let (kept, removed) = (numbers(&kept), numbers(&all));
    let doing = "the archive cannot be pruned";
    let remove = || {
        // Without lists to remove, too: an earlier pruning may have been interrupted, and what it removed be back after the
        // next crash, until this.
        remove_contents(&place, &removed).map_err(|e| Error::io(doing, e))?;
        objects.keep_only(&named).map_err(|e| Error::io(doing, e))
    };
    let act = Act::BackupsPruned { count: removed.len() as u64, first };
    let freed_bytes = env.told(permit, act, remove)?;
    Ok(Pruned { kept, removed, freed_bytes })
}

/// Whether a backup that is to be kept has its files, in their lengths. Only reading them tells more.
fn check_there(objects: &Objects, contents: &Contents) -> Result<()> {
    for (_, segment) in contents.segments() {
        let lacks = |what: &str| {
            let path = objects.path(&segment.digest);
            format!(
                "nothing was pruned, because backup {} is damaged: {path} {what}; make a new backup first",
                contents.number
            )
        };
        match objects.len(&segment.digest) {
            Ok(bytes) if bytes == segment.bytes => {}
            Ok(_) => return Err(Error::corrupt(lacks("has another length"))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::corrupt(lacks("is missing"))),
            Err(e) => return Err(Error::io("the archive cannot be read", e)),
        }
    }
    Ok(())
}
