//! One pass over the queries: what was found, how fast, and how slow the slowest were.
//!
//! Invariant: each thread asks one query at a time and every query is asked once, whoever answers.
#![expect(clippy::disallowed_methods, reason = "a measurement reads time and starts its threads")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use datasets::{Dataset, Matrix, truth};

use crate::report::Point;

/// Answers of one pass.
pub struct Pass {
    /// Positions found, by query.
    found: Vec<Vec<u32>>,
    /// Time of each query, ascending.
    latencies: Vec<Duration>,
    /// Time of the whole pass.
    total: Duration,
}

impl Pass {
    /// Asks every query through `search` on `threads` threads. The first error ends the pass.
    pub fn run<E: Send>(
        queries: &Matrix,
        threads: usize,
        search: impl Fn(&[f32]) -> Result<Vec<u32>, E> + Sync,
    ) -> Result<Self, E> {
        let next = AtomicUsize::new(0);
        let worker = || {
            let mut answers = Vec::new();
            loop {
                let query = next.fetch_add(1, Ordering::Relaxed);
                if query >= queries.len() {
                    return Ok(answers);
                }
                let start = Instant::now();
                let found = search(queries.row(query))?;
                answers.push((query, found, start.elapsed()));
            }
        };
        let start = Instant::now();
        let answers = thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
            let mut answers: Vec<(usize, Vec<u32>, Duration)> = worker()?;
            for helper in helpers {
                answers.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(answers)
        })?;
        let total = start.elapsed();

        let mut found = vec![Vec::new(); queries.len()];
        let mut latencies = Vec::with_capacity(answers.len());
        for (query, answer, latency) in answers {
            found[query] = answer;
            latencies.push(latency);
        }
        latencies.sort_unstable();
        Ok(Self { found, latencies, total })
    }

    /// Whether this pass was faster than `other`.
    pub fn is_faster_than(&self, other: &Self) -> bool {
        self.total < other.total
    }

    /// Positions found, by query.
    pub fn found(&self) -> &[Vec<u32>] {
        &self.found
    }

    /// Queries a second.
    pub fn qps(&self) -> f64 {
        self.latencies.len() as f64 / self.total.as_secs_f64()
    }

    /// The mean time of a query, in microseconds.
    pub fn mean_us(&self) -> f64 {
        self.latencies.iter().sum::<Duration>().as_secs_f64() * 1e6 / self.latencies.len().max(1) as f64
    }

    /// The figures of this pass, scored against `neighbors`.
    pub fn point(&self, set: &Dataset, neighbors: &[Vec<u32>], k: usize, ef: usize) -> Point {
        let recall = truth::recall(set.metric, &set.train, &set.test, neighbors, &self.found, k, truth::TOLERANCE);
        Point {
            ef,
            recall,
            qps: self.qps(),
            p50_us: self.percentile_us(50),
            p95_us: self.percentile_us(95),
            p99_us: self.percentile_us(99),
        }
    }

    /// The smallest latency that at least `percent` of 100 queries did not exceed (the nearest-rank method).
    pub fn percentile_us(&self, percent: usize) -> f64 {
        let rank = (self.latencies.len() * percent).div_ceil(100);
        let latency = self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default();
        latency.as_secs_f64() * 1e6
    }
}

#[cfg(test)]
mod tests {
    use datasets::Distance;
    use datasets::synthetic::Mixture;

    use super::*;

    #[test]
    fn every_query_is_asked_once_and_scored() {
        let set = Mixture::new(4, 3, 0.5, 1).dataset(Distance::L2, 200, 37, 5, 2);
        let truth = set.neighbors.clone().unwrap_or_default();
        let answers = |query: &[f32]| {
            let position = set.test.rows().position(|row| row == query);
            position.and_then(|position| truth.get(position).cloned()).ok_or(())
        };
        for threads in [1, 4] {
            let pass = Pass::run(&set.test, threads, answers).unwrap();
            assert_eq!(pass.latencies.len(), 37);
            assert_eq!(pass.point(&set, &truth, 5, 16).recall, 1.0);
        }
        assert!(Pass::run(&set.test, 2, |_| Err(())).is_err());
        let pass = Pass::run(&set.test, 1, |_| Ok::<_, ()>(Vec::new())).unwrap();
        assert_eq!(pass.point(&set, &truth, 5, 16).recall, 0.0);
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let latencies = (1..=200).map(Duration::from_micros).collect();
        let pass = Pass { found: Vec::new(), latencies, total: Duration::from_secs(1) };
        let rounded = [50, 95, 99].map(|percent| pass.percentile_us(percent).round());
        assert_eq!(rounded, [100.0, 190.0, 198.0]);
        assert_eq!(pass.mean_us().round(), 101.0);
    }
}
