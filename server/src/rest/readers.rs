//! The threads that read and write sockets: whether there is more to do than they get done, and how long it waits.
//!
//! Invariant: what they have begun goes before what they have not: an answer that is ready is sent before the next request is
//! looked at. What waits to be looked at is measured by somebody who stands in line: a task that goes to sleep until the
//! sockets were looked at, and then behind all those whose sockets had something. That counts the time in which the threads
//! have no core, too, which the time since one of them slept would not: one that was woken and has no core yet is not known
//! from one that sleeps. Requests have it done, so that nothing is measured where nothing is asked. Nothing is told of a wait
//! before there was one for a quarter of the time, nor of one that hardly any requests came in: there is no line then, and to send
//! somebody away would not make the others wait for less.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::pace::Presence;

/// Nobody stands in line again before so long after the last one, and a wait that is no longer is none.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Fewer requests than these are no line.
const FEW: u32 = 8;

/// The threads; shared.
#[derive(Default)]
pub struct Readers {
    line: Mutex<Line>,
}

/// Who stands in line.
#[derive(Default)]
struct Line {
    /// Since when somebody does.
    since: Option<Instant>,
    /// How many requests were looked at meanwhile.
    ahead: u32,
    /// How long the last one did, and until when.
    last: Option<(Duration, Instant)>,
    /// Of waits.
    presence: Presence,
}

/// A runtime whose threads these are.
///
/// # Errors
/// If the system gives no threads.
pub fn runtime() -> io::Result<Runtime> {
    // What other threads wake, which is the answers of those that work, goes before what was found at the sockets.
    Builder::new_multi_thread().enable_all().global_queue_interval(1).build()
}

/// Until the sockets were looked at, and whatever had something then was read.
pub async fn behind_sockets() {
    // Until the sockets were looked at.
    yield_now().await;
    // Behind those that had something: a task that wakes itself is the last.
    let mut is_last = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_last, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Readers {
    /// How long who comes waits until they are looked at, if somebody often waits; else zero. Must run inside
    /// a runtime of tokio.
    pub fn wait(self: &Arc<Self>) -> Duration {
        let now = Instant::now();
        let mut line = self.line.lock();
        let wait = line.wait(now);
        if line.is_due(now) {
            (line.since, line.ahead) = (Some(now), 0);
            let readers = Arc::clone(self);
            drop(tokio::spawn(async move { readers.stand_in_line(now).await }));
        }
        if line.presence.is_often(now) { wait } else { Duration::ZERO }
    }

    async fn stand_in_line(&self, since: Instant) {
        behind_sockets().await;
        self.line.lock().leave(since, Instant::now());
    }
}

impl Line {
    /// How long who comes now waits.
    fn wait(&mut self, now: Instant) -> Duration {
        let last = match self.last {
            Some((waited, until)) if now.duration_since(until) <= waited.max(LOOK_EVERY) => waited,
            // Nobody came for as long, so nobody waited.
            Some((_, until)) if self.since.is_none() => {
                self.presence.ends(until);
                Duration::ZERO
            }
            _ => Duration::ZERO,
        };
        let Some(since) = self.since else { return last };
        self.ahead = self.ahead.saturating_add(1);
        let waited = self.waited(since, now);
        if waited > LOOK_EVERY {
            // Known before it is over: where readers and searches have the core in turns, a line is long but not always there.
            self.presence.begins(since);
        }
        last.max(waited)
    }

    /// How long somebody has stood in it, if it is one.
    fn waited(&self, since: Instant, now: Instant) -> Duration {
        if self.ahead < FEW { Duration::ZERO } else { now.duration_since(since) }
    }

    /// Whether somebody is to stand in it.
    fn is_due(&self, now: Instant) -> bool {
        self.since.is_none() && self.last.is_none_or(|(_, until)| now.duration_since(until) >= LOOK_EVERY)
    }

    /// Who stood in it since then has come to its end.
    fn leave(&mut self, since: Instant, now: Instant) {
        let waited = self.waited(since, now);
        if waited > LOOK_EVERY {
            self.presence.begins(since)
        } else {
            self.presence.ends(since)
        }
        (self.since, self.last) = (None, Some((waited, now)));
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "talks to itself over loopback")]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::advance;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Has so many requests come and time pass until who stands in line comes to its end.
    async fn pass(readers: &Arc<Readers>, requests: u32, time: Duration) {
        for _ in 0..requests {
            readers.wait();
        }
        advance(time).await;
        while readers.line.lock().since.is_some() {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_told_once_there_often_is_one() {
        let readers = Arc::new(Readers::default());
        for round in 0..40 {
            let told = readers.wait();
            assert!(told == if round < 2 { Duration::ZERO } else { 10 * MS }, "{told:?} in round {round}");
            pass(&readers, FEW, 10 * MS).await;
            advance(MS).await;
        }
        assert_eq!(readers.wait(), 10 * MS);
        assert_eq!(readers.line.lock().since, Some(Instant::now()), "somebody stands in line again");
        pass(&readers, FEW, 20 * MS).await;
        assert_eq!(readers.wait(), 20 * MS);
        advance(Duration::from_secs(1)).await;
        assert_eq!(readers.wait(), Duration::ZERO, "nobody came for a while");
        pass(&readers, FEW, 10 * MS).await;
        assert_eq!(readers.wait(), Duration::ZERO, "what was long ago is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_in_line_still_counts_as_far_as_they_stood() {
        let (readers, begun) = (Arc::new(Readers::default()), Instant::now());
        readers.line.lock().presence.begins(begun);
        advance(Duration::from_secs(1)).await;
        readers.line.lock().since = Some(Instant::now());
        advance(5 * MS).await;
        let told: Vec<_> = (0..=FEW).map(|_| readers.wait()).collect();
        assert_eq!((told[0], told[FEW as usize]), (Duration::ZERO, 5 * MS), "{told:?}");
    }

    #[test]
    fn a_line_that_is_there_for_less_than_half_of_the_time_is_told_before_it_is_over() {
        let (mut line, mut now) = (Line::default(), Instant::now());
        for round in 0..20 {
            // Searches have had the core.
            now += 25 * MS;
            assert_eq!(line.wait(now), Duration::ZERO);
            (line.since, line.ahead) = (Some(now), 0);
            let since = now;
            for waited in 1..=20 {
                now += MS;
                let told = (0..FEW).map(|_| line.wait(now)).max();
                assert_eq!(told, Some(waited * MS));
                let is_told = line.presence.is_often(now);
                assert!(is_told || round < 3 || waited < 5, "{waited} ms in round {round}");
            }
            line.leave(since, now);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_now_and_then_is_none_and_neither_is_one_that_hardly_anybody_is_in() {
        let readers = Arc::new(Readers::default());
        for round in 0..1000 {
            assert_eq!(readers.wait(), Duration::ZERO);
            pass(&readers, FEW, if round % 60 == 0 { 10 * MS } else { MS }).await;
            advance(MS).await;
        }
        for _ in 0..100 {
            assert_eq!(readers.wait(), Duration::ZERO);
            pass(&readers, FEW - 1, 10 * MS).await;
            advance(MS).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_stands_in_line_comes_after_all_whose_sockets_had_something_before() {
        const CLIENTS: usize = 100;
        let in_line = async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (address, heard) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
            let mut clients = Vec::new();
            for _ in 0..CLIENTS {
                let (client, served) = tokio::join!(TcpStream::connect(address), listener.accept());
                let (mut served, heard) = (served.unwrap().0, Arc::clone(&heard));
                clients.push(client.unwrap().into_std().unwrap());
                tokio::spawn(async move {
                    served.read_u8().await.unwrap();
                    heard.fetch_add(1, Ordering::Relaxed);
                });
            }
            // All of them wait by then.
            tokio::time::sleep(50 * MS).await;
            clients.iter_mut().for_each(|client| client.write_all(b"?").unwrap());
            Readers::default().stand_in_line(Instant::now()).await;
            heard.load(Ordering::Relaxed)
        };
        assert_eq!(tokio::spawn(in_line).await.unwrap(), CLIENTS);
    }
}
