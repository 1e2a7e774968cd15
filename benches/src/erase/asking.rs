//! A thread that asks all along, and how many answers it got in a span of time.
//!
//! Invariant: an answer counts where it came, by the clock that erasures are stamped by.
#![expect(clippy::disallowed_methods, reason = "a measurement starts its threads")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use datasets::Matrix;
use engine::{Clock, Collection, SystemClock};

/// From, to, in microseconds since the Unix epoch.
pub type Span = (u64, u64);

/// When answers came, rising, in microseconds since the Unix epoch.
pub struct Answers(Vec<u64>);

impl Answers {
    /// Answers a second within these spans together; `None` if they have no length.
    pub fn per_second(&self, spans: impl IntoIterator<Item = Span>) -> Option<f64> {
        let (mut answers, mut us) = (0, 0);
        for (from, to) in spans.into_iter().filter(|(from, to)| from < to) {
            let until = |end: u64| self.0.partition_point(|answer| *answer < end);
            answers += until(to) - until(from);
            us += to - from;
        }
        (us > 0).then(|| answers as f64 * 1e6 / us as f64)
    }
}

/// Stops the asking, whatever ends the work.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does `work` while another thread asks for the `k` nearest of one query after the other. `work` is told how to find out
/// whether the asking goes on; when it does not, an error is about to be told.
pub fn while_asked<T, E: From<engine::Error>>(
    collection: &Collection,
    queries: &Matrix,
    k: usize,
    work: impl FnOnce(&dyn Fn() -> bool) -> Result<T, E>,
) -> Result<(T, Answers), E> {
    let stop = AtomicBool::new(false);
    let ask = || -> engine::Result<Vec<u64>> {
        let mut answers = Vec::new();
        for query in queries.rows().cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            collection.search(query).limit(k).with_payload(false).run()?;
            answers.push(SystemClock.now_us());
        }
        // A clock that was set back meanwhile.
        answers.sort_unstable();
        Ok(answers)
    };
    thread::scope(|scope| {
        let asking = scope.spawn(ask);
        let worked = {
            let _stop = Stop(&stop);
            work(&|| !asking.is_finished())
        };
        let answers = asking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((worked?, Answers(answers)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_count_in_the_span_that_they_came_in() {
        let answers = Answers(vec![0, 10, 20, 30, 40]);
        assert_eq!(answers.per_second([(10, 40)]), Some(1e5), "the end belongs to what comes after");
        assert_eq!(answers.per_second([(0, 10), (40, 50)]), Some(1e5), "spans count together");
        assert_eq!(answers.per_second([(1, 9)]), Some(0.0));
        assert_eq!(answers.per_second([(1, 9), (9, 13)]), Some(1e6 / 12.0));
        assert_eq!((answers.per_second([(7, 7)]), answers.per_second([])), (None, None));
        assert_eq!(answers.per_second([(30, 10)]), None, "time that ran back is no time");
    }
}
