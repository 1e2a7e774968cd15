//! How far private centroids are off, by dimension, entities and guarantee.

use privacy::dp::{Clip, Delta, Epsilon, Groups, Guarantee, LEAST_GROUP, Plan, Question, Sum};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::found::NoisyPoint;
use super::options::{NoiseOptions, unusable};
use crate::runner::RunError;
use crate::stage::Stage;

/// Asks about every number of entities under every guarantee. No store is involved.
pub(super) fn measure(
    options: &NoiseOptions,
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> Result<Vec<NoisyPoint>, RunError> {
    let pure = |epsilon: f64| Epsilon::new(epsilon).map(Guarantee::pure).map_err(unusable);
    let mut guarantees = options.epsilons.iter().map(|epsilon| pure(*epsilon)).collect::<Result<Vec<_>, _>>()?;
    let delta = Delta::new(options.delta).map_err(unusable)?;
    guarantees.push(Guarantee::approximate(Epsilon::new(1.0).map_err(unusable)?, delta));

    let all = options.dimensions.len() * options.entities.iter().sum::<usize>();
    let (mut points, mut done) = (Vec::new(), 0);
    for dimension in &options.dimensions {
        let clip = Clip::new(*dimension, 1.0, None).map_err(unusable)?;
        for entities in &options.entities {
            let bounded = Bounded::new(&clip, *entities);
            for guarantee in &guarantees {
                points.push(bounded.answer(&clip, *guarantee, options.rounds)?);
            }
            done += entities;
            progress(Stage::Search, done as u64, all as u64);
        }
    }
    Ok(points)
}

/// Entities with a vector each, bounded and added up.
struct Bounded {
    entities: usize,
    sum: Sum,
    /// Their true mean.
    mean: Vec<f64>,
}

impl Bounded {
    fn new(clip: &Clip, entities: usize) -> Self {
        let dimension = clip.bound().width();
        let rng = &mut StdRng::seed_from_u64(entities as u64);
        let (mut sum, mut gather) = (Sum::new(clip.bound()), clip.gather());
        let (mut mean, mut vector) = (vec![0.0; dimension], vec![0.0_f32; dimension]);
        for _ in 0..entities {
            draw(&mut vector, rng);
            mean.iter_mut().zip(&vector).for_each(|(sum, x)| *sum += f64::from(*x) / entities as f64);
            gather.add(&vector);
            sum.add(&gather.take());
        }
        Self { entities, sum, mean }
    }

    /// Answers a question `rounds` times.
    fn answer(&self, clip: &Clip, guarantee: Guarantee, rounds: usize) -> Result<NoisyPoint, RunError> {
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
}

/// A centroid of vectors that are clipped so.
pub(super) fn plan(clip: &Clip, guarantee: Guarantee) -> Result<Plan, RunError> {
    let question = Question::Centroid { clip: clip.clone(), is_projected: false };
    Plan::new(question, guarantee, Groups::One, LEAST_GROUP).map_err(unusable)
}

/// Makes up a vector a hair shorter than 1, so that nothing is clipped, with a direction that most share.
pub(super) fn draw(vector: &mut [f32], rng: &mut StdRng) {
    vector.iter_mut().for_each(|x| *x = rng.random::<f32>() - 0.3);
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length * 1.000_001);
}
