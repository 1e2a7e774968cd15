//! How fast turns are given on, and for how much of the time somebody waits in a lane: what a wait is foretold by.
//!
//! Invariant: a lane that somebody stands in nearly all of the time is no burst: what comes in faster than it goes out
//! waits ever longer, and the only question is who is told so and when (Nichols & Jacobson, "Controlling Queue Delay",
//! 2012; the times are those of Maurer, "Fail at Scale", 2015). It is the share of the time that counts, not the time since
//! it was empty: under a flood it is empty for a moment now and then, while those that came are not looked at yet, and
//! would then let a whole burst in each time.

use std::time::Duration;

use tokio::time::Instant;

/// A queue that somebody stood in all along for so long is no burst.
const BURST: Duration = Duration::from_millis(100);
/// Nor is one that somebody stood in for this share of the time of late.
const STANDING: f64 = 0.9;
/// For so much of the time is often.
const OFTEN: f64 = 0.25;
/// Of so many gaps the newest is one in the mean.
const GAPS: u32 = 8;

/// How much of the time somebody waits.
#[derive(Default)]
pub struct Presence {
    /// The share of the time up to `noted`; what is long ago counts less.
    share: f64,
    is_waited: bool,
    noted: Option<Instant>,
}

/// How fast turns are given on.
#[derive(Default)]
pub struct Pace {
    /// When one was last; nothing once a place was free since.
    passed: Option<Instant>,
    /// The mean time between two turns; zero if nothing is known of it.
    gap: Duration,
}

impl Presence {
    /// Somebody waits.
    pub fn begins(&mut self, now: Instant) {
        self.note(now, true);
    }

    /// Nobody waits any more.
    pub fn ends(&mut self, now: Instant) {
        self.note(now, false);
    }

    /// Whether somebody waits nearly always.
    pub fn stands(&self, now: Instant) -> bool {
        self.share(now) >= STANDING
    }

    /// Whether somebody often waits, so an eighth of [`BURST`] after it began.
    pub fn is_often(&self, now: Instant) -> bool {
        self.share(now) >= OFTEN
    }

    /// Whether hardly anybody did, so that nothing is lost with it.
    pub fn is_past(&self, now: Instant) -> bool {
        !self.is_waited && self.share(now) <= 1.0 - STANDING
    }

    fn note(&mut self, now: Instant, is_waited: bool) {
        self.share = self.share(now);
        (self.noted, self.is_waited) = (Some(now), is_waited);
    }

    /// The share as of `now`. Where somebody always waits from some moment on it comes to [`STANDING`] after [`BURST`].
    fn share(&self, now: Instant) -> f64 {
        let Some(noted) = self.noted else { return 0.0 };
        let bursts = now.duration_since(noted).as_secs_f64() / BURST.as_secs_f64();
        let is = f64::from(u8::from(self.is_waited));
        is + (self.share - is) * (1.0 - STANDING).powf(bursts)
    }
}

impl Pace {
    /// A turn was given to somebody who waited.
    pub fn passed(&mut self, now: Instant) {
        if let Some(before) = self.passed.replace(now) {
            let gap = now.duration_since(before);
            self.gap = if self.gap.is_zero() { gap } else { (self.gap * (GAPS - 1) + gap) / GAPS };
        }
    }

    /// A place is free: the time until the next turn is given on says nothing of how long one takes.
    pub fn idles(&mut self) {
        self.passed = None;
    }

    /// How long it takes until so many turns are given on; zero if nothing is known of it.
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
    async fn the_mean_gap_follows_what_happens_while_no_place_is_free() {
        let mut pace = Pace::default();
        let pass = async |pace: &mut Pace, gap: Duration, times| {
            for _ in 0..times {
                advance(gap).await;
                pace.passed(Instant::now());
            }
        };
        pass(&mut pace, 10 * MS, 2).await;
        assert_eq!(pace.wait(10), 100 * MS, "one gap is better than none");
        pass(&mut pace, 20 * MS, 100).await;
        assert!(pace.wait(10) > 199 * MS && pace.wait(10) <= 200 * MS, "{:?}", pace.wait(10));
        pace.idles();
        // Nobody waited for an hour, which says nothing of how long turns take.
        advance(Duration::from_secs(3600)).await;
        pass(&mut pace, 20 * MS, 100).await;
        assert!(pace.wait(10) <= 200 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_stands_once_nobody_saw_it_empty_for_a_while() {
        let mut presence = Presence::default();
        presence.begins(Instant::now());
        advance(BURST - MS).await;
        assert!(!presence.stands(Instant::now()));
        advance(2 * MS).await;
        assert!(presence.stands(Instant::now()));
        presence.ends(Instant::now());
        advance(BURST / 10).await;
        assert!(!presence.stands(Instant::now()), "it is empty for longer than a flood leaves it");
        assert!(!presence.is_past(Instant::now()));
        advance(BURST).await;
        assert!(presence.is_past(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_is_empty_for_a_moment_now_and_then_stands_all_the_same() {
        let mut presence = Presence::default();
        for (waited, empty, stands) in [(19 * MS, MS, true), (15 * MS, 5 * MS, false)] {
            for _ in 0..50 {
                presence.begins(Instant::now());
                advance(waited).await;
                presence.ends(Instant::now());
                advance(empty).await;
            }
            assert_eq!(presence.stands(Instant::now()), stands, "{waited:?} of {:?}", waited + empty);
        }
    }
}
