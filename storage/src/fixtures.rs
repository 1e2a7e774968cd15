//! What the tests of several rooms start from: a directory in memory, keys, a scope, and a generator that repeats itself.

use std::sync::Arc;

use privacy::{Scope, SectionKey};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::backend::{Dir, Memory};

pub const SCOPE: Scope = Scope { database: [1; 16], environment: [2; 16] };

pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

pub fn dir() -> Dir {
    Dir::root(Arc::new(Memory::new()))
}

pub fn key(byte: u8) -> SectionKey {
    SectionKey::from_bytes([byte; 32])
}

/// Every way to damage a small file that the readers must notice: each prefix, then each single bit flipped.
pub fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cuts = (0..bytes.len()).map(|len| bytes[..len].to_vec());
    let flips = (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    });
    cuts.chain(flips)
}
