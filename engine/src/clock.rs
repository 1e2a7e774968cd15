//! Time comes in here and nowhere else, so that tests decide what the time is.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of wall-clock time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;

    /// Milliseconds that have passed since some moment of this process, by a clock that nobody sets: what shows retention
    /// that the wall clock leapt. One that is not said to run makes it doubt the wall clock after a day.
    fn steady_ms(&self) -> u64 {
        0
    }

    /// Microseconds since the Unix epoch, for how long things take; as fine as [`Clock::now_ms`] unless said otherwise.
    fn now_us(&self) -> u64 {
        self.now_ms().saturating_mul(1000)
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        self.now_us() / 1000
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now_us(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn steady_ms(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        let since = START.get_or_init(Instant::now).elapsed();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
