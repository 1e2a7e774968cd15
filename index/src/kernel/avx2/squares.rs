//! What packed codes say of themselves: their inner products with themselves and with their high halves.
//!
//! Invariant: exact for codes of -127..=127, and every other code is refused. With z = 16·high + low - 128, the high
//! half says z - low + 7½ on average, so that twice that times z is 2z² + (15 - 2·low)·z: of both terms, two products fit 16
//! bits.

#![expect(unsafe_code, reason = "vector loads take raw pointers")]

use super::totals::totals;
use crate::kernel::nibbles::PACKED;
use crate::kernel::scalar::HALVES;
use std::arch::x86_64::{
    __m256i, _mm256_abs_epi8, _mm256_add_epi32, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_setzero_si256, _mm256_sign_epi8, _mm256_slli_epi16, _mm256_srli_epi16, _mm256_sub_epi8,
    _mm256_xor_si256,
};

/// Sums so far, eight of each, and whether a code was out of range.
#[derive(Clone, Copy)]
struct Sums {
    squares: __m256i,
    rests: __m256i,
    odd: __m256i,
}

/// The scalar `squares`.
#[target_feature(enable = "avx2")]
pub fn squares(high: &[u8], low: &[u8]) -> Option<[i32; HALVES]> {
    let zero = _mm256_setzero_si256();
    let nibble = _mm256_set1_epi8(15);
    let mut sums = Sums { squares: zero, rests: zero, odd: zero };
    for (high, low) in high.as_chunks().0.iter().zip(low.as_chunks().0) {
        let (high, low) = (load(high), load(low));
        sums = add(sums, _mm256_and_si256(high, nibble), _mm256_and_si256(low, nibble));
        let (high, low) = (_mm256_srli_epi16::<4>(high), _mm256_srli_epi16::<4>(low));
        sums = add(sums, _mm256_and_si256(high, nibble), _mm256_and_si256(low, nibble));
    }
    if _mm256_movemask_epi8(sums.odd) != 0 {
        return None;
    }
    let [squares, rests, ..] = totals([sums.squares, sums.rests, zero, zero]);
    Some([squares, 2 * squares + rests])
}

/// Adds what 32 components say, given their halves.
#[target_feature(enable = "avx2")]
fn add(sums: Sums, high: __m256i, low: __m256i) -> Sums {
    let least = _mm256_set1_epi8(i8::MIN);
    let one = _mm256_set1_epi16(1);
    let codes = _mm256_xor_si256(_mm256_or_si256(_mm256_slli_epi16::<4>(high), low), least);
    let lengths = _mm256_abs_epi8(codes);
    let off = _mm256_sub_epi8(_mm256_set1_epi8(15), _mm256_slli_epi16::<1>(low));
    let squares = _mm256_maddubs_epi16(lengths, lengths);
    let rests = _mm256_maddubs_epi16(lengths, _mm256_sign_epi8(off, codes));
    Sums {
        squares: _mm256_add_epi32(sums.squares, _mm256_madd_epi16(squares, one)),
        rests: _mm256_add_epi32(sums.rests, _mm256_madd_epi16(rests, one)),
        odd: _mm256_or_si256(sums.odd, _mm256_cmpeq_epi8(codes, least)),
    }
}

#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; PACKED]) -> __m256i {
    // SAFETY: the array is 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}
