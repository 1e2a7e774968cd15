//! What all requests share: the database behind its seal, the limits, and the queue in front of the engine.
//!
//! Invariant: engine calls block, so they run on threads made for it, at most `requests_max` at once. The place in the
//! queue belongs to the work, not to the client: a client that hangs up frees nothing that still runs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::response::Response;
use engine::{Database, RootKey};
use hyper::body::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::error::{Problem, Refusal};
use super::lines;
use super::seal::Seal;
use crate::config::Config;
use crate::tokens::Keys;

/// The shared state; a cheap clone.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
}

struct Shared {
    seal: Arc<Seal>,
    config: Config,
    turns: Arc<Semaphore>,
    draining: AtomicBool,
    token_keys: Keys,
}

impl App {
    /// State for serving `database` within the limits of `config`.
    pub fn new(database: Database, config: Config) -> Self {
        Self::behind(Seal::broken(database), config, Keys::default())
    }

    /// The same, with the keys of tokens from elsewhere than the network.
    #[cfg(test)]
    pub fn with_keys(database: Database, config: Config, token_keys: Keys) -> Self {
        Self::behind(Seal::broken(database), config, token_keys)
    }

    /// State for a server that has no root key yet; `open` opens the database once shares gave one.
    pub fn sealed(open: impl Fn(RootKey) -> engine::Result<Database> + Send + Sync + 'static, config: Config) -> Self {
        let environment = config.store.environment.clone();
        Self::behind(Seal::new(open, environment), config, Keys::default())
    }

    fn behind(seal: Seal, config: Config, token_keys: Keys) -> Self {
        let turns = Arc::new(Semaphore::new(config.server.requests_max.clamp(1, Semaphore::MAX_PERMITS)));
        let (seal, draining) = (Arc::new(seal), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { seal, config, turns, draining, token_keys }) }
    }

    /// What stands before the database.
    pub fn seal(&self) -> &Arc<Seal> {
        &self.shared.seal
    }

    /// The keys that tokens of end users are signed with.
    pub fn token_keys(&self) -> &Keys {
        &self.shared.token_keys
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// From now on the server is not ready: it finishes what runs and goes.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Whether new requests are welcome.
    pub fn is_ready(&self) -> bool {
        !self.shared.draining.load(Ordering::Relaxed)
    }

    /// Runs `work` when its turn comes.
    ///
    /// # Errors
    /// `sealed` without a root key, `overloaded` if no turn came in time, `internal` if the work panicked, else what `work` says.
    pub async fn run(
        &self,
        work: impl FnOnce(&Database) -> Result<Response, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        let database = self.shared.seal.database()?.clone();
        let turn = self.turn().await?;
        let done = spawn_blocking(move || {
            let _turn = turn;
            work(&database)
        });
        done.await.unwrap_or_else(|_| Err(unfinished()))
    }

    /// Runs `work` when its turn comes, and sends the lines that it gives one after the other. The turn lasts until the
    /// last one is sent, or the client reads none for as long as it may take to send a body.
    ///
    /// # Errors
    /// Those of [`App::run`]. Once lines are being sent, an error breaks the connection.
    pub async fn stream<I: Iterator<Item = io::Result<Vec<u8>>>>(
        &self,
        work: impl FnOnce(&Database) -> Result<I, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        let (database, runtime) = (self.shared.seal.database()?.clone(), Handle::current());
        let turn = self.turn().await?;
        let patience = Duration::from_secs(self.shared.config.server.body_seconds);
        let (begun, has_begun) = oneshot::channel();
        spawn_blocking(move || {
            let _turn = turn;
            let lines = match work(&database) {
                Ok(lines) => lines,
                Err(problem) => return drop(begun.send(Err(problem))),
            };
            let (sender, response) = lines::answer();
            if begun.send(Ok(response)).is_err() {
                return;
            }
            for line in lines {
                let is_last = line.is_err();
                let sent = timeout(patience, sender.send(line.map(Bytes::from)));
                match runtime.block_on(sent) {
                    Ok(Ok(())) if !is_last => {}
                    // Dropping the sender would end the body as if it were whole.
                    Err(_) => return drop(sender.try_send(Err(io::ErrorKind::TimedOut.into()))),
                    _ => return,
                }
            }
        });
        has_begun.await.unwrap_or_else(|_| Err(unfinished()))
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let wait = Duration::from_secs(self.shared.config.server.wait_seconds);
        match timeout(wait, Arc::clone(&self.shared.turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Problem::new(Refusal::Overloaded, "no turn came within the waiting time; try again later")),
        }
    }
}

fn unfinished() -> Problem {
    Problem::new(Refusal::Internal, "the request was not finished")
}
