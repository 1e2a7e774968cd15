//! `bench privacy`: how far private centroids are off, beside what was predicted, and where their time goes.
//!
//! Invariant: errors are measured against the true mean of the very vectors that were asked about, answers that were held
//! back are counted and not measured, and seeds are fixed: two runs find the same errors. No store is involved; what
//! reading one costs is measured elsewhere.
#![expect(clippy::disallowed_methods, reason = "a measurement reads time")]

mod found;

use std::time::Instant;

use privacy::dp::{Clip, Delta, Epsilon, Groups, Guarantee, LEAST_GROUP, Plan, Question, Sum};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub use found::{Noises, NoisyPoint, Pace};

/// What to measure.
#[derive(Clone, Debug)]
pub struct NoiseOptions {
    /// Dimensions of the vectors.
    pub dimensions: Vec<usize>,
    /// Entities, of one record each.
    pub entities: Vec<usize>,
    /// The ε of pure questions.
    pub epsilons: Vec<f64>,
    /// The δ of a question at ε = 1 with Gaussian noise.
    pub delta: f64,
    /// How often each question is answered.
    pub rounds: usize,
}

/// Runs the measurement that `options` describe. `progress` hears of vectors done and in all.
///
/// # Errors
/// What is wrong with the options, in words.
pub fn noise(options: &NoiseOptions, progress: &mut dyn FnMut(u64, u64)) -> Result<Noises, String> {
    let mut guarantees = Vec::new();
    for epsilon in &options.epsilons {
        guarantees.push(Guarantee::pure(Epsilon::new(*epsilon).map_err(|error| error.to_string())?));
    }
    let one = Epsilon::new(1.0).map_err(|error| error.to_string())?;
    let delta = Delta::new(options.delta).map_err(|error| error.to_string())?;
    guarantees.push(Guarantee::approximate(one, delta));

    let all = options.dimensions.len() * options.entities.iter().sum::<usize>();
    let (mut points, mut paces, mut done) = (Vec::new(), Vec::new(), 0);
    for dimension in &options.dimensions {
        let clip = Clip::new(*dimension, 1.0, None).map_err(|error| error.to_string())?;
        for entities in &options.entities {
            let bounded = Bounded::new(&clip, *entities);
            for guarantee in &guarantees {
                points.push(bounded.answer(&clip, *guarantee, options.rounds)?);
            }
            paces.push(bounded.pace(&clip, one)?);
            done += entities;
            progress(done as u64, all as u64);
        }
    }
    Ok(Noises { engine: "lethedb", version: env!("CARGO_PKG_VERSION"), rounds: options.rounds, points, paces })
}

/// Entities with a vector each, bounded and added up.
struct Bounded {
    entities: usize,
    sum: Sum,
    /// Their true mean.
    mean: Vec<f64>,
    seconds: f64,
}

impl Bounded {
    /// Makes unit vectors around a direction up, bounds them and adds them up.
    fn new(clip: &Clip, entities: usize) -> Self {
        let dimension = clip.bound().width();
        let rng = &mut StdRng::seed_from_u64(entities as u64);
        let (mut sum, mut gather) = (Sum::new(clip.bound()), clip.gather());
        let (mut mean, mut vector, mut seconds) = (vec![0.0; dimension], vec![0.0_f32; dimension], 0.0);
        for _ in 0..entities {
            vector.iter_mut().for_each(|x| *x = rng.random::<f32>() - 0.3);
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            // A hair below 1, so that nothing is clipped.
            vector.iter_mut().for_each(|x| *x /= length * 1.000_001);
            mean.iter_mut().zip(&vector).for_each(|(sum, x)| *sum += f64::from(*x) / entities as f64);
            let begun = Instant::now();
            gather.add(&vector);
            sum.add(&gather.take());
            seconds += begun.elapsed().as_secs_f64();
        }
        Self { entities, sum, mean, seconds }
    }

    /// Answers a question `rounds` times.
    fn answer(&self, clip: &Clip, guarantee: Guarantee, rounds: usize) -> Result<NoisyPoint, String> {
        let plan = plan(clip, guarantee)?;
        let question = self.entities as u64 ^ (clip.bound().width() as u64) << 24 ^ guarantee.epsilon.units() << 36;
        let rng = &mut StdRng::seed_from_u64(question);
        let (mut squares, mut answered) = (0.0, 0);
        for _ in 0..rounds {
            if let Some(values) = plan.release(&self.sum, rng).values {
                squares += values.iter().zip(&self.mean).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
                answered += 1;
            }
        }
        Ok(NoisyPoint {
            dimension: clip.bound().width(),
            entities: self.entities,
            epsilon: guarantee.epsilon.as_f64(),
            delta: guarantee.delta.map(Delta::as_f64),
            predicted: plan.predict(self.entities as u64).rmse,
            measured: (answered > 0).then(|| (squares / f64::from(answered)).sqrt()),
            held_back: rounds as u32 - answered,
        })
    }

    /// What bounding an entity and drawing the noise of an answer takes.
    fn pace(&self, clip: &Clip, epsilon: Epsilon) -> Result<Pace, String> {
        let plan = plan(clip, Guarantee::pure(epsilon))?;
        let rng = &mut StdRng::seed_from_u64(0);
        let begun = Instant::now();
        plan.release(&self.sum, rng);
        let noise_seconds = begun.elapsed().as_secs_f64();
        let (dimension, entities) = (clip.bound().width(), self.entities);
        Ok(Pace { dimension, entities, bound_seconds: self.seconds, noise_seconds })
    }
}

fn plan(clip: &Clip, guarantee: Guarantee) -> Result<Plan, String> {
    let question = Question::Centroid { clip: clip.clone(), is_projected: false };
    Plan::new(question, guarantee, Groups::One, LEAST_GROUP).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
