//! What `bench load` measures with: questions asked at a pace of their own, or as fast as they are answered, whoever answers.
//!
//! Invariant: in the open loop a question is asked when it is due, whether or not those before were answered, and its time
//! counts from when it was due: a server that stalls is not asked less meanwhile, which would hide what its users suffer
//! (coordinated omission). Arrivals are those of a Poisson process. What is due while a run settles is asked and not counted.
#![expect(clippy::disallowed_methods, reason = "a measurement reads time and starts its threads")]

mod loaded;
mod tally;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep_until;

pub use loaded::{Loaded, Neighbour, Step, Wire};
pub use tally::{Tally, Told};

/// What is due in the first part of a run is not counted: connections open, memory grows, queues form.
const SETTLING: Duration = Duration::from_millis(500);
/// Runs with other seeds would be asked at other moments.
const SEED: u64 = 1;

/// Asks `per_second` questions for so many counted seconds, and waits for all answers. `ask` is given the number of the
/// question. Must run inside a runtime of tokio, whose clock is good for a millisecond.
pub async fn open_loop<F: Future<Output = Told> + Send + 'static>(
    per_second: f64,
    seconds: f64,
    ask: impl Fn(u64) -> F,
) -> Tally {
    let mut random = StdRng::seed_from_u64(SEED);
    let (start, mut due, mut asking) = (Instant::now(), Duration::ZERO, JoinSet::new());
    let mut tally = Tally::new(seconds);
    for number in 0.. {
        if due >= SETTLING + Duration::from_secs_f64(seconds) {
            break;
        }
        let at = start + due;
        if at > Instant::now() {
            sleep_until(at.into()).await;
        } else {
            // Whoever is late with asking still has to read answers.
            yield_now().await;
        }
        let (answer, counts) = (ask(number), due >= SETTLING);
        asking.spawn(async move {
            let told = answer.await;
            (told, at.elapsed(), counts)
        });
        while let Some(Ok((told, took, counts))) = asking.try_join_next() {
            tally.add_if(counts, told, took);
        }
        due += Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / per_second.max(f64::MIN_POSITIVE));
    }
    while let Some(answered) = asking.join_next().await {
        match answered {
            Ok((told, took, counts)) => tally.add_if(counts, told, took),
            Err(_) => tally.add_if(true, Told::Failed, Duration::ZERO),
        }
    }
    tally
}

/// Has so many clients ask one question after the other for so many counted seconds. Must run inside a runtime of tokio.
pub async fn closed_loop<F: Future<Output = Told> + Send + 'static>(
    clients: usize,
    seconds: f64,
    ask: impl Fn(u64) -> F + Clone + Send + 'static,
) -> Tally {
    let (start, mut asking) = (Instant::now(), JoinSet::new());
    let end = SETTLING + Duration::from_secs_f64(seconds);
    for client in 0..clients as u64 {
        let ask = ask.clone();
        asking.spawn(async move {
            let mut tally = Tally::new(seconds);
            for number in 0.. {
                let asked = start.elapsed();
                if asked >= end {
                    break;
                }
                let told = ask(client + number * clients as u64).await;
                tally.add_if(asked >= SETTLING, told, start.elapsed().saturating_sub(asked));
            }
            tally
        });
    }
    let mut tally = Tally::new(seconds);
    while let Some(Ok(other)) = asking.join_next().await {
        tally.merge(other);
    }
    tally
}

/// The same with threads, for what is no server.
pub fn in_threads(clients: usize, seconds: f64, ask: impl Fn(u64) -> Told + Sync) -> Tally {
    let (start, next) = (Instant::now(), AtomicU64::new(0));
    let end = SETTLING + Duration::from_secs_f64(seconds);
    let client = || {
        let mut tally = Tally::new(seconds);
        loop {
            let asked = start.elapsed();
            if asked >= end {
                return tally;
            }
            let told = ask(next.fetch_add(1, Ordering::Relaxed));
            tally.add_if(asked >= SETTLING, told, start.elapsed().saturating_sub(asked));
        }
    };
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        let mut tally = Tally::new(seconds);
        for client in asking {
            tally.merge(client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        tally
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    /// A server that answers nothing for the first second, and then all at once: what is asked meanwhile waits.
    #[test]
    fn a_stall_is_felt_by_all_that_was_due_in_it() {
        let asked = AtomicU64::new(0);
        let start = Instant::now();
        let tally = runtime().block_on(open_loop(200.0, 1.5, |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_secs(1).saturating_sub(start.elapsed())).await;
                Told::Right
            }
        }));
        // Of the counted second and a half the first half second lay in the stall.
        assert!(asked.into_inner() > 300 && tally.offered() > 200, "{} were counted", tally.offered());
        assert!(tally.served_us(80) >= 100_000.0, "a fifth waited for a tenth of a second: {}", tally.served_us(80));
    }

    #[test]
    fn a_closed_loop_asks_every_number_once_and_counts_what_came_of_it() {
        let ask = |number: u64| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if number.is_multiple_of(2) { Told::Right } else { Told::Overloaded }
        };
        let tally = runtime().block_on(closed_loop(2, 0.2, ask));
        assert!(tally.served() > 0 && tally.overloaded() > 0 && tally.offered() == tally.served() + tally.overloaded());
        let tally = in_threads(2, 0.2, |number| if number == 0 { Told::Failed } else { Told::Wrong });
        assert_eq!((tally.served(), tally.failed()), (0, 0), "the first is asked while it settles");
        assert!(tally.wrong() > 0);
    }
}
