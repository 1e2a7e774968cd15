//! Backups, restores and what belongs to them on a disk that crashes or fails at any of their operations. Whatever it does,
//! the live store keeps all that was acknowledged, what is not whole counts as no backup, the environment has one home
//! at most, and the same thing done again succeeds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::HashSet;
use std::sync::Arc;

use engine::{Archive, Environment, Error, ErrorKind, Health};
use storage::backend::faulty::{Crash, Fault, FaultKind, Medium, Operation};
use storage::backend::{Dir, Faulty};

use crate::backups::opened;
use crate::lies::{Lie, Lying};
use crate::places::{Backend, Places};
use crate::scene::Scene;
use crate::workload::{ENVIRONMENT, record};

/// What is done while the disk crashes or fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// A third backup.
    Backup,
    /// The first backup opened, every record.
    Drill,
    /// The newest backup kept alone.
    Prune,
    /// The first backup restored where the environment lives.
    Restore,
    /// The same into another directory.
    TakeOver,
}

/// The seed of every attempt that is recorded or fails.
const SEED: u64 = 5;

impl Trial {
    /// Does it.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn run(self, places: &Places, seed: u64) -> Result<(), Error> {
        match self {
            Self::Restore => places.restore_in_place(seed),
            Self::TakeOver => places.take_over(seed),
            _ => {
                let (_db, env) = places.open("data", seed)?;
                self.attempt(&env, &places.archive())
            }
        }
    }

    /// Does it in an open environment.
    fn attempt(self, env: &Environment, archive: &Archive) -> Result<(), Error> {
        match self {
            Self::Backup => env.backup(archive).unrecoverable(true).run().map(drop),
            Self::Drill => env.drill_backup(archive, Some(1))?.records().try_for_each(|record| record.map(drop)),
            Self::Prune => env.prune_backups(archive, 1).map(drop),
            Self::Restore | Self::TakeOver => Ok(()),
        }
    }

    /// Judges a disk on which it was begun, and, if it was `answered`, done. If `again`, does it again there. Returns
    /// whether it took effect, and whether there is an environment to be opened.
    pub fn judge(self, scene: &Scene, image: &Medium, (answered, again): (bool, bool), label: &str) -> (bool, bool) {
        let found = match self {
            Self::TakeOver => homes(scene, image, label),
            Self::Restore => {
                let held = look(scene, image, "data", label).unwrap_or_else(|error| panic!("{label}: {error}"));
                assert!(held == scene.now || held == scene.backups[&1], "{label}: it holds neither");
                (held == scene.backups[&1], true)
            }
            Self::Backup | Self::Drill | Self::Prune => (self.archive(scene, image, label), true),
        };
        assert!(found.0 || !answered, "{label}: it was answered");
        if again {
            let disk = Faulty::on(image.clone());
            let places = scene.over(disk.clone());
            self.run(&places, 77).unwrap_or_else(|error| panic!("{label}, again: {error}"));
            drop(places);
            let done = self.judge(scene, &disk.medium().crashed(Crash::DropAll), (true, false), label);
            assert_eq!(done, (true, true), "{label}, again");
        }
        found
    }

    /// Judges the archive and the live store beside it; whether what was done took effect.
    fn archive(self, scene: &Scene, image: &Medium, label: &str) -> bool {
        let places = scene.on(image);
        let (_db, env) = places.open("data", 100).unwrap_or_else(|error| panic!("{label}: {error}"));
        assert_eq!(scene.look(&env, label), scene.now, "{label}: the live store");
        let archive = places.archive();
        let listed = env.backups(&archive).unwrap_or_else(|error| panic!("{label}: {error}"));
        assert!(listed.iter().all(|listed| listed.problem.is_none()), "{label}: {listed:?}");
        let numbers: Vec<u64> = listed.iter().map(|listed| listed.number).collect();
        for number in &numbers {
            let expected = scene.backups.get(number).unwrap_or(&scene.now);
            assert_eq!(&opened(&env, &archive, *number), expected, "{label}: backup {number}");
            env.verify_backup(&archive, Some(*number)).unwrap_or_else(|error| panic!("{label}: {error}"));
        }
        let absent = numbers.last().map_or(1, |last| last + 1);
        let error = env.verify_backup(&archive, Some(absent)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{label}: {error}");
        match self {
            Self::Prune => {
                assert!(numbers == [1, 2] || numbers == [2], "{label}: {numbers:?}");
                numbers == [2]
            }
            Self::Drill => {
                assert_eq!(numbers, [1, 2], "{label}");
                true
            }
            _ => {
                assert!(numbers.starts_with(&[1, 2]), "{label}: {numbers:?}");
                numbers.len() > 2
            }
        }
    }
}

/// What the environment in a directory holds, if it opens there.
fn look(scene: &Scene, image: &Medium, prefix: &'static str, label: &str) -> Result<crate::backups::Held, Error> {
    let places = scene.on(image);
    let (_db, env) = places.open(prefix, 100)?;
    Ok(scene.look(&env, label))
}

/// Judges both homes of a take-over: whether the new one opens, and whether one does.
fn homes(scene: &Scene, image: &Medium, label: &str) -> (bool, bool) {
    let (old, new) = (look(scene, image, "data", label), look(scene, image, "new", label));
    assert!(old.is_err() || new.is_err(), "{label}: it opens in two places");
    if let Ok(held) = &old {
        assert_eq!(held, &scene.now, "{label}: the old home");
    }
    if let Ok(held) = &new {
        assert_eq!(held, &scene.backups[&1], "{label}: the new home");
    }
    let is_anywhere = old.is_ok() || new.is_ok();
    if let Err(error) = old {
        // It says where the environment went, and what to do if that did not finish.
        assert_eq!(error.kind(), ErrorKind::Conflict, "{label}: {error}");
        assert!(error.to_string().contains("run it again"), "{label}: {error}");
    }
    (new.is_ok(), is_anywhere)
}

/// Every image that a crash during `trial` can leave, a few of each kind at each change; and what is left if the power
/// goes once it has answered.
#[must_use]
pub fn images(trial: Trial, scene: &Scene, lie: Option<Lie>) -> (Vec<Medium>, Medium) {
    let disk = Faulty::on(scene.medium.clone()).recording();
    let whole: Backend = match lie {
        Some(lie) => Arc::new(Lying::new(disk.clone(), lie)),
        None => Arc::new(disk.clone()),
    };
    trial.run(&scene.places(whole), SEED).unwrap();
    let (mut seen, mut images) = (HashSet::new(), Vec::new());
    for (at, (_, medium)) in (0u64..).zip(disk.history()) {
        for crash in [Crash::Process, Crash::DropAll, Crash::Subset(at), Crash::Torn(at)] {
            let image = medium.crashed(crash);
            if seen.insert(image.fingerprint()) {
                images.push(image);
            }
        }
    }
    (images, disk.medium().crashed(Crash::DropAll))
}

/// What every operation of `trial` is on a sound disk.
#[must_use]
pub fn rehearse(trial: Trial, scene: &Scene) -> Vec<Operation> {
    let disk = Faulty::on(scene.medium.clone()).recording();
    trial.run(&scene.over(disk.clone()), SEED).unwrap();
    disk.trace()
}

/// Every fault that can strike these operations.
#[must_use]
pub fn faults(operations: &[Operation]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, operation) in (0..).zip(operations) {
        for kind in FaultKind::ALL.into_iter().filter(|kind| kind.strikes(operation.kind)) {
            faults.extend([false, true].map(|sticky| Fault { at, kind, sticky }));
        }
    }
    faults
}

/// Does `trial` while `fault` strikes `operation`, and judges what it answers and leaves. Whether it was answered.
pub fn inject(trial: Trial, scene: &Scene, fault: Fault, operation: &Operation) -> bool {
    let label = format!("{trial:?}: {fault:?} of {:?} {}", operation.kind, operation.path);
    let disk = Faulty::on(scene.medium.clone());
    disk.fail(Some(fault));
    let places = scene.over(disk.clone());
    let done = match trial {
        Trial::Restore | Trial::TakeOver => trial.run(&places, SEED),
        _ => places.open("data", SEED).and_then(|(_db, env)| {
            let done = trial.attempt(&env, &places.archive());
            disk.fail(None);
            if operation.path.starts_with("archive") && !fault.sticky {
                goes_on(trial, &env, &places, &label);
            }
            done
        }),
    };
    disk.fail(None);
    if let Err(error) = &done {
        use ErrorKind::{Busy, Closed, Full, Io, NotFound, Poisoned};
        assert!(matches!(error.kind(), Busy | Closed | Full | Io | NotFound | Poisoned), "{label}: told as {error:?}");
    }
    drop(places);
    let crash = [Crash::Process, Crash::DropAll, Crash::KeepAll, Crash::Subset(fault.at)][fault.at as usize % 4];
    trial.judge(scene, &disk.medium().crashed(crash), (done.is_ok(), fault.at.is_multiple_of(5)), &label);
    done.is_ok()
}

/// A failing archive is no failure of the data's disk: writes go on, and so does what failed.
fn goes_on(trial: Trial, env: &Environment, places: &Places, label: &str) {
    assert_ne!(env.health(), Health::Poisoned, "{label}");
    let docs = env.open_collection("docs").unwrap();
    docs.upsert([record(199, 9)]).unwrap_or_else(|error| panic!("{label}: {error}"));
    docs.delete([199u64]).unwrap_or_else(|error| panic!("{label}: {error}"));
    trial.attempt(env, &places.archive()).unwrap_or_else(|error| panic!("{label}, again: {error}"));
}

/// The files of rows in the archive.
#[must_use]
pub fn objects(places: &Places) -> Vec<String> {
    Dir::root(places.part("archive", 4)).sub("env").sub(ENVIRONMENT).sub("rec").list().unwrap()
}
