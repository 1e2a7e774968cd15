//! The heir: a log whose environment moved, or lost the volume that the log lay on, or whose events were damaged.
//!
//! Invariant: no checkpoint is forgotten. One that was kept where the environment lived goes along; one of a log that was
//! lost is set aside in its anchor store, where it says what was signed, and out of the way of the log that begins. That one
//! has another name, which the keyring counts: nobody can pass off one for the other, or call both one that was forked.

use std::sync::Arc;

use privacy::AnchorStore;

use super::home::Home;
use super::log::Trail;
use super::mark::{is_of_earlier, open_note};
use crate::error::{Error, Result};

/// What stands before the names of files that were set aside.
const LOST: &str = "lost-";

/// Gives the checkpoints that `left` keep to the anchor stores of the log, too.
///
/// # Errors
/// `Corrupt` for one that this environment's key has not signed.
pub(crate) fn inherit(home: &Home, left: &[Arc<dyn AnchorStore>]) -> Result<()> {
    let key = home.signing.verifying_key();
    for store in left {
        let kept = store.checkpoint().map_err(|e| Error::io("the checkpoint in an anchor store cannot be read", e))?;
        let Some(note) = kept else { continue };
        let size = open_note(&note, &home.origin, &key)?.size;
        for heir in &home.anchors {
            heir.keep_checkpoint(size, &note)
                .map_err(|e| Error::io("an anchor store does not keep the checkpoint of the audit log", e))?;
        }
    }
    Ok(())
}

impl Trail {
    /// Opens the log of an environment of which nothing is left but its keys, under the new name that `home` has. The
    /// checkpoints of the one before would refuse it.
    pub fn begin_anew(home: Home) -> Result<Self> {
        for store in &home.anchors {
            store
                .set_checkpoint_aside()
                .map_err(|e| Error::io("the checkpoint of the audit log that was lost cannot be set aside", e))?;
        }
        Self::open(home)
    }

    /// Whether nothing was told yet in this log, and it is not the first that the environment has.
    pub fn begins_anew(&self) -> Result<bool> {
        if self.size() > 0 {
            return Ok(false);
        }
        let names = self.home.dir.list().map_err(|e| Error::io("the audit log cannot be listed", e))?;
        Ok(self.home.origin.lost() > 0 || names.iter().any(|name| name.starts_with(LOST)))
    }

    /// Sets the checkpoints of earlier logs aside in the anchor stores: one of a store that was away when this log began.
    pub(super) fn set_earlier_aside(&self) -> Result<()> {
        let key = self.verifying_key();
        for store in &self.home.anchors {
            let doing = "the checkpoint of an audit log that was lost cannot be set aside";
            let kept = store.checkpoint().map_err(|e| Error::io(doing, e))?;
            if kept.is_some_and(|note| is_of_earlier(&note, &self.home.origin, self.home.scope, &key)) {
                store.set_checkpoint_aside().map_err(|e| Error::io(doing, e))?;
            }
        }
        Ok(())
    }

    /// Puts what a log that could not be read has left out of the way of the one that begins, with its checkpoints. All
    /// of it stays, as evidence.
    pub fn set_aside(&self) -> Result<()> {
        let unmovable = |e| Error::io("the damaged audit log cannot be set aside", e);
        let dir = &self.home.dir;
        for name in dir.list().map_err(unmovable)?.into_iter().filter(|name| !name.starts_with(LOST)) {
            let mut aside = format!("{LOST}{name}");
            while dir.exists(&aside).map_err(unmovable)? {
                aside.insert_str(0, LOST);
            }
            dir.rename(&name, &aside).map_err(unmovable)?;
        }
        dir.sync_dir().map_err(unmovable)?;
        // Until they are, the log is refused for being shorter than they say, and can be salvaged once more.
        self.home.anchors.iter().try_for_each(|store| store.set_checkpoint_aside().map_err(unmovable))
    }
}
