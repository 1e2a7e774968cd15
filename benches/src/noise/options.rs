//! What is to be measured of private answers, and that something cannot be asked.

use std::path::PathBuf;

use super::part::NoisePart;
use crate::runner::RunError;

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

/// That something cannot be asked.
pub(super) fn unusable(error: impl ToString) -> RunError {
    RunError::Private(error.to_string())
}
