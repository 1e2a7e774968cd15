//! What a measurement of private answers found: as one JSON object, as tables, and as a picture of each dimension.
//!
//! Invariant: the member names are only ever added to.

use std::fmt;

use serde::Serialize;

use crate::plot::{Axis, Line, Picture};

/// How far private centroids are off.
#[derive(Clone, Debug, Serialize)]
pub struct Noises {
    /// `lethedb`.
    pub engine: &'static str,
    /// Of the engine.
    pub version: &'static str,
    /// How often each question was answered.
    pub rounds: usize,
    /// By dimension, then entities, then guarantee.
    pub points: Vec<NoisyPoint>,
    /// By dimension, then entities.
    pub paces: Vec<Pace>,
}

/// The error of one question.
#[derive(Clone, Debug, Serialize)]
pub struct NoisyPoint {
    /// Of the vectors.
    pub dimension: usize,
    /// Asked about.
    pub entities: usize,
    /// Of the question.
    pub epsilon: f64,
    /// Of the question; null for pure ε.
    pub delta: Option<f64>,
    /// Root of the mean square of the error in L2, as the plan says; without what dividing by the noisy count adds.
    pub predicted: f64,
    /// The same of the answers; null if all were held back.
    pub measured: Option<f64>,
    /// Answers held back, because their noisy count was below the least group.
    pub held_back: u32,
}

/// Where time goes, reading left out.
#[derive(Clone, Debug, Serialize)]
pub struct Pace {
    /// Of the vectors.
    pub dimension: usize,
    /// With one record each.
    pub entities: usize,
    /// For bounding all of them and adding them up.
    pub bound_seconds: f64,
    /// For the noise of one answer at ε = 1.
    pub noise_seconds: f64,
}

impl NoisyPoint {
    /// What it promises, in a few signs.
    fn name(&self) -> String {
        // What was asked for, of which the exact ε is up to a millionth short.
        let epsilon = (self.epsilon * 1e5).round() / 1e5;
        match self.delta {
            None => format!("ε = {epsilon}"),
            Some(delta) => format!("ε = {epsilon}, δ = {delta:.0e}"),
        }
    }
}

impl Noises {
    /// A picture for each dimension: measured errors over predicted ones.
    pub fn pictures(&self) -> Vec<(usize, Picture)> {
        let mut dimensions: Vec<usize> = self.points.iter().map(|point| point.dimension).collect();
        dimensions.dedup();
        dimensions.into_iter().map(|dimension| (dimension, self.picture(dimension))).collect()
    }

    fn picture(&self, dimension: usize) -> Picture {
        let mut lines: Vec<Line> = Vec::new();
        for point in self.points.iter().filter(|point| point.dimension == dimension) {
            let predicted = format!("{} predicted", point.name());
            for (name, error) in [(predicted, Some(point.predicted)), (point.name(), point.measured)] {
                if !lines.iter().any(|line| line.name == name) {
                    lines.push(Line { name: name.clone(), points: Vec::new(), is_ours: false });
                }
                if let (Some(line), Some(error)) = (lines.iter_mut().find(|line| line.name == name), error) {
                    line.points.push((point.entities as f64, error));
                }
            }
        }
        Picture {
            title: format!("error of a private centroid, {dimension} dimensions"),
            subtitle: format!("unit vectors, one record an entity, root of the mean square of {} answers", self.rounds),
            x: (Axis::Log, "entities".to_owned()),
            y: (Axis::Log, "error in L2".to_owned()),
            lines,
        }
    }
}

impl fmt::Display for Noises {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: private centroids of unit vectors, {} answers each", self.engine, self.rounds)?;
        write!(f, "{:>5} {:>8}  {:<16} {:>10} {:>10} {:>5}", "dim", "entities", "", "predicted", "measured", "held")?;
        for point in &self.points {
            let NoisyPoint { dimension, entities, predicted, measured, held_back, .. } = point;
            let measured = measured.map_or_else(|| "-".to_owned(), |error| format!("{error:.5}"));
            write!(f, "\n{dimension:>5} {entities:>8}  {:<16} {predicted:>10.5}", point.name())?;
            write!(f, " {measured:>10} {held_back:>5}")?;
        }
        write!(f, "\n\n{:>5} {:>8}  {:>12} {:>12}", "dim", "entities", "bounding ms", "noise ms")?;
        for Pace { dimension, entities, bound_seconds, noise_seconds } in &self.paces {
            let (bound, noise) = (bound_seconds * 1e3, noise_seconds * 1e3);
            write!(f, "\n{dimension:>5} {entities:>8}  {bound:>12.2} {noise:>12.3}")?;
        }
        Ok(())
    }
}
