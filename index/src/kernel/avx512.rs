//! The kernels for AVX-512 with VNNI, which multiplies and adds four bytes per lane in one
//! instruction.
//!
//! Invariant: exact for all bytes. The instruction wants unsigned times signed: with r + 128 for
//! the row's byte r, Σ(r + 128)·q - Σ128·q = Σr·q in wrapping 32-bit arithmetic. The second sum is
//! the query's alone, so four rows share it.

#![expect(unsafe_code, reason = "vector loads take raw pointers; the functions need AVX-512")]

use super::scalar::{self, tail};
use super::table::Kernels;
use std::arch::x86_64::{
    __m512i, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_reduce_add_epi32, _mm512_set1_epi8, _mm512_setzero_si512,
    _mm512_sub_epi32, _mm512_xor_si512,
};

/// Codes consumed by one step.
const STEP: usize = 64;

/// The table, if this processor has AVX-512 VNNI.
pub(super) fn kernels() -> Option<&'static Kernels> {
    static KERNELS: Kernels = Kernels { name: "avx512-vnni", dot, dot4 };
    (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")).then_some(&KERNELS)
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    // SAFETY: this function is reachable only through the table, which `kernels` gives out only if
    // the features are there.
    let [dot] = unsafe { dots(a, [b]) };
    dot
}

fn dot4(query: &[i8], rows: [&[i8]; 4]) -> [i32; 4] {
    // SAFETY: as in `dot`.
    unsafe { dots(query, rows) }
}

#[target_feature(enable = "avx512f")]
fn load(codes: &[i8; STEP]) -> __m512i {
    // SAFETY: the array is 64 readable bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(codes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn dots<const ROWS: usize>(query: &[i8], rows: [&[i8]; ROWS]) -> [i32; ROWS] {
    let steps = query.as_chunks::<STEP>().0;
    let chunks = rows.map(|row| row.as_chunks::<STEP>().0);
    let count = chunks.iter().fold(steps.len(), |count, row| count.min(row.len()));
    let offset = _mm512_set1_epi8(i8::MIN);
    let mut shift = _mm512_setzero_si512();
    let mut sums = [_mm512_setzero_si512(); ROWS];
    for (at, q) in steps.iter().take(count).enumerate() {
        let q = load(q);
        shift = _mm512_dpbusd_epi32(shift, offset, q);
        for (sum, row) in sums.iter_mut().zip(chunks) {
            *sum = _mm512_dpbusd_epi32(*sum, _mm512_xor_si512(load(&row[at]), offset), q);
        }
    }
    let done = count * STEP;
    let mut dots = [0; ROWS];
    for ((dot, sum), row) in dots.iter_mut().zip(sums).zip(rows) {
        *dot = _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, shift)) + scalar::dot(tail(query, done), tail(row, done));
    }
    dots
}
