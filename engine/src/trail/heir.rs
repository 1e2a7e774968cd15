//! The heir: a log whose environment moved, or lost the volume that the log lay on.
//!
//! Invariant: no checkpoint is forgotten. One that was kept where the environment lived goes along; one of a log that was
//! lost is set aside in its anchor store, where it says what was signed, and out of the way of the log that begins. That one
//! has another name, which the keyring counts: nobody can pass off one for the other, or call both one that was forked.

use std::sync::Arc;

use privacy::AnchorStore;

use super::log::{Home, Trail};
use super::mark::open_note;
use crate::error::{Error, Result};

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
}
