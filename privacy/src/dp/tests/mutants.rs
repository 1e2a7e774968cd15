//! Every classic mistake turns a named check red: what proves that the checks can see.

use super::super::mutant::{Mutant, with};
use super::{black_box, sampler, white_box};

/// Asserts that a check notices a mistake and passes without it.
fn is_caught(mutant: Mutant, check: fn() -> Result<(), String>) {
    assert!(with(mutant, check).is_err(), "{mutant:?} goes unnoticed");
    assert_eq!(check(), Ok(()), "without {mutant:?}");
}

#[test]
fn half_the_scale_is_caught_from_inside() {
    is_caught(Mutant::HalfScale, white_box::the_largest_loss_is_what_is_claimed);
    is_caught(Mutant::HalfScale, white_box::numbers_bins_and_counts_cost_what_is_claimed);
}

#[test]
fn half_the_scale_is_caught_from_outside() {
    is_caught(Mutant::HalfScale, || black_box::outcomes_keep_epsilon(50_000));
}

#[test]
fn half_the_sigma_is_caught_from_inside() {
    is_caught(Mutant::HalfSigma, white_box::gaussian_noise_keeps_its_rho);
    is_caught(Mutant::HalfSigma, white_box::delta_is_what_the_probabilities_say);
}

#[test]
fn half_the_sigma_is_caught_from_outside() {
    is_caught(Mutant::HalfSigma, || black_box::gaussian_outcomes_keep_delta(200_000));
}

#[test]
fn gaussian_draws_that_are_too_narrow_are_caught() {
    is_caught(Mutant::NarrowGaussian, sampler::draws_have_the_exact_pmf);
    is_caught(Mutant::NarrowGaussian, sampler::draws_have_the_exact_quantiles);
    is_caught(Mutant::NarrowGaussian, sampler::noise_is_as_wide_as_it_says);
}

#[test]
fn a_forgotten_dimension_is_caught() {
    is_caught(Mutant::DimensionForgotten, white_box::no_vector_costs_more);
}

#[test]
fn bounding_records_instead_of_entities_is_caught_from_inside() {
    is_caught(Mutant::PerRecord, white_box::the_largest_loss_is_what_is_claimed);
    is_caught(Mutant::PerRecord, white_box::no_vector_costs_more);
}

#[test]
fn bounding_records_instead_of_entities_is_caught_from_outside() {
    is_caught(Mutant::PerRecord, || black_box::outcomes_keep_epsilon(50_000));
}

#[test]
fn a_threshold_on_the_true_count_is_caught() {
    is_caught(Mutant::TrueThreshold, black_box::holding_back_keeps_epsilon);
}

#[test]
fn noise_seeded_by_the_question_is_caught() {
    is_caught(Mutant::SeededNoise, black_box::noise_is_not_known);
}

#[test]
fn a_zero_under_both_signs_is_caught() {
    is_caught(Mutant::TwoZeros, sampler::draws_have_the_exact_pmf);
}
