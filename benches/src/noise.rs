//! `bench privacy`: how far private answers are off, beside what was predicted; how long one takes, and for what; and that
//! a million records of one entity weigh as one.
//!
//! Invariant: answers are held against what the very records that were asked about give, and answers that were held back are
//! counted and not measured. Where no store is involved seeds are fixed: two runs find the same errors.

mod crowd;
mod errors;
mod found;
mod options;
mod part;
mod speed;

use crate::runner::RunError;
use crate::stage::Stage;

pub use found::{Asked, Crowd, Noises, NoisyPoint, Pace, Step};
pub use options::NoiseOptions;
pub use part::{NoisePart, UnknownNoisePart};

/// Runs the measurement that `options` describe. `progress` hears what is done: stage, steps done, steps in all.
///
/// # Errors
/// What cannot be asked, and what goes wrong with a store.
pub fn noise(options: &NoiseOptions, progress: &mut dyn FnMut(Stage, u64, u64)) -> Result<Noises, RunError> {
    if options.records == 0 || options.crowd == 0 || options.rounds == 0 {
        return Err(RunError::Private("records, entities and rounds must be at least 1".to_owned()));
    }
    let has = |part| options.parts.contains(&part);
    Ok(Noises {
        engine: "lethedb",
        version: env!("CARGO_PKG_VERSION"),
        rounds: options.rounds,
        points: if has(NoisePart::Error) { errors::measure(options, progress)? } else { Vec::new() },
        speed: if has(NoisePart::Speed) { Some(speed::measure(options, progress)?) } else { None },
        crowd: if has(NoisePart::Crowd) { Some(crowd::measure(options, progress)?) } else { None },
    })
}

#[cfg(test)]
mod tests;
