//! The classic mistakes of private answers, to be switched on by tests alone: each must turn a named test red.
//!
//! Invariant: this file is in no shipped build, and neither is what asks it. A switch holds for one thread, so that tests
//! beside it are not touched.

use std::cell::Cell;

thread_local! {
    /// The true count, where a mistake lets it get past the noise.
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// Half the noise that ε calls for.
    HalfScale,
    /// Half the σ that (ε, δ) calls for.
    HalfSigma,
    /// Gaussian draws kept as if σ² stood where 2σ² does.
    NarrowGaussian,
    /// The L2 norm taken for the L1 norm: noise too small by √d.
    DimensionForgotten,
    /// Every record of an entity bounded on its own, so that many of them weigh more.
    PerRecord,
    /// Small groups held back by their true count.
    TrueThreshold,
    /// Noise that can be computed from the question.
    SeededNoise,
    /// Zero drawn under both signs.
    TwoZeros,
}

/// Whether a mistake is made on this thread.
pub(super) fn is(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

/// Runs `work` with a mistake made.
pub(super) fn with<T>(mutant: Mutant, work: impl FnOnce() -> T) -> T {
    ACTIVE.set(Some(mutant));
    let result = work();
    ACTIVE.set(None);
    result
}

/// Lets a true count past the noise.
pub(super) fn leak(count: u64) {
    COUNT.set(count);
}

/// The true count, if the mistake of judging by it is made.
pub(super) fn true_count() -> Option<u64> {
    is(Mutant::TrueThreshold).then(|| COUNT.get())
}
