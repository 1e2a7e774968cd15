//! The Hadamard transform, eight values at a time.
//!
//! Invariant: the additions and subtractions of the scalar form, no fused ones, hence the same floats.

#![expect(unsafe_code, reason = "vector loads and stores take raw pointers")]

use super::super::scalar::butterfly;
use std::arch::x86_64::{
    __m256, _mm256_add_ps, _mm256_loadu_ps, _mm256_movehdup_ps, _mm256_moveldup_ps, _mm256_permute_ps,
    _mm256_permute2f128_ps, _mm256_setr_ps, _mm256_storeu_ps, _mm256_xor_ps,
};

/// Values in a vector.
const LANES: usize = 8;

/// The transform of a power of two of values, at least as many as a vector holds: three levels in each vector, then two
/// levels a pass.
#[target_feature(enable = "avx2")]
pub fn hadamard(values: &mut [f32]) {
    for eight in values.as_chunks_mut::<LANES>().0 {
        transform(eight);
    }
    let mut quarter = LANES;
    while 4 * quarter <= values.len() {
        for block in values.chunks_exact_mut(4 * quarter) {
            let (low, high) = block.split_at_mut(2 * quarter);
            let ((a, b), (c, d)) = (low.split_at_mut(quarter), high.split_at_mut(quarter));
            let (a, b) = (a.as_chunks_mut::<LANES>().0, b.as_chunks_mut::<LANES>().0);
            let (c, d) = (c.as_chunks_mut::<LANES>().0, d.as_chunks_mut::<LANES>().0);
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                    [*a, *b, *c, *d] = butterfly([*a, *b, *c, *d]);
                }
            }
        }
        quarter *= 4;
    }
    if 2 * quarter == values.len() {
        let (low, high) = values.split_at_mut(quarter);
        for (a, b) in low.iter_mut().zip(high) {
            (*a, *b) = (*a + *b, *a - *b);
        }
    }
}

/// The transform of one vector. To subtract is to add what has its sign turned.
#[target_feature(enable = "avx2")]
fn transform(values: &mut [f32; LANES]) {
    const KEPT: f32 = 0.0;
    const TURNED: f32 = -0.0;
    let odd = _mm256_setr_ps(KEPT, TURNED, KEPT, TURNED, KEPT, TURNED, KEPT, TURNED);
    let late = _mm256_setr_ps(KEPT, KEPT, TURNED, TURNED, KEPT, KEPT, TURNED, TURNED);
    let upper = _mm256_setr_ps(KEPT, KEPT, KEPT, KEPT, TURNED, TURNED, TURNED, TURNED);
    // SAFETY: the array is eight readable values, and the load needs no alignment.
    let x = unsafe { _mm256_loadu_ps(values.as_ptr()) };
    let x = add(_mm256_moveldup_ps(x), _mm256_movehdup_ps(x), odd);
    let x = add(_mm256_permute_ps::<0b01_00_01_00>(x), _mm256_permute_ps::<0b11_10_11_10>(x), late);
    let x = add(_mm256_permute2f128_ps::<0x00>(x, x), _mm256_permute2f128_ps::<0x11>(x, x), upper);
    // SAFETY: the array is eight writable values, and the store needs no alignment.
    unsafe { _mm256_storeu_ps(values.as_mut_ptr(), x) };
}

#[target_feature(enable = "avx2")]
fn add(a: __m256, b: __m256, signs: __m256) -> __m256 {
    _mm256_add_ps(a, _mm256_xor_ps(b, signs))
}
