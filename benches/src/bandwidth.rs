//! How fast one thread reads memory: in order, and row by row at random places, as a walk along a graph does.
//!
//! Invariant: the buffer is larger than the caches of the machines one meets, the fastest of several passes counts,
//! because only disturbances make one slower, and the rows of a random pass are known in advance, so that their misses
//! overlap as far as the processor lets them. It lies in ordinary pages, an index in huge ones where the system gives
//! them: what is read at random can come a little faster than this says.
#![expect(clippy::disallowed_methods, reason = "measures time")]

use std::hint::black_box;
use std::time::Instant;

const BUFFER_BYTES: usize = 256 << 20;
const PASSES: usize = 4;
/// Bytes that a random pass reads.
const RANDOM_BYTES: usize = 64 << 20;
/// Eight of these fill a cache line.
const WORD_BYTES: usize = size_of::<u64>();
const LINE_WORDS: usize = 8;

/// Memory to read, and nothing in it.
pub struct Bandwidth {
    words: Vec<u64>,
}

impl Bandwidth {
    /// Takes 256 MiB.
    pub fn new() -> Self {
        // Not zeros: pages that nobody wrote share one page of zeros.
        Self { words: vec![1; BUFFER_BYTES / WORD_BYTES] }
    }

    /// Bytes a second, in 10⁹, read in order.
    pub fn in_order(&self) -> f64 {
        fastest(BUFFER_BYTES, || black_box(&self.words).iter().fold(0, |sum: u64, value| sum.wrapping_add(*value)))
    }

    /// Bytes a second, in 10⁹, of rows of `row_bytes`, raised to whole cache lines, at random places.
    pub fn of_rows(&self, row_bytes: u64) -> f64 {
        let lines = usize::try_from(row_bytes).unwrap_or(usize::MAX).div_ceil(LINE_WORDS * WORD_BYTES);
        let row_words = (lines * LINE_WORDS).clamp(LINE_WORDS, self.words.len());
        let rows = self.words.len() / row_words;
        let reads = (RANDOM_BYTES / (row_words * WORD_BYTES)).max(1);
        let mut seed = 1_u64;
        fastest(reads * row_words * WORD_BYTES, || {
            (0..reads).fold(0, |sum: u64, _| {
                // The multiplier of Knuth's MMIX; the high bits of its product choose a row.
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let row = ((u128::from(seed) * rows as u128) >> 64) as usize;
                let row = &black_box(&self.words)[row * row_words..(row + 1) * row_words];
                row.iter().fold(sum, |sum, value| sum.wrapping_add(*value))
            })
        })
    }
}

/// Bytes a second, in 10⁹, of the fastest of several runs of `read`, which reads `bytes`.
fn fastest(bytes: usize, mut read: impl FnMut() -> u64) -> f64 {
    let seconds = (0..PASSES).map(|_| {
        let start = Instant::now();
        black_box(read());
        start.elapsed().as_secs_f64()
    });
    bytes as f64 / 1e9 / seconds.fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_size_can_be_read() {
        let bandwidth = Bandwidth { words: vec![1; 1000] };
        for row_bytes in [0, 1, 64, 200, 8000, u64::MAX] {
            assert!(bandwidth.of_rows(row_bytes) > 0.0, "{row_bytes}");
        }
        assert!(bandwidth.in_order() > 0.0);
    }
}
