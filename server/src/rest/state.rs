//! What all requests share: the database behind its seal, the limits, and the queue in front of the engine.
//!
//! Invariant: engine calls block, so they run on threads made for it, at most `requests_max` at once and `searches_max`
//! beside them; but for searches of which the engine tells beforehand that they are short and wait for nothing. The turn belongs to the work, not to the client: a client that hangs up frees nothing that still runs.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;
use std::time::Duration;

use axum::response::Response;
use engine::{Clock, Database, RootKey, SystemClock};
use hyper::body::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::error::{Problem, Refusal};
use super::leeway::Leeway;
use super::lines;
use super::metrics::Metrics;
use super::once::Once;
use super::pantry::Pantry;
use super::purses::Purses;
use super::queue::{Crowded, Lane};
use super::readers::Readers;
use super::regulars::Regulars;
use super::seal::Seal;
use super::shares::Shares;
use super::turns::{Kind, Lost, Turns, Waiting};
use super::visit::Visit;
use crate::config::Config;
use crate::telemetry::{Stage, Stopwatch, Traces};
use crate::tokens::{Https, Keys, Reach};

/// Of an answer that is sent while it is read, so many bytes a second keep the turn.
const LINES_BYTES_A_SECOND: u32 = 256 << 10;
/// Requests that work in the engine at once for each core, if the settings do not say: one that waits for the disk leaves its
/// core to others.
const REQUESTS_A_CORE: usize = 4;
/// Searches that work in the engine at once for each core, if the settings do not say: they wait for nothing, so that more
/// of them would only take longer each, and take the core from the threads that read and write sockets.
const SEARCHES_A_CORE: usize = 1;

/// The shared state; a cheap clone.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
}

struct Shared {
    seal: Arc<Seal>,
    config: Config,
    turns: Arc<Turns>,
    searches: Arc<Turns>,
    regulars: Regulars,
    readers: Arc<Readers>,
    shares: Shares,
    pantry: Arc<Pantry>,
    purses: Purses,
    metrics: Metrics,
    draining: watch::Sender<bool>,
    token_keys: Keys,
    once: Once,
    traces: OnceLock<Traces>,
}

impl App {
    /// State for serving `database` within the limits of `config`.
    pub fn new(database: Database, config: Config) -> Self {
        let token_keys = over_https(&config);
        Self::behind(Seal::broken(database), config, token_keys)
    }

    /// The same, with the keys of tokens from elsewhere than the network.
    #[cfg(test)]
    pub fn with_keys(database: Database, config: Config, token_keys: Keys) -> Self {
        Self::behind(Seal::broken(database), config, token_keys)
    }

    /// State for a server that has no root key yet; `open` opens the database once shares gave one.
    pub fn sealed(open: impl Fn(RootKey) -> engine::Result<Database> + Send + Sync + 'static, config: Config) -> Self {
        let (environment, token_keys) = (config.store.environment.clone(), over_https(&config));
        Self::behind(Seal::new(open, environment), config, token_keys)
    }

    fn behind(seal: Seal, config: Config, token_keys: Keys) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let patience = Duration::from_millis(config.limits.standing_ms);
        let turns = |max, a_core| {
            let places = if max == 0 { a_core * cores } else { max };
            Turns::new(places, config.limits.waiting_max, patience)
        };
        let turns_of_any = turns(config.server.requests_max, REQUESTS_A_CORE);
        let searches = turns(config.server.searches_max, SEARCHES_A_CORE);
        let pantry = Pantry::new(config.limits.bodies_bytes_max);
        let (limits, clock): (_, Arc<dyn Clock>) = (&config.limits, Arc::new(SystemClock));
        let once = Once::new(Arc::clone(&clock));
        let purses = Purses::new(limits, &clock);
        let (seal, regulars, metrics) = (Arc::new(seal), Regulars::default(), Metrics::default());
        let (readers, shares) = (Arc::default(), Shares::default());
        let (draining, traces) = (watch::Sender::new(false), OnceLock::new());
        let shared = Shared {
            seal,
            config,
            turns: turns_of_any,
            searches,
            regulars,
            readers,
            shares,
            pantry,
            purses,
            metrics,
            draining,
            token_keys,
            once,
            traces,
        };
        Self { shared: Arc::new(shared) }
    }

    /// What stands before the database.
    pub fn seal(&self) -> &Arc<Seal> {
        &self.shared.seal
    }

    /// The keys that tokens of end users are signed with.
    pub fn token_keys(&self) -> &Keys {
        &self.shared.token_keys
    }

    /// What was answered to writes that carry a key.
    pub fn once(&self) -> &Once {
        &self.shared.once
    }

    /// From now on requests are traced.
    pub fn trace(&self, traces: Traces) {
        // Whoever comes second would be told nothing that the first is not.
        _ = self.shared.traces.set(traces);
    }

    /// Where spans go, if anywhere.
    pub fn traces(&self) -> Option<&Traces> {
        self.shared.traces.get()
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// From now on the server is not ready: it finishes what runs and goes.
    pub fn drain(&self) {
        self.shared.draining.send_replace(true);
    }

    /// Whether new requests are welcome.
    pub fn is_ready(&self) -> bool {
        !*self.shared.draining.borrow()
    }

    /// Ready once they no longer are: what would go on for as long as its client likes ends then.
    pub async fn drained(&self) {
        // The sender lives as long as this does.
        _ = self.shared.draining.subscribe().wait_for(|is_draining| *is_draining).await;
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// How many requests wait for a turn.
    pub fn waiting(&self) -> usize {
        self.shared.turns.waiting() + self.shared.searches.waiting()
    }

    /// Who was let in lately.
    pub fn regulars(&self) -> &Regulars {
        &self.shared.regulars
    }

    /// Whether requests come in faster than these get to them, so that who comes waits for longer than they should, and those
    /// of `lane` are not fewer than others.
    pub fn is_behind(&self, lane: &Lane) -> bool {
        let (wait, most) = (self.shared.readers.wait(), Duration::from_millis(self.shared.config.limits.standing_ms));
        !most.is_zero() && !wait.is_zero() && self.shared.shares.count(lane) && wait > most
    }

    /// The memory that bodies take.
    pub fn pantry(&self) -> &Arc<Pantry> {
        &self.shared.pantry
    }

    /// Has the running request pay `units`, before anything is done for it.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn charge(&self, units: u32) -> Result<(), Problem> {
        Visit::current().map_or(Ok(()), |visit| self.shared.purses.charge(&visit, units))
    }

    /// Has the running request, which was let in, pay `units` for what its head did not tell, or owe them.
    ///
    /// # Errors
    /// `rate_limited`, if its caller owes too much already.
    pub fn owe(&self, units: u32) -> Result<(), Problem> {
        Visit::current().map_or(Ok(()), |visit| self.shared.purses.owe(&visit, units))
    }

    /// What callers may spend.
    pub fn purses(&self) -> &Purses {
        &self.shared.purses
    }

    /// The turns of searches, or of everything else.
    pub fn turns_of(&self, searches: bool) -> &Arc<Turns> {
        if searches { &self.shared.searches } else { &self.shared.turns }
    }

    /// Runs `work`, which may wait for the disk, when its turn comes.
    ///
    /// # Errors
    /// `sealed` without a root key, `overloaded` if no turn came in time, `internal` if the work panicked, else what `work` says.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.turn(&self.shared.turns, Kind::Any, work).await
    }

    /// The same for work of a route that [`is_search`](super::route::is_search).
    ///
    /// # Errors
    /// Those of [`App::run`].
    pub async fn search<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.turn(&self.shared.searches, Kind::Any, work).await
    }

    /// Of what kind a search is of which `is_short` says whether it is short and waits for nothing, where those are done by
    /// the threads that read sockets.
    ///
    /// # Errors
    /// `sealed` without a root key.
    pub fn kind(&self, is_short: impl FnOnce(&Database) -> bool) -> Result<Kind, Problem> {
        let is_short = self.shared.config.server.searches_inline && is_short(self.shared.seal.database()?);
        Ok(if is_short { Kind::Short } else { Kind::Any })
    }

    /// Runs `work` of this `kind` at a turn of these.
    ///
    /// # Errors
    /// Those of [`App::run`].
    pub async fn turn<T: Send + 'static>(
        &self,
        turns: &Arc<Turns>,
        kind: Kind,
        work: impl FnOnce(&Database) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let database = self.shared.seal.database()?.clone();
        let (tell, told) = oneshot::channel();
        let mut stopwatch = Stopwatch::start();
        let waiting = turns.enter(lane(), kind, move || {
            stopwatch.lap(Stage::Turn);
            let done = work(&database);
            stopwatch.lap(Stage::Engine);
            _ = tell.send(done);
        });
        self.heard(waiting, told).await?
    }

    /// Runs `work` when its turn comes, and sends the lines that it gives one after the other. The turn lasts until the
    /// last one is sent, or the client reads too slowly: it may keep the turn waiting for as long as it may take to send a
    /// body, and for what it took at the pace of [`LINES_BYTES_A_SECOND`].
    ///
    /// # Errors
    /// Those of [`App::run`]. Once lines are being sent, an error breaks the connection.
    pub async fn stream<I: Iterator<Item = io::Result<Vec<u8>>>>(
        &self,
        work: impl FnOnce(&Database) -> Result<I, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        let (database, runtime) = (self.shared.seal.database()?.clone(), Handle::current());
        let patience = Duration::from_secs(self.shared.config.server.body_seconds);
        let (begun, has_begun) = oneshot::channel();
        let mut stopwatch = Stopwatch::start();
        let waiting = self.shared.turns.enter(lane(), Kind::Any, move || {
            stopwatch.lap(Stage::Turn);
            let lines = work(&database);
            stopwatch.lap(Stage::Engine);
            let lines = match lines {
                Ok(lines) => lines,
                Err(problem) => return drop(begun.send(Err(problem))),
            };
            let (sender, ending, response) = lines::answer();
            if begun.send(Ok(response)).is_err() {
                return;
            }
            let mut leeway = Leeway::new(patience, LINES_BYTES_A_SECOND);
            for line in lines {
                let line = match line {
                    Ok(line) => Bytes::from(line),
                    Err(broken) => return ending.broke_off(Err(broken)),
                };
                let (bytes, begun) = (line.len(), SystemClock.steady_ms());
                let sent = runtime.block_on(timeout(leeway.left(), sender.send(Ok(line))));
                leeway.spend(Duration::from_millis(SystemClock.steady_ms() - begun), bytes);
                match sent {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(_) => return ending.broke_off(Err(io::ErrorKind::TimedOut.into())),
                }
            }
            ending.whole();
        });
        self.heard(waiting, has_begun).await?
    }

    /// What work tells that waits for its turn.
    async fn heard<T>(&self, waiting: Result<Waiting, Crowded>, told: oneshot::Receiver<T>) -> Result<T, Problem> {
        let wait = Duration::from_secs(self.shared.config.server.wait_seconds);
        let waiting = waiting.map_err(|Crowded| crowded())?;
        waiting.hear(told, wait).await.map_err(|lost| match lost {
            Lost::SentAway => {
                overloaded("others, who asked for less or only now, were let in instead; try again later")
            }
            Lost::Late => overloaded("no turn came within the waiting time; try again later"),
            Lost::Broken => Problem::new(Refusal::Internal, "the request was not finished"),
        })
    }
}

/// What who comes to a lane is told that is too long.
pub fn crowded() -> Problem {
    overloaded("too many requests of this environment wait; try again later")
}

fn overloaded(detail: &str) -> Problem {
    Problem::new(Refusal::Overloaded, detail)
}

/// Keys from the network, as far as the settings reach.
fn over_https(config: &Config) -> Keys {
    Keys::new(Box::new(Https(Reach::new(&config.server.private_issuers))), Arc::new(SystemClock))
}

/// Where the running request waits.
fn lane() -> Lane {
    Visit::current().map_or_else(|| "".into(), |visit| visit.lane)
}
