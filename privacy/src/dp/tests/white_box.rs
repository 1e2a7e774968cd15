//! The guarantee from inside: how far the odds of an answer change by one entity, computed from the noise in use and from
//! what the entity adds, without drawing.
//!
//! Laplace noise of scale t/s on numbers that differ by q makes the log-ratio of any outcome at most Σ|q|·s/t, and
//! attains it where all outcomes lie beyond both. All of that is whole numbers, so equality can be asked for.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::epsilon::{Delta, EPSILON_UNIT, Epsilon, Guarantee};
use super::super::plan::{Groups, Plan, Question};
use super::super::rho::Rho;
use super::super::sampler::Noise;
use super::super::{Bins, Clip, Contribution, Span};
use super::pmf::Pmf;

/// The loss in units of ε, as a numerator and the denominator K·… that it is over: Σ|q|·s on the sum plus s on the count.
/// Both noises of a plan have t = K·2²⁰ and 2²⁰, so the loss in units is Σ|q|·s/K + s₀.
pub(super) fn loss(plan: &Plan, contribution: &Contribution) -> (u128, u128) {
    let moved: u64 = contribution.steps().iter().map(|q| q.unsigned_abs()).sum();
    let of = |noise: Option<Noise>, moved: u64| match noise {
        Some(Noise::Laplace { steps, total }) => (u128::from(moved) * u128::from(steps), u128::from(total)),
        _ => (0, 1),
    };
    let (sum, count) = (of(plan.mechanism().sum, moved), of(plan.mechanism().count, 1));
    let unit = u128::from(EPSILON_UNIT);
    ((sum.0 * count.1 + count.0 * sum.1) * unit, sum.1 * count.1)
}

/// Whether the loss is at most what is claimed, and whether it is that exactly.
fn against_claim(plan: &Plan, contribution: &Contribution) -> (bool, bool) {
    let (above, below) = loss(plan, contribution);
    let claim = u128::from(plan.guarantee().epsilon.units());
    (above <= claim * below, above == claim * below)
}

fn pure(epsilon: f64) -> Guarantee {
    Guarantee::pure(Epsilon::new(epsilon).unwrap())
}

pub(super) fn centroid(clip: &Clip, guarantee: Guarantee) -> Plan {
    let question = Question::Centroid { clip: clip.clone(), is_projected: false };
    Plan::new(question, guarantee, Groups::One, 20).unwrap()
}

/// An entity of so many records, all alike.
pub(super) fn entity(clip: &Clip, vector: &[f32], records: usize) -> Contribution {
    let mut gather = clip.gather();
    (0..records).for_each(|_| gather.add(vector));
    gather.take()
}

/// Nobody costs more than is claimed; the extremal entity costs exactly that, with one record and with 10 000.
pub(super) fn the_largest_loss_is_what_is_claimed() -> Result<(), String> {
    for epsilon in [0.001, 0.1, 0.5, 1.0, 3.0, 10.0, 64.0] {
        for (dimension, l2, l1) in
            [(1, 1.0, None), (4, 1.0, Some(1.0)), (384, 0.25, Some(0.25)), (4096, 1.0, Some(1.0))]
        {
            let clip = Clip::new(dimension, l2, l1).unwrap();
            let plan = centroid(&clip, pure(epsilon));
            let mut extremal = vec![0.0; dimension];
            extremal[dimension / 2] = -l2 as f32;
            for records in [1, 10_000] {
                if against_claim(&plan, &entity(&clip, &extremal, records)) != (true, true) {
                    return Err(format!("d {dimension}, ε {epsilon}: the loss of {records} records is not the claim"));
                }
            }
        }
    }
    Ok(())
}

/// The same for all kinds of vectors, at the default L1 norm: the one with equal coordinates comes within a step a
/// coordinate of the claim, others cost less.
pub(super) fn no_vector_costs_more() -> Result<(), String> {
    let rng = &mut StdRng::seed_from_u64(5);
    for dimension in [2, 128, 384] {
        let clip = Clip::new(dimension, 1.0, None).unwrap();
        let plan = centroid(&clip, pure(1.0));
        let even = vec![1.0 / (dimension as f32).sqrt(); dimension];
        let (above, below) = loss(&plan, &entity(&clip, &even, 1));
        let share = above as f64 / below as f64 / EPSILON_UNIT as f64;
        if share < 1.0 - 1e-4 {
            return Err(format!("d {dimension}: even coordinates should nearly attain ε, and cost {share}"));
        }
        for round in 0..300 {
            let size = 10_f32.powi(round % 9 - 4);
            let vector: Vec<f32> = (0..dimension).map(|_| (rng.random::<f32>() - 0.5) * size).collect();
            for records in [1, 3] {
                if !against_claim(&plan, &entity(&clip, &vector, records)).0
                    || !against_claim(&plan, &entity(&clip, &even, records)).0
                {
                    return Err(format!("d {dimension}, size {size}: {records} records cost more than ε"));
                }
            }
        }
    }
    Ok(())
}

/// The other questions: their extremal entities cost exactly ε.
pub(super) fn numbers_bins_and_counts_cost_what_is_claimed() -> Result<(), String> {
    let plan = |question| Plan::new(question, pure(0.7), Groups::One, 0).unwrap();
    let (mean, total, bins) = (Span::mean(-3.0, 5.0), Span::total(-8.0, 2.0), Bins::new(7));
    let (mean, total, bins) = (mean.unwrap(), total.unwrap(), bins.unwrap());
    for (span, number) in [(&mean, 5.0), (&mean, -3.0), (&mean, 1e300), (&total, -8.0), (&total, -1e300)] {
        let mut gather = span.gather();
        (0..1000).for_each(|_| gather.add(number));
        if against_claim(&plan(Question::Number(span.clone())), &gather.take()) != (true, true) {
            return Err(format!("{span:?}: {number} does not cost ε"));
        }
    }
    let mut gather = bins.gather();
    for falls in [vec![vec![3]], vec![vec![0], vec![6], vec![6], vec![6]], vec![vec![0, 1], vec![2, 3]]] {
        falls.iter().for_each(|bins| gather.add(bins));
        if against_claim(&plan(Question::Histogram(bins.clone())), &gather.take()) != (true, true) {
            return Err(format!("{falls:?} does not cost ε"));
        }
    }
    if against_claim(&plan(Question::Count), &Contribution::counted()) != (true, true) {
        return Err("a count does not cost ε".into());
    }
    Ok(())
}

/// What Gaussian noise gives away at its extremal entity adds up to the ρ that implies (ε, δ), and not to more.
pub(super) fn gaussian_noise_keeps_its_rho() -> Result<(), String> {
    for (epsilon, delta) in [(0.001, 1e-6), (0.1, 1e-9), (1.0, 1e-6), (3.0, 1e-12), (64.0, 1e-15)] {
        let (epsilon, delta) = (Epsilon::new(epsilon).unwrap(), Delta::new(delta).unwrap());
        let rho = Rho::of(epsilon, delta).as_f64();
        for dimension in [1, 384, 4096] {
            let clip = Clip::new(dimension, 1.0, None).unwrap();
            let plan = centroid(&clip, Guarantee::approximate(epsilon, delta));
            let mut extremal = vec![0.0; dimension];
            extremal[0] = 1.0;
            let contribution = entity(&clip, &extremal, 10_000);
            let squares: f64 = contribution.steps().iter().map(|q| (*q as f64).powi(2)).sum();
            let of = |noise: Option<Noise>, square: f64| match noise {
                Some(Noise::Gaussian { sigma }) => square / 2.0 / (sigma as f64).powi(2),
                _ => f64::INFINITY,
            };
            let spent = of(plan.mechanism().sum, squares) + of(plan.mechanism().count, 1.0);
            let least = of(plan.mechanism().sum, squares) / 0.9;
            // The count's σ is a whole number, so it may spend far less than its tenth.
            if spent > rho * (1.0 + 1e-12) || least < rho * (1.0 - 1e-4) {
                return Err(format!("ε {epsilon}, δ {delta}, d {dimension}: ρ {spent} is spent of {rho}"));
            }
        }
    }
    Ok(())
}

/// δ as the probabilities have it, Σ max(0, P(y) − e^ε Q(y)) for a count and its neighbour, is at most what is claimed,
/// and where σ is not rounded up by much (a count's is a small whole number) not far below: noise is not wasted either.
pub(super) fn delta_is_what_the_probabilities_say() -> Result<(), String> {
    for (epsilon, delta, least) in
        [(0.1, 1e-4, 2e-5), (0.5, 1e-6, 5e-8), (1.0, 1e-6, 1e-8), (1.0, 1e-9, 2e-11), (3.0, 1e-12, 0.0)]
    {
        let guarantee = Guarantee::approximate(Epsilon::new(epsilon).unwrap(), Delta::new(delta).unwrap());
        let plan = Plan::new(Question::Count, guarantee, Groups::One, 0).unwrap();
        let noise = plan.mechanism().count.ok_or("no noise")?;
        let p = Pmf::of(noise, (40.0 * noise.scale()) as i128).probabilities;
        let pairs = p.iter().zip(p.iter().skip(1));
        let found: f64 = pairs.map(|(p, q)| (q - guarantee.epsilon.as_f64().exp() * p).max(0.0)).sum();
        if found > delta || found < least {
            return Err(format!("ε {epsilon}: δ is {found:e}, claimed is {delta:e}"));
        }
    }
    Ok(())
}

#[test]
fn the_extremal_entity_costs_exactly_epsilon() {
    assert_eq!(the_largest_loss_is_what_is_claimed(), Ok(()));
}

#[test]
fn no_entity_costs_more_than_epsilon() {
    assert_eq!(no_vector_costs_more(), Ok(()));
}

#[test]
fn every_question_costs_exactly_epsilon() {
    assert_eq!(numbers_bins_and_counts_cost_what_is_claimed(), Ok(()));
}

#[test]
fn gaussian_noise_spends_its_rho() {
    assert_eq!(gaussian_noise_keeps_its_rho(), Ok(()));
}

#[test]
fn delta_holds_by_the_probabilities() {
    assert_eq!(delta_is_what_the_probabilities_say(), Ok(()));
}
