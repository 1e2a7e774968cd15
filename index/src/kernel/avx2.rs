//! The kernels for AVX2: unsigned times signed bytes, added in pairs.
//!
//! Invariant: exact for codes of -127..=127, which `vpsignb` can negate and of which two products
//! of 127·127 fit 16 bits: `vpmaddubsw`, of |q| and the row with q's signs, never saturates.

#![expect(unsafe_code, reason = "vector loads take raw pointers; the functions need AVX2")]

mod hadamard;
mod numbers;
mod squares;
mod tiles;
mod totals;

use super::nibbles::GROUP;
use super::panel::{Few, HEIGHT, Points, Tile};
use super::rows::Rows;
use super::scalar::{self, HALVES, tail};
use super::table::Kernels;
use std::arch::x86_64::{
    __m256i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_shuffle_epi32, _mm256_abs_epi8, _mm256_add_epi16, _mm256_add_epi32,
    _mm256_and_si256, _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_sign_epi8,
    _mm256_srli_epi16,
};
use totals::totals;

/// Codes consumed by one step.
const STEP: usize = 32;

/// The table, if this processor has AVX2.
pub(super) fn kernels() -> Option<&'static Kernels> {
    static KERNELS: Kernels = Kernels { name: "avx2", dot, dots, tiles, nibble_dots, squares, unpack, hadamard };
    is_x86_feature_detected!("avx2").then_some(&KERNELS)
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    // SAFETY: this function is reachable only through the table, which `kernels` gives out only if
    // AVX2 is there.
    unsafe { dot_avx2(a, b) }
}

fn dots(query: &[i8], rows: Rows<'_, i8>, positions: &[u32], out: &mut [i32]) {
    // SAFETY: as in `dot`.
    unsafe { dots_avx2(query, rows, positions, out) }
}

fn tiles(few: &Few<'_>, panels: &[i8], points: &[Points], tiles: &mut [[Tile; HEIGHT]]) {
    // SAFETY: as in `dot`.
    unsafe { tiles::tiles(few, panels, points, tiles) }
}

fn nibble_dots(query: &[i8], rows: Rows<'_, u8>, positions: &[u32], out: &mut [i32]) {
    // SAFETY: as in `dot`.
    unsafe { nibble_dots_avx2(query, rows, positions, out) }
}

fn squares(high: &[u8], low: &[u8]) -> Option<[i32; HALVES]> {
    // SAFETY: as in `dot`.
    unsafe { squares::squares(high, low) }
}

fn unpack(packed: &[u8], bits: u32, out: &mut [u32]) -> u32 {
    // SAFETY: as in `dot`.
    unsafe { numbers::unpack(packed, bits, out) }
}

fn hadamard(values: &mut [f32]) {
    // SAFETY: as in `dot`.
    unsafe { hadamard::hadamard(values) }
}

#[target_feature(enable = "avx2")]
fn load(codes: &[i8; STEP]) -> __m256i {
    // SAFETY: the array is 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(codes.as_ptr().cast::<__m256i>()) }
}

/// Eight partial sums of the products of 32 pairs of codes.
#[target_feature(enable = "avx2")]
fn products(q: __m256i, row: &[i8; STEP]) -> __m256i {
    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(load(row), q));
    _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
}

#[target_feature(enable = "avx2")]
fn dot_avx2(a: &[i8], b: &[i8]) -> i32 {
    let (a_steps, b_steps) = (a.as_chunks::<STEP>().0, b.as_chunks::<STEP>().0);
    let mut sums = [_mm256_setzero_si256(); 2];
    for (at, (x, y)) in a_steps.iter().zip(b_steps).enumerate() {
        sums[at % 2] = _mm256_add_epi32(sums[at % 2], products(load(x), y));
    }
    let sum = _mm256_add_epi32(sums[0], sums[1]);
    let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b01_00_11_10>(sum));
    let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b10_11_00_01>(sum));
    let done = a_steps.len().min(b_steps.len()) * STEP;
    _mm_cvtsi128_si32(sum) + scalar::dot(tail(a, done), tail(b, done))
}

#[target_feature(enable = "avx2")]
fn dots_avx2(query: &[i8], rows: Rows<'_, i8>, positions: &[u32], out: &mut [i32]) {
    let (fours, rest) = positions.as_chunks::<4>();
    let (out_fours, out_rest) = out.split_at_mut((4 * fours.len()).min(out.len()));
    for (four, out) in fours.iter().zip(out_fours.as_chunks_mut::<4>().0) {
        *out = dot4(query, [rows.row(four[0]), rows.row(four[1]), rows.row(four[2]), rows.row(four[3])]);
    }
    for (out, &position) in out_rest.iter_mut().zip(rest) {
        *out = dot_avx2(query, rows.row(position));
    }
}

/// Inner products of `query` with four rows, which share its loads.
#[target_feature(enable = "avx2")]
fn dot4(query: &[i8], rows: [&[i8]; 4]) -> [i32; 4] {
    let steps = query.as_chunks::<STEP>().0;
    // Closures would not be compiled for AVX2.
    let [r0, r1, r2, r3] = rows;
    let (r0, r1) = (r0.as_chunks::<STEP>().0, r1.as_chunks::<STEP>().0);
    let (r2, r3) = (r2.as_chunks::<STEP>().0, r3.as_chunks::<STEP>().0);
    let mut sums = [_mm256_setzero_si256(); 4];
    let count = steps.len().min(r0.len()).min(r1.len()).min(r2.len()).min(r3.len());
    for ((((q, x0), x1), x2), x3) in steps.iter().zip(r0).zip(r1).zip(r2).zip(r3) {
        let q = load(q);
        for (sum, x) in sums.iter_mut().zip([x0, x1, x2, x3]) {
            *sum = _mm256_add_epi32(*sum, products(q, x));
        }
    }
    let mut dots = totals(sums);
    let done = count * STEP;
    for (dot, row) in dots.iter_mut().zip(rows) {
        *dot += scalar::dot(tail(query, done), tail(row, done));
    }
    dots
}

/// Steps whose sums of products fit 16 bits: two pairs of at most 15·127 each.
const NARROW_STEPS: usize = 4;

#[target_feature(enable = "avx2")]
fn nibble_dots_avx2(query: &[i8], rows: Rows<'_, u8>, positions: &[u32], out: &mut [i32]) {
    let (fours, rest) = positions.as_chunks::<4>();
    let (out_fours, out_rest) = out.split_at_mut((4 * fours.len()).min(out.len()));
    for (four, out) in fours.iter().zip(out_fours.as_chunks_mut::<4>().0) {
        *out = nibble_dot4(query, [rows.row(four[0]), rows.row(four[1]), rows.row(four[2]), rows.row(four[3])]);
    }
    for (out, &position) in out_rest.iter_mut().zip(rest) {
        [*out, ..] = nibble_dot4(query, [rows.row(position); 4]);
    }
}

/// Inner products of `query` with four rows of packed numbers of four bits, which share its loads.
#[target_feature(enable = "avx2")]
fn nibble_dot4(query: &[i8], rows: [&[u8]; 4]) -> [i32; 4] {
    let one = _mm256_set1_epi16(1);
    let (groups, mut sums) = (query.as_chunks::<GROUP>().0, [_mm256_setzero_si256(); 4]);
    let [r0, r1, r2, r3] = rows;
    let (r0, r1) = (r0.as_chunks::<STEP>().0, r1.as_chunks::<STEP>().0);
    let (r2, r3) = (r2.as_chunks::<STEP>().0, r3.as_chunks::<STEP>().0);
    let steps = groups.iter().zip(r0).zip(r1).zip(r2).zip(r3);
    let mut narrow = [_mm256_setzero_si256(); 4];
    for (at, ((((group, x0), x1), x2), x3)) in steps.enumerate() {
        let [first, second] = group.as_chunks::<STEP>().0 else { continue };
        let (first, second) = (load(first), load(second));
        for (narrow, x) in narrow.iter_mut().zip([x0, x1, x2, x3]) {
            *narrow = _mm256_add_epi16(*narrow, nibble_products(first, second, x));
        }
        if at % NARROW_STEPS == NARROW_STEPS - 1 {
            for (sum, narrow) in sums.iter_mut().zip(&mut narrow) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(*narrow, one));
                *narrow = _mm256_setzero_si256();
            }
        }
    }
    for (sum, narrow) in sums.iter_mut().zip(narrow) {
        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(narrow, one));
    }
    totals(sums)
}

/// Sixteen partial sums of the products of a group with packed numbers of four bits.
#[target_feature(enable = "avx2")]
fn nibble_products(first: __m256i, second: __m256i, packed: &[u8; STEP]) -> __m256i {
    let low_half = _mm256_set1_epi8(15);
    // SAFETY: the array is 32 readable bytes, and the load needs no alignment.
    let packed = unsafe { _mm256_loadu_si256(packed.as_ptr().cast::<__m256i>()) };
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(packed), low_half);
    _mm256_add_epi16(
        _mm256_maddubs_epi16(_mm256_and_si256(packed, low_half), first),
        _mm256_maddubs_epi16(high, second),
    )
}
