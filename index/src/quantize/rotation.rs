//! A keyed orthogonal map: rounds of random signs, fast Hadamard transforms of blocks, and a
//! transposition that mixes the blocks.
//!
//! Invariant: norms and inner products are preserved, and the map is a pure function of (width,
//! seed): only additions in a fixed order and one multiplication, no fused operations, so that
//! every processor computes the same floats. After: Ailon and Chazelle, "The Fast
//! Johnson-Lindenstrauss Transform", 2009 (signs before a Hadamard transform).

use crate::kernel::Kernels;
use zeroize::{Zeroize, Zeroizing};

/// An orthogonal map of `width` coordinates.
pub struct Rotation {
    width: usize,
    /// Length of a Hadamard block: the largest power of two that divides the width.
    block: usize,
    /// One sign (±1) per round and coordinate.
    signs: Zeroizing<Vec<f32>>,
}

impl Rotation {
    /// The rotation of `width` coordinates (a positive multiple of 64) that belongs to `seed`.
    pub fn new(width: usize, seed: &[u8; 32]) -> Self {
        let block = 1 << width.trailing_zeros();
        // Two rounds spread a single coordinate over the whole width when a block is long; short
        // ones need a third.
        let rounds = if block < 128 { 3 } else { 2 };
        let mut bits = SignBits::new(seed);
        let signs = (0..rounds * width).map(|_| if bits.next() { -1.0 } else { 1.0 }).collect();
        Self { width, block, signs: Zeroizing::new(signs) }
    }

    /// Rotates `x` in place. `x` and `scratch` have `width` coordinates.
    pub fn apply(&self, kernels: &Kernels, x: &mut [f32], scratch: &mut [f32]) {
        let blocks = self.width / self.block;
        for signs in self.signs.chunks_exact(self.width) {
            for (x, sign) in x.iter_mut().zip(signs) {
                *x *= sign;
            }
            x.chunks_exact_mut(self.block).for_each(kernels.hadamard);
            if blocks > 1 {
                for (at, to) in scratch.chunks_exact_mut(blocks).enumerate() {
                    for (to, from) in to.iter_mut().zip(x.iter().skip(at).step_by(self.block)) {
                        *to = *from;
                    }
                }
                x.copy_from_slice(scratch);
            }
        }
        let rounds = self.signs.len() / self.width;
        let scale = (self.block as f32).sqrt().recip().powi(rounds as i32);
        x.iter_mut().for_each(|x| *x *= scale);
        scratch.zeroize();
    }
}

/// The signs of a seed: the bits of xoshiro256++ (Blackman and Vigna, 2018), started from the
/// seed's four words.
///
/// The signs need to look random to whoever does not know the seed, so that no set of vectors can
/// be prepared to rotate badly. They protect nothing else: codes are secret because they are
/// sealed, and never leave the process.
struct SignBits {
    state: Zeroizing<[u64; 4]>,
    word: u64,
    left: u32,
}

impl SignBits {
    fn new(seed: &[u8; 32]) -> Self {
        let mut state = Zeroizing::new([0; 4]);
        for (at, (word, bytes)) in state.iter_mut().zip(seed.as_chunks::<8>().0).enumerate() {
            // SplitMix64's finaliser (Steele, Lea and Flood, 2014) over distinct offsets: seeds
            // with few bits set, even none, start well mixed.
            let mut z = u64::from_le_bytes(*bytes).wrapping_add((at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *word = z ^ (z >> 31);
        }
        Self { state, word: 0, left: 0 }
    }

    fn next(&mut self) -> bool {
        if self.left == 0 {
            let [a, b, c, d] = &mut *self.state;
            self.word = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
            self.left = u64::BITS;
            let shifted = *b << 17;
            *c ^= *a;
            *d ^= *b;
            *b ^= *c;
            *a ^= *d;
            *c ^= shifted;
            *d = d.rotate_left(45);
        }
        let bit = self.word & 1 == 1;
        self.word >>= 1;
        self.left -= 1;
        bit
    }
}
