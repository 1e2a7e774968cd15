//! What an anchor store must do. Anchors are the one thing of an environment whose destruction must be real, so
//! this contract is the place where the promise of erasure meets a medium. Beside them it keeps the newest checkpoint of
//! the audit log: it lies where copies of the data do not reach, so that one who puts back an older log is told.
//!
//! Stated here, implemented where files or devices are: this crate touches none.

use std::io;

use crate::secret::Anchor;

/// How far an anchor's destruction reaches. Named in every receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// A file on the volume of the data: copies of that volume hold it too, so no claim about backups is made.
    SameVolume,
    /// A file on another volume, which the operator keeps out of backups and copies.
    OtherVolume,
    /// A device or service that destroys for itself: TPM non-volatile memory, a secret manager's version.
    External,
}

impl Grade {
    /// Whether destroying an anchor here also kills the keyrings in plain copies of the data volume.
    pub fn covers_copies(self) -> bool {
        self > Grade::SameVolume
    }
}

/// Keeps the anchors of one environment, by epoch.
pub trait AnchorStore: Send + Sync {
    /// Stores an anchor that is not yet there; durable before it returns. An anchor of that epoch already present
    /// is [`io::ErrorKind::AlreadyExists`], and stays as it is.
    fn put(&self, epoch: u64, anchor: &Anchor) -> io::Result<()>;

    /// The anchor of an epoch, or `None` if there is none. Unreadable or altered is an error, never `None`.
    fn get(&self, epoch: u64) -> io::Result<Option<Anchor>>;

    /// Exactly the epochs whose anchors are stored, in rising order.
    fn list(&self) -> io::Result<Vec<u64>>;

    /// Destroys an anchor: overwritten where the medium allows, removed, and both durable before it returns.
    /// An absent anchor is success, so that an interrupted destruction can be repeated.
    fn destroy(&self, epoch: u64) -> io::Result<()>;

    /// Keeps a signed checkpoint of an audit log of `size` events in place of the one before; durable before it returns.
    /// One of a log that is no longer than what is kept changes nothing, so that no older one takes its place.
    fn keep_checkpoint(&self, size: u64, note: &str) -> io::Result<()>;

    /// The newest checkpoint that was kept, as it was given; `None` if none was. Unreadable is an error.
    fn checkpoint(&self) -> io::Result<Option<String>>;

    /// Keeps the newest checkpoint under another name from now on, as evidence of a log that was lost; a new log begins.
    /// None is success.
    fn set_checkpoint_aside(&self) -> io::Result<()>;

    /// How far destruction reaches.
    fn grade(&self) -> Grade;
}
