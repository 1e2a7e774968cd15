//! What came of the questions of one run.
//!
//! Invariant: every question that counts is in exactly one of the numbers; a wrong answer is no served one.

use std::time::Duration;

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The right answer.
    Right,
    /// Another one.
    Wrong,
    /// The asker asks for too much: 429.
    Limited,
    /// There is too much to do: 503.
    Overloaded,
    /// Anything else, or no answer.
    Failed,
}

/// The answers of a run.
#[derive(Clone, Debug)]
pub struct Tally {
    seconds: f64,
    /// When the last answer that counts was there, in seconds since counting began.
    until: f64,
    /// Times in microseconds.
    served: Vec<u32>,
    /// The same from when each was sent.
    worked: Vec<u32>,
    refused: Vec<u32>,
    /// How late each was sent.
    late: Vec<u32>,
    limited: u64,
    overloaded: u64,
    wrong: u64,
    failed: u64,
}

impl Tally {
    /// Of nothing yet, in so many seconds.
    pub fn new(seconds: f64) -> Self {
        let (served, worked, refused, late) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { seconds, until: 0.0, served, worked, refused, late, limited: 0, overloaded: 0, wrong: 0, failed: 0 }
    }

    /// Adds what came of a question so long after it was due, of which so much had gone when it was sent, if it counts.
    pub fn add_if(&mut self, counts: bool, told: Told, took: Duration, late: Duration) {
        if !counts {
            return;
        }
        let [us, worked] = [took, took.saturating_sub(late)].map(micros);
        match told {
            Told::Right => {
                self.served.push(us);
                self.worked.push(worked);
            }
            Told::Limited => (self.limited, _) = (self.limited + 1, self.refused.push(us)),
            Told::Overloaded => (self.overloaded, _) = (self.overloaded + 1, self.refused.push(us)),
            Told::Wrong => self.wrong += 1,
            Told::Failed => self.failed += 1,
        }
    }

    /// Notes that an answer was there so long after counting began.
    pub fn answered_at(&mut self, at: Duration) {
        self.until = self.until.max(at.as_secs_f64());
    }

    /// Adds by how much a question was sent later than it was due, if it counts.
    pub fn late_if(&mut self, counts: bool, late: Duration) {
        if counts {
            self.late.push(micros(late));
        }
    }

    /// Adds those of another run at the same time.
    pub fn merge(&mut self, other: Self) {
        self.until = self.until.max(other.until);
        self.served.extend(other.served);
        self.worked.extend(other.worked);
        self.refused.extend(other.refused);
        self.late.extend(other.late);
        self.limited += other.limited;
        self.overloaded += other.overloaded;
        self.wrong += other.wrong;
        self.failed += other.failed;
    }

    /// Questions that were asked.
    pub fn offered(&self) -> u64 {
        self.served() + self.limited + self.overloaded + self.wrong + self.failed
    }

    /// Right answers.
    pub fn served(&self) -> u64 {
        self.served.len() as u64
    }

    /// Wrong answers.
    pub fn wrong(&self) -> u64 {
        self.wrong
    }

    /// Refused for who asks.
    pub fn limited(&self) -> u64 {
        self.limited
    }

    /// Refused for how much there is to do.
    pub fn overloaded(&self) -> u64 {
        self.overloaded
    }

    /// Neither answered nor refused.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Right answers a second, until the last one: who is answered long after asking was not served at the pace of asking.
    pub fn served_per_second(&self) -> f64 {
        self.served() as f64 / self.seconds.max(self.until).max(f64::MIN_POSITIVE)
    }

    /// So many of what was asked a second.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// The time that this share of 100 of the right answers did not exceed, in microseconds; 0 of none.
    pub fn served_us(&self, percent: usize) -> f64 {
        percentile(&self.served, percent)
    }

    /// The same from when they were asked, so without the time they waited for somebody to ask them.
    pub fn worked_us(&self, percent: usize) -> f64 {
        percentile(&self.worked, percent)
    }

    /// The same of refusals.
    pub fn refused_us(&self, percent: usize) -> f64 {
        percentile(&self.refused, percent)
    }

    /// The same of how much later than due questions were sent.
    pub fn late_us(&self, percent: usize) -> f64 {
        percentile(&self.late, percent)
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// By nearest rank.
fn percentile(times: &[u32], percent: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100);
    times.get(rank.saturating_sub(1)).copied().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_counted_once_and_only_right_ones_are_served() {
        let mut tally = Tally::new(2.0);
        for us in 1..=100 {
            tally.add_if(true, Told::Right, Duration::from_micros(us + 10), Duration::from_micros(10));
        }
        let mut other = Tally::new(2.0);
        for told in [Told::Wrong, Told::Limited, Told::Overloaded, Told::Overloaded, Told::Failed] {
            other.add_if(true, told, Duration::from_micros(7), Duration::ZERO);
            other.add_if(false, told, Duration::from_micros(9), Duration::ZERO);
        }
        other.late_if(true, Duration::from_micros(3));
        other.late_if(false, Duration::from_micros(9));
        tally.merge(other);
        assert_eq!((tally.late_us(50), tally.late_us(100)), (3.0, 3.0));
        let counts =
            [tally.offered(), tally.served(), tally.wrong(), tally.limited(), tally.overloaded(), tally.failed()];
        assert_eq!(counts, [105, 100, 1, 1, 2, 1]);
        assert_eq!((tally.served_us(50), tally.served_us(99), tally.refused_us(99)), (60.0, 109.0, 7.0));
        assert_eq!((tally.worked_us(50), tally.worked_us(99)), (50.0, 99.0));
        assert_eq!((tally.served_per_second(), Tally::new(1.0).served_us(99)), (50.0, 0.0));
        let mut late = tally.clone();
        late.answered_at(Duration::from_secs(1));
        assert!((late.served_per_second(), late.per_second(late.served())) == (50.0, 50.0), "in time");
        late.answered_at(Duration::from_secs(8));
        tally.merge(late);
        assert_eq!(tally.served_per_second(), 25.0, "of twice as many, in four times as long");
    }
}
