//! Crash points: a workload runs once on a recording disk; then, for every operation it did and every way to crash
//! there, the store is opened from what is left and judged. One image in ten is crashed again while it recovers.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use storage::backend::faulty::{Crash, Medium};
use storage::backend::{Faulty, StorageBackend};

use crate::case::{Counts, Outcome, Violation};
use crate::oracle::{Nonces, Promise, judge};
use crate::workload::{Action, Store, Workload, all, named, start};

/// How many images of each seeded kind of crash are taken at an operation.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// Subsets, where there are too many to take all.
    pub subsets: u64,
    /// Torn writes.
    pub torn: u64,
    /// Lengths ahead of data.
    pub ahead: u64,
    /// Prefixes.
    pub prefixes: usize,
}

/// A workload that was recorded.
pub struct Recorded {
    workload: Workload,
    seed: u64,
    /// The medium after each change, with what was promised then.
    moments: Vec<(Medium, Arc<Promise>)>,
    /// The first moment that is no other workload's too.
    own: usize,
    /// Whether every recovery draws the randomness of the one before.
    stale_entropy: bool,
}

/// Where an image comes from.
#[derive(Clone, Copy, Debug)]
struct Place {
    moment: usize,
    crash: Crash,
    /// A second crash, at this change of the recovery from the first.
    again: Option<(usize, Crash)>,
}

impl Recorded {
    /// Runs `workload` on a disk that `wrap` may make lie.
    ///
    /// # Errors
    /// Says what failed although the disk did not.
    pub fn new(
        workload: Workload,
        seed: u64,
        wrap: impl FnOnce(Faulty) -> Arc<dyn StorageBackend>,
    ) -> Result<Self, String> {
        let (medium, state) = start(&workload, seed)?;
        let disk = Faulty::on(medium).recording();
        let backend = wrap(disk.clone());
        let failed = |error: engine::Error| format!("{}: {error:?}", workload.name);
        let mut promise = Promise::of(state);
        let mut promises: Vec<(u64, Arc<Promise>)> = Vec::new();
        let mut store = Store::open(backend, seed + 1).map_err(failed)?;
        let mut shared = 0;
        for (at, action) in workload.actions.iter().enumerate() {
            let doubted = promise.doubted(action);
            if at > 0 && at == workload.shared {
                shared = disk.operations();
            }
            promises.push((disk.operations(), Arc::new(doubted)));
            store.act(action).map_err(failed)?;
            promise = promise.kept(action);
            check_anchors(action, &disk.medium())?;
            promises.push((disk.operations(), Arc::new(promise.clone())));
        }
        drop(store);
        let own = disk.history().partition_point(|(operations, _)| *operations < shared);
        Ok(Self { seed, moments: moments(&disk, &promises), own, workload, stale_entropy: false })
    }

    /// Takes every image up to `depth`; stops at the first violation.
    ///
    /// # Errors
    /// The violation.
    pub fn crash_everywhere(&self, depth: Depth, moments: impl Iterator<Item = usize>) -> Outcome {
        let mut counts = Counts::new();
        let (mut nonces, mut seen) = (Nonces::new(), std::collections::HashSet::new());
        for moment in moments {
            let Some((medium, promise)) = self.moments.get(moment) else { continue };
            for crash in crashes(medium, depth) {
                let image = medium.crashed(crash);
                if !seen.insert((Arc::as_ptr(promise), image.fingerprint())) {
                    *counts.entry("images that were seen before").or_default() += 1;
                    continue;
                }
                *counts.entry("crash images").or_default() += 1;
                let again = seen.len() % 10 == 0;
                let place = Place { moment, crash, again: None };
                let disk = Faulty::on(image);
                if again {
                    *counts.entry("crashed again in recovery").or_default() += 1;
                    let disk = disk.recording();
                    self.recover(place, &disk, &mut nonces)?;
                    self.crash_again(place, &disk, seen.len(), &mut nonces)?;
                } else {
                    self.recover(place, &disk, &mut nonces)?;
                }
            }
        }
        Ok(counts)
    }

    /// The same, recovered by processes that all draw the same randomness.
    #[must_use]
    pub fn with_stale_entropy(mut self) -> Self {
        self.stale_entropy = true;
        self
    }

    /// How many moments there are to crash at.
    #[must_use]
    pub fn len(&self) -> usize {
        self.moments.len()
    }

    /// The first moment that is not, byte for byte, one of another workload that does the first part of this one.
    #[must_use]
    pub fn own(&self) -> usize {
        self.own
    }

    /// Whether the workload changed nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moments.is_empty()
    }

    fn crash_again(&self, first: Place, recovery: &Faulty, salt: usize, nonces: &mut Nonces) -> Result<(), Violation> {
        let history = recovery.history();
        let at = salt.wrapping_mul(7919) % history.len().max(1);
        let Some((_, medium)) = history.get(at) else { return Ok(()) };
        let crash =
            [Crash::DropAll, Crash::Subset(salt as u64), Crash::Torn(salt as u64), Crash::Process][salt / 10 % 4];
        let place = Place { again: Some((at, crash)), ..first };
        self.recover(place, &Faulty::on(medium.crashed(crash)), nonces)
    }

    /// Opens and judges the image on `disk`; a panic is a violation as well.
    fn recover(&self, place: Place, disk: &Faulty, nonces: &mut Nonces) -> Result<(), Violation> {
        let promise = &self.moments[place.moment].1;
        let seed = if self.stale_entropy { self.seed } else { place_seed(self.seed, place) };
        let judged = catch_unwind(AssertUnwindSafe(|| judge(disk, promise, seed, nonces)))
            .unwrap_or_else(|_| Err("it panicked".to_owned()));
        judged.map_err(|what| Violation { suite: "crash", what, replay: self.words(place) })
    }

    fn words(&self, place: Place) -> String {
        let mut words = format!("crash/{}/{}/{}/{}", self.workload.name, self.seed, place.moment, name(place.crash));
        if let Some((at, crash)) = place.again {
            let _ = write!(words, "/{at}/{}", name(crash));
        }
        words
    }
}

/// An erasure or run of retention that was acknowledged has destroyed every anchor but one, without waiting for a restart.
fn check_anchors(action: &Action, medium: &Medium) -> Result<(), String> {
    let anchors = medium.paths().filter(|path| path.starts_with("anchors/") && !path.contains("checkpoint-")).count();
    match action {
        Action::Erase(_) | Action::Epoch | Action::Retain(_) if anchors != 1 => {
            Err(format!("{anchors} anchors outlive an erasure"))
        }
        _ => Ok(()),
    }
}

/// Each recovery draws its own randomness, as each process does.
fn place_seed(seed: u64, place: Place) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (seed, place.moment, place.crash, place.again).hash(&mut hasher);
    hasher.finish() >> 16
}

/// The medium of each change with the promise of that time: of two acknowledgements around it, the earlier one holds and
/// the later is in doubt.
fn moments(disk: &Faulty, promises: &[(u64, Arc<Promise>)]) -> Vec<(Medium, Arc<Promise>)> {
    let promise_at = |operations: u64| {
        let held = promises.iter().rev().find(|(from, _)| *from <= operations).or(promises.first());
        held.map(|(_, promise)| Arc::clone(promise))
    };
    disk.history().into_iter().filter_map(|(operations, medium)| Some((medium, promise_at(operations)?))).collect()
}

fn crashes(medium: &Medium, depth: Depth) -> Vec<Crash> {
    let pending = medium.pending();
    if pending == 0 {
        // Every crash leaves the same.
        return vec![Crash::Process];
    }
    let mut all = vec![Crash::Process, Crash::DropAll, Crash::KeepAll];
    let prefixes = 1..pending;
    let stride = prefixes.len().div_ceil(depth.prefixes.max(1)).max(1);
    all.extend(prefixes.step_by(stride).map(Crash::Prefix));
    let subsets = if pending < 6 { depth.subsets.min(1 << pending) } else { depth.subsets };
    all.extend((0..subsets).map(Crash::Subset));
    all.extend((0..depth.torn).map(Crash::Torn));
    all.extend((0..depth.ahead).map(Crash::Ahead));
    all
}

fn name(crash: Crash) -> String {
    match crash {
        Crash::Process => "process".into(),
        Crash::DropAll => "drop".into(),
        Crash::KeepAll => "keep".into(),
        Crash::Prefix(kept) => format!("prefix-{kept}"),
        Crash::Subset(seed) => format!("subset-{seed}"),
        Crash::Torn(seed) => format!("torn-{seed}"),
        Crash::Ahead(seed) => format!("ahead-{seed}"),
    }
}

fn named_crash(words: &str) -> Option<Crash> {
    let (kind, number) = words.split_once('-').unwrap_or((words, "0"));
    let seed = number.parse().ok()?;
    Some(match kind {
        "process" => Crash::Process,
        "drop" => Crash::DropAll,
        "keep" => Crash::KeepAll,
        "prefix" => Crash::Prefix(usize::try_from(seed).ok()?),
        "subset" => Crash::Subset(seed),
        "torn" => Crash::Torn(seed),
        "ahead" => Crash::Ahead(seed),
        _ => return None,
    })
}

fn broken(what: String, replay: String) -> Violation {
    Violation { suite: "crash", what, replay }
}

/// One workload of one seed, with many images of each kind at every operation.
///
/// # Errors
/// The violation.
pub fn case(seed: u64) -> Outcome {
    let mut workloads = all();
    let workload = workloads.swap_remove(seed as usize % workloads.len());
    let words = format!("crash/{}/{seed}", workload.name);
    let recorded = Recorded::new(workload, seed, |disk| Arc::new(disk)).map_err(|what| broken(what, words))?;
    let depth = Depth { subsets: 24, torn: 16, ahead: 8, prefixes: 16 };
    // A seeded start and stride, so that other seeds see other moments at other depths.
    recorded.crash_everywhere(depth, (seed as usize % 3..recorded.len()).step_by(3))
}

/// Does again what `crash/…` names.
///
/// # Errors
/// The violation, or that the words name nothing.
pub fn replay(words: &str) -> Outcome {
    let unknown = || broken("these words name no crash".into(), words.to_owned());
    let parts: Vec<&str> = words.split('/').collect();
    let (workload, seed) = match parts[..] {
        ["crash", workload, seed, ..] => (named(workload).ok_or_else(unknown)?, seed.parse().map_err(|_| unknown())?),
        _ => return Err(unknown()),
    };
    let recorded =
        Recorded::new(workload, seed, |disk| Arc::new(disk)).map_err(|what| broken(what, words.to_owned()))?;
    let [moment, crash, again @ ..] = &parts[3..] else {
        let depth = Depth { subsets: 24, torn: 16, ahead: 8, prefixes: 16 };
        return recorded.crash_everywhere(depth, 0..recorded.len());
    };
    let place = Place {
        moment: moment.parse().map_err(|_| unknown())?,
        crash: named_crash(crash).ok_or_else(unknown)?,
        again: None,
    };
    let (medium, _) = recorded.moments.get(place.moment).ok_or_else(unknown)?;
    let mut nonces = Nonces::new();
    let recovery = Faulty::on(medium.crashed(place.crash)).recording();
    recorded.recover(place, &recovery, &mut nonces)?;
    if let [at, crash] = again {
        let (at, crash) = (at.parse().map_err(|_| unknown())?, named_crash(crash).ok_or_else(unknown)?);
        let history = recovery.history();
        let (_, medium): &(u64, Medium) = history.get(at).ok_or_else(unknown)?;
        let place = Place { again: Some((at, crash)), ..place };
        recorded.recover(place, &Faulty::on(medium.crashed(crash)), &mut nonces)?;
    }
    Ok(Counts::from([("crash images", 1)]))
}
