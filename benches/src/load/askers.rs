//! Who asks: threads on cores of their own, so that what is measured is the server.

use std::io;
use std::net::SocketAddr;

use super::arrivals::Arrivals;
use super::asker::{Asker, Asks};
use super::tally::Tally;
use crate::affinity::Pin;

/// Runs of other threads are asked at other moments, and so are those of other lines.
const SEEDS_A_THREAD: u64 = 1000;

/// Who asks a server over connections that stay open.
#[derive(Clone, Debug)]
pub struct Askers {
    /// Where it listens.
    pub address: SocketAddr,
    /// The cores of who asks, one thread each.
    pub cores: Vec<usize>,
    /// Whether nothing else runs there, so that who asks need not sleep.
    pub is_alone: bool,
}

/// Questions of one kind.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// What is asked.
    pub asks: &'a dyn Asks,
    /// So many a second, whether or not those before were answered; without, each connection asks again once it was.
    pub per_second: Option<f64>,
    /// Connections, each of which carries one question at a time.
    pub connections: usize,
}

impl Askers {
    /// Asks for so many counted seconds, and waits for all answers; gives what came of each of the loads.
    ///
    /// # Errors
    /// If the server cannot be reached, or the system refuses to wait for it.
    pub fn ask(&self, loads: &[Load<'_>], seconds: f64) -> io::Result<Vec<Tally>> {
        let threads = self.cores.len().max(1);
        let ask = |thread: usize| {
            let _pin = self.cores.get(thread).and_then(|core| Pin::to(*core));
            self.asker(loads, seconds, (thread, threads))?.run()
        };
        std::thread::scope(|scope| {
            let asking: Vec<_> = (0..threads).map(|thread| scope.spawn(move || ask(thread))).collect();
            let mut tallies: Vec<_> = loads.iter().map(|_| Tally::new(seconds)).collect();
            for thread in asking {
                let found = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                tallies.iter_mut().zip(found).for_each(|(all, one)| all.merge(one));
            }
            Ok(tallies)
        })
    }

    /// One of several threads, with its share of the loads.
    fn asker<'a>(&self, loads: &[Load<'a>], seconds: f64, (thread, threads): (usize, usize)) -> io::Result<Asker<'a>> {
        let mut asker = Asker::new(self.address, seconds, self.is_alone)?;
        for (line, load) in loads.iter().enumerate() {
            let seed = thread as u64 * SEEDS_A_THREAD + line as u64;
            let arrivals = load.per_second.map(|all| Arrivals::new(all / threads as f64, seed));
            // A closed loop of fewer connections than there are threads has none on some of them.
            let connections = (load.connections + threads - 1 - thread) / threads;
            let numbers = (thread as u64, threads as u64);
            asker.line(load.asks, arrivals, connections, numbers, Tally::new(seconds))?;
        }
        Ok(asker)
    }
}
