//! The anchor stores of an environment as one: what is put goes into each, what is destroyed goes from each.
//!
//! Invariant: a new anchor counts only once every store has given it back, and an old one only as destroyed once no
//! store lists it; one copy that is left keeps every older keyring readable.

use std::io;
use std::sync::Arc;

use privacy::{Anchor, AnchorStore};
use storage::backend::Dir;

use crate::error::{Error, ErrorKind, Result};

/// The stores of one environment.
pub(crate) struct Anchors {
    /// Where anchors are kept.
    pub stores: Vec<Arc<dyn AnchorStore>>,
    /// Where they were kept before: read, and emptied at the next epoch.
    pub left: Vec<Arc<dyn AnchorStore>>,
    /// The directories of `stores`.
    pub dirs: Vec<Dir>,
    /// The names of `stores` that lie outside the data directory, rising.
    pub names: Vec<[u8; 16]>,
    /// Stores that are missed are given up, with the anchor that is left in them.
    pub gives_up_missing: bool,
}

impl Anchors {
    /// Makes the directories.
    pub fn make(&self) -> Result<()> {
        self.dirs.iter().try_for_each(|dir| dir.make().map_err(|e| Error::io("the anchors cannot be kept", e)))
    }

    /// Fails if a store that holds the present anchor is not here: the next epoch could not destroy that.
    pub fn check_all_here(&self, needed: &[[u8; 16]]) -> Result<()> {
        let Some(missing) = needed.iter().find(|name| !self.names.contains(name) && !self.gives_up_missing) else {
            return Ok(());
        };
        let name = uuid::Uuid::from_bytes(*missing);
        Err(Error::new(
            ErrorKind::KeyUnavailable,
            format!(
                "the anchor store {name} is not here: name its directory and see that its volume is mounted, or give it up (give_up_missing_anchor_stores), after which what it holds is never destroyed"
            ),
        ))
    }

    /// Puts the anchor of `epoch` into every store and reads it back.
    pub fn place(&self, epoch: u64, anchor: &Anchor) -> Result<()> {
        for store in &self.stores {
            let doing = "an anchor store did not take the new anchor";
            // An anchor left by an epoch that never committed has this number and opens nothing.
            store.destroy(epoch).map_err(|e| Error::io(doing, e))?;
            store.put(epoch, anchor).map_err(|e| Error::io(doing, e))?;
            let back = store.get(epoch).map_err(|e| Error::io(doing, e))?;
            if back.is_none_or(|found| found.expose() != anchor.expose()) {
                return Err(Error::new(ErrorKind::Io, "an anchor store did not keep the new anchor"));
            }
        }
        Ok(())
    }

    /// The anchor of `epoch`, from the first store that holds it whole.
    pub fn find(&self, epoch: u64) -> Result<Anchor> {
        let mut failed = None;
        for store in self.every() {
            match store.get(epoch) {
                Ok(Some(anchor)) => return Ok(anchor),
                Ok(None) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(match failed {
            Some(error) if error.kind() == io::ErrorKind::InvalidData => {
                Error::with(ErrorKind::Corrupt, format!("the anchor of keyring epoch {epoch} cannot be used"), error)
            }
            Some(error) => Error::io("an anchor store cannot be read", error),
            None => Error::new(
                ErrorKind::KeyUnavailable,
                format!(
                    "no anchor store holds the anchor of keyring epoch {epoch}: this keyring is a copy that a later epoch has made unreadable, or the anchors directory is elsewhere"
                ),
            ),
        })
    }

    /// Destroys every anchor but that of `epoch`, in every store; in those that were left, that one too.
    pub fn destroy_all_but(&self, epoch: u64) -> Result<()> {
        let doing = "an old anchor cannot be destroyed; the store finishes this when it opens next";
        for (store, kept) in self.kept(epoch) {
            for other in store.list().map_err(|e| Error::io(doing, e))? {
                if Some(other) != kept {
                    store.destroy(other).map_err(|e| Error::io(doing, e))?;
                }
            }
        }
        Ok(())
    }

    /// Whether every store lists the anchor of `epoch` and no other, and those that were left list none.
    pub fn are_settled(&self, epoch: u64) -> Result<bool> {
        for (store, kept) in self.kept(epoch) {
            let listed = store.list().map_err(|e| Error::io("an anchor store cannot be listed", e))?;
            if !listed.into_iter().eq(kept) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn every(&self) -> impl Iterator<Item = &Arc<dyn AnchorStore>> {
        self.stores.iter().chain(&self.left)
    }

    /// Every store with the epoch whose anchor it is to keep.
    fn kept(&self, epoch: u64) -> impl Iterator<Item = (&Arc<dyn AnchorStore>, Option<u64>)> {
        self.stores.iter().map(move |store| (store, Some(epoch))).chain(self.left.iter().map(|store| (store, None)))
    }
}
