//! What a measurement of private answers found: as one JSON object, as tables, and as a picture of the errors of each
//! dimension.
//!
//! Invariant: the member names are only ever added to.

use std::fmt;

use serde::Serialize;

use crate::plot::{Axis, Line, Picture};

/// What private answers are like.
#[derive(Clone, Debug, Serialize)]
pub struct Noises {
    /// `lethedb`.
    pub engine: &'static str,
    /// Of the engine.
    pub version: &'static str,
    /// How often each question was answered.
    pub rounds: usize,
    /// How far they are off: by dimension, then entities, then guarantee; none if that was not measured.
    pub points: Vec<NoisyPoint>,
    /// How long one takes.
    pub speed: Option<Pace>,
    /// What many records of one entity weigh.
    pub crowd: Option<Crowd>,
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

/// How long a centroid takes.
#[derive(Clone, Debug, Serialize)]
pub struct Pace {
    /// Asked about, each of an entity of its own.
    pub records: usize,
    /// Numbers in a vector.
    pub dimension: usize,
    /// On one thread, where the time goes.
    pub steps: Vec<Step>,
    /// Milliseconds in all, on one thread.
    pub one_ms: f64,
    /// On how many threads it took the next.
    pub threads: usize,
    /// Milliseconds in all, on these.
    pub all_ms: f64,
}

/// A step on the way to an answer.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Which.
    pub what: &'static str,
    /// Milliseconds on one thread.
    pub ms: f64,
}

/// What many records of one entity weigh.
#[derive(Clone, Debug, Serialize)]
pub struct Crowd {
    /// Of that entity.
    pub records: usize,
    /// It, and those that have one record each.
    pub entities: usize,
    /// For storing all of them.
    pub import_seconds: f64,
    /// The questions.
    pub asked: Vec<Asked>,
}

/// A question about them, at the largest ε.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    /// Which.
    pub what: &'static str,
    /// What it is if the entity counts once.
    pub wanted: Vec<f64>,
    /// What was answered.
    pub found: Vec<f64>,
    /// How long it took.
    pub seconds: f64,
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
    /// A picture for each dimension: predicted errors as lines, measured ones as dots.
    pub fn pictures(&self) -> Vec<(usize, Picture)> {
        let mut dimensions: Vec<usize> = self.points.iter().map(|point| point.dimension).collect();
        dimensions.dedup();
        dimensions.into_iter().map(|dimension| (dimension, self.picture(dimension))).collect()
    }

    fn picture(&self, dimension: usize) -> Picture {
        let mut lines: Vec<Line> = Vec::new();
        for point in self.points.iter().filter(|point| point.dimension == dimension) {
            let entities = point.entities as f64;
            let (predicted, measured) = ((entities, point.predicted), point.measured.map(|error| (entities, error)));
            let name = point.name();
            if let Some(line) = lines.iter_mut().find(|line| line.name == name) {
                line.points.push(predicted);
                line.dots.iter_mut().for_each(|dots| dots.extend(measured));
            } else {
                let dots = Some(measured.into_iter().collect());
                lines.push(Line { name, points: vec![predicted], dots, is_ours: false });
            }
        }
        let rounds = self.rounds;
        Picture {
            title: format!("error of a private centroid, {dimension} dimensions"),
            subtitle: format!(
                "unit vectors, one record an entity; lines: predicted, dots: measured, root of the mean square of {rounds} answers"
            ),
            x: (Axis::Log, "entities".to_owned()),
            y: (Axis::Log, "error in L2".to_owned()),
            lines,
        }
    }
}

impl fmt::Display for Noises {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.engine, self.version)?;
        if !self.points.is_empty() {
            writeln!(f, "\n\nprivate centroids of unit vectors, {} answers each", self.rounds)?;
            write!(
                f,
                "{:>5} {:>8}  {:<16} {:>10} {:>10} {:>5}",
                "dim", "entities", "", "predicted", "measured", "held"
            )?;
        }
        for point in &self.points {
            let NoisyPoint { dimension, entities, predicted, measured, held_back, .. } = point;
            let measured = measured.map_or_else(|| "-".to_owned(), |error| format!("{error:.5}"));
            write!(f, "\n{dimension:>5} {entities:>8}  {:<16} {predicted:>10.5}", point.name())?;
            write!(f, " {measured:>10} {held_back:>5}")?;
        }
        self.speed.iter().try_for_each(|speed| write!(f, "\n\n{speed}"))?;
        self.crowd.iter().try_for_each(|crowd| write!(f, "\n\n{crowd}"))
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, dimension, steps, one_ms, threads, all_ms } = self;
        writeln!(f, "a centroid of {records} records of {dimension} numbers, each of an entity of its own")?;
        write!(f, "{:<40} {:>9} {:>7}", "on one thread", "ms", "share")?;
        for Step { what, ms } in steps {
            write!(f, "\n{what:<40} {ms:>9.2} {:>5.1} %", ms / one_ms * 100.0)?;
        }
        write!(f, "\n{:<40} {one_ms:>9.2}", "in all")?;
        write!(f, "\n{:<40} {all_ms:>9.2}", format!("in all, on {threads} threads"))
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, entities, import_seconds, asked } = self;
        writeln!(f, "{entities} entities, one of them with {records} records, stored in {import_seconds:.1} s")?;
        write!(f, "{:<10} {:>18} {:>18} {:>7}", "", "if it counts once", "answered", "s")?;
        let list = |values: &[f64]| values.iter().map(|x| format!("{x:.4}")).collect::<Vec<_>>().join(" ");
        for Asked { what, wanted, found, seconds } in asked {
            write!(f, "\n{what:<10} {:>18} {:>18} {seconds:>7.2}", list(wanted), list(found))?;
        }
        Ok(())
    }
}
