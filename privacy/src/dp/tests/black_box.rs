//! The guarantee from outside: answers to neighbouring data sets are drawn by the hundred thousand, and how far the odds
//! of any event differ between them must be explained by ε (after Ding et al. 2018, "Detecting Violations of
//! Differential Privacy").

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::epsilon::{Delta, Epsilon, Guarantee};
use super::super::plan::{Groups, Plan, Question, Release};
use super::super::{Clip, Span, Sum};
use super::white_box::{centroid, entity};

/// What an answer may or may not be.
type Event<T> = Box<dyn Fn(&T) -> bool>;

/// A lower bound of the log-ratio of two probabilities from how often each event came, that chance exceeds once in
/// 10⁶: by the delta method, at 4.75 standard deviations.
fn log_ratio_at_least(often: u64, seldom: u64, runs: u64) -> f64 {
    let (often, seldom, runs) = (often.max(1) as f64, seldom.max(1) as f64, runs as f64);
    (often / seldom).ln() - 4.75 * (1.0 / often + 1.0 / seldom - 2.0 / runs).sqrt()
}

/// The largest such bound over all events, for both directions.
pub(super) fn largest<T>(left: &[T], right: &[T], events: &[Event<T>]) -> f64 {
    let count = |all: &[T], event: &dyn Fn(&T) -> bool| all.iter().filter(|one| event(one)).count() as u64;
    let runs = left.len().min(right.len()) as u64;
    events
        .iter()
        .map(|event| {
            let (a, b) = (count(left, event), count(right, event));
            log_ratio_at_least(a, b, runs).max(log_ratio_at_least(b, a, runs))
        })
        .fold(0.0, f64::max)
}

/// Answers to `sum`, cut down by `seen`.
pub(super) fn answers<T>(plan: &Plan, sum: &Sum, runs: usize, seed: u64, seen: impl Fn(Release) -> T) -> Vec<T> {
    let rng = &mut StdRng::seed_from_u64(seed);
    (0..runs).map(|_| seen(plan.release(sum, rng))).collect()
}

/// Sums with and without an entity at the edge, among `others` that are nowhere.
pub(super) fn neighbours(plan: &Plan, clip: &Clip, others: usize, records: usize) -> (Sum, Sum) {
    let mut without = plan.sums().remove(0);
    (0..others).for_each(|_| without.add(&entity(clip, &[0.0], 1)));
    let mut with = without.clone();
    with.add(&entity(clip, &[1.0], records));
    (with, without)
}

/// Events of a centroid's noisy sum and count in d = 1: quadrants, in which the largest loss is attained.
fn quadrants(others: i64) -> Vec<Event<(f64, i64)>> {
    let mut events: Vec<Event<(f64, i64)>> = Vec::new();
    for at in [-2.0, 0.0, 0.5, 1.0, 2.0, 10.0] {
        for count in [others - 4, others, others + 1, others + 5] {
            events.push(Box::new(move |(sum, noisy)| *sum >= at && *noisy >= count));
            events.push(Box::new(move |(sum, noisy)| *sum < at && *noisy < count));
            events.push(Box::new(move |(sum, _)| *sum >= at));
            events.push(Box::new(move |(_, noisy)| *noisy >= count));
        }
    }
    events
}

/// Noisy sums and counts of a centroid in d = 1, by so many runs on each of two neighbours.
fn centroids(guarantee: Guarantee, runs: usize, records: usize) -> [Vec<(f64, i64)>; 2] {
    let clip = Clip::new(1, 1.0, None).unwrap();
    let question = Question::Centroid { clip: clip.clone(), is_projected: false };
    let plan = Plan::new(question, guarantee, Groups::One, 0).unwrap();
    // Enough others that the noisy count is above 0 and the sum can be told from the mean.
    let (with, without) = neighbours(&plan, &clip, 400, records);
    let seen = |release: Release| {
        let count = release.facts.noisy_count;
        (release.values.map_or(0.0, |values| values[0] * count as f64), count)
    };
    [answers(&plan, &with, runs, 6, seen), answers(&plan, &without, runs, 7, seen)]
}

/// The largest log-ratio of the odds of a centroid in d = 1.
pub(super) fn centroid_loss(runs: usize, records: usize) -> f64 {
    let [with, without] = centroids(Guarantee::pure(Epsilon::new(1.0).unwrap()), runs, records);
    largest(&with, &without, &quadrants(400))
}

/// By how much the odds of an event exceed e^ε times those at a neighbour is no more than δ where noise is Gaussian: at the
/// largest δ, which so many runs can resolve, and with events on either side of where most is lost.
pub(super) fn gaussian_outcomes_keep_delta(runs: usize) -> Result<(), String> {
    let (epsilon, delta) = (0.5_f64, Delta::MAX);
    let [with, without] = centroids(Guarantee::approximate(Epsilon::new(epsilon).unwrap(), delta), runs, 1);
    let share = |all: &[(f64, i64)], is: &dyn Fn(f64) -> bool| {
        all.iter().filter(|(sum, _)| is(*sum)).count() as f64 / runs as f64
    };
    for at in 0..20 {
        let at = f64::from(at);
        let pairs = [
            (share(&with, &|sum| sum >= at), share(&without, &|sum| sum >= at)),
            (share(&without, &|sum| sum < 1.0 - at), share(&with, &|sum| sum < 1.0 - at)),
        ];
        for (p, q) in pairs {
            // Chance exceeds this once in 10⁶ times.
            let least = p - epsilon.exp() * q - 4.75 * ((p + (2.0 * epsilon).exp() * q) / runs as f64).sqrt();
            if least > delta.as_f64() {
                return Err(format!("{runs} runs show a δ of at least {least} at {at}"));
            }
        }
    }
    Ok(())
}

/// 10⁶ answers on each side do not tell neighbours apart better than ε allows, and 10⁵ where an entity has many records.
pub(super) fn outcomes_keep_epsilon(runs: usize) -> Result<(), String> {
    for (runs, records) in [(runs, 1), (runs / 10, 100)] {
        let found = centroid_loss(runs, records);
        if found > 1.0 {
            return Err(format!("{runs} runs show a log-ratio of at least {found} at ε = 1"));
        }
    }
    Ok(())
}

/// Whether a group is held back says as little as the rest: the least group is held against the noisy count.
pub(super) fn holding_back_keeps_epsilon() -> Result<(), String> {
    let clip = Clip::new(1, 1.0, None).unwrap();
    let plan = centroid(&clip, Guarantee::pure(Epsilon::new(1.0).unwrap()));
    let (with, without) = neighbours(&plan, &clip, 19, 1);
    let seen = |release: Release| release.values.is_none();
    let events: [Event<bool>; 2] = [Box::new(|held| *held), Box::new(|held| !*held)];
    let found = largest(&answers(&plan, &with, 20_000, 8, seen), &answers(&plan, &without, 20_000, 9, seen), &events);
    if found <= 1.0 { Ok(()) } else { Err(format!("being held back shows a log-ratio of at least {found}")) }
}

/// The same question is answered with other noise each time; who could compute it could take it off.
pub(super) fn noise_is_not_known() -> Result<(), String> {
    let span = Span::mean(0.0, 1.0).unwrap();
    let guarantee = Guarantee::pure(Epsilon::new(1.0).unwrap());
    let plan = Plan::new(Question::Number(span), guarantee, Groups::One, 0).unwrap();
    let rng = &mut StdRng::seed_from_u64(10);
    let mut counts: Vec<i64> = (0..64).map(|_| plan.release(&plan.sums()[0], rng).facts.noisy_count).collect();
    counts.dedup();
    if counts.len() > 16 { Ok(()) } else { Err(format!("64 answers had {} different noises in a row", counts.len())) }
}

#[test]
fn a_million_answers_keep_epsilon() {
    assert_eq!(outcomes_keep_epsilon(1_000_000), Ok(()));
}

#[test]
fn gaussian_answers_keep_delta() {
    assert_eq!(gaussian_outcomes_keep_delta(200_000), Ok(()));
}

#[test]
fn being_held_back_keeps_epsilon() {
    assert_eq!(holding_back_keeps_epsilon(), Ok(()));
}

#[test]
fn noise_comes_from_outside() {
    assert_eq!(noise_is_not_known(), Ok(()));
}

/// The bound that is asked of a million runs finds nearly all of ε where an entity is at the edge: it can see.
#[test]
fn the_black_box_sees_most_of_epsilon() {
    assert!(centroid_loss(200_000, 1) > 0.9);
}
