//! Randomness comes in here and nowhere else: keys, nonces and random names all start from one trait,
//! so that a test can replay a whole history from a seed.

use rand::SeedableRng;
use rand::rngs::StdRng;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// A source of cryptographic randomness.
pub trait Entropy: Send + Sync {
    /// Fills `out` with unpredictable bytes, or fails; a short fill is not possible.
    fn fill(&self, out: &mut [u8]) -> std::io::Result<()>;
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's entropy")]
    fn fill(&self, out: &mut [u8]) -> std::io::Result<()> {
        getrandom::fill(out).map_err(std::io::Error::other)
    }
}

/// A fresh ChaCha12 generator seeded with 256 bits of `entropy`, for one task on one thread.
pub(crate) fn generator(entropy: &dyn Entropy) -> Result<StdRng> {
    let mut seed = Zeroizing::new([0u8; 32]);
    entropy.fill(&mut *seed).map_err(|e| Error::with(ErrorKind::Io, "the system gave no randomness", e))?;
    Ok(StdRng::from_seed(*seed))
}
