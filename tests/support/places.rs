//! The places that a restore is about, as parts of one simulated disk, so that all of them crash in one moment.

use std::sync::Arc;

use engine::{Archive, Builder, Database, Environment, Error, Succession};
use storage::backend::StorageBackend;

use crate::part::Part;
use crate::workload::ENVIRONMENT;
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

    /// The environment in a directory, if it opens.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn open(&self, prefix: &'static str, seed: u64) -> Result<(Database, Environment), Error> {
        let db = self.builder(prefix, seed).create(false).open()?;
        let env = db.open_environment(ENVIRONMENT)?;
        Ok((db, env))
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
