//! Turns in the engine: work that waits for one, and the threads that do it.
//!
//! Invariant: a turn belongs to the work, not to who asked for it: who hangs up takes back what waits, and frees nothing
//! that runs. Whoever ends a piece of work does the next that waits himself, since handing a turn through the threads that
//! read and write sockets would leave its place empty for as long as they are busy with sending others away.
//!
//! Whose turn it is decides the [`queue`](super::queue).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot::Receiver;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::queue::{Crowded, Entered, Lane, Queue};

type Work = Box<dyn FnOnce() + Send>;

/// The turns; shared.
pub struct Turns {
    queue: Mutex<Queue<Work>>,
}

/// Work that has a turn, or waits for one and is taken back when this is dropped.
pub struct Waiting {
    turns: Arc<Turns>,
    lane: Lane,
    /// Of who had to wait.
    number: Option<u64>,
    has_begun: Arc<AtomicBool>,
}

/// Why nothing is heard of a piece of work.
#[derive(Debug, PartialEq, Eq)]
pub enum Lost {
    /// Its place went to somebody else.
    SentAway,
    /// No turn came within the time.
    Late,
    /// It broke off.
    Broken,
}

impl Turns {
    /// `places` turns, at least one, and room for so many to wait, with so much patience while the queue stands, zero for
    /// any.
    pub fn new(places: usize, waiting_max: usize, patience: Duration) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::new(Queue::new(places, waiting_max, patience)) })
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.lock().waiting()
    }

    /// Whether who came to `lane` now would be sent away; for whoever has work to do before that can be spared.
    pub fn are_hopeless(&self, lane: &Lane) -> bool {
        self.queue.lock().is_hopeless(lane, Instant::now())
    }

    /// Has `work` done when its turn comes, on a thread where it may block. Must run inside a runtime of tokio.
    ///
    /// # Errors
    /// [`Crowded`].
    pub fn enter(self: &Arc<Self>, lane: Lane, work: impl FnOnce() + Send + 'static) -> Result<Waiting, Crowded> {
        let has_begun = Arc::new(AtomicBool::new(false));
        let begun = Arc::clone(&has_begun);
        let work: Work = Box::new(move || {
            begun.store(true, Ordering::Release);
            work();
        });
        let entered = self.queue.lock().enter(&lane, work, Instant::now())?;
        let number = match entered {
            Entered::Waits(number) => Some(number),
            Entered::Turn(work) => {
                let turns = Arc::clone(self);
                // A thread of the runtime, which ends with it; what comes of the work is told by the work.
                drop(spawn_blocking(move || turns.work(work)));
                None
            }
        };
        Ok(Waiting { turns: Arc::clone(self), lane, number, has_begun })
    }

    /// Does `work`, and what is next, until nobody waits.
    fn work(&self, work: Work) {
        let mut next = Some(work);
        while let Some(work) = next {
            // The panic was reported; who asked hears nothing any more, and the turn goes on.
            _ = catch_unwind(AssertUnwindSafe(work));
            next = self.queue.lock().next(Instant::now());
        }
    }
}

impl Waiting {
    /// What the work tells; it is taken back if no turn comes within `wait`.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn hear<T>(self, mut told: Receiver<T>, wait: Duration) -> Result<T, Lost> {
        let heard = match self.number {
            None => told.await,
            Some(number) => match timeout(wait, &mut told).await {
                Ok(heard) => heard,
                Err(_) if self.turns.queue.lock().leave(&self.lane, number, Instant::now()) => return Err(Lost::Late),
                // It has its turn by now.
                Err(_) => told.await,
            },
        };
        let has_begun = || self.has_begun.load(Ordering::Acquire);
        heard.map_err(|_| if has_begun() { Lost::Broken } else { Lost::SentAway })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.turns.queue.lock().leave(&self.lane, number, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
