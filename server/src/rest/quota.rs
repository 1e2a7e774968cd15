//! How much one caller may ask for over time: a bucket of units for each, which fills at a rate.
//!
//! Invariant: a bucket is found by a keyed hash of its holder, so that no key, name or address is kept, and none can be
//! chosen to share somebody's bucket; buckets that are full again are forgotten. Where holders are many and made by others,
//! as end users are, there are so many places for buckets and no more, and who comes to the same place shares a bucket. What
//! costs more than half a bucket costs half a bucket: a request is slow, never impossible.
//!
//! A head is refused unless its units are in the bucket. What is found to be due after it was let in may be owed, half a
//! bucket and no more, and heads wait until it is paid: so who asks for far more than the rate is served the rate. Were
//! bodies to find their units in the bucket, too, a flood's heads would leave them none, and nothing would be served.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::Duration;

use engine::Clock;
use parking_lot::Mutex;

/// After how many charges the buckets that are full again are forgotten.
const SWEEP_EVERY: u64 = 4096;
/// A unit in a bucket, which counts thousandths: at a unit a second, one comes each millisecond.
const UNIT: i64 = 1000;

/// Buckets of one size, one for each holder; none where there is no limit.
pub struct Quota {
    buckets: Option<Buckets>,
}

struct Buckets {
    /// Units a second.
    rate: u32,
    /// The most that one charge takes, and that is owed: half a bucket, in units.
    most: u32,
    hasher: RandomState,
    /// Into how many places holders are put; a power of two less one, so that all bits of a hash count where there is no limit.
    places: u64,
    filling: Mutex<Filling>,
    clock: Arc<dyn Clock>,
}

/// The buckets that are not full.
#[derive(Default)]
struct Filling {
    levels: HashMap<u64, Level>,
    charges: u64,
}

/// What was in a bucket at a time, in thousandths of a unit; less than none is owed.
#[derive(Clone, Copy)]
struct Level {
    thousandths: i64,
    at_ms: u64,
}

impl Quota {
    /// So many units a second for each holder, and those of `burst_seconds` at once; 0 for no limit.
    pub fn new(units: u32, burst_seconds: u32, clock: Arc<dyn Clock>) -> Self {
        let buckets = (units > 0).then(|| Buckets {
            rate: units,
            most: (units.saturating_mul(burst_seconds) / 2).max(1),
            hasher: RandomState::new(),
            places: u64::MAX,
            filling: Mutex::default(),
            clock,
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
        let Some(buckets) = &self.buckets else { return Ok(()) };
        let due = buckets.due(units);
        buckets.change(holder, |level| {
            if due > 0 && *level < due {
                return Err(buckets.wait(*level, due));
            }
            *level -= due;
            Ok(())
        })
    }

    /// The same for what was let in and turned out to cost `units` more: what is not in the bucket is owed.
    ///
    /// # Errors
    /// How long it takes until there is a unit for another head, if more than half a bucket would be owed; then none are taken.
    pub fn owe(&self, holder: &(impl Hash + ?Sized), units: u32) -> Result<(), Duration> {
        let Some(buckets) = &self.buckets else { return Ok(()) };
        let (due, credit) = (buckets.due(units), buckets.due(u32::MAX));
        buckets.change(holder, |level| {
            if *level - due < -credit {
                return Err(buckets.wait(*level, UNIT));
            }
            *level -= due;
            Ok(())
        })
    }

    /// How long it takes until there is a unit for a head in the bucket of `holder`, if there is none.
    pub fn lacks(&self, holder: &(impl Hash + ?Sized)) -> Option<Duration> {
        let buckets = self.buckets.as_ref()?;
        buckets.change(holder, |level| (*level < UNIT).then(|| buckets.wait(*level, UNIT)))
    }

    /// Puts back what [`Quota::charge`] or [`Quota::owe`] took for so many `units`.
    pub fn give_back(&self, holder: &(impl Hash + ?Sized), units: u32) {
        if let Some(buckets) = &self.buckets {
            buckets.change(holder, |level| *level += buckets.due(units));
        }
    }

    /// Takes `units` out of the bucket of `holder`, or all that are in it.
    ///
    /// # Errors
    /// How long it takes until there is one again, if there were not so many.
    pub fn fine(&self, holder: &(impl Hash + ?Sized), units: u32) -> Result<(), Duration> {
        let Some(buckets) = &self.buckets else { return Ok(()) };
        let due = buckets.due(units);
        buckets.change(holder, |level| {
            let there = level.div_euclid(UNIT).max(0) * UNIT;
            *level -= due.min(there);
            if due > there { Err(buckets.wait(*level, UNIT)) } else { Ok(()) }
        })
    }
}

impl Buckets {
    fn place(&self, holder: &(impl Hash + ?Sized)) -> u64 {
        self.hasher.hash_one(holder) & self.places
    }

    /// What so many units take out of a bucket.
    fn due(&self, units: u32) -> i64 {
        i64::from(units.min(self.most)) * UNIT
    }

    /// Until a bucket at `level` is at `wanted`.
    fn wait(&self, level: i64, wanted: i64) -> Duration {
        let missing = u64::try_from(wanted - level).unwrap_or_default();
        Duration::from_millis(missing.div_ceil(u64::from(self.rate)))
    }

    /// Has `change` done to what is in the bucket of `holder` now.
    fn change<T>(&self, holder: &(impl Hash + ?Sized), change: impl FnOnce(&mut i64) -> T) -> T {
        let place = self.place(holder);
        let filling = &mut *self.filling.lock();
        // Read under the lock, so that nobody comes with a time before that of whoever came first.
        let now = self.clock.steady_ms();
        filling.charges += 1;
        if filling.charges.is_multiple_of(SWEEP_EVERY) {
            filling.levels.retain(|_, level| self.at(*level, now) < self.full());
        }
        let mut thousandths = filling.levels.get(&place).map_or(self.full(), |level| self.at(*level, now));
        let changed = change(&mut thousandths);
        filling.levels.insert(place, Level { thousandths, at_ms: now });
        changed
    }

    /// What is in a bucket by now.
    fn at(&self, level: Level, now_ms: u64) -> i64 {
        let passed = i64::try_from(now_ms.saturating_sub(level.at_ms)).unwrap_or(i64::MAX);
        level.thousandths.saturating_add(passed.saturating_mul(i64::from(self.rate))).min(self.full())
    }

    fn full(&self) -> i64 {
        2 * i64::from(self.most) * UNIT
    }
}

#[cfg(test)]
mod tests;
