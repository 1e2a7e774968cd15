//! Damage to backups: every file of an archive is flipped, cut, zeroed, lengthened, exchanged and removed, and each backup
//! is refused or opens to exactly what was backed up.
//!
//! What no reader can notice: a list that is gone, which leaves no backup of that number.

use std::collections::BTreeMap;

use engine::{Archive, Database, Environment, Error, ErrorKind};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use storage::backend::{Faulty, StorageBackend};

use crate::backups::{Held, held, seen};
use crate::case::{Counts, Outcome, Violation};
use crate::damage::{Damage, in_place};
use crate::furnished::{Tree, load};
use crate::guard::{guarded, limit};
use crate::scene::Scene;
use crate::workload::ENVIRONMENT;

/// Where the archive of a scene lies on its disk.
const ARCHIVE: &str = "archive/";
/// The one file of an archive that is plain text, in which other bytes may mean the same.
const MARK: &str = "lethedb-backups.json";

/// An archive to be damaged, and the environment whose backups it holds.
pub struct Shelf {
    scene: Scene,
    files: Tree,
    env: Environment,
    _db: Database,
}

impl Shelf {
    /// The archive of a scene.
    ///
    /// # Errors
    /// Those of a sound disk: none.
    pub fn new() -> Result<Self, Error> {
        let scene = Scene::new(false);
        let disk = Faulty::on(scene.medium.clone());
        let paths = scene.medium.paths().filter(|path| path.starts_with(ARCHIVE) && !path.ends_with("/LOCK"));
        let read = |path: &str| Some((path.strip_prefix(ARCHIVE)?.to_owned(), disk.read(path).ok()?));
        let files = paths.filter_map(read).collect();
        let (db, env) = scene.on(&scene.medium).open("data", 3)?;
        Ok(Self { scene, files, env, _db: db })
    }

    /// What is done to each file: a sample of `each`, beside every exchange and its removal.
    #[must_use]
    pub fn damages(&self, seed: u64, each: usize) -> Vec<(String, Damage)> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut all = Vec::new();
        for (path, bytes) in &self.files {
            let others = self.files.iter().filter(|(other, _)| *other != path);
            let mut here = in_place(bytes, &mut rng).into_iter().sample(&mut rng, each);
            here.extend(others.map(|(_, other)| Damage::Exchange(other.clone())));
            here.push(Damage::Remove);
            all.extend(here.into_iter().map(|damage| (path.clone(), damage)));
        }
        all
    }

    fn damaged(&self, path: &str, damage: &Damage) -> Tree {
        let mut tree = self.files.clone();
        match damage.apply(&tree[path]) {
            Some(damaged) => _ = tree.insert(path.to_owned(), damaged),
            None => _ = tree.remove(path),
        }
        tree
    }

    /// Lists, verifies and drills every backup of a damaged archive. Whether anything was refused.
    fn read(&self, path: &str, damage: &Damage) -> Result<bool, String> {
        let tree = self.damaged(path, damage);
        let archive = archive(&tree);
        let mut is_refused = match self.env.backups(&archive) {
            Ok(listed) => listed.iter().any(|listed| listed.problem.is_some()),
            Err(error) => typed(error).map(|()| true)?,
        };
        for (number, expected) in &self.scene.backups {
            let verified = self.env.verify_backup(&archive, Some(*number)).map(drop).map_err(typed);
            let drilled = drilled(&self.env, &archive, *number).map_err(typed);
            is_refused |= match (verified, drilled) {
                (Ok(()), Ok(found)) if found == *expected => false,
                // Nothing of what was backed up is damaged: rows that were dead then, or bytes that no record is in.
                (Err(told), Ok(found)) if found == *expected => told.map(|()| true)?,
                (Ok(()), Err(_)) => return Err(format!("backup {number} was verified and does not open")),
                (_, Ok(_)) => return Err(format!("backup {number} opens to something else")),
                (Err(told), Err(too)) => told.and(too).map(|()| true)?,
            };
        }
        let is_same = self.files == tree;
        if is_refused || is_same || path == MARK { Ok(is_refused) } else { Err("it was not noticed".into()) }
    }

    /// Restores the first backup of a damaged archive where the environment lives. Whether that was refused.
    fn restore(&self, path: &str, damage: &Damage) -> Result<bool, String> {
        let archive = archive(&self.damaged(path, damage));
        let disk = Faulty::on(self.scene.medium.clone());
        let places = self.scene.over(disk);
        let opened = |what: &str, error: Error| format!("{what}: {error:?}");
        let db = places.builder("data", 5).open().map_err(|error| opened("it does not open", error))?;
        match db.restore(ENVIRONMENT, &archive).number(1).run() {
            Ok((env, _)) if held(&env) == self.scene.backups[&1] => Ok(false),
            Ok(_) => Err("what was restored is something else".into()),
            Err(error) => {
                typed(error)?;
                drop(db);
                let (_db, env) = places.open("data", 6).map_err(|error| opened("it does not open any more", error))?;
                let is_as_it_was = self.scene.look(&env, path) == self.scene.now;
                if is_as_it_was { Ok(true) } else { Err("a restore that was refused changed something".into()) }
            }
        }
    }
}

fn archive(tree: &Tree) -> Archive {
    Archive::on(std::sync::Arc::new(load(tree)))
}

/// Everything that opens, or the first error.
fn drilled(env: &Environment, archive: &Archive, number: u64) -> Result<Held, Error> {
    let mut drill = env.drill_backup(archive, Some(number))?;
    let mut found = BTreeMap::new();
    for entry in drill.records() {
        let (collection, record) = entry?;
        let engine::RecordId::Num(id) = record.id() else { continue };
        found.insert((collection, id), seen(&record));
    }
    Ok(found)
}

/// The kinds that a damaged archive may be told by.
fn typed(error: Error) -> Result<(), String> {
    use ErrorKind::{Conflict, Corrupt, KeyUnavailable, NotFound, Unsupported};
    let is_known = matches!(error.kind(), Corrupt | NotFound | KeyUnavailable | Unsupported | Conflict);
    if is_known { Ok(()) } else { Err(format!("damage is told as {error:?}")) }
}

/// Does every damage, and every so many of them before a restore, too.
///
/// # Errors
/// The first broken promise.
pub fn every(shelf: &Shelf, damages: &[(String, Damage)], restored: usize) -> Outcome {
    let mut counts = Counts::new();
    for (number, (path, damage)) in damages.iter().enumerate() {
        let size = shelf.files.values().map(Vec::len).sum();
        let broken = |what: String| Violation {
            suite: "damage",
            what: format!("{path}, {}: {what}", brief(damage)),
            replay: format!("backups/{number}"),
        };
        let refused = guarded(limit(size), || shelf.read(path, damage)).and_then(|read| read).map_err(broken)?;
        *counts.entry(if refused { "backups refused" } else { "backups right" }).or_default() += 1;
        if number % restored == 0 {
            let refused = guarded(limit(4 * size), || shelf.restore(path, damage)).and_then(|done| done);
            let refused = refused.map_err(|what| broken(format!("restored: {what}")))?;
            *counts.entry(if refused { "restores refused" } else { "restores right" }).or_default() += 1;
        }
        *counts.entry("cases").or_default() += 1;
    }
    Ok(counts)
}

fn brief(damage: &Damage) -> String {
    match damage {
        Damage::Append(more) => format!("{} bytes appended", more.len()),
        Damage::Exchange(_) => "exchanged".into(),
        other => format!("{other:?}"),
    }
}
