//! `bench erase`: what forgetting costs: how long each stage of an erasure takes by how much there is to erase, what it
//! leaves to searches meanwhile, what its change of keys costs by how many entities there are, and what new entities cost a
//! flush.
//!
//! Invariant: stores are encrypted and opened from disk, erasures run as a user's do, and a thread searches all along, so
//! that every stage is timed under load. All rows of a store lie in one segment, which is the worst case: every erasure
//! rewrites all of it. No background thread works: the bench does upkeep itself, as soon as an erasure was answered.

mod asking;
mod epochs;
mod erasing;
mod flushes;
mod options;
mod part;
mod plan;
mod stages;

use crate::bandwidth::Bandwidth;
use crate::machine::Machine;
use crate::runner::RunError;
use crate::stage::Stage;

pub use epochs::Epoch;
pub use erasing::Erasing;
pub use flushes::Flushed;
pub use options::EraseOptions;
pub use part::{Part, UnknownPart};
pub use stages::{Searched, Staged, Together};

/// Runs the measurement that `options` describe. `progress` hears what is done: stage, steps done, steps in all.
pub fn erase(options: &EraseOptions, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<Erasing, RunError> {
    options.check()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut erasing = Erasing {
        engine: "lethedb",
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::measure(cores, &Bandwidth::new()),
        records: options.records,
        dim: options.dimension,
        metric: stages::DISTANCE.to_string(),
        k: stages::K,
        rounds: options.rounds,
        stages: Vec::new(),
        together: Vec::new(),
        epochs: Vec::new(),
        flushes: Vec::new(),
    };
    let has = |part| options.parts.contains(&part);
    if has(Part::Stages) || has(Part::Together) {
        (erasing.stages, erasing.together) =
            stages::measure(options, has(Part::Stages), has(Part::Together), progress)?;
    }
    if has(Part::Epochs) {
        erasing.epochs =
            options.epochs.iter().map(|&size| epochs::measure(options, size, progress)).collect::<Result<_, _>>()?;
    }
    if has(Part::Flush) {
        erasing.flushes = flushes::measure(options, progress)?;
    }
    Ok(erasing)
}

#[cfg(test)]
mod tests;
