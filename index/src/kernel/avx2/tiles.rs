//! Panels of rows against rows, for AVX2.
//!
//! Invariant: exact for codes of -127..=127, as the other products of this instruction set.

use super::super::panel::{Few, HEIGHT, Point, Points, STEP, Step, Tile, WIDTH, together};
use std::arch::x86_64::{
    __m256, __m256i, _CMP_LE_OQ, _mm256_abs_epi8, _mm256_add_epi32, _mm256_add_ps, _mm256_cmp_ps, _mm256_cvtepi32_ps,
    _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_max_ps, _mm256_movemask_ps,
    _mm256_mul_ps, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256,
    _mm256_sign_epi8, _mm256_storeu_ps, _mm256_sub_ps,
};

/// Vectors in a step through a panel.
const HALVES: usize = 2;

/// Lanes of a vector.
const LANES: usize = WIDTH / HALVES;

/// Rows whose sums fit the registers.
const AT_ONCE: usize = 4;

/// Compares a few rows with all rows of `panels`.
#[target_feature(enable = "avx2")]
pub(super) fn tiles(few: &Few<'_>, panels: &[i8], points: &[Points], tiles: &mut [[Tile; HEIGHT]]) {
    let panels = panels.chunks_exact((STEP * few.steps.len()).max(1));
    for ((panel, points), tiles) in panels.zip(points).zip(tiles) {
        for (first, tiles) in (0..HEIGHT).step_by(AT_ONCE).zip(tiles.as_chunks_mut::<AT_ONCE>().0) {
            let sums = products(few.steps, panel, first);
            for (((at, tile), sums), most) in (first..).zip(tiles).zip(sums).zip(few.most.iter().skip(first)) {
                tile.within = 0;
                for (half, (products, distances)) in
                    sums.iter().zip(tile.distances.as_chunks_mut::<LANES>().0).enumerate()
                {
                    tile.within |= measure(*products, points, half, few.points[at], *most, distances) << (half * LANES);
                }
            }
        }
    }
}

/// The inner products of four rows, from `first` on, with those of a panel.
#[target_feature(enable = "avx2")]
fn products(steps: &[Step], panel: &[i8], first: usize) -> [[__m256i; HALVES]; AT_ONCE] {
    let ones = _mm256_set1_epi16(1);
    let mut sums = [[_mm256_setzero_si256(); HALVES]; AT_ONCE];
    for (lanes, codes) in panel.as_chunks::<STEP>().0.iter().zip(steps) {
        let mut halves = [_mm256_setzero_si256(); HALVES];
        for (half, bytes) in halves.iter_mut().zip(lanes.as_chunks::<{ STEP / HALVES }>().0) {
            // SAFETY: the array is 32 readable bytes, and the load needs no alignment.
            *half = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast::<__m256i>()) };
        }
        for (sums, codes) in sums.iter_mut().zip(codes.iter().skip(first)) {
            let x = _mm256_set1_epi32(together(*codes));
            let size = _mm256_abs_epi8(x);
            for (sum, half) in sums.iter_mut().zip(halves) {
                let pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(half, x));
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
            }
        }
    }
    sums
}

/// The distances that follow from the inner products of half a panel, in the steps of [`Point::distance`].
#[target_feature(enable = "avx2")]
fn measure(products: __m256i, points: &Points, half: usize, point: Point, most: f32, out: &mut [f32; LANES]) -> u16 {
    let units = _mm256_mul_ps(_mm256_set1_ps(point.unit), load(&points.units, half));
    let twice = _mm256_mul_ps(_mm256_set1_ps(2.0), _mm256_mul_ps(units, _mm256_cvtepi32_ps(products)));
    let flat = _mm256_sub_ps(_mm256_add_ps(_mm256_set1_ps(point.squared), load(&points.squared, half)), twice);
    let lift = _mm256_sub_ps(_mm256_set1_ps(point.lift), load(&points.lifts, half));
    let distances = _mm256_add_ps(_mm256_max_ps(flat, _mm256_setzero_ps()), _mm256_mul_ps(lift, lift));
    // SAFETY: the array is 32 writable bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), distances) };
    _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(distances, _mm256_set1_ps(most))) as u16
}

/// The first half, or the second.
#[target_feature(enable = "avx2")]
fn load(numbers: &[f32; WIDTH], half: usize) -> __m256 {
    let (first, second) = numbers.split_at(LANES);
    let half = if half == 0 { first } else { second };
    // SAFETY: each half is 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_ps(half.as_ptr()) }
}
