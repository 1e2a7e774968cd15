//! The system's room: the API keys and roles of a database, and the audit log of what was done about them.
//!
//! Invariant: it is an environment without collections, under a name that none for data can have: the same keyring,
//! manifest, journals and audit log, sealed and recovered in the same way. The book in memory is what the journal says; a change counts once
//! the journal is synced, and whoever asks after that goes by it. There is no room before the first key.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use privacy::Pepper;
use privacy::access::{ApiKey, ApiKeyId, Book, Grant, Permissions, Refused};
use privacy::audit::{Act, Actor, Name, Outcome};
use storage::backend::Dir;
use storage::journal::{Journal, Subject};
use storage::sync::{Mutex, RwLock};

use crate::error::{Error, ErrorKind, Result};
use crate::journals::{read, senseless};
use crate::keys::Home;
use crate::permit::Permit;
use crate::recover;
use crate::state::{EnvironmentState, Shared};

/// What it is called where environments have names: no other begins so.
pub(crate) const SYSTEM: &str = "_system";
/// Its directory.
pub(crate) const SYSTEM_DIR: &str = "system";

const DAY_MS: u64 = 86_400_000;
const MINUTE_MS: u64 = 60_000;

/// The room, open.
pub(crate) struct System {
    pub env: Arc<EnvironmentState>,
    /// One change at a time.
    journal: Mutex<Journal>,
    book: RwLock<Book>,
    pepper: Pepper,
    /// When each key was last told to have been refused: once a minute is enough to be noticed.
    refusals: Mutex<BTreeMap<ApiKeyId, u64>>,
}

impl System {
    /// Opens the room in `dir`, or makes it.
    pub fn open(dir: Dir, home: Home, shared: &Arc<Shared>, is_there: bool) -> Result<System> {
        let env = match is_there {
            true => recover::open(SYSTEM, dir, home, shared)?,
            false => recover::create(SYSTEM, dir, home, shared)?,
        };
        let (book, mark) = {
            let manifest = env.manifest.lock();
            let frames = read(&env.dir, &env.keys, &manifest, Subject::Access)?;
            // Every frame holds all of it.
            let decoded = frames.last().map_or(Ok(Book::default()), |plain| Book::decode(plain));
            (decoded.map_err(|_| senseless(Subject::Access, &manifest))?, manifest.journal(Subject::Access))
        };
        let pepper = env.keys.read().pepper();
        Ok(System {
            env: Arc::new(env),
            journal: Mutex::new(Journal::resume(Subject::Access, mark)),
            book: RwLock::new(book),
            pepper,
            refusals: Mutex::default(),
        })
    }

    /// What secrets are hashed under.
    pub fn pepper(&self) -> &Pepper {
        &self.pepper
    }

    /// Looks into the book.
    pub fn look<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&self.book.read())
    }

    /// Whether keys are asked for: from the first one on, whatever became of it.
    pub fn is_locked(&self) -> bool {
        !self.look(Book::is_empty)
    }

    /// The grant of a key that is to be let in, and what it permits.
    ///
    /// # Errors
    /// `Denied`, which does not say why: whoever shows a key that is not good learns nothing of the one that is.
    pub fn admit(&self, key: &ApiKey, from: Option<IpAddr>) -> Result<(Grant, Permissions)> {
        let now_ms = self.env.shared.clock.now_ms();
        let admitted = self.look(|book| {
            let grant = book.admit(key, &self.pepper, now_ms, from)?;
            Ok::<_, Refused>((grant.clone(), book.permissions(grant)))
        });
        match admitted {
            Ok((grant, permissions)) => {
                self.note_use(&grant, now_ms / DAY_MS);
                Ok((grant, permissions))
            }
            Err(refused) => {
                tracing::warn!(?refused, "an API key was refused");
                self.tell_refused(key, from, now_ms);
                Err(Error::new(ErrorKind::Denied, "the API key is unknown, revoked, expired, or not for this address"))
            }
        }
    }

    /// Changes the book: told, synced, and then so.
    pub fn change<T>(&self, permit: &Permit, act: Act, change: impl FnOnce(&mut Book) -> Result<T>) -> Result<T> {
        let mut changed = None;
        self.change_if(permit, |book| {
            changed = Some(change(book)?);
            Ok(Some(act))
        })?;
        changed.ok_or_else(|| Error::corrupt("a change of the book of API keys came to nothing"))
    }

    /// The same, where what is told comes of the change; nothing changes if that is nothing.
    pub fn change_if(&self, permit: &Permit, change: impl FnOnce(&mut Book) -> Result<Option<Act>>) -> Result<()> {
        let mut journal = self.journal.lock();
        self.env.check_open()?;
        let mut book = self.book.read().clone();
        let Some(act) = change(&mut book)? else { return Ok(()) };
        let bytes = book.encode();
        self.env.told(permit, act, || self.env.write_down((&mut journal, Subject::Access), &bytes, &bytes))?;
        *self.book.write() = book;
        Ok(())
    }

    /// Notes that a key was used today, the first time on a day. That it could not be noted keeps nobody out.
    fn note_use(&self, grant: &Grant, day: u64) {
        if grant.used_day.is_some_and(|used| used >= day) {
            return;
        }
        let mut journal = self.journal.lock();
        let mut book = self.book.read().clone();
        if !book.note_use(&grant.id, day) {
            return;
        }
        let bytes = book.encode();
        let noted = self.env.check_open();
        match noted.and_then(|()| self.env.write_down((&mut journal, Subject::Access), &bytes, &bytes)) {
            Ok(()) => *self.book.write() = book,
            Err(error) => tracing::warn!(%error, "the day on which an API key was used is not noted"),
        }
    }

    /// Tells that a key which is there was refused. Of others there is nobody to name.
    fn tell_refused(&self, key: &ApiKey, from: Option<IpAddr>, now_ms: u64) {
        let id = key.id();
        if self.look(|book| book.grant(&id).is_none()) {
            return;
        }
        let minute = now_ms / MINUTE_MS;
        if self.refusals.lock().insert(id, minute) == Some(minute) {
            return;
        }
        let (Ok(key), Ok(permission)) = (Name::new(id.as_str()), Name::new("authorize")) else { return };
        let mut entry = self.env.entry(&Permit::engine(), Act::AccessDenied { permission }, Outcome::Denied);
        entry.actor = Actor::ApiKey { key, address: from };
        if let Err(error) = self.env.append(vec![entry]) {
            tracing::warn!(%error, "the audit log does not tell that an API key was refused");
        }
    }
}
