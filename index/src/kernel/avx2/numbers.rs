//! Numbers of a few bits each, taken apart eight at a time.
//!
//! Invariant: eight numbers of b bits take b bytes, so every eight begin at a byte; of up to 25 bits, a number and the
//! bits before it in its first byte fit the four bytes that are brought together for it. Wider ones, of which there are
//! none below 33 million rows, and the ends of slices are the reference's.

#![expect(unsafe_code, reason = "vector loads and stores take raw pointers")]

use crate::kernel::scalar;
use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_loadu_si256, _mm256_max_epu32, _mm256_set_m128i,
    _mm256_set1_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srlv_epi32, _mm256_storeu_si256,
};

/// The widest numbers that are taken apart here.
const WIDEST: u32 = 25;

/// Bytes of which eight numbers are made: sixteen from the first, and sixteen from the fifth.
const WINDOW: usize = 16 + WIDEST as usize / 2;

/// Which bytes of each sixteen hold which number, and how far from their lowest bit it begins.
struct Plan {
    bytes: [u8; 32],
    shifts: [u32; 8],
}

impl Plan {
    fn new(bits: u32) -> Self {
        let mut plan = Self { bytes: [0; 32], shifts: [0; 8] };
        for at in 0..8 {
            // The second sixteen bytes begin where half a number's bits may have gone before.
            let first = if at < 4 { at * bits } else { at * bits - bits / 2 * 8 };
            plan.shifts[at as usize] = first % 8;
            for byte in 0..4 {
                plan.bytes[(at * 4 + byte) as usize] = (first / 8 + byte) as u8;
            }
        }
        plan
    }
}

/// [`scalar::unpack`].
#[target_feature(enable = "avx2")]
pub fn unpack(packed: &[u8], bits: u32, out: &mut [u32]) -> u32 {
    if !(1..=WIDEST).contains(&bits) {
        return scalar::unpack(packed, bits, out);
    }
    let plan = Plan::new(bits);
    // SAFETY: the array is 32 readable bytes, and the load needs no alignment.
    let bytes = unsafe { _mm256_loadu_si256(plan.bytes.as_ptr().cast()) };
    // SAFETY: as above.
    let shifts = unsafe { _mm256_loadu_si256(plan.shifts.as_ptr().cast()) };
    let mask = _mm256_set1_epi32((1 << bits) - 1);
    let (step, fifth) = (bits as usize, bits as usize / 2);
    let (mut greatest, mut done) = (_mm256_setzero_si256(), 0);
    for eight in out.as_chunks_mut::<8>().0 {
        let window = packed.get(done * step..).unwrap_or_default().first_chunk::<WINDOW>();
        let Some((early, late)) = window.map(|window| (window, &window[fifth..])) else { break };
        let (Some(early), Some(late)) = (early.first_chunk(), late.first_chunk()) else { break };
        let halves = _mm256_set_m128i(load(late), load(early));
        let numbers = _mm256_and_si256(_mm256_srlv_epi32(_mm256_shuffle_epi8(halves, bytes), shifts), mask);
        greatest = _mm256_max_epu32(greatest, numbers);
        store(numbers, eight);
        done += 1;
    }
    let mut lanes = [0; 8];
    store(greatest, &mut lanes);
    let rest = scalar::unpack(packed.get(done * step..).unwrap_or_default(), bits, &mut out[done * 8..]);
    lanes.into_iter().fold(rest, u32::max)
}

#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: the array is 16 readable bytes, and the load needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store(numbers: __m256i, out: &mut [u32; 8]) {
    // SAFETY: the array is 32 writable bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), numbers) };
}
