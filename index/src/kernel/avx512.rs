//! The kernels for AVX-512 with VNNI, which multiplies and adds four bytes per lane in one
//! instruction.
//!
//! Invariant: exact for all bytes. The instruction wants unsigned times signed: with r + 128 for
//! the row's byte r, Σ(r + 128)·q - Σ128·q = Σr·q in wrapping 32-bit arithmetic. The second sum is
//! the query's alone, so four rows share it.

#![expect(unsafe_code, reason = "vector loads take raw pointers; the functions need AVX-512")]

use super::avx2;
use super::rows::Rows;
use super::scalar::{self, tail};
use super::table::Kernels;
use std::arch::x86_64::{
    __m512i, _mm256_loadu_si256, _mm256_srli_epi16, _mm512_and_si512, _mm512_castsi256_si512, _mm512_dpbusd_epi32,
    _mm512_inserti64x4, _mm512_loadu_si512, _mm512_reduce_add_epi32, _mm512_set1_epi8, _mm512_setzero_si512,
    _mm512_sub_epi32, _mm512_xor_si512,
};
use std::sync::OnceLock;

/// Codes consumed by one step.
const STEP: usize = 64;

/// The table, if this processor has AVX-512 VNNI.
pub(super) fn kernels() -> Option<&'static Kernels> {
    static KERNELS: OnceLock<Option<Kernels>> = OnceLock::new();
    let table = || {
        let detected = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
        // What opening and rotating need is AVX2's, which every such processor has.
        let others = avx2::kernels().filter(|_| detected)?;
        let Kernels { squares, unpack, hadamard, .. } = *others;
        Some(Kernels { name: "avx512-vnni", dot, dots, nibble_dots, squares, unpack, hadamard })
    };
    KERNELS.get_or_init(table).as_ref()
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    // SAFETY: this function is reachable only through the table, which `kernels` gives out only if
    // the features are there.
    let [dot] = unsafe { dot_each(a, [b]) };
    dot
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
        *out = dot_each(query, [rows.row(four[0]), rows.row(four[1]), rows.row(four[2]), rows.row(four[3])]);
    }
    for (out, &position) in out_rest.iter_mut().zip(rest) {
        [*out] = dot_each(query, [rows.row(position)]);
    }
}

fn nibble_dots(query: &[i8], rows: Rows<'_, u8>, positions: &[u32], out: &mut [i32]) {
    // SAFETY: as in `dot`.
    unsafe { nibble_dots_avx512(query, rows, positions, out) }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn nibble_dots_avx512(query: &[i8], rows: Rows<'_, u8>, positions: &[u32], out: &mut [i32]) {
    for (out, &position) in out.iter_mut().zip(positions) {
        *out = nibble_dot(query, rows.row(position));
    }
}

/// Both halves of the bytes are taken apart into the halves of one vector, which then meet the
/// query's components in their own order.
#[target_feature(enable = "avx512f,avx512vnni")]
fn nibble_dot(query: &[i8], row: &[u8]) -> i32 {
    let low_half = _mm512_set1_epi8(15);
    let mut sum = _mm512_setzero_si512();
    for (group, packed) in query.as_chunks::<STEP>().0.iter().zip(row.as_chunks::<{ STEP / 2 }>().0) {
        // SAFETY: the array is 32 readable bytes, and the load needs no alignment.
        let packed = unsafe { _mm256_loadu_si256(packed.as_ptr().cast()) };
        let both = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(packed), _mm256_srli_epi16::<4>(packed));
        sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(both, low_half), load(group));
    }
    _mm512_reduce_add_epi32(sum)
}

#[target_feature(enable = "avx512f")]
fn load(codes: &[i8; STEP]) -> __m512i {
    // SAFETY: the array is 64 readable bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(codes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn dot_each<const ROWS: usize>(query: &[i8], rows: [&[i8]; ROWS]) -> [i32; ROWS] {
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
