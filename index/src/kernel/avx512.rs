//! The kernels for AVX-512 with VNNI, which multiplies and adds four bytes per lane in one
//! instruction.
//!
//! Invariant: exact for all bytes. The instruction wants unsigned times signed: with r + 128 for
//! the row's byte r, Σ(r + 128)·q - Σ128·q = Σr·q in wrapping 32-bit arithmetic. The second sum is
//! the query's alone, so four rows share it.

#![expect(unsafe_code, reason = "vector loads take raw pointers; the functions need AVX-512")]

mod tiles;

use super::avx2;
use super::nibbles::{GROUP, PACKED};
use super::panel::{Few, HEIGHT, Points, Tile};
use super::rows::Rows;
use super::scalar::{self, tail};
use super::table::Kernels;
use std::arch::x86_64::{
    __m128i, __m512i, _mm_add_epi32, _mm_storeu_si128, _mm256_add_epi32, _mm256_castsi256_si128,
    _mm256_extracti128_si256, _mm512_add_epi32, _mm512_and_si512, _mm512_castsi512_si256, _mm512_dpbusd_epi32,
    _mm512_extracti64x4_epi64, _mm512_loadu_si512, _mm512_maskz_loadu_epi8, _mm512_reduce_add_epi32, _mm512_set1_epi8,
    _mm512_setzero_si512, _mm512_shuffle_i64x2, _mm512_srli_epi16, _mm512_sub_epi32, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};
use std::sync::OnceLock;

/// Codes consumed by one step.
const STEP: usize = 64;

/// The lower half of a vector.
const HALF: u64 = u32::MAX as u64;

/// The table, if this processor has AVX-512 VNNI.
pub(super) fn kernels() -> Option<&'static Kernels> {
    static KERNELS: OnceLock<Option<Kernels>> = OnceLock::new();
    let table = || {
        let detected = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni");
        // What opening and rotating need is AVX2's, which every such processor has.
        let others = avx2::kernels().filter(|_| detected)?;
        let Kernels { squares, unpack, hadamard, .. } = *others;
        Some(Kernels { name: "avx512-vnni", dot, dots, tiles, nibble_dots, squares, unpack, hadamard })
    };
    KERNELS.get_or_init(table).as_ref()
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    // SAFETY: this function is reachable only through the table, which `kernels` gives out only if
    // the features are there.
    unsafe { dot_avx512(a, b) }
}

fn dots(query: &[i8], rows: Rows<'_, i8>, positions: &[u32], out: &mut [i32]) {
    // SAFETY: as in `dot`.
    unsafe { dots_avx512(query, rows, positions, out) }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn dots_avx512(query: &[i8], rows: Rows<'_, i8>, positions: &[u32], out: &mut [i32]) {
    let (fours, rest) = positions.as_chunks::<4>();
    let (out_fours, out_rest) = out.split_at_mut((4 * fours.len()).min(out.len()));
    for (four, out) in fours.iter().zip(out_fours.as_chunks_mut::<4>().0) {
        *out = dot4(query, [rows.row(four[0]), rows.row(four[1]), rows.row(four[2]), rows.row(four[3])]);
    }
    for (out, &position) in out_rest.iter_mut().zip(rest) {
        *out = dot_avx512(query, rows.row(position));
    }
}

fn tiles(few: &Few<'_>, panels: &[i8], points: &[Points], tiles: &mut [[Tile; HEIGHT]]) {
    // SAFETY: as in `dot`.
    unsafe { tiles::tiles(few, panels, points, tiles) }
}

fn nibble_dots(query: &[i8], rows: Rows<'_, u8>, positions: &[u32], out: &mut [i32]) {
    // SAFETY: as in `dot`.
    unsafe { nibble_dots_avx512(query, rows, positions, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn nibble_dots_avx512(query: &[i8], rows: Rows<'_, u8>, positions: &[u32], out: &mut [i32]) {
    let (fours, rest) = positions.as_chunks::<4>();
    let (out_fours, out_rest) = out.split_at_mut((4 * fours.len()).min(out.len()));
    for (four, out) in fours.iter().zip(out_fours.as_chunks_mut::<4>().0) {
        *out = nibble_dot4(query, [rows.row(four[0]), rows.row(four[1]), rows.row(four[2]), rows.row(four[3])]);
    }
    for (out, &position) in out_rest.iter_mut().zip(rest) {
        [*out, ..] = nibble_dot4(query, [rows.row(position); 4]);
    }
}

/// Inner products of `query` with four rows of packed numbers of four bits. Two groups are one step: of their low halves and
/// of their high ones, each in one vector, which meet the components they belong to.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn nibble_dot4(query: &[i8], rows: [&[u8]; 4]) -> [i32; 4] {
    let (steps, last) = query.as_chunks::<{ 2 * GROUP }>();
    let mut sums = [_mm512_setzero_si512(); 4];
    let [r0, r1, r2, r3] = rows;
    let ((r0, t0), (r1, t1)) = (r0.as_chunks::<STEP>(), r1.as_chunks::<STEP>());
    let ((r2, t2), (r3, t3)) = (r2.as_chunks::<STEP>(), r3.as_chunks::<STEP>());
    for ((((step, x0), x1), x2), x3) in steps.iter().zip(r0).zip(r1).zip(r2).zip(r3) {
        let [first, second] = step.as_chunks::<GROUP>().0 else { continue };
        let query = halves(load(first), load(second));
        for (sum, x) in sums.iter_mut().zip([x0, x1, x2, x3]) {
            // SAFETY: the array is 64 readable bytes, and the load needs no alignment.
            let packed = unsafe { _mm512_loadu_si512(x.as_ptr().cast()) };
            *sum = nibble_sum(*sum, packed, query);
        }
    }
    if let Some(group) = last.first_chunk::<GROUP>() {
        let query = halves(load(group), _mm512_setzero_si512());
        for (sum, x) in sums.iter_mut().zip([t0, t1, t2, t3]) {
            // A row that is not there is empty.
            if let Some(x) = x.first_chunk::<PACKED>() {
                // SAFETY: the array is 32 readable bytes, and the mask admits no more.
                let packed = unsafe { _mm512_maskz_loadu_epi8(HALF, x.as_ptr().cast()) };
                *sum = nibble_sum(*sum, packed, query);
            }
        }
    }
    totals(sums)
}

/// Of the components of two groups, the first halves and the second halves.
#[target_feature(enable = "avx512f")]
fn halves(first: __m512i, second: __m512i) -> [__m512i; 2] {
    [_mm512_shuffle_i64x2::<0b01_00_01_00>(first, second), _mm512_shuffle_i64x2::<0b11_10_11_10>(first, second)]
}

/// Adds sixteen partial sums of the products of two groups, in halves, with packed numbers of four bits.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn nibble_sum(sum: __m512i, packed: __m512i, [lows, highs]: [__m512i; 2]) -> __m512i {
    let low_half = _mm512_set1_epi8(15);
    let sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(packed, low_half), lows);
    _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16::<4>(packed), low_half), highs)
}

#[target_feature(enable = "avx512f")]
fn load(codes: &[i8; STEP]) -> __m512i {
    // SAFETY: the array is 64 readable bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(codes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn dot_avx512(a: &[i8], b: &[i8]) -> i32 {
    let (a_steps, b_steps) = (a.as_chunks::<STEP>().0, b.as_chunks::<STEP>().0);
    let offset = _mm512_set1_epi8(i8::MIN);
    let (mut sum, mut shift) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for (x, y) in a_steps.iter().zip(b_steps) {
        let x = load(x);
        shift = _mm512_dpbusd_epi32(shift, offset, x);
        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(load(y), offset), x);
    }
    let done = a_steps.len().min(b_steps.len()) * STEP;
    _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, shift)) + scalar::dot(tail(a, done), tail(b, done))
}

/// Inner products of `query` with four rows, which share its loads and the second sum.
#[target_feature(enable = "avx512f,avx512vnni")]
fn dot4(query: &[i8], rows: [&[i8]; 4]) -> [i32; 4] {
    let steps = query.as_chunks::<STEP>().0;
    // Closures would not be compiled for AVX-512.
    let [r0, r1, r2, r3] = rows;
    let (r0, r1) = (r0.as_chunks::<STEP>().0, r1.as_chunks::<STEP>().0);
    let (r2, r3) = (r2.as_chunks::<STEP>().0, r3.as_chunks::<STEP>().0);
    let offset = _mm512_set1_epi8(i8::MIN);
    let (mut sums, mut shift) = ([_mm512_setzero_si512(); 4], _mm512_setzero_si512());
    let count = steps.len().min(r0.len()).min(r1.len()).min(r2.len()).min(r3.len());
    for ((((q, x0), x1), x2), x3) in steps.iter().zip(r0).zip(r1).zip(r2).zip(r3) {
        let q = load(q);
        shift = _mm512_dpbusd_epi32(shift, offset, q);
        for (sum, x) in sums.iter_mut().zip([x0, x1, x2, x3]) {
            *sum = _mm512_dpbusd_epi32(*sum, _mm512_xor_si512(load(x), offset), q);
        }
    }
    for sum in &mut sums {
        *sum = _mm512_sub_epi32(*sum, shift);
    }
    let (mut dots, done) = (totals(sums), count * STEP);
    for (dot, row) in dots.iter_mut().zip(rows) {
        *dot += scalar::dot(tail(query, done), tail(row, done));
    }
    dots
}

/// The sums of the sixteen numbers in each vector.
#[target_feature(enable = "avx512f")]
fn totals([a, b, c, d]: [__m512i; 4]) -> [i32; 4] {
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    // In each quarter, one partial sum of each vector.
    let quarters = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let halves = _mm256_add_epi32(_mm512_castsi512_si256(quarters), _mm512_extracti64x4_epi64::<1>(quarters));
    let totals = _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves));
    let mut out = [0; 4];
    // SAFETY: the array is 16 writable bytes, and the store needs no alignment.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast::<__m128i>(), totals) };
    out
}
