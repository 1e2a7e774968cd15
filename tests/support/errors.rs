//! Injected errors: a workload runs once for every operation it does and every way that operation can fail, once or from
//! then on. Whatever the engine answers is typed, what it acknowledged stays, reads go on, a disk that is sound again is
//! written to again unless the failure left its contents in doubt, and a restart finds what was promised.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use engine::{Error, ErrorKind, Health};
use storage::backend::faulty::{Crash, Fault, FaultKind, Medium, Operation};
use storage::backend::{Faulty, StorageBackend};

use crate::case::{Counts, Outcome, Violation};
use crate::oracle::{Nonces, Promise, judge, read};
use crate::workload::{Action, State, Store, Workload, all, named, start};

/// A workload and every operation it does on a sound disk.
pub struct Rehearsed {
    workload: Workload,
    seed: u64,
    medium: Medium,
    state: State,
    operations: Vec<Operation>,
    opening: u64,
}

/// Makes a disk lie about what fails.
pub type Wrap = fn(Faulty) -> Arc<dyn StorageBackend>;

/// Lets every failure be told.
#[must_use]
pub fn honest(disk: Faulty) -> Arc<dyn StorageBackend> {
    Arc::new(disk)
}

impl Rehearsed {
    /// Runs `workload` without a fault, to learn its operations.
    ///
    /// # Errors
    /// Says what failed although the disk did not.
    pub fn new(workload: Workload, seed: u64) -> Result<Self, String> {
        let (medium, state) = start(&workload, seed)?;
        let disk = Faulty::on(medium.clone()).recording();
        let mut store = Store::open(Arc::new(disk.clone()), seed + 1).map_err(|error| format!("{error:?}"))?;
        let opening = disk.operations();
        for action in &workload.actions {
            store.act(action).map_err(|error| format!("{}: {error:?}", workload.name))?;
        }
        drop(store);
        Ok(Self { operations: disk.trace(), opening, workload, seed, medium, state })
    }

    /// How many operations open the store, before the workload does anything.
    #[must_use]
    pub fn opening(&self) -> u64 {
        self.opening
    }

    /// The operation of this number.
    #[must_use]
    pub fn operation(&self, number: u64) -> Option<&Operation> {
        usize::try_from(number).ok().and_then(|at| self.operations.get(at))
    }

    /// Every fault that can strike.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (at, operation) in (0..).zip(&self.operations) {
            for kind in FaultKind::ALL.into_iter().filter(|kind| kind.strikes(operation.kind)) {
                faults.extend([false, true].map(|sticky| Fault { at, kind, sticky }));
            }
        }
        faults
    }

    /// Runs the workload with one fault and judges everything it answers and leaves.
    ///
    /// # Errors
    /// The violation.
    pub fn inject(&self, fault: Fault, wrap: Wrap, nonces: &mut Nonces) -> Result<u64, Violation> {
        let run = AssertUnwindSafe(|| self.run(fault, wrap, nonces));
        catch_unwind(run).unwrap_or_else(|_| Err("it panicked".to_owned())).map_err(|what| {
            let kind = format!("{:?}", fault.kind).to_lowercase();
            let often = if fault.sticky { "sticky" } else { "once" };
            let replay = format!("errors/{}/{}/{}/{kind}/{often}", self.workload.name, self.seed, fault.at);
            let what = self
                .operation(fault.at)
                .map_or(what.clone(), |op| format!("{what} (fault: {:?} of {})", op.kind, op.path));
            Violation { suite: "errors", what, replay }
        })
    }

    fn run(&self, fault: Fault, wrap: Wrap, nonces: &mut Nonces) -> Result<u64, String> {
        let disk = Faulty::on(self.medium.clone());
        disk.fail(Some(fault));
        let mut promise = Promise::of(self.state.clone());
        let seed =
            self.seed.wrapping_mul(31).wrapping_add(fault.at) * 16 + fault.kind as u64 * 2 + u64::from(fault.sticky);
        let mut store = match Store::open(wrap(disk.clone()), seed) {
            Ok(store) => Some(store),
            Err(error) => {
                typed(&error, false)?;
                None
            }
        };
        for action in &self.workload.actions {
            let Some(store) = &mut store else { break };
            promise = match store.act(action) {
                Err(error) => after(&promise, action, &error, is_quarantined(store))?,
                // A collection that a drop of unknown outcome left to be read is opened, not made.
                Ok(()) if matches!(action, Action::Create(_)) && is_poisoned(store) => promise.doubted(action),
                Ok(()) => promise.kept(action),
            };
        }
        let struck = disk.struck();
        disk.fail(None);
        if let Some(store) = &mut store {
            promise = goes_on(store, promise)?;
        }
        drop(store);
        let crash = [Crash::Process, Crash::DropAll, Crash::KeepAll, Crash::Subset(fault.at)][fault.at as usize % 4];
        judge(&Faulty::on(disk.medium().crashed(crash)), &promise, seed + (1 << 40), nonces)?;
        Ok(struck)
    }
}

/// What is promised after `action` failed.
fn after(promise: &Promise, action: &Action, error: &Error, quarantined: bool) -> Result<Promise, String> {
    typed(error, quarantined)?;
    let is_write = matches!(action, Action::Put(..) | Action::Delete(_) | Action::Sweep(_));
    // A full disk says so before anything is logged.
    Ok(if is_write && error.kind() == ErrorKind::Full { promise.clone() } else { promise.doubted(action) })
}

/// The kinds that a failing disk may be told by.
fn typed(error: &Error, quarantined: bool) -> Result<(), String> {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Full | ErrorKind::Poisoned | ErrorKind::Busy => Ok(()),
        // What cannot be read is left out, and what needs it is refused.
        ErrorKind::Corrupt if quarantined => Ok(()),
        // What could not be made is not there; what could not be closed is closed.
        ErrorKind::NotFound | ErrorKind::Closed => Ok(()),
        _ => Err(format!("a failing disk is told as {error:?}")),
    }
}

/// On a disk that is sound again: reads answer, and writes do unless the latch is set.
fn goes_on(store: &mut Store, promise: Promise) -> Result<Promise, String> {
    if store.database().is_none() {
        return Ok(promise);
    }
    let poisoned = is_poisoned(store);
    let quarantined = is_quarantined(store);
    match store.environment() {
        // A segment that could not be read is left out until a restart, and answers say so.
        Ok(env) if quarantined => {
            for collection in env.collections().iter().filter(|info| !info.damaged.is_empty()) {
                let counted = env.open_collection(&collection.name).and_then(|docs| docs.count().run());
                if !counted.map_err(|error| format!("counting fails: {error:?}"))?.partial {
                    return Err("an answer leaves a segment out and does not say so".into());
                }
            }
        }
        Ok(_) => {
            let state = read(store)?;
            if !promise.states.contains(&state) {
                return Err("reads show what was never promised".into());
            }
        }
        // An environment that could not be opened can be, unless nothing may be changed any more.
        Err(error) if poisoned && error.kind() == ErrorKind::Poisoned => return Ok(promise),
        Err(error) if error.kind() == ErrorKind::NotFound && promise.states.contains(&State::new()) => {
            return Ok(promise);
        }
        Err(error) => return Err(format!("a sound disk does not open: {error:?}")),
    }
    let put = Action::Put(200..203, 9);
    match store.act(&put) {
        Ok(()) if poisoned => Err("a poisoned store took a write".into()),
        Ok(()) => Ok(promise.kept(&put)),
        Err(error) if poisoned && error.kind() == ErrorKind::Poisoned => Ok(promise),
        Err(error) if quarantined && error.kind() == ErrorKind::Corrupt => Ok(promise),
        Err(error)
            if error.kind() == ErrorKind::NotFound
                && promise.states.iter().any(|state| !state.contains_key("docs")) =>
        {
            Ok(promise)
        }
        Err(error) => Err(format!("a sound disk is not written to: {error:?}")),
    }
}

fn is_quarantined(store: &Store) -> bool {
    store.environment().is_ok_and(|env| env.collections().iter().any(|info| !info.damaged.is_empty()))
}

fn is_poisoned(store: &Store) -> bool {
    store.database().is_some_and(|database| database.health() == Health::Poisoned)
}

fn broken(what: String, replay: String) -> Violation {
    Violation { suite: "errors", what, replay }
}

/// Every fault of one workload of one seed.
///
/// # Errors
/// The violation.
pub fn case(seed: u64) -> Outcome {
    let mut workloads = all();
    let workload = workloads.swap_remove(seed as usize % workloads.len());
    let words = format!("errors/{}/{seed}", workload.name);
    let rehearsed = Rehearsed::new(workload, seed).map_err(|what| broken(what, words))?;
    let faults = rehearsed.faults();
    every(&rehearsed, faults.into_iter().skip(seed as usize % 3).step_by(3))
}

/// Injects `faults` one by one.
///
/// # Errors
/// The violation.
pub fn every(rehearsed: &Rehearsed, faults: impl Iterator<Item = Fault>) -> Outcome {
    let (mut counts, mut nonces) = (Counts::new(), Nonces::new());
    for fault in faults {
        let struck = rehearsed.inject(fault, honest, &mut nonces)?;
        *counts.entry("errors injected").or_default() += u64::from(struck > 0);
        *counts.entry("operations failed").or_default() += struck;
    }
    Ok(counts)
}

/// Does again what `errors/…` names.
///
/// # Errors
/// The violation, or that the words name nothing.
pub fn replay(words: &str) -> Outcome {
    let unknown = || broken("these words name no error".into(), words.to_owned());
    let parts: Vec<&str> = words.split('/').collect();
    let ["errors", workload, seed, ref rest @ ..] = parts[..] else { return Err(unknown()) };
    let (workload, seed) = (named(workload).ok_or_else(unknown)?, seed.parse().map_err(|_| unknown())?);
    let rehearsed = Rehearsed::new(workload, seed).map_err(|what| broken(what, words.to_owned()))?;
    let [at, kind, often] = rest else { return every(&rehearsed, rehearsed.faults().into_iter()) };
    let kind = FaultKind::ALL.into_iter().find(|other| format!("{other:?}").to_lowercase() == *kind);
    let at = at.parse().map_err(|_| unknown())?;
    let fault = Fault { at, kind: kind.ok_or_else(unknown)?, sticky: *often == "sticky" };
    every(&rehearsed, [fault].into_iter())
}
