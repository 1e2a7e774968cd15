//! The kernels for AVX2: codes are widened to 16 bits, multiplied and added in pairs.
//!
//! Invariant: exact for all bytes. `vpmaddubsw`, one instruction shorter, would saturate at -128
//! and is not used.

#![expect(unsafe_code, reason = "vector loads take raw pointers; the functions need AVX2")]

use super::scalar::{self, tail};
use super::table::Kernels;
use std::arch::x86_64::{
    __m128i, __m256i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_shuffle_epi32, _mm_storeu_si128,
    _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_extracti128_si256, _mm256_hadd_epi32,
    _mm256_madd_epi16, _mm256_setzero_si256,
};

/// Codes consumed by one step.
const STEP: usize = 16;

/// The table, if this processor has AVX2.
pub(super) fn kernels() -> Option<&'static Kernels> {
    static KERNELS: Kernels = Kernels { name: "avx2", dot, dot4 };
    is_x86_feature_detected!("avx2").then_some(&KERNELS)
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    // SAFETY: this function is reachable only through the table, which `kernels` gives out only if
    // AVX2 is there.
    unsafe { dot_avx2(a, b) }
}

fn dot4(query: &[i8], rows: [&[i8]; 4]) -> [i32; 4] {
    // SAFETY: as in `dot`.
    unsafe { dot4_avx2(query, rows) }
}

/// Sixteen codes from `at` on, widened.
#[target_feature(enable = "avx2")]
fn widened(codes: &[i8; STEP]) -> __m256i {
    // SAFETY: the array is 16 readable bytes, and the load needs no alignment.
    let bytes = unsafe { _mm_loadu_si128(codes.as_ptr().cast::<__m128i>()) };
    _mm256_cvtepi8_epi16(bytes)
}

#[target_feature(enable = "avx2")]
fn dot_avx2(a: &[i8], b: &[i8]) -> i32 {
    let (a_steps, b_steps) = (a.as_chunks::<STEP>().0, b.as_chunks::<STEP>().0);
    let mut sums = [_mm256_setzero_si256(); 2];
    for (at, (x, y)) in a_steps.iter().zip(b_steps).enumerate() {
        let products = _mm256_madd_epi16(widened(x), widened(y));
        sums[at % 2] = _mm256_add_epi32(sums[at % 2], products);
    }
    let sum = _mm256_add_epi32(sums[0], sums[1]);
    let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b01_00_11_10>(sum));
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b10_11_00_01>(sum));
    let done = a_steps.len().min(b_steps.len()) * STEP;
    _mm_cvtsi128_si32(sum) + scalar::dot(tail(a, done), tail(b, done))
}

#[target_feature(enable = "avx2")]
fn dot4_avx2(query: &[i8], rows: [&[i8]; 4]) -> [i32; 4] {
    let steps = query.as_chunks::<STEP>().0;
    let [r0, r1, r2, r3] = rows.map(|row| row.as_chunks::<STEP>().0);
    let mut sums = [_mm256_setzero_si256(); 4];
    let count = steps.len().min(r0.len()).min(r1.len()).min(r2.len()).min(r3.len());
    for ((((q, x0), x1), x2), x3) in steps.iter().zip(r0).zip(r1).zip(r2).zip(r3) {
        let q = widened(q);
        for (sum, x) in sums.iter_mut().zip([x0, x1, x2, x3]) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(q, widened(x)));
        }
    }
    // Two horizontal additions leave, in each half, one partial sum per row.
    let pairs = _mm256_hadd_epi32(sums[0], sums[1]);
    let others = _mm256_hadd_epi32(sums[2], sums[3]);
    let quads = _mm256_hadd_epi32(pairs, others);
    let totals = _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256::<1>(quads));
    let mut dots = [0; 4];
    // SAFETY: the array is 16 writable bytes, and the store needs no alignment.
    unsafe { _mm_storeu_si128(dots.as_mut_ptr().cast::<__m128i>(), totals) };
    let done = count * STEP;
    for (dot, row) in dots.iter_mut().zip(rows) {
        *dot += scalar::dot(tail(query, done), tail(row, done));
    }
    dots
}
