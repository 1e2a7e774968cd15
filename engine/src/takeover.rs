//! TAKE-OVER: the keyring of an environment moves from one data directory into another, its only home from then on.
//!
//! Order: what never rolls back and is no key is copied → the old directory is marked, and opens no more → an epoch whose
//! pages and anchor the new home has; the old pages serve it as a mirror does, the old anchors go with it → the old pages
//! go. Whatever interrupts it, at most one of the two opens, and the same restore goes on with it.

use std::io;
use std::sync::Arc;

use privacy::{Grade, Removal};
use storage::anchor_dir::AnchorDir;
use storage::backend::Dir;
use storage::manifest::file_number;
use storage::recovery::{LOGS, SEGMENTS};

use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;
use crate::job::JOBS;
use crate::keys::{Home, KEYRING, Keys};
use crate::pages::Pages;
use crate::receipt::RECEIPTS;
use crate::trail::{AUDIT, inherit};

/// The file that says that an environment has another home.
const MOVED: &str = "MOVED";
const MOVED_TEXT: &[u8] = b"A restore into another data directory took this environment over. It opens there.\n";

/// Where an environment lived before.
pub(crate) struct Old {
    /// Its directory.
    pub dir: Dir,
    /// Its anchors inside the old data directory, if any are there.
    pub anchors: Dir,
}

/// Fails where the environment in `dir` was taken over.
pub(crate) fn check_home(dir: &Dir) -> Result<()> {
    if !is_moved(dir)? {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Conflict,
        "this environment was taken over by a restore into another data directory, its only home now; if that restore did not finish, run it again",
    ))
}

impl Old {
    /// Fails where both directories have a keyring of their own, so that nobody can say which is the live one.
    pub fn check_only(&self, home: &Home) -> Result<()> {
        let has_pages = |pages: &Pages| pages.roots().map(|roots| !roots.is_empty());
        let here = home.pages.first().map_or(Ok(false), has_pages)?;
        if !here || is_moved(&self.dir)? || !has_pages(&Pages { dir: self.dir.sub(KEYRING) })? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "the environment has a keyring in both directories: restore into an empty one, or without naming the old one",
        ))
    }

    /// Whether the environment has left it.
    pub fn is_left(&self) -> Result<bool> {
        is_moved(&self.dir)
    }

    /// The new home, which reads from the old one as long as it has nothing itself.
    pub fn join(&self, mut home: Home) -> Home {
        home.pages.push(Pages { dir: self.dir.sub(KEYRING) });
        home.anchors.left.push(Arc::new(AnchorDir::new(self.anchors.clone(), Grade::SameVolume)));
        home
    }

    /// Moves the environment into `new`, where `keys` of [`Old::join`] have their home.
    pub fn hand_over(&self, new: &Dir, keys: &Keys) -> Result<()> {
        let doing = "the old home of the environment cannot be given up; run the restore again";
        if !is_moved(&self.dir)? {
            clear(new)?;
            carry(&self.dir, new)?;
            inherit(&keys.trail_home(new.sub(AUDIT)), keys.left_anchors())?;
            self.dir.write_new(MOVED, MOVED_TEXT).map_err(|e| Error::io(doing, e))?;
        }
        let keep = Removal::nothing(&keys.read());
        keys.settle(&keep)?;
        let pages = self.dir.sub(KEYRING);
        for name in pages.list().map_err(|e| Error::io(doing, e))? {
            remove(&pages, &name)?;
        }
        pages.sync_dir().map_err(|e| Error::io(doing, e))
    }
}

fn is_moved(dir: &Dir) -> Result<bool> {
    dir.exists(MOVED).map_err(|e| Error::io("the environment cannot be read", e))
}

/// Removes what an attempt that failed has left, and manifests of an environment that is nothing here.
fn clear(new: &Dir) -> Result<()> {
    let failed = |e| Error::io("the environment cannot be made", e);
    let unlink = |dir: &Dir| -> Result<()> {
        let names = dir.list().map_err(failed)?;
        for name in &names {
            match dir.remove(name) {
                Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => {
                    return Err(failed(e));
                }
                _ => {}
            }
        }
        if names.is_empty() { Ok(()) } else { dir.sync_dir().map_err(failed) }
    };
    [AUDIT, RECEIPTS, JOBS].iter().try_for_each(|room| unlink(&new.sub(room)))?;
    unlink(new)
}

/// Copies whatever an environment has beside its data and its keys.
fn carry(old: &Dir, new: &Dir) -> Result<()> {
    let io = |e| Error::io("what the environment keeps beside its data cannot be copied", e);
    new.make().map_err(io)?;
    for name in old.list().map_err(io)? {
        let stays = [KEYRING, SEGMENTS, LOGS, MOVED].contains(&name.as_str()) || name.ends_with(".tmp");
        if stays || file_number(&name).is_some() {
            continue;
        }
        match old.read(&name) {
            Ok(bytes) => {
                // An earlier attempt may have left it in part.
                remove(new, &name)?;
                new.write_new(&name, &bytes).map_err(io)?;
            }
            Err(e) if e.kind() == io::ErrorKind::IsADirectory => carry(&old.sub(&name), &new.sub(&name))?,
            Err(e) => return Err(io(e)),
        }
    }
    Ok(())
}
