//! Every table against the scalar reference and `simsimd`, on random and extreme codes of every
//! length.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use super::detect::available;
use super::{kernels, prefetch, scalar};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use simsimd::SpatialSimilarity;

/// Rows of `len` codes: random ones and the extremes, where saturation or a wrong sign would show.
fn rows(len: usize, rng: &mut StdRng) -> Vec<Vec<i8>> {
    let mut rows: Vec<Vec<i8>> = (0..4).map(|_| (0..len).map(|_| rng.random()).collect()).collect();
    rows.extend([-128, -127, -1, 0, 127].map(|code| vec![code; len]));
    rows.push((0..len).map(|i| if i % 2 == 0 { 127 } else { -128 }).collect());
    rows
}

#[test]
fn every_table_equals_the_reference() {
    let mut rng = StdRng::seed_from_u64(7);
    let lengths = (0..=192).chain((256..=4096).step_by(64));
    for len in lengths {
        let rows = rows(len, &mut rng);
        for table in available() {
            for (at, query) in rows.iter().enumerate() {
                for row in &rows {
                    let expected = scalar::dot(query, row);
                    assert_eq!((table.dot)(query, row), expected, "{} {len}", table.name);
                    assert_eq!(i8::dot(query, row), Some(f64::from(expected)), "simsimd {len}");
                }
                let four = [0, 3, 5, 7].map(|step| rows[(at + step) % rows.len()].as_slice());
                assert_eq!((table.dot4)(query, four), four.map(|row| scalar::dot(query, row)), "{} {len}", table.name);
            }
        }
    }
}

#[test]
fn a_longer_row_is_cut() {
    let long = [3_i8; 200];
    for table in available() {
        assert_eq!((table.dot)(&long[..130], &long), 130 * 9);
        assert_eq!((table.dot4)(&long, [&long[..65], &long[..1], &[], &long]), [65 * 9, 9, 0, 200 * 9]);
    }
}

#[test]
fn a_table_is_chosen_and_prefetch_is_harmless() {
    assert!(available().iter().any(|table| table.name == kernels().name));
    prefetch(&[0_u8; 0]);
    prefetch(&[0_u32; 333]);
}
