//! Sums across the lanes of four vectors at once, a leaf that every kernel with four sums ends in.
//!
//! Invariant: wrapping, as the additions before it are; the kernels see to it that nothing wraps.

#![expect(unsafe_code, reason = "a vector store takes a raw pointer")]

use std::arch::x86_64::{
    __m256i, _mm_add_epi32, _mm_storeu_si128, _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_hadd_epi32,
};

/// The sums of the eight numbers in each vector.
#[target_feature(enable = "avx2")]
pub fn totals(sums: [__m256i; 4]) -> [i32; 4] {
    // Two horizontal additions leave, in each half, one partial sum per vector.
    let quads = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    let totals = _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256::<1>(quads));
    let mut out = [0; 4];
    // SAFETY: the array is 16 writable bytes, and the store needs no alignment.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), totals) };
    out
}
