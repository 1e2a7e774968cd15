//! Small measurements, their tables and their pictures.

use super::*;

fn options(part: NoisePart) -> NoiseOptions {
    NoiseOptions {
        parts: vec![part],
        dimensions: vec![16, 32],
        entities: vec![500, 2000],
        epsilons: vec![1.0, 3.0],
        delta: 1e-6,
        rounds: 100,
        records: 700,
        dimension: 8,
        crowd: 2000,
        folder: None,
    }
}

fn measure(options: &NoiseOptions) -> Result<Noises, RunError> {
    noise(options, &mut |_, _, _| ())
}

#[test]
fn measured_errors_are_those_predicted() {
    let found = measure(&options(NoisePart::Error)).unwrap();
    assert_eq!((found.points.len(), found.pictures().len()), (12, 2));
    assert!(found.speed.is_none() && found.crowd.is_none());
    for point in &found.points {
        let measured = point.measured.unwrap();
        // What dividing by the noisy count adds is small in the squares.
        assert!((0.85..1.3).contains(&(measured / point.predicted)), "{point:?}");
        assert_eq!(point.held_back, 0);
    }
    assert!(found.to_string().lines().count() > 12);
    assert!(found.pictures().iter().all(|(_, picture)| picture.lines.len() == 3 && picture.svg().is_ok()));
}

#[test]
fn the_time_of_a_centroid_is_told_by_steps() {
    let speed = measure(&options(NoisePart::Speed)).unwrap().speed.unwrap();
    assert_eq!((speed.records, speed.dimension, speed.steps.len()), (700, 8, 6));
    assert!(speed.one_ms > 0.0 && speed.all_ms > 0.0 && speed.steps.iter().all(|step| step.ms >= 0.0));
    assert!(speed.to_string().contains("vectors opened"));
}

#[test]
fn many_records_of_one_entity_weigh_as_one() {
    let crowd = measure(&options(NoisePart::Crowd)).unwrap().crowd.unwrap();
    assert_eq!((crowd.records, crowd.entities, crowd.asked.len()), (2000, 100, 4));
    for asked in &crowd.asked {
        // At ε = 64 a count is off by less than 1 but for once in e⁶⁴ times, and no other by much.
        let off = asked.wanted.iter().zip(&asked.found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(asked.found.len() == asked.wanted.len() && off < 0.02 * asked.wanted[0].max(1.0), "{asked:?}");
    }
    assert!(crowd.to_string().contains("centroid"));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let refused = |options: &NoiseOptions| measure(options).unwrap_err().to_string();
    let fine = options(NoisePart::Error);
    assert!(refused(&NoiseOptions { dimensions: vec![0], ..fine.clone() }).contains("1 to 65536"));
    assert!(refused(&NoiseOptions { epsilons: vec![-1.0], ..fine.clone() }).contains("epsilon"));
    assert!(refused(&NoiseOptions { delta: 1.0, ..fine.clone() }).contains("delta"));
    assert!(refused(&NoiseOptions { crowd: 0, ..fine.clone() }).contains("at least 1"));
    assert!(refused(&NoiseOptions { dimension: 0, ..options(NoisePart::Speed) }).contains("dimension"));
}

#[test]
fn names_of_parts_are_read_as_they_are_written() {
    assert!(NoisePart::ALL.iter().all(|part| part.to_string().parse() == Ok(*part)));
    assert_eq!("errors".parse::<NoisePart>(), Err(UnknownNoisePart));
}
