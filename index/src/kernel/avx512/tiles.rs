//! Panels of rows against rows, for AVX-512 with VNNI.
//!
//! Invariant: exact for all bytes, as the other products of this instruction set: with the panel's bytes made unsigned,
//! each sum is too great by what the row alone says.

use super::super::panel::{Few, HEIGHT, Point, Points, STEP, Tile, WIDTH, together};
use std::arch::x86_64::{
    __m512, __m512i, _CMP_LE_OQ, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_max_ps, _mm512_mul_ps, _mm512_set1_epi8, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_storeu_ps, _mm512_sub_epi32, _mm512_sub_ps,
    _mm512_xor_si512,
};

/// Compares a few rows with all rows of `panels`.
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) fn tiles(few: &Few<'_>, panels: &[i8], points: &[Points], tiles: &mut [[Tile; HEIGHT]]) {
    let offset = _mm512_set1_epi8(i8::MIN);
    // What each row's sums are too great by, in every lane.
    let mut shifts = [_mm512_setzero_si512(); HEIGHT];
    for codes in few.steps {
        for (shift, codes) in shifts.iter_mut().zip(codes) {
            *shift = _mm512_dpbusd_epi32(*shift, offset, _mm512_set1_epi32(together(*codes)));
        }
    }
    let panels = panels.chunks_exact((STEP * few.steps.len()).max(1));
    for ((panel, points), tiles) in panels.zip(points).zip(tiles) {
        let mut sums = [_mm512_setzero_si512(); HEIGHT];
        for (lanes, codes) in panel.as_chunks::<STEP>().0.iter().zip(few.steps) {
            // SAFETY: the array is 64 readable bytes, and the load needs no alignment.
            let lanes = _mm512_xor_si512(unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }, offset);
            for (sum, codes) in sums.iter_mut().zip(codes) {
                *sum = _mm512_dpbusd_epi32(*sum, lanes, _mm512_set1_epi32(together(*codes)));
            }
        }
        let points = [load(&points.units), load(&points.squared), load(&points.lifts)];
        for ((((tile, sum), shift), point), most) in
            tiles.iter_mut().zip(sums).zip(shifts).zip(few.points).zip(few.most)
        {
            *tile = measure(_mm512_sub_epi32(sum, shift), points, point, most);
        }
    }
}

/// The distances that follow from inner products, in the steps of [`Point::distance`].
#[target_feature(enable = "avx512f")]
fn measure(products: __m512i, [units, squared, lifts]: [__m512; 3], point: Point, most: f32) -> Tile {
    let units = _mm512_mul_ps(_mm512_set1_ps(point.unit), units);
    let twice = _mm512_mul_ps(_mm512_set1_ps(2.0), _mm512_mul_ps(units, _mm512_cvtepi32_ps(products)));
    let flat = _mm512_sub_ps(_mm512_add_ps(_mm512_set1_ps(point.squared), squared), twice);
    let lift = _mm512_sub_ps(_mm512_set1_ps(point.lift), lifts);
    let distances = _mm512_add_ps(_mm512_max_ps(flat, _mm512_setzero_ps()), _mm512_mul_ps(lift, lift));
    let mut tile = Tile { within: _mm512_cmp_ps_mask::<_CMP_LE_OQ>(distances, _mm512_set1_ps(most)), ..Tile::EMPTY };
    // SAFETY: the array is 64 writable bytes, and the store needs no alignment.
    unsafe { _mm512_storeu_ps(tile.distances.as_mut_ptr(), distances) };
    tile
}

#[target_feature(enable = "avx512f")]
fn load(numbers: &[f32; WIDTH]) -> __m512 {
    // SAFETY: the array is 64 readable bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
}
