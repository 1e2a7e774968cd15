//! The rotation keeps geometry, codes estimate distances within their bounds, and nothing odd
//! breaks either.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use super::{Rotation, Space};
use crate::kernel::kernels;
use crate::metric::{MAX_DIMENSION, Metric};
use crate::samples::{clusters, shapes};

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

#[test]
fn rotation_preserves_norms_and_products_and_mixes() {
    for width in [64, 128, 192, 320, 384, 768, 1536, 4032, 4096] {
        let rotation = Rotation::new(width, &[3; 32]);
        let vectors = clusters(2, width, width as u64);
        let mut rotated = vectors.clone();
        let mut scratch = vec![0.0; width];
        rotated.iter_mut().for_each(|x| rotation.apply(kernels(), x, &mut scratch));
        let length = dot(&vectors[0], &vectors[0]).sqrt() * dot(&vectors[1], &vectors[1]).sqrt();
        for (i, j) in [(0, 0), (0, 1), (1, 1)] {
            let change = dot(&vectors[i], &vectors[j]) - dot(&rotated[i], &rotated[j]);
            assert!(change.abs() <= 1e-4 * length, "{width} {change}");
        }
        // A single coordinate is spread: none of the images holds more than a small part of it.
        let mut one_hot = vec![0.0; width];
        one_hot[width / 3] = 1.0;
        rotation.apply(kernels(), &mut one_hot, &mut scratch);
        let greatest = one_hot.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        assert!(greatest * (width as f32).sqrt() < 6.0, "{width} {greatest}");
        assert!(scratch.iter().all(|&x| x == 0.0), "the scratch holds a rotated vector");
    }
}

#[test]
fn codes_are_a_fixed_function_of_vector_and_seed() {
    let vector: Vec<f32> = (0_u8..10).map(|i| f32::from(i) - 3.0).collect();
    let encode = |seed: u8| {
        let space = Space::new(Metric::Cosine, 10, &[seed; 32]);
        let mut code = [0; 64];
        (space.encode(&vector, &mut code), code)
    };
    let (scale, code) = encode(1);
    assert_eq!(scale.norm, dot(&vector, &vector).sqrt() as f32);
    assert_eq!(encode(1), (scale, code));
    assert_ne!(encode(2).1, code);
    // Codes on disk were made by this function; a change here makes them unreadable and needs a new
    // format version.
    assert_eq!(code[..8], PINNED);
    // The length of the code is that of the vector: 4 standard deviations make 127 units.
    let length: i64 = code.iter().map(|&z| i64::from(z) * i64::from(z)).sum();
    assert!(((length as f64).sqrt() - 32.0 * 8.0).abs() < 4.0, "{length}");
}

/// The first codes of the vector above.
const PINNED: [i8; 8] = [21, -26, -53, -39, 36, -7, 25, -7];

#[test]
fn exact_distances_lie_within_the_error() {
    for metric in METRICS {
        for dimension in [3, 17, 64, 100, 128, 384, 768] {
            let space = Space::new(metric, dimension, &[9; 32]);
            let vectors = clusters(300, dimension, dimension as u64);
            let codes = crate::samples::codes(&space, &vectors);
            let (mut inside, mut total, mut widths) = (0, 0, 0.0);
            for (at, vector) in vectors.iter().enumerate().step_by(13) {
                let other = &vectors[(at + 7) % 300];
                let shifted: Vec<f32> = vector.iter().zip(other).map(|(x, y)| x + 0.3 * y).collect();
                let (query, length) = (space.query(&shifted), dot(&shifted, &shifted).sqrt());
                for (position, stored) in (0..).zip(&vectors) {
                    let exact = metric.distance(&shifted, stored);
                    let (estimate, error) = codes.distance(&query, position);
                    inside += u32::from((estimate - exact).abs() <= error);
                    total += 1;
                    let whole =
                        if metric == Metric::Cosine { 1.0 } else { f64::from(codes.scale(position).norm) * length };
                    widths += f64::from(error) / whole;
                }
            }
            assert!(inside * 100 >= total * 99, "{metric} {dimension}: {inside} of {total}");
            // A bound that is always right because it is wide would pass above.
            let width = widths / f64::from(total) * (space.stride() as f64).sqrt();
            assert!(width <= if metric == Metric::L2 { 0.12 } else { 0.06 }, "{metric} {dimension}: {width}");
        }
    }
}

/// Where both codes are rounded the same way, nothing averages out.
#[test]
fn a_stored_vector_lies_within_the_error_of_itself() {
    for dimension in [128, 768, 1536, 4096] {
        let vectors = clusters(120, dimension, 6);
        for metric in METRICS {
            let space = Space::new(metric, dimension, &[9; 32]);
            let codes = crate::samples::codes(&space, &vectors);
            for (position, vector) in (0..).zip(&vectors) {
                let (estimate, error) = codes.distance(&space.query(vector), position);
                let off = (estimate - metric.distance(vector, vector)).abs();
                assert!(off <= error, "{metric} {dimension}: {off} {error}");
            }
        }
    }
}

#[test]
fn keys_say_how_far_a_walk_goes() {
    for dimension in [24, 300] {
        let vectors = clusters(200, dimension, 4);
        for metric in METRICS {
            let space = Space::new(metric, dimension, &[9; 32]);
            let codes = crate::samples::codes(&space, &vectors[1..]);
            let query = space.query(&vectors[0]);
            let positions: Vec<u32> = (0..199).collect();
            let (mut keys, mut rough) = (vec![0; 199], vec![0; 199]);
            codes.keys(&query, &positions, &mut keys);
            codes.rough_keys(&query, &positions, &mut rough);
            // Distances are counted from the least that any row can have.
            let longest = codes.long();
            let length = dot(&vectors[0], &vectors[0]).sqrt() as f32;
            let least = if metric == Metric::Dot { -longest * length } else { 0.0 };
            let far = |key: i32| query.distance(key) - least;
            for slack in [-0.2, 0.0, 0.1, 0.5] {
                let within = |key: i32, from: i32| far(key) <= (1.0 + slack) * far(from) * (1.0 + 1e-5);
                let last = query.beyond(keys[7], slack, longest);
                assert!(keys.iter().all(|&key| (key <= last) == within(key, keys[7])), "{metric} {dimension} {slack}");
                // Rough keys are off by little, compared with how far distances lie apart here.
                let last = query.beyond_roughly(rough[7], slack, longest);
                let agree = rough.iter().zip(&keys).filter(|(rough, key)| (**rough <= last) == within(**key, keys[7]));
                assert!(agree.count() >= 190, "{metric} {dimension} {slack}");
            }
        }
    }
}

#[test]
fn odd_vectors_neither_panic_nor_give_nonsense() {
    for dimension in [1, 2, 63, 64, 65, 127, 1000, MAX_DIMENSION] {
        for metric in METRICS {
            let space = Space::new(metric, dimension, &[0; 32]);
            assert!(space.stride().is_multiple_of(64) && space.stride() >= dimension);
            let mut odd: Vec<Vec<f32>> = shapes(3, dimension).concat();
            for x in
                [0.0, -0.0, 1e-45, 1e-30, 1e-19, 4e18 / (dimension as f32).sqrt(), f32::MAX, f32::INFINITY, f32::NAN]
            {
                odd.push(vec![x; dimension]);
            }
            let codes = crate::samples::codes(&space, &odd);
            for vector in &odd {
                let query = space.query(vector);
                for position in 0..odd.len() as u32 {
                    let (estimate, error) = codes.distance(&query, position);
                    let exact = metric.distance(vector, &odd[position as usize]);
                    let admitted = |v| metric.check(v, dimension).is_ok();
                    if admitted(vector) && admitted(&odd[position as usize]) {
                        assert!(estimate.is_finite() && error.is_finite() && exact.is_finite());
                        // Few coordinates are not random: the bound holds for them only up to a
                        // factor.
                        let slack = 4.0 * error + 1e-5 * exact.abs() + f32::MIN_POSITIVE;
                        assert!((estimate - exact).abs() <= slack, "{metric} {dimension} {estimate} {exact} {error}");
                    }
                }
            }
        }
    }
}

#[test]
fn lengths_that_do_not_fit_are_cut() {
    let space = Space::new(Metric::L2, 0, &[0; 32]);
    assert_eq!((space.dimension(), space.stride()), (1, 64));
    assert_eq!(Space::new(Metric::L2, usize::MAX, &[0; 32]).dimension(), MAX_DIMENSION);
    let space = Space::new(Metric::L2, 100, &[0; 32]);
    let mut code = [0; 3];
    assert_eq!(space.encode(&[3.0, 4.0], &mut code).norm, 5.0);
    space.query(&[1.0; 500]);
}
