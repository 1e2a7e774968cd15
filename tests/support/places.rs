//! The places that a restore is about, as parts of one simulated disk, so that all of them crash in one moment.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::Arc;

use engine::{Archive, Builder, Error, Succession};
use storage::backend::faulty::{Crash, Medium};
use storage::backend::{Faulty, StorageBackend};

use crate::backups::{Held, held};
use crate::part::Part;
use crate::workload::{ENVIRONMENT, record};
use crate::world::over;

/// A disk, or a part of one.
pub type Backend = Arc<dyn StorageBackend>;

/// The old data directory, the archive, anchors and mirror elsewhere, and the new directory: parts of one disk.
pub struct Places {
    /// The disk.
    pub whole: Backend,
    outside: bool,
}

impl Places {
    /// The places on `whole`; keys lie `outside` the data directory, too, or only in it.
    #[must_use]
    pub fn of(whole: Backend, outside: bool) -> Self {
        Self { whole, outside }
    }

    /// The part below `prefix`.
    #[must_use]
    pub fn part(&self, prefix: &'static str, volume: u64) -> Backend {
        Part::of(&self.whole, prefix, volume)
    }

    /// The database in the part `prefix`.
    #[must_use]
    pub fn builder(&self, prefix: &'static str, seed: u64) -> Builder {
        let builder = over(self.part(prefix, 1), seed);
        if !self.outside {
            return builder;
        }
        builder.anchor_backend(self.part("anchors", 2)).keyring_mirror_backend(self.part("mirror", 3))
    }

    /// Where its backups are.
    #[must_use]
    pub fn archive(&self) -> Archive {
        Archive::on(self.part("archive", 4))
    }

    /// What the environment in a directory holds, if it opens.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn held(&self, prefix: &'static str, seed: u64) -> Result<Held, Error> {
        let db = self.builder(prefix, seed).create(false).open()?;
        Ok(held(&db.open_environment(ENVIRONMENT)?))
    }

    /// Restores the first backup in the old directory.
    ///
    /// # Errors
    /// Those of the restore.
    pub fn restore_in_place(&self, seed: u64) -> Result<(), Error> {
        let db = self.builder("data", seed).open()?;
        db.restore(ENVIRONMENT, &self.archive()).number(1).run().map(drop)
    }

    /// Restores the first backup into the new directory.
    ///
    /// # Errors
    /// Those of the restore.
    pub fn take_over(&self, seed: u64) -> Result<(), Error> {
        let succession = Succession::of(&self.archive())?.from_backend(self.part("data", 1));
        let db = self.builder("new", seed).succeed(succession).open()?;
        db.restore(ENVIRONMENT, &self.archive()).number(1).run().map(drop)
    }
}

/// A disk with a store and a backup of it, and what the store and the backup hold now.
#[must_use]
pub fn furnished(outside: bool) -> (Medium, Held, Held) {
    let disk = Faulty::new();
    let places = Places::of(Arc::new(disk.clone()), outside);
    let db = places.builder("data", 1).open().unwrap();
    let env = db.environment(ENVIRONMENT).unwrap();
    let docs = env.collection("docs").dimension(3).create().unwrap();
    docs.upsert((0..24).map(|id| record(id, 1))).unwrap();
    env.flush().unwrap();
    docs.upsert((20..30).map(|id| record(id, 2))).unwrap();
    let before = held(&env);
    env.backup(&places.archive()).unrecoverable(!outside).run().unwrap();
    docs.delete(0u64..9).unwrap();
    docs.upsert((60..70).map(|id| record(id, 3))).unwrap();
    env.erase("data-subject-2").run().unwrap();
    let now = held(&env);
    let kept = before.into_iter().filter(|(_, seen)| !seen.contains("data-subject-2")).collect();
    drop((docs, env));
    db.close().unwrap();
    (disk.medium().crashed(Crash::KeepAll), now, kept)
}
