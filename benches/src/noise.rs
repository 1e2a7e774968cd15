//! `bench privacy`: how far private answers are off, beside what was predicted; how long one takes, and for what; and that
//! a million records of one entity weigh as one.
//!
//! Invariant: answers are held against what the very records that were asked about give, and answers that were held back are
//! counted and not measured. Where no store is involved seeds are fixed: two runs find the same errors.

mod crowd;
mod errors;
mod found;
mod part;
mod speed;

use std::path::PathBuf;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::runner::RunError;
use crate::stage::Stage;

pub use found::{Asked, Crowd, Noises, NoisyPoint, Pace, Step};
pub use part::{NoisePart, UnknownNoisePart};

/// What to measure.
#[derive(Clone, Debug)]
pub struct NoiseOptions {
    /// The parts to measure.
    pub parts: Vec<NoisePart>,
    /// Dimensions of the vectors whose error is measured.
    pub dimensions: Vec<usize>,
    /// Entities of them, of one record each.
    pub entities: Vec<usize>,
    /// The ε of pure questions.
    pub epsilons: Vec<f64>,
    /// The δ of a question at ε = 1 with Gaussian noise.
    pub delta: f64,
    /// How often each question is answered.
    pub rounds: usize,
    /// Records of the centroid that is timed, each of an entity of its own.
    pub records: usize,
    /// Numbers in their vectors.
    pub dimension: usize,
    /// Records of the one entity that has many.
    pub crowd: usize,
    /// Where each store gets a directory of its own; the system's temporary directory if absent.
    pub folder: Option<PathBuf>,
}

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

/// That something cannot be asked.
fn unusable(error: impl ToString) -> RunError {
    RunError::Private(error.to_string())
}

/// Makes up a vector a hair shorter than 1, so that nothing is clipped, with a direction that most share.
fn draw(vector: &mut [f32], rng: &mut StdRng) {
    vector.iter_mut().for_each(|x| *x = rng.random::<f32>() - 0.3);
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length * 1.000_001);
}

#[cfg(test)]
mod tests;
