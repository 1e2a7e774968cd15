//! When questions are due.
//!
//! Invariant: the arrivals of a Poisson process, which know nothing of what came of the ones before; those of several
//! askers who share a rate are together such a process of the whole rate.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Moments from the start of a run, one after the other, without end.
pub struct Arrivals {
    random: StdRng,
    per_second: f64,
    next: Duration,
}

impl Arrivals {
    /// So many a second in the mean; runs with other seeds are asked at other moments.
    pub fn new(per_second: f64, seed: u64) -> Self {
        let mut arrivals =
            Self { random: StdRng::seed_from_u64(seed), per_second: per_second.max(1e-9), next: Duration::ZERO };
        arrivals.advance();
        arrivals
    }

    /// When the next one is due.
    pub fn next(&self) -> Duration {
        self.next
    }

    /// Goes on to the one after it.
    pub fn advance(&mut self) {
        let gap = -(1.0 - self.random.random::<f64>()).ln() / self.per_second;
        self.next = self.next.saturating_add(Duration::try_from_secs_f64(gap).unwrap_or(Duration::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_come_in_a_second_as_were_asked_for_and_not_evenly() {
        let mut arrivals = Arrivals::new(1000.0, 1);
        let mut counts = vec![0_u32; 100];
        while arrivals.next() < Duration::from_secs(1) {
            counts[arrivals.next().as_millis() as usize / 10] += 1;
            arrivals.advance();
        }
        let all: u32 = counts.iter().sum();
        // Standard deviations are 32 of all, and 3.2 of each hundredth.
        assert!((870..=1130).contains(&all), "{all}");
        assert!(counts.iter().any(|count| *count < 7) && counts.iter().any(|count| *count > 13), "{counts:?}");
    }
}
