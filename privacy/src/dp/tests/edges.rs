//! What lies at the edges: numbers that are none, nobody, one, a million records of one, thousands of dimensions.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::epsilon::{Delta, Epsilon, Guarantee};
use super::super::plan::{Groups, Plan, PlanError, Question};
use super::super::{Bins, BoundError, Clip, Contribution, Span, Sum};
use super::white_box::{centroid, entity};

fn pure(epsilon: f64) -> Guarantee {
    Guarantee::pure(Epsilon::new(epsilon).unwrap())
}

/// What a span makes of an entity's numbers.
fn given(span: &Span, numbers: &[f64]) -> f64 {
    let mut gather = span.gather();
    numbers.iter().for_each(|number| gather.add(*number));
    gather.take().steps()[0] as f64 * span.bound().step()
}

#[test]
fn numbers_that_are_none_weigh_nothing() {
    let clip = Clip::new(3, 1.0, None).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut gather = clip.gather();
        gather.add(&[0.5, 0.0, 0.0]);
        gather.add(&[0.1, bad, 0.0]);
        assert_eq!(gather.mean_in_fine_steps(), [0.0; 3]);
        assert_eq!(gather.take().steps(), [0; 3], "{bad}");
        gather.add(&[0.5, 0.0, 0.0]);
        assert_eq!(gather.take().steps(), entity(&clip, &[0.5, 0.0, 0.0], 1).steps(), "the next is not touched");
    }
    assert_eq!(entity(&clip, &[1.0, 0.0], 1).steps(), [0; 3], "another length");
    let span = Span::mean(0.0, 10.0).unwrap();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(given(&span, &[3.0, bad]), 0.0, "{bad}");
    }
}

#[test]
fn huge_numbers_end_at_the_edge() {
    let clip = Clip::new(2, 1.0, None).unwrap();
    let length = |contribution: &Contribution| {
        contribution.steps().iter().map(|q| (*q as f64 * clip.bound().step()).powi(2)).sum::<f64>().sqrt()
    };
    for size in [f32::MAX, 1e30, 1e10, 1.5] {
        assert!((length(&entity(&clip, &[size, -size], 3)) - 1.0).abs() < 1e-5, "{size}");
    }
    for tiny in [f32::MIN_POSITIVE, 1e-45, 0.0, -0.0] {
        assert_eq!(entity(&clip, &[tiny, tiny], 3).steps(), [0; 2]);
    }
    let mean = Span::mean(0.0, 10.0).unwrap();
    let total = Span::total(-1.0, 10.0).unwrap();
    assert_eq!((given(&mean, &[1e300]), given(&mean, &[-1e300])), (5.0, -5.0));
    assert_eq!((given(&total, &[1e300]), given(&total, &[-1e300])), (10.0, -1.0));
    assert_eq!(given(&total, &[4.0, 5.0, -2.0]), 7.0);
    assert_eq!(given(&mean, &[4.0, 9.0, -100.0, 3.0]), 4.0 - 5.0);
}

#[test]
fn a_million_records_weigh_as_one() {
    let clip = Clip::new(2, 1.0, None).unwrap();
    assert_eq!(entity(&clip, &[0.6, -0.7], 1_000_000).steps(), entity(&clip, &[0.6, -0.7], 1).steps());
    let bins = Bins::new(3).unwrap();
    let mut gather = bins.gather();
    (0..1_000_000).for_each(|_| gather.add(&[1]));
    assert_eq!(gather.take().steps(), [0, 1 << 24, 0]);
    let (span, many) = (Span::mean(0.0, 1.0).unwrap(), vec![0.3; 1_000_000]);
    assert_eq!(given(&span, &many), given(&span, &many[..1]));
    let span = Span::total(0.0, 1.0).unwrap();
    assert_eq!((given(&span, &many), given(&span, &many[..1])), (1.0, given(&span, &[0.3])));
}

#[test]
fn nobody_and_one_are_answered_like_any_group() {
    let clip = Clip::new(2, 1.0, None).unwrap();
    let held = centroid(&clip, pure(8.0));
    let plan = Plan::new(held.question().clone(), pure(8.0), Groups::Disjoint(2), 0).unwrap();
    let rng = &mut StdRng::seed_from_u64(1);
    let mut sums = plan.sums();
    assert_eq!(sums.len(), 2);
    sums[1].add(&entity(&clip, &[1.0, 0.0], 1));
    for sum in &sums {
        // With no least group there is always an answer, whatever the noise makes of the count.
        let all: Vec<_> = (0..200).map(|_| plan.release(sum, rng)).collect();
        let finite = |values: &Vec<f64>| values.len() == 2 && values.iter().all(|x| x.is_finite());
        assert!(all.iter().all(|release| release.facts.noisy_count < 0 || release.values.as_ref().is_some_and(finite)));
        let held: Vec<_> = (0..200).map(|_| held.release(sum, rng)).collect();
        assert!(held.iter().all(|release| release.values.is_none()));
    }
}

#[test]
fn an_entity_is_assigned_once_by_its_mean() {
    let clip = Clip::new(2, 1.0, None).unwrap();
    let points = [vec![1.0, 0.0], vec![0.0, 1.0], vec![0.0, 1.0]];
    let mut gather = clip.gather();
    for (vector, want) in [([0.9, 0.0], 0), ([-3.0, 8.0], 1), ([f32::NAN, 1.0], 0)] {
        gather.add(&vector);
        assert_eq!(gather.nearest(&points), Some(want), "{vector:?}");
    }
    assert_eq!(clip.gather().nearest(&[]), None);
}

#[test]
fn thousands_of_dimensions_are_bounded() {
    let clip = Clip::new(4096, 1.0, None).unwrap();
    let even = vec![1.0 / 64.0; 4096];
    let contribution = entity(&clip, &even, 1);
    assert!(contribution.steps().iter().map(|q| q.unsigned_abs()).sum::<u64>() <= clip.bound().l1());
    // In powers of two nothing is lost: K is attained.
    assert_eq!(contribution.steps().iter().map(|q| q.unsigned_abs()).sum::<u64>(), clip.bound().l1());
    let plan = centroid(&clip, pure(1.0));
    let mut sum = plan.sums().remove(0);
    (0..2000).for_each(|_| sum.add(&contribution));
    let values = plan.release(&sum, &mut StdRng::seed_from_u64(3)).values.unwrap();
    assert_eq!(values.len(), 4096);
    let error = values.iter().map(|x| (x - 1.0 / 64.0).powi(2)).sum::<f64>().sqrt();
    assert!((error / plan.predict(2000).rmse - 1.0).abs() < 0.05, "{error}");
}

#[test]
fn what_cannot_be_asked_is_refused() {
    assert_eq!(Clip::new(0, 1.0, None), Err(BoundError::Width { found: 0, max: 65536 }));
    assert!(matches!(Clip::new(65537, 1.0, None), Err(BoundError::Width { .. })));
    for (norm, want) in [
        (f64::NAN, BoundError::Size),
        (f64::INFINITY, BoundError::Size),
        (1e300, BoundError::Size),
        (1e-300, BoundError::Size),
        (0.0, BoundError::NotPositive),
        (-1.0, BoundError::NotPositive),
    ] {
        assert_eq!(Clip::new(3, norm, None).unwrap_err(), want, "{norm}");
        assert_eq!(Clip::new(3, 1.0, Some(norm)).unwrap_err(), want, "{norm}");
    }
    for (low, high, want) in [
        (1.0, 1.0, BoundError::Empty),
        (2.0, 1.0, BoundError::Empty),
        (f64::NAN, 1.0, BoundError::Size),
        (0.0, f64::NAN, BoundError::Size),
        (f64::NEG_INFINITY, 1.0, BoundError::Size),
        (-1e300, 1e300, BoundError::Size),
    ] {
        assert_eq!(Span::mean(low, high).unwrap_err(), want, "{low} {high}");
        assert_eq!(Span::total(low, high).unwrap_err(), want, "{low} {high}");
    }
    assert_eq!(Bins::new(0), Err(BoundError::Width { found: 0, max: 4096 }));
    let plan = |groups| Plan::new(Question::Count, pure(1.0), groups, 0).map(|plan| plan.cost().epsilon_units);
    assert_eq!(plan(Groups::Overlapping(0)), Err(PlanError::Groups { groups: 0 }));
    assert_eq!(plan(Groups::Disjoint(5000)), Err(PlanError::Groups { groups: 5000 }));
    assert_eq!((plan(Groups::Disjoint(7)), plan(Groups::Overlapping(7))), (Ok(1 << 20), Ok(7 << 20)));
}

#[test]
fn the_smallest_and_the_largest_guarantees_can_be_kept() {
    let clip = Clip::new(384, 1.0, None).unwrap();
    let rng = &mut StdRng::seed_from_u64(2);
    for epsilon in [Epsilon::MIN, Epsilon::MAX] {
        for delta in [None, Some(Delta::MIN), Some(Delta::MAX)] {
            let plan = centroid(&clip, Guarantee { epsilon, delta });
            let release = plan.release(&Sum::new(clip.bound()), rng);
            assert!(release.facts.sum_scale.is_some_and(|scale| scale.is_finite() && scale > 0.0));
            assert!(release.facts.predicted.rmse.is_finite());
        }
    }
}

/// A contribution made for another question is not within the bound by its shape, and adds 0.
#[test]
fn a_contribution_to_another_question_adds_nothing() {
    let (clip, wide) = (Clip::new(2, 1.0, None).unwrap(), Clip::new(2, 100.0, None).unwrap());
    let mut sum = Sum::new(clip.bound());
    sum.add(&Contribution::counted());
    sum.add(&entity(&Clip::new(3, 1.0, None).unwrap(), &[1.0; 3], 1));
    assert_eq!((sum.steps(), sum.entities()), (&[0_i64, 0][..], 2));
    // In its own steps it is as long as any.
    sum.add(&entity(&wide, &[100.0, 0.0], 1));
    assert!(sum.steps()[0].unsigned_abs() <= clip.bound().l1());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// In whatever order an entity's vectors lie, it gives the same to the last bit, and never more than the bound.
    #[test]
    fn order_does_not_matter_and_the_bound_holds(
        mut vectors in prop::collection::vec(prop::array::uniform4(prop_oneof![1 => any::<f32>(), 60 => -1e4..1e4_f32, 60 => -1e-5..1e-5_f32]), 1..20),
        l2 in 1e-3..1e3_f64, l1 in prop::option::of(1e-3..1e3_f64), seed: u64,
    ) {
        let clip = Clip::new(4, l2, l1).unwrap();
        let give = |vectors: &[[f32; 4]]| {
            let mut gather = clip.gather();
            vectors.iter().for_each(|vector| gather.add(vector));
            // Before it is cut, where a last bit shows.
            (gather.mean_in_fine_steps(), gather.take())
        };
        let (mean, before) = give(&vectors);
        for at in (1..vectors.len()).rev() {
            vectors.swap(at, (seed.rotate_left(at as u32) % (at as u64 + 1)) as usize);
        }
        let (mean_after, after) = give(&vectors);
        prop_assert_eq!(mean, mean_after);
        prop_assert_eq!(before.steps(), after.steps());
        prop_assert!(before.steps().iter().map(|q| q.unsigned_abs()).sum::<u64>() <= clip.bound().l1());
        let l2 = before.steps().iter().map(|q| u128::from(q.unsigned_abs()).pow(2)).sum::<u128>();
        prop_assert!(l2 <= clip.bound().l2_squared());
        // Nobody is zeroed for being at the edge: clipping alone keeps within.
        let is_large = vectors.iter().all(|v| v.iter().all(|x| x.is_finite() && *x > 1e4));
        prop_assert!(!is_large || before.steps().iter().any(|q| *q != 0));
    }

    /// A histogram never gives more than one entity's weight.
    #[test]
    fn bins_share_one_weight(falls in prop::collection::vec(prop::collection::vec(0..9_usize, 0..4), 1..50)) {
        let bins = Bins::new(7).unwrap();
        let mut gather = bins.gather();
        falls.iter().for_each(|bins| gather.add(bins));
        let given = gather.take();
        prop_assert!(given.steps().iter().all(|q| *q >= 0));
        prop_assert!(given.steps().iter().sum::<i64>() as u64 <= bins.bound().l1());
        let inside: usize = falls.iter().flatten().filter(|bin| **bin < 7).count();
        let all: usize = falls.iter().map(|bins| bins.len().max(1)).sum();
        let weight = given.steps().iter().sum::<i64>() as f64 * bins.bound().step();
        prop_assert!((weight - inside as f64 / all as f64).abs() < 1e-6);
    }
}
