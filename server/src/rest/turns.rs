//! Turns in the engine: work that waits for one, and the threads that do it.
//!
//! Invariant: a turn belongs to the work, not to who asked for it: who hangs up takes back what waits, and frees nothing
//! that runs. Whoever ends a piece of work does the next that waits himself, since handing a turn through the threads that
//! read and write sockets would leave its place empty for as long as they are busy with sending others away.
//!
//! Short work that waits for nothing may be done by those threads themselves: where both share a core, the system would
//! give it to either for milliseconds at a time, in which hundreds of requests pile up at the sockets or a dozen searches
//! wait. Here a search is followed by a look at the sockets, and what they had by as much time of searches as that took.
//! Should short work turn out to be long again and again, all goes to threads of its own for a while; once is no reason, as a
//! machine that stands still for a moment makes any work long.
//!
//! Whose turn it is decides the [`queue`](super::queue).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot::Receiver;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::queue::{Crowded, Entered, Lane, Queue};
use super::readers::behind_sockets;

/// Work that takes longer is long: others whom its thread serves wait meanwhile.
const LONG: Duration = Duration::from_millis(20);
/// Long work is long again if it begins within this after other long work has ended.
const AGAIN_WITHIN: Duration = Duration::from_secs(1);
/// For so long after work that is long again all goes to other threads.
const APART_FOR: Duration = Duration::from_secs(10);

/// Of what kind work is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Short, as far as anybody can tell beforehand, and waiting for nothing.
    Short,
    /// Of any length, and it may wait for the disk or for a client.
    Any,
}

struct Work {
    kind: Kind,
    does: Box<dyn FnOnce() + Send>,
}

/// The turns; shared.
pub struct Turns {
    queue: Mutex<Queue<Work>>,
    lengths: Mutex<Lengths>,
}

/// What came of work that was taken for short.
#[derive(Default)]
struct Lengths {
    /// When some that was long ended last.
    long: Option<Instant>,
    /// Until when even short work is done apart from the threads that read and write sockets.
    apart_until: Option<Instant>,
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
    /// `places` turns, at least one, and room for so many to wait, with so much patience while the queue stands, zero for any.
    pub fn new(places: usize, waiting_max: usize, patience: Duration) -> Arc<Self> {
        let queue = Mutex::new(Queue::new(places, waiting_max, patience));
        Arc::new(Self { queue, lengths: Mutex::default() })
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.lock().waiting()
    }

    /// Whether who came to `lane` now would be sent away; for whoever has work to do before that can be spared.
    pub fn are_hopeless(&self, lane: &Lane) -> bool {
        self.queue.lock().is_hopeless(lane, Instant::now())
    }

    /// Has `work` of this `kind` done when its turn comes. Must run inside a runtime of tokio, as must the end of all work.
    ///
    /// # Errors
    /// [`Crowded`].
    pub fn enter(
        self: &Arc<Self>,
        lane: Lane,
        kind: Kind,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<Waiting, Crowded> {
        let has_begun = Arc::new(AtomicBool::new(false));
        let begun = Arc::clone(&has_begun);
        let does = Box::new(move || {
            begun.store(true, Ordering::Release);
            work();
        });
        let entered = self.queue.lock().enter(&lane, Work { kind, does }, Instant::now())?;
        let number = match entered {
            Entered::Waits(number) => Some(number),
            Entered::Turn(work) => {
                Arc::clone(self).begin(work);
                None
            }
        };
        Ok(Waiting { turns: Arc::clone(self), lane, number, has_begun })
    }

    /// Has `work` and what is next done, in turns with the sockets or apart from them. Either ends with the runtime; what
    /// comes of work is told by the work.
    fn begin(self: Arc<Self>, work: Work) {
        if self.is_among(&work, Instant::now()) {
            // Of two tasks the runtime offers the first to a thread that sleeps, which then looks at the sockets meanwhile; the
            // second is what this thread does next.
            drop(tokio::spawn(async {}));
            drop(tokio::spawn(self.work_among(work)));
        } else {
            drop(spawn_blocking(move || self.work_apart(work)));
        }
    }

    /// Whether `work` is done by the threads that read and write sockets: not by the only one that a runtime has for
    /// everything.
    fn is_among(&self, work: &Work, now: Instant) -> bool {
        work.kind == Kind::Short
            && self.lengths.lock().apart_until.is_none_or(|until| until <= now)
            && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread
    }

    /// Does `work`, and what is next, until nobody waits: for as long at a time as the sockets took, or one piece.
    async fn work_among(self: Arc<Self>, mut work: Work) {
        let mut left = Instant::now();
        loop {
            let begun = Instant::now();
            // No more than is bearable, however long the machine stood still.
            let due = begun.duration_since(left).min(LONG);
            loop {
                left = self.finish(work);
                let Some(next) = self.queue.lock().next(left) else { return };
                work = next;
                if !self.is_among(&work, left) {
                    return self.begin(work);
                }
                if left.duration_since(begun) >= due {
                    break;
                }
            }
            behind_sockets().await;
        }
    }

    /// The same on a thread of its own, until work is short again.
    fn work_apart(self: Arc<Self>, mut work: Work) {
        loop {
            let now = self.finish(work);
            let Some(next) = self.queue.lock().next(now) else { return };
            if self.is_among(&next, now) {
                return self.begin(next);
            }
            work = next;
        }
    }

    /// Does `work`; when it was done.
    fn finish(&self, work: Work) -> Instant {
        let (begun, kind) = (Instant::now(), work.kind);
        // The panic was reported; who asked hears nothing any more, and the turn goes on.
        _ = catch_unwind(AssertUnwindSafe(work.does));
        let now = Instant::now();
        if kind == Kind::Short && now.duration_since(begun) > LONG {
            self.lengths.lock().note(begun, now);
        }
        now
    }
}

impl Lengths {
    /// Work that was taken for short was long. What was long at the same time says nothing more about work, since one
    /// standstill of the machine makes everything long that is being done.
    fn note(&mut self, begun: Instant, ended: Instant) {
        if self.long.is_some_and(|long| long <= begun && begun.duration_since(long) <= AGAIN_WITHIN) {
            self.apart_until = Some(ended + APART_FOR);
        }
        self.long = self.long.max(Some(ended));
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
