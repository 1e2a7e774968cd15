//! A private question, what it costs, how good its answer will be, and the answer.
//!
//! Invariant: a [`Plan`] is made of what the caller said and touches no data, so that everything but
//! [`Plan::release`] is free; and what a release tells beside its answer is computed from the plan and the noisy
//! numbers alone.

use rand_core::CryptoRng;
use thiserror::Error;

use super::bins::Bins;
use super::clip::{BoundError, Clip};
use super::contribution::{Bound, Sum};
use super::epsilon::{Cost, Guarantee};
use super::mechanism::{Mechanism, Needs, Noisy};
#[cfg(test)]
use super::mutant::{self, Mutant};
use super::sampler::Noise;
use super::span::Span;

/// The smallest group that is answered unless the caller says otherwise.
pub const LEAST_GROUP: u64 = 20;

/// The most groups of one question.
pub const GROUPS_MAX: u32 = 4096;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// How many entities match.
    Count,
    /// The mean over entities of their mean vectors.
    Centroid {
        /// To what an entity's vector is clipped.
        clip: Clip,
        /// Whether an answer longer than the clipping norm is pulled back to it.
        is_projected: bool,
    },
    /// The weight of each bin of a field's values, in entities.
    Histogram(Bins),
    /// The mean over entities of a number, or its sum.
    Number(Span),
}

impl Question {
    /// What an entity's contribution keeps within.
    pub fn bound(&self) -> Bound {
        match self {
            Question::Count => Bound::count(),
            Question::Centroid { clip, .. } => clip.bound().clone(),
            Question::Histogram(bins) => bins.bound().clone(),
            Question::Number(span) => span.bound().clone(),
        }
    }

    fn needs(&self) -> Needs {
        match self {
            Question::Count => Needs::Count,
            Question::Histogram(_) => Needs::Sum,
            // Errors of a mean of one number come as much of the count as of the sum; those of a vector hardly.
            Question::Number(span) if !span.is_total() => Needs::Both { count_tenths: 5 },
            Question::Centroid { .. } | Question::Number(_) => Needs::Both { count_tenths: 1 },
        }
    }
}

/// Into what groups the entities fall. All of them are named by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// One answer.
    One,
    /// So many answers, and each entity is added to one of them at most (by its own data alone, such as the nearest of
    /// given points): they cost as much as one (parallel composition).
    Disjoint(u32),
    /// So many answers, and an entity may be in any number of them: each of them is paid.
    Overlapping(u32),
}

impl Groups {
    /// How many answers.
    pub fn count(self) -> u32 {
        match self {
            Groups::One => 1,
            Groups::Disjoint(groups) | Groups::Overlapping(groups) => groups,
        }
    }
}

/// Why a question cannot be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Contributions cannot be bounded so.
    #[error(transparent)]
    Bound(#[from] BoundError),
    /// No noise that can be drawn keeps the guarantee.
    #[error("epsilon is too small for this delta: no Gaussian noise meets both; raise either, or leave delta out")]
    OutOfReach,
    /// No groups, or too many.
    #[error("an answer has 1 to {GROUPS_MAX} groups, this one has {groups}")]
    Groups {
        /// How many were asked for.
        groups: u32,
    },
}

/// A question with its noise calibrated.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    question: Question,
    guarantee: Guarantee,
    groups: Groups,
    least_group: u64,
    mechanism: Mechanism,
}

/// How far an answer will probably be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Root of the mean square of the noise on the sum, in L2 over all numbers of the answer, in its units; for means,
    /// divided by the number of entities.
    pub rmse: f64,
    /// The standard deviation of the count over the number of entities: a mean is off by this share of itself as well.
    pub count_share: f64,
}

/// Which noise was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoiseName {
    /// Exact discrete Laplace.
    DiscreteLaplace,
    /// Exact discrete Gauss.
    DiscreteGaussian,
}

impl NoiseName {
    /// Its name in answers and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            NoiseName::DiscreteLaplace => "discrete_laplace",
            NoiseName::DiscreteGaussian => "discrete_gaussian",
        }
    }
}

/// What goes with every answer; all of it may be shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// What this one answer promises.
    pub guarantee: Guarantee,
    /// Which noise it has.
    pub noise: NoiseName,
    /// The scale of the noise on each number of the sum, in the answer's units times entities: t/s of Laplace, σ of
    /// Gauss. None if only entities were counted.
    pub sum_scale: Option<f64>,
    /// The scale of the noise on the count. None if the count is the sum of a histogram.
    pub count_scale: Option<f64>,
    /// The L1 norm (of numbers: the size) to which contributions were clipped.
    pub l1: f64,
    /// The L2 norm to which contributions were clipped.
    pub l2: f64,
    /// The noisy count of entities; may be below 0.
    pub noisy_count: i64,
    /// How far the answer is probably off, as far as the noisy count lets one say.
    pub predicted: Prediction,
    /// The noisy count below which no answer is given.
    pub least_group: u64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The numbers asked for: a centroid's coordinates, a histogram's bins, or the one number. None if the noisy count is
    /// below the least group.
    pub values: Option<Vec<f64>>,
    /// What goes with them.
    pub facts: Facts,
}

impl Plan {
    /// Calibrates the noise for a question. Answers with a noisy count below `least_group` are held back; that guards
    /// against useless answers and not against anybody. Mere counts and sums of counts are always told.
    ///
    /// # Errors
    /// [`PlanError`], for groups outside 1 to [`GROUPS_MAX`], and an ε too small for its δ.
    pub fn new(question: Question, guarantee: Guarantee, groups: Groups, least_group: u64) -> Result<Plan, PlanError> {
        if !(1..=GROUPS_MAX).contains(&groups.count()) {
            return Err(PlanError::Groups { groups: groups.count() });
        }
        let mechanism = Mechanism::new(&question.bound(), guarantee, question.needs()).ok_or(PlanError::OutOfReach)?;
        Ok(Plan { question, guarantee, groups, least_group, mechanism })
    }

    /// What is asked.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// What one answer promises.
    pub fn guarantee(&self) -> Guarantee {
        self.guarantee
    }

    /// The noise in use.
    #[cfg(test)]
    pub(super) fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Into what groups the entities fall.
    pub fn groups(&self) -> Groups {
        self.groups
    }

    /// What all answers cost together: to be debited, and the debit synced, before data is read.
    pub fn cost(&self) -> Cost {
        self.guarantee.times(match self.groups {
            Groups::One | Groups::Disjoint(_) => 1,
            Groups::Overlapping(groups) => u64::from(groups),
        })
    }

    /// An empty sum for each group, in their order.
    pub fn sums(&self) -> Vec<Sum> {
        vec![Sum::new(&self.question.bound()); self.groups.count() as usize]
    }

    /// How far an answer over so many entities will probably be off. Touches no data.
    pub fn predict(&self, entities: u64) -> Prediction {
        let entities = entities.max(1) as f64;
        let deviation = |noise: Option<Noise>| noise.map_or(0.0, Noise::deviation);
        let bound = self.question.bound();
        let sum = deviation(self.mechanism.sum) * bound.step() * (bound.width() as f64).sqrt();
        let count = deviation(self.mechanism.count);
        let rmse = match &self.question {
            Question::Count => count,
            Question::Histogram(_) => sum,
            Question::Number(span) if span.is_total() => sum,
            Question::Centroid { .. } | Question::Number(_) => sum / entities,
        };
        Prediction { rmse, count_share: count / entities }
    }

    /// Draws noise and answers for one group. The cost must have been debited before; each call is another answer.
    pub fn release(&self, sum: &Sum, rng: &mut (impl CryptoRng + ?Sized)) -> Release {
        #[cfg(test)]
        if mutant::is(Mutant::SeededNoise) {
            let known: &mut rand::rngs::StdRng = &mut rand::SeedableRng::seed_from_u64(self.cost().epsilon_units);
            return self.tell(self.mechanism.apply(sum, known));
        }
        self.tell(self.mechanism.apply(sum, rng))
    }

    /// From here on everything is computed from what was said and from noisy numbers.
    fn tell(&self, noisy: Noisy) -> Release {
        let step = self.question.bound().step();
        let sums: Vec<f64> = noisy.steps.iter().map(|steps| *steps as f64 * step).collect();
        let count = noisy.count.unwrap_or_else(|| sums.iter().sum::<f64>().round() as i128);
        let count = i64::try_from(count).unwrap_or(if count < 0 { i64::MIN } else { i64::MAX });
        let is_large = count >= 0 && count.unsigned_abs() >= self.least_group;
        #[cfg(test)]
        let is_large = mutant::true_count().map_or(is_large, |count| count >= self.least_group);
        Release { values: self.values(sums, count, is_large), facts: self.facts(count) }
    }

    /// The answer from noisy sums and the noisy count.
    fn values(&self, sums: Vec<f64>, count: i64, is_large: bool) -> Option<Vec<f64>> {
        let entities = count.max(1) as f64;
        match &self.question {
            Question::Count => Some(vec![count as f64]),
            _ if !is_large => None,
            Question::Histogram(_) => Some(sums),
            Question::Number(span) if span.is_total() => Some(sums),
            Question::Number(span) => {
                let mean = |sum: f64| (span.zero() + sum / entities).clamp(span.low(), span.high());
                Some(sums.into_iter().map(mean).collect())
            }
            Question::Centroid { clip, is_projected } => {
                let norm = sums.iter().map(|x| x * x).sum::<f64>().sqrt() / entities;
                let shrink = if *is_projected && norm > clip.l2() { clip.l2() / norm } else { 1.0 };
                Some(sums.into_iter().map(|sum| sum / entities * shrink).collect())
            }
        }
    }

    fn facts(&self, noisy_count: i64) -> Facts {
        let bound = self.question.bound();
        Facts {
            guarantee: self.guarantee,
            noise: match self.guarantee.delta {
                None => NoiseName::DiscreteLaplace,
                Some(_) => NoiseName::DiscreteGaussian,
            },
            sum_scale: self.mechanism.sum.map(|noise| noise.scale() * bound.step()),
            count_scale: self.mechanism.count.map(Noise::scale),
            l1: bound.l1() as f64 * bound.step(),
            l2: (bound.l2_squared() as f64).sqrt() * bound.step(),
            noisy_count,
            predicted: self.predict(noisy_count.max(1).unsigned_abs()),
            least_group: self.least_group,
        }
    }
}
