//! The background thread: it wakes when something was written and does upkeep until there is none.
//!
//! Invariant: everything it does is a step that a test can drive without it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use storage::sync::thread::{Builder, JoinHandle};
use storage::sync::{Condvar, Mutex};

use crate::error::{Error, ErrorKind, Result};
use crate::maintain;
use crate::scrub::{Scrub, scrub_due};
use crate::state::EnvironmentState;
use crate::step::Step;

/// Wakes the worker.
#[derive(Clone, Default)]
pub(crate) struct Bell {
    rung: Arc<(Mutex<Signal>, Condvar)>,
}

#[derive(Default)]
struct Signal {
    rung: bool,
    stop: bool,
}

impl Bell {
    pub fn ring(&self) {
        self.rung.0.lock().rung = true;
        self.rung.1.notify_one();
    }

    fn stop(&self) {
        self.rung.0.lock().stop = true;
        self.rung.1.notify_one();
    }

    /// Waits for a ring or for `IDLE`; `false` once stopped.
    fn wait(&self) -> bool {
        let mut signal = self.rung.0.lock();
        if !signal.rung && !signal.stop {
            self.rung.1.wait_for(&mut signal, IDLE);
        }
        signal.rung = false;
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

/// The thread, stopped and joined when dropped.
pub(crate) struct Worker {
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread.
    #[allow(clippy::disallowed_methods, reason = "the one thread that the engine starts by itself")]
    pub fn start(open: Open, bell: Bell) -> Result<Self> {
        let its_bell = bell.clone();
        let thread = Builder::new()
            .name("lethedb-upkeep".into())
            .spawn(move || run(&open, &its_bell))
            .map_err(|e| Error::with(ErrorKind::Io, "the background thread cannot be started", e))?;
        Ok(Self { bell, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.bell.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the background thread ended in a panic");
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

fn run(open: &Open, bell: &Bell) {
    while bell.wait() {
        let environments: Vec<Arc<EnvironmentState>> = open.lock().iter().filter_map(Weak::upgrade).collect();
        for env in environments {
            while !bell.stopped() {
                match maintain::step(&env) {
                    Ok(Step::Idle) => {
                        scrub(&env, bell);
                        break;
                    }
                    Ok(step) => tracing::debug!(?step, "upkeep"),
                    Err(error) => {
                        tracing::warn!(%error, "upkeep failed and will be tried again");
                        break;
                    }
                }
            }
        }
    }
}
