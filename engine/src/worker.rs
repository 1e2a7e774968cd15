//! The background threads: they wake when something was written. One does upkeep until there is none; the other flushes,
//! because the first may be at a compaction that takes minutes.
//!
//! Invariant: everything they do is a step that a test can drive without them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use storage::sync::thread::{Builder, JoinHandle};
use storage::sync::{Condvar, Mutex};

use crate::error::{Error, ErrorKind, Result};
use crate::maintain;
use crate::scrub::{Scrub, scrub_due};
use crate::state::EnvironmentState;
use crate::step::Step;

/// Wakes the threads.
#[derive(Clone, Default)]
pub(crate) struct Bell {
    rung: Arc<(Mutex<Signal>, Condvar)>,
}

#[derive(Default)]
struct Signal {
    /// How often it was rung.
    rings: u64,
    stop: bool,
}

impl Bell {
    pub fn ring(&self) {
        self.rung.0.lock().rings += 1;
        self.rung.1.notify_all();
    }

    fn stop(&self) {
        self.rung.0.lock().stop = true;
        self.rung.1.notify_all();
    }

    /// Waits until it has been rung more often than was `heard`, or for `IDLE`; `false` once stopped.
    fn wait(&self, heard: &mut u64) -> bool {
        let mut signal = self.rung.0.lock();
        if signal.rings == *heard && !signal.stop {
            self.rung.1.wait_for(&mut signal, IDLE);
        }
        *heard = signal.rings;
        !signal.stop
    }

    fn stopped(&self) -> bool {
        self.rung.0.lock().stop
    }
}

/// A step that failed, for example on a full disk, is tried again after this long at the latest.
const IDLE: Duration = Duration::from_secs(5);

/// The environments that are open.
pub(crate) type Open = Arc<Mutex<Vec<Weak<EnvironmentState>>>>;

/// The threads, stopped and joined when dropped.
pub(crate) struct Worker {
    bell: Bell,
    threads: Vec<JoinHandle<()>>,
}

impl Worker {
    /// Starts the threads.
    pub fn start(open: &Open, bell: &Bell) -> Result<Self> {
        let mut worker = Self { bell: bell.clone(), threads: Vec::new() };
        worker.spawn("lethedb-upkeep", open, upkeep)?;
        worker.spawn("lethedb-flush", open, flush)?;
        Ok(worker)
    }

    #[allow(clippy::disallowed_methods, reason = "the only threads that the engine starts by itself")]
    fn spawn(&mut self, name: &str, open: &Open, tend: fn(&EnvironmentState, &Bell)) -> Result<()> {
        let (open, bell) = (Arc::clone(open), self.bell.clone());
        let run = move || {
            let mut heard = 0;
            while bell.wait(&mut heard) {
                let environments: Vec<_> = open.lock().iter().filter_map(Weak::upgrade).collect();
                environments.iter().for_each(|env| tend(env, &bell));
            }
        };
        let thread = Builder::new()
            .name(name.into())
            .spawn(run)
            .map_err(|e| Error::with(ErrorKind::Io, "a background thread cannot be started", e))?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.bell.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a background thread ended in a panic");
            }
        }
    }
}

/// One segment at a time, so that a scrub never keeps upkeep waiting for long.
fn scrub(env: &EnvironmentState, bell: &Bell) {
    match scrub_due(env, &|| bell.stopped()) {
        Ok(Scrub::Idle) => {}
        Ok(found) => tracing::debug!(?found, "scrub"),
        Err(error) => tracing::warn!(%error, "a scrub failed and will be tried again"),
    }
}

/// The audit log is hashed anew, as long as a shift is.
fn patrol(env: &EnvironmentState, bell: &Bell) {
    let every_ms = env.shared.settings.audit_check_hours.saturating_mul(60 * 60 * 1000);
    let clock = &env.shared.clock;
    if let Err(error) = env.trail.patrol_due(every_ms, &|| clock.now_us(), &|| bell.stopped()) {
        tracing::warn!(%error, "the audit log could not be hashed anew and will be");
    }
}

fn upkeep(env: &EnvironmentState, bell: &Bell) {
    while !bell.stopped() {
        match maintain::step(env, &|| bell.stopped()) {
            Ok(Step::Idle) => {
                scrub(env, bell);
                return patrol(env, bell);
            }
            Ok(step @ Step::Overtaken) => return tracing::debug!(?step, "upkeep will be tried again"),
            Ok(step) => tracing::debug!(?step, "upkeep"),
            Err(error) if error.kind() == ErrorKind::Closed => return,
            Err(error) => return tracing::warn!(%error, "upkeep failed and will be tried again"),
        }
    }
}

fn flush(env: &EnvironmentState, bell: &Bell) {
    if !bell.stopped()
        && let Err(error) = maintain::flush_due(env)
    {
        tracing::warn!(%error, "a flush failed and will be tried again");
    }
}
