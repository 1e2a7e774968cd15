//! What `bench load` measures with: questions asked at a pace of their own, or as fast as they are answered, over the wire.
//!
//! Invariant: in the open loop a question is asked when it is due, whether or not those before were answered, and its time
//! counts from when it was due: a server that stalls is not asked less meanwhile, which would hide what its users suffer
//! (coordinated omission). Who asks is no bottleneck that goes unsaid: it has cores of its own, and tells how late it was.
//! What is due while a run settles is asked and not counted.
#![expect(clippy::disallowed_methods, reason = "a measurement reads time and starts its threads")]

mod arrivals;
mod asker;
mod askers;
mod connection;
mod loaded;
mod tally;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use asker::SETTLING;

pub use asker::Asks;
pub use askers::{Askers, Load};
pub use loaded::{Loaded, Neighbour, Step, Wire};
pub use tally::{Tally, Told};

/// Has so many threads ask one question after the other for so many counted seconds: of what is no server.
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
            tally.add_if(asked >= SETTLING, told, start.elapsed().saturating_sub(asked), Duration::ZERO);
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
mod tests;
