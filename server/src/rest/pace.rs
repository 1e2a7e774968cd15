//! How fast turns are given on while somebody waits, and since when somebody does: what a wait is foretold by.
//!
//! Invariant: a queue that is empty again has no past. One that was not empty for a while is no burst any more: what comes
//! in faster than it goes out waits ever longer, and the only question is who is told so and when (Nichols & Jacobson,
//! "Controlling Queue Delay", 2012; the two times are those of Maurer, "Fail at Scale", 2015).

use std::time::Duration;

use tokio::time::Instant;

/// A queue that somebody stood in all along for so long is no burst.
const BURST: Duration = Duration::from_millis(100);
/// Of so many gaps the newest is one in the mean.
const GAPS: u32 = 8;

/// The pace of a queue.
#[derive(Default)]
pub struct Pace {
    /// Since when somebody waits; nothing while nobody does.
    since: Option<Instant>,
    /// When a turn was given on last, while somebody waited.
    passed: Option<Instant>,
    /// The mean time between two turns.
    gap: Duration,
}

impl Pace {
    /// Somebody waits.
    pub fn waits(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// A turn was given to somebody who waited.
    pub fn passed(&mut self, now: Instant) {
        if let Some(before) = self.passed.replace(now) {
            self.gap = (self.gap * (GAPS - 1) + now.duration_since(before)) / GAPS;
        }
    }

    /// Nobody waits any more.
    pub fn cleared(&mut self) {
        (self.since, self.passed) = (None, None);
    }

    /// Whether somebody waited for longer than a burst takes.
    pub fn stands(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.duration_since(since) >= BURST)
    }

    /// How long it takes until so many turns are given on.
    pub fn wait(&self, turns: usize) -> Duration {
        self.gap.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn the_mean_gap_follows_what_happens_while_somebody_waits() {
        let mut pace = Pace::default();
        let pass = async |pace: &mut Pace, gap: Duration, times| {
            for _ in 0..times {
                advance(gap).await;
                pace.passed(Instant::now());
            }
        };
        pace.waits(Instant::now());
        pass(&mut pace, 10 * MS, 100).await;
        assert!(pace.wait(10) > 99 * MS && pace.wait(10) <= 100 * MS, "{:?}", pace.wait(10));
        pace.cleared();
        // Nobody waited for an hour, which says nothing of how long turns take.
        advance(Duration::from_secs(3600)).await;
        pace.waits(Instant::now());
        pass(&mut pace, 10 * MS, 100).await;
        assert!(pace.wait(10) <= 100 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_stands_once_nobody_saw_it_empty_for_a_while() {
        let mut pace = Pace::default();
        pace.waits(Instant::now());
        for _ in 0..9 {
            advance(11 * MS).await;
            pace.waits(Instant::now());
            assert!(!pace.stands(Instant::now()));
        }
        advance(MS).await;
        assert!(pace.stands(Instant::now()));
        pace.cleared();
        assert!(!pace.stands(Instant::now()));
    }
}
