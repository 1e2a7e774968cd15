//! The seal of a server that was started without its root key: shares come in one after the other, and once they give the
//! key the database opens, for good.
//!
//! Invariant: one share is looked at at a time, and one that is wrong keeps the next one waiting, whether or not its
//! sender does. A share is wiped as soon as it was looked at, or with the others once they opened the database or did not.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::{Database, ErrorKind, Gathering, RootKey, Share};
use serde::Serialize;
use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::error::{Problem, Refusal};

/// How long a share that was wrong keeps the next one waiting.
pub const PAUSE: Duration = Duration::from_secs(1);

type Open = dyn Fn(RootKey) -> engine::Result<Database> + Send + Sync;

/// A database that may have to be unsealed first.
pub struct Seal {
    database: OnceLock<Database>,
    /// What opens it, and the environment that is to be there; nothing where it was open from the start.
    open: Option<(Box<Open>, String)>,
    gathering: Arc<Mutex<Gathering>>,
    is_broken: watch::Sender<bool>,
}

/// How far the unsealing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnsealAnswer {
    /// Shares that give the root key; null before the first is there, and once they gave it.
    pub needed: Option<u8>,
    /// Different shares given so far.
    pub given: usize,
    /// Whether the server still waits for shares.
    pub sealed: bool,
    /// Whether this very share was given already, so that nothing changed.
    pub given_before: bool,
}

impl Seal {
    /// None: the database is open.
    pub fn broken(database: Database) -> Self {
        let is_broken = watch::Sender::new(true);
        Self { database: OnceLock::from(database), open: None, gathering: Arc::default(), is_broken }
    }

    /// One that shares break; `open` opens the database with the root key that they gave. The environment `name` is made
    /// in it if there is none.
    pub fn new(open: impl Fn(RootKey) -> engine::Result<Database> + Send + Sync + 'static, name: String) -> Self {
        let (open, is_broken) = (Some((Box::new(open) as Box<Open>, name)), watch::Sender::new(false));
        Self { database: OnceLock::new(), open, gathering: Arc::default(), is_broken }
    }

    /// The database.
    ///
    /// # Errors
    /// `sealed`.
    pub fn database(&self) -> Result<&Database, Problem> {
        let how = "sealed; give shares with `lethedb keys unseal --server` or POST /v1/admin/keys/unseal";
        self.database.get().ok_or_else(|| Problem::new(Refusal::Sealed, how))
    }

    /// Ready once the database is there.
    pub async fn broken_open(&self) {
        // The sender lives as long as this does.
        _ = self.is_broken.subscribe().wait_for(|is_broken| *is_broken).await;
    }

    /// Forgets the shares that were given if it `resets`, then takes this one, if there is one.
    ///
    /// # Errors
    /// `overloaded` if others' shares were looked at for longer than `wait`; `invalid_share`, `wrong_share`; or what the
    /// opening of the database failed with.
    pub async fn take(
        self: &Arc<Self>,
        share: Option<Zeroizing<String>>,
        resets: bool,
        wait: Duration,
    ) -> Result<UnsealAnswer, Problem> {
        let turn = timeout(wait, Arc::clone(&self.gathering).lock_owned()).await;
        let mut gathering =
            turn.map_err(|_| Problem::new(Refusal::Overloaded, "other shares are being looked at; try again later"))?;
        let seal = Arc::clone(self);
        // A task of its own: a sender who hangs up shortens nothing.
        let looking = tokio::spawn(async move {
            let looked = spawn_blocking(move || {
                let looked = seal.look(&mut gathering, share, resets);
                (gathering, looked)
            });
            let (_turn, looked) = looked.await.map_err(|_| unfinished())?;
            if looked.is_err() {
                sleep(PAUSE).await;
            }
            looked
        });
        looking.await.unwrap_or_else(|_| Err(unfinished()))
    }

    fn look(
        &self,
        gathering: &mut Gathering,
        share: Option<Zeroizing<String>>,
        resets: bool,
    ) -> Result<UnsealAnswer, Problem> {
        let Some((open, name)) = self.open.as_ref().filter(|_| self.database.get().is_none()) else {
            return Ok(UnsealAnswer { needed: None, given: 0, sealed: false, given_before: false });
        };
        if resets {
            *gathering = Gathering::default();
        }
        let has_share = share.is_some();
        let root_key = match share {
            Some(text) => {
                let share = Share::parse(&text).map_err(|e| Problem::new(Refusal::InvalidShare, e.to_string()))?;
                gathering.give(share).map_err(refused)?
            }
            None => None,
        };
        if let Some(root_key) = root_key {
            let database = open(root_key).and_then(|database| checked(database, name)).map_err(refused)?;
            _ = self.database.set(database);
            self.is_broken.send_replace(true);
            tracing::info!("unsealed: enough shares were given");
        }
        let sealed = self.database.get().is_none();
        let given_before = has_share && gathering.is_repeated();
        Ok(UnsealAnswer { needed: gathering.needed(), given: gathering.given(), sealed, given_before })
    }
}

/// The database, if the root key is that of all that is in it; else it is closed, for the next shares or another process.
fn checked(database: Database, name: &str) -> engine::Result<Database> {
    let found = database.check_root_key().and_then(|()| database.environment(name).map(drop));
    match found {
        Ok(()) => Ok(database),
        Err(error) => {
            _ = database.close();
            Err(error)
        }
    }
}

/// The problem of shares that do not open the database, told as what it is and not as a fault of the server.
fn refused(error: engine::Error) -> Problem {
    match error.kind() {
        ErrorKind::KeyUnavailable | ErrorKind::Conflict => {
            tracing::warn!(kind = error.kind().as_str(), "a share was refused");
            let again = "; if those before were wrong, begin again with {\"reset\": true} or --reset";
            Problem::new(Refusal::WrongShare, format!("{error}{again}"))
        }
        _ => error.into(),
    }
}

fn unfinished() -> Problem {
    Problem::new(Refusal::Internal, "the share was not looked at to the end")
}
