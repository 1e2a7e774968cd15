//! How much one caller may ask for over time: a token bucket for each, in units of work.
//!
//! Invariant: a bucket is found by a keyed hash of its holder, so that no key, name or address is kept, and none can be
//! chosen to share somebody's bucket; buckets that are full again are forgotten. Where holders are many and made by others,
//! as end users are, there are so many places for buckets and no more, and who comes to the same place shares a bucket. What
//! costs more than half a bucket costs half a bucket: a request pays once for its head and once for its body, and is slow,
//! never impossible.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::Clock;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{NotUntil, RateLimiter};

/// After how many charges the buckets that are full again are forgotten.
const SWEEP_EVERY: u64 = 4096;

const TWO: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

type Limiter = RateLimiter<u64, HashMapStateStore<u64>, Ticks, NoOpMiddleware<Nanos>>;

/// Buckets of one size, one for each holder; none where there is no limit.
pub struct Quota {
    buckets: Option<Buckets>,
}

struct Buckets {
    limiter: Limiter,
    hasher: RandomState,
    /// Into how many places holders are put; a power of two less one, so that all bits of a hash count where there is no limit.
    places: u64,
    /// The most that one charge takes: half a bucket.
    most: NonZeroU32,
    charges: AtomicU64,
}

/// The engine's clock as the buckets read it.
#[derive(Clone)]
struct Ticks(Arc<dyn Clock>);

impl GovernorClock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.steady_ms().saturating_mul(1_000_000))
    }
}

impl Quota {
    /// So many units a second for each holder, and those of `burst_seconds` at once; 0 for no limit.
    pub fn new(units: u32, burst_seconds: u32, clock: Arc<dyn Clock>) -> Self {
        let buckets = NonZeroU32::new(units).map(|rate| {
            let most = NonZeroU32::new(units.saturating_mul(burst_seconds) / 2).unwrap_or(NonZeroU32::MIN);
            let quota = governor::Quota::per_second(rate).allow_burst(most.saturating_mul(TWO));
            let limiter = RateLimiter::hashmap_with_clock(quota, Ticks(clock));
            Buckets { limiter, hasher: RandomState::new(), places: u64::MAX, most, charges: AtomicU64::new(0) }
        });
        Self { buckets }
    }

    /// The same, with `2^bits` places for buckets and no more.
    #[must_use]
    pub fn with_places(mut self, bits: u32) -> Self {
        if let Some(buckets) = &mut self.buckets {
            buckets.places = !(u64::MAX.checked_shl(bits).unwrap_or_default());
        }
        self
    }

    /// Takes `units` out of the bucket of `holder`.
    ///
    /// # Errors
    /// How long it takes until so many are in it; then none are taken.
    pub fn charge(&self, holder: &(impl Hash + ?Sized), units: u32) -> Result<(), Duration> {
        let (Some(buckets), Some(units)) = (&self.buckets, NonZeroU32::new(units)) else { return Ok(()) };
        if buckets.charges.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            buckets.limiter.retain_recent();
        }
        let holder = buckets.place(holder);
        match buckets.limiter.check_key_n(&holder, units.min(buckets.most)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refused)) => Err(buckets.wait(&refused)),
            // More than a bucket holds, which `min` rules out.
            Err(_) => Err(Duration::from_secs(1)),
        }
    }

    /// Takes `units` out of the bucket of `holder`, or all that is in it.
    ///
    /// # Errors
    /// How long it takes until there is one again, if there were not so many.
    pub fn fine(&self, holder: &(impl Hash + ?Sized), units: u32) -> Result<(), Duration> {
        let (mut due, mut next) = (units, units);
        while due > 0 {
            match self.charge(holder, next) {
                Ok(()) => due -= next,
                Err(wait) if next == 1 => return Err(wait),
                Err(_) => next /= 2,
            }
            next = next.min(due);
        }
        Ok(())
    }
}

impl Buckets {
    fn place(&self, holder: &(impl Hash + ?Sized)) -> u64 {
        self.hasher.hash_one(holder) & self.places
    }

    fn wait(&self, refused: &NotUntil<Nanos>) -> Duration {
        refused.wait_time_from(self.limiter.clock().now())
    }
}

#[cfg(test)]
mod tests;
