//! One data directory: its lock, its identity, its environments and the thread that keeps them tidy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use privacy::{AnchorStore, Grade, RootKey as Key, Scope};
use storage::anchor_dir::AnchorDir;
use storage::backend::{Dir, Disk, Latch, Latched, LockError, StorageBackend};
use storage::sync::Mutex;
use uuid::Uuid;

use crate::clock::{Clock, SystemClock};
use crate::entropy::{Entropy, OsEntropy};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::health::Health;
use crate::identity::{self, ENVIRONMENTS};
use crate::keys::{Home, KEYRING, Keys};
use crate::name;
use crate::permit::Permit;
use crate::pool;
use crate::recover;
use crate::reserve::Reserve;
use crate::root_key::RootKey;
use crate::settings::Settings;
use crate::state::{EnvironmentState, Shared};
use crate::worker::{Bell, Open, Worker};

const LOCK: &str = "LOCK";
pub(crate) const ANCHORS: &str = "anchors";

/// How to open a database.
pub struct Builder {
    path: PathBuf,
    root_key: RootKey,
    settings: Settings,
    anchor_dir: Option<PathBuf>,
    create: bool,
    backend: Option<Arc<dyn StorageBackend>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Builder {
    /// Where the root key comes from; [`RootKey::sources`] unless said otherwise.
    #[must_use]
    pub fn root_key(mut self, root_key: RootKey) -> Self {
        self.root_key = root_key;
        self
    }

    /// Limits and tuning.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Keeps the anchors in this directory instead of `anchors/` in the data directory. Put it on a volume
    /// that copies and backups of the data leave out: then an erasure reaches those too.
    #[must_use]
    pub fn anchor_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.anchor_dir = Some(path.into());
        self
    }

    /// Whether a missing store is made (the default) or `NotFound`.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Keeps the data behind this backend instead of the file system.
    #[must_use]
    pub fn backend(mut self, backend: Arc<dyn StorageBackend>) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Tells the time by this clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws keys and nonces from this source.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Opens the database, or makes it.
    ///
    /// # Errors
    /// `Busy` if another process holds it, naming its pid; `KeyUnavailable` without the right root key;
    /// `Unsupported` for a newer format; `NotFound` if there is none and none may be made.
    pub fn open(self) -> Result<Database> {
        let latch = Latch::default();
        let dir = latched(self.data_dir()?, &latch);
        let existing = identity::read(&dir)?;
        if existing.is_none() && !self.create {
            return Err(missing(&self.path));
        }
        let found = self.root_key.load(&*self.entropy, existing.is_none())?;
        let lock = dir.lock(LOCK).map_err(lock_error)?;
        let identity = match existing {
            Some(identity) => identity::renew(&dir, identity)?,
            None => identity::make(&dir, &*self.entropy)?,
        };
        let reserve = Reserve::take(dir.clone(), self.settings.reserve_bytes)?;
        let anchors = match &self.anchor_dir {
            Some(path) => (latched(open_disk(path)?, &latch), Grade::OtherVolume),
            None => (dir.sub(ANCHORS), Grade::SameVolume),
        };
        let threads = || {
            pool::start(self.settings.threads)
                .map_err(|e| Error::with(ErrorKind::Io, "the threads cannot be started", e))
        };
        let (pool, patient_pool) = (threads()?, threads()?);
        let background = self.settings.background;
        let shared = Arc::new(Shared {
            settings: self.settings,
            pool,
            patient_pool,
            closing: AtomicBool::new(false),
            clock: self.clock,
            entropy: self.entropy,
            lock: Mutex::new(Some(lock)),
            latch,
            reserve,
            scratch: Mutex::default(),
        });
        let (open, bell) = (Open::default(), Bell::default());
        let worker = if background { Some(Worker::start(&open, &bell)?) } else { None };
        Ok(Database {
            inner: Arc::new(Inner {
                worker: Mutex::new(worker),
                open,
                environments: Mutex::default(),
                path: self.path,
                dir,
                anchors,
                store: identity.store,
                root_key: Arc::new(found.key),
                notice: found.notice,
                shared,
                bell,
            }),
        })
    }

    fn data_dir(&self) -> Result<Arc<dyn StorageBackend>> {
        match &self.backend {
            Some(backend) => Ok(Arc::clone(backend)),
            None if self.create => open_disk(&self.path),
            None => Ok(Arc::new(Disk::open_existing(&self.path).map_err(|_| missing(&self.path))?)),
        }
    }
}

fn missing(path: &Path) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no database in {}", path.display()))
}

fn open_disk(path: &Path) -> Result<Arc<dyn StorageBackend>> {
    let disk =
        Disk::open(path).map_err(|e| Error::io(format!("the directory {} cannot be used", path.display()), e))?;
    Ok(Arc::new(disk))
}

/// The root of `backend`, which takes no more changes once one has an unknown outcome.
fn latched(backend: Arc<dyn StorageBackend>, latch: &Latch) -> Dir {
    Dir::root(Arc::new(Latched::new(backend, latch.clone())))
}

fn lock_error(error: LockError) -> Error {
    match error {
        LockError::Held { .. } => Error::with(ErrorKind::Busy, "the database is open elsewhere", error),
        LockError::Io(e) => Error::io("the database cannot be locked", e),
    }
}

/// An open database. Clones share it; it closes when the last handle is gone, or by [`Database::close`].
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    // Dropped first, so that no step runs while the rest goes.
    worker: Mutex<Option<Worker>>,
    open: Open,
    environments: Mutex<BTreeMap<String, Arc<EnvironmentState>>>,
    path: PathBuf,
    dir: Dir,
    anchors: (Dir, Grade),
    store: Uuid,
    root_key: Arc<Key>,
    notice: Option<String>,
    shared: Arc<Shared>,
    bell: Bell,
}

impl Database {
    /// Describes the database in the directory `path`.
    pub fn builder(path: impl Into<PathBuf>) -> Builder {
        Builder {
            path: path.into(),
            root_key: RootKey::sources(),
            settings: Settings::default(),
            anchor_dir: None,
            create: true,
            backend: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
        }
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// What the operator should be told once: that a root key was made, where, and to back it up.
    pub fn root_key_notice(&self) -> Option<&str> {
        self.inner.notice.as_deref()
    }

    /// The environment `name`, made if there is none.
    ///
    /// # Errors
    /// `Invalid` for a name that no environment can have; `KeyUnavailable`, `Corrupt`, `Unsupported` as its
    /// files are found to be, nothing on disk changed.
    pub fn environment(&self, name: &str) -> Result<Environment> {
        self.find(name, true)
    }

    /// The environment `name`.
    ///
    /// # Errors
    /// `NotFound` if there is none; otherwise as [`Database::environment`].
    pub fn open_environment(&self, name: &str) -> Result<Environment> {
        self.find(name, false)
    }

    /// The names of all environments, in order.
    pub fn environments(&self) -> Result<Vec<String>> {
        let dir = self.inner.dir.sub(ENVIRONMENTS);
        let mut names = Vec::new();
        for name in dir.list().map_err(|e| Error::io("the environments cannot be listed", e))? {
            if Keys::exists(&dir.sub(&name).sub(KEYRING))? {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Whether it takes writes now.
    pub fn health(&self) -> Health {
        Health::of(&self.inner.shared)
    }

    /// Stops background work and takes no more writes; every write that was answered is on disk already.
    /// Handles that are left answer `Closed` to writes.
    pub fn close(self) -> Result<()> {
        self.inner.shared.closing.store(true, Ordering::Release);
        *self.inner.worker.lock() = None;
        let environments = self.inner.environments.lock();
        // What runs ends first: what is built aside holds `building`, a rewrite `maintenance`, a collection being made
        // `structure`, a write that is being logged the queue.
        let _builds: Vec<_> = environments.values().map(|env| env.building.lock()).collect();
        let _rewrites: Vec<_> = environments.values().map(|env| env.maintenance.lock()).collect();
        let _changes: Vec<_> = environments.values().map(|env| env.structure.lock()).collect();
        let queues: Vec<_> = environments.values().map(|env| env.queue.lock()).collect();
        let synced = queues.iter().try_for_each(|queue| queue.sync());
        *self.inner.shared.lock.lock() = None;
        synced
    }

    fn find(&self, name: &str, create: bool) -> Result<Environment> {
        self.enter(name, || self.inner.open_state(name, create))
    }

    /// The environments that are open in this process; waits for nobody who is opening one.
    pub(crate) fn entered(&self) -> Vec<Arc<EnvironmentState>> {
        self.inner.open.lock().iter().filter_map(std::sync::Weak::upgrade).collect()
    }

    /// Where the environment `name` lives, and what it shares with the others.
    pub(crate) fn place(&self, name: &str) -> (Dir, Home, &Arc<Shared>) {
        let dir = self.inner.dir.sub(ENVIRONMENTS).sub(name);
        let home = self.inner.home(name, &dir);
        (dir, home, &self.inner.shared)
    }

    /// The environment `name`, opened by `open` if it is not open yet.
    pub(crate) fn enter(&self, name: &str, open: impl FnOnce() -> Result<EnvironmentState>) -> Result<Environment> {
        name::check(name, "environment")?;
        let inner = &self.inner;
        let mut environments = inner.environments.lock();
        if inner.shared.lock.lock().is_none() {
            return Err(Error::new(ErrorKind::Closed, "the database was closed"));
        }
        let state = match environments.get(name) {
            Some(state) => Arc::clone(state),
            None => {
                let state = Arc::new(open()?);
                environments.insert(name.to_owned(), Arc::clone(&state));
                inner.open.lock().push(Arc::downgrade(&state));
                state
            }
        };
        Ok(Environment { state, permit: Permit::trusted_host(), bell: inner.bell.clone() })
    }
}

impl Inner {
    fn open_state(&self, name: &str, create: bool) -> Result<EnvironmentState> {
        let dir = self.dir.sub(ENVIRONMENTS).sub(name);
        let home = self.home(name, &dir);
        if Keys::exists(&home.dir)? {
            return recover::open(name, dir, home, &self.shared);
        }
        let has_data = !dir
            .sub(storage::recovery::SEGMENTS)
            .list()
            .map_err(|e| Error::io("the environment cannot be listed", e))?
            .is_empty();
        if has_data {
            return Err(Error::new(
                ErrorKind::KeyUnavailable,
                "the environment has data but no keyring; restore its keyring directory",
            ));
        }
        if !create {
            return Err(Error::new(ErrorKind::NotFound, "there is no environment of this name"));
        }
        recover::create(name, dir, home, &self.shared)
    }

    fn home(&self, name: &str, dir: &Dir) -> Home {
        let (anchors, grade) = &self.anchors;
        let anchors_dir = anchors.sub(name);
        let store: Arc<dyn AnchorStore> = Arc::new(AnchorDir::new(anchors_dir.clone(), *grade));
        Home {
            dir: dir.sub(KEYRING),
            anchors: vec![store],
            anchors_dir,
            root_key: Arc::clone(&self.root_key),
            scope: Scope::new(self.store.into_bytes(), name),
            entropy: Arc::clone(&self.shared.entropy),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The worker first: it may hold environments.
        *self.worker.lock() = None;
    }
}
