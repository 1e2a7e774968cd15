//! A small measurement, its table and its pictures.

use super::*;

#[test]
fn measured_errors_are_those_predicted() {
    let options = NoiseOptions {
        dimensions: vec![16, 32],
        entities: vec![500, 2000],
        epsilons: vec![1.0, 3.0],
        delta: 1e-6,
        rounds: 100,
    };
    let found = noise(&options, &mut |_, _| ()).unwrap();
    assert_eq!((found.points.len(), found.paces.len(), found.pictures().len()), (12, 4, 2));
    for point in &found.points {
        let measured = point.measured.unwrap();
        // What dividing by the noisy count adds is small in the squares.
        assert!((0.85..1.3).contains(&(measured / point.predicted)), "{point:?}");
        assert_eq!(point.held_back, 0);
    }
    assert!(found.to_string().lines().count() > 16);
    assert!(found.pictures().iter().all(|(_, picture)| picture.lines.len() == 6 && picture.svg().is_ok()));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let options = NoiseOptions { dimensions: vec![0], entities: vec![10], epsilons: vec![1.0], delta: 1e-6, rounds: 1 };
    let refused = |options: &NoiseOptions| noise(options, &mut |_, _| ()).unwrap_err();
    assert!(refused(&options).contains("1 to 65536"));
    assert!(refused(&NoiseOptions { epsilons: vec![-1.0], ..options.clone() }).contains("epsilon"));
    assert!(refused(&NoiseOptions { delta: 1.0, ..options }).contains("delta"));
}
