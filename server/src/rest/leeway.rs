//! How long a client may keep others waiting: time that it is lent, spends by not reading, and earns back by reading.
//!
//! Invariant: whoever takes less than the pace for longer than the lent time is told that it is over; whoever takes as much
//! or more never is, however large the answer. A time that began anew with every byte taken would let one byte a minute
//! hold a connection for ever.

use std::time::Duration;

/// What is left of the lent time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leeway {
    left: Duration,
    lent: Duration,
    bytes_a_second: u32,
}

impl Leeway {
    /// `lent` to begin with, and never more; a second comes back for every so many bytes, at least one.
    pub fn new(lent: Duration, bytes_a_second: u32) -> Self {
        Self { left: lent, lent, bytes_a_second: bytes_a_second.max(1) }
    }

    /// How much longer it may take.
    pub fn left(&self) -> Duration {
        self.left
    }

    /// It took so long for so many bytes.
    pub fn spend(&mut self, waited: Duration, bytes: usize) {
        let earned = Duration::try_from_secs_f64(bytes as f64 / f64::from(self.bytes_a_second));
        let earned = earned.unwrap_or(Duration::MAX);
        self.left = self.left.saturating_sub(waited).saturating_add(earned).min(self.lent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_takes_as_much_as_the_pace_may_go_on_for_ever() {
        let mut leeway = Leeway::new(30 * SECOND, 1000);
        for _ in 0..100_000 {
            leeway.spend(SECOND, 1000);
        }
        assert_eq!(leeway.left(), 30 * SECOND);
    }

    #[test]
    fn who_takes_a_byte_a_minute_is_at_the_end_as_soon_as_who_takes_none() {
        let (mut slow, mut still) = (Leeway::new(30 * SECOND, 1000), Leeway::new(30 * SECOND, 1000));
        slow.spend(29 * SECOND, 1);
        still.spend(29 * SECOND, 0);
        assert!(slow.left() > still.left() && slow.left() < still.left() + SECOND / 500);
        slow.spend(29 * SECOND, 1);
        assert!(slow.left() < SECOND / 500);
    }

    #[test]
    fn no_more_is_saved_up_than_was_lent() {
        let mut leeway = Leeway::new(SECOND, 1);
        leeway.spend(Duration::ZERO, usize::MAX);
        assert_eq!(leeway.left(), SECOND);
        leeway.spend(Duration::MAX, 0);
        assert_eq!(leeway.left(), Duration::ZERO);
    }
}
