//! Whose requests came of late: how many of each lane, of those that came in the last tenths of a second.
//!
//! Invariant: at least one lane always has as many as lanes have in the mean, so that whoever sends away only those of such
//! lanes sends somebody away; who asks for less than others is never among them.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::queue::Lane;

/// What is counted together; what came in the one before counts as well.
const WHILE: Duration = Duration::from_millis(100);

/// The counts; shared.
#[derive(Default)]
pub struct Shares {
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    since: Option<Instant>,
    /// How many of each lane in this while, and in the one before.
    lanes: HashMap<Lane, [u64; 2]>,
    all: u64,
}

impl Shares {
    /// A request of `lane` came: whether that lane has as many as lanes have in the mean, or more.
    pub fn count(&self, lane: &Lane) -> bool {
        let (now, mut counts) = (Instant::now(), self.counts.lock());
        let age = counts.since.map(|since| now.duration_since(since));
        if age.is_none_or(|age| age >= WHILE) {
            counts.turn(age.is_some_and(|age| age < 2 * WHILE));
            counts.since = Some(now);
        }
        counts.all += 1;
        let (all, lanes) = (counts.all, counts.lanes.len() as u64);
        match counts.lanes.get_mut(lane) {
            Some(mine) => {
                mine[0] += 1;
                (mine[0] + mine[1]).saturating_mul(lanes) >= all
            }
            None => {
                counts.lanes.insert(Lane::clone(lane), [1, 0]);
                lanes + 1 >= all
            }
        }
    }
}

impl Counts {
    /// Begins another while, right after the last one or later.
    fn turn(&mut self, is_next: bool) {
        self.all = 0;
        self.lanes.retain(|_, mine| {
            *mine = [0, if is_next { mine[0] } else { 0 }];
            self.all += mine[1];
            mine[1] > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_less_than_others_is_never_among_those_who_ask_for_most() {
        let (shares, [flood, calm, other]) = (Shares::default(), ["flood", "calm", "other"].map(Lane::from));
        assert!(shares.count(&flood), "it is the only one");
        for round in 0..500 {
            let floods = (0..9).filter(|_| shares.count(&flood)).count();
            assert_eq!(floods, 9, "round {round}");
            assert!(!shares.count(&calm), "round {round}");
            advance(Duration::from_millis(1)).await;
        }
        advance(2 * WHILE).await;
        assert!(shares.count(&other), "what was long ago is forgotten");
        assert!(shares.count(&calm) && shares.count(&other), "both have their half");
        assert_eq!(shares.counts.lock().lanes.len(), 2);
    }
}
