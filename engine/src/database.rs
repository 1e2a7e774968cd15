//! One data directory: its lock, its identity, its environments and the thread that keeps them tidy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use privacy::{AnchorStore, Grade, Scope};
use storage::anchor_dir::AnchorDir;
use storage::backend::{Dir, Disk, Latch, StorageBackend};
use storage::sync::Mutex;
use uuid::Uuid;

use crate::anchors::Anchors;
use crate::clock::{Clock, SystemClock};
use crate::door::{self, latched, missing, open_disk};
use crate::entropy::{Entropy, OsEntropy};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::health::Health;
use crate::home::{self, KeyHomes, Where};
use crate::identity::{self, ENVIRONMENTS};
use crate::keys::{Home, KEYRING};
use crate::name;
use crate::pages::Pages;
use crate::permit::Permit;
use crate::pool;
use crate::recover;
use crate::reserve::Reserve;
use crate::root_key::RootKey;
use crate::roots::Roots;
use crate::settings::Settings;
use crate::state::{EnvironmentState, Shared};
use crate::succession::{Predecessor, Succession};
use crate::takeover;
use crate::worker::{Bell, Open, Worker};

pub(crate) const ANCHORS: &str = "anchors";

/// How to open a database.
pub struct Builder {
    path: PathBuf,
    root_key: RootKey,
    settings: Settings,
    anchors: Vec<Where>,
    mirrors: Vec<Where>,
    create: bool,
    succession: Option<Succession>,
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

    /// Keeps the anchors in this directory instead of `anchors/` in the data directory; given again, in each of them.
    /// Put them on volumes that copies and backups of the data leave out: then an erasure reaches those too. Anchors that
    /// are still in the data directory move at the next opening.
    #[must_use]
    pub fn anchor_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.anchors.push(Where::Path(path.into()));
        self
    }

    /// As [`Builder::anchor_dir`], behind a backend.
    #[must_use]
    pub fn anchor_backend(mut self, backend: Arc<dyn StorageBackend>) -> Self {
        self.anchors.push(Where::Backend(backend));
        self
    }

    /// Mirrors every keyring into this directory; given again, into each. A mirror has what the data directory has
    /// before any of it is used, and takes its place where it is lost. Put it on another volume.
    #[must_use]
    pub fn keyring_mirror(mut self, path: impl Into<PathBuf>) -> Self {
        self.mirrors.push(Where::Path(path.into()));
        self
    }

    /// As [`Builder::keyring_mirror`], behind a backend.
    #[must_use]
    pub fn keyring_mirror_backend(mut self, backend: Arc<dyn StorageBackend>) -> Self {
        self.mirrors.push(Where::Backend(backend));
        self
    }

    /// A new directory becomes another home of a database that there are backups of, for [`Database::restore`].
    #[must_use]
    pub fn succeed(mut self, succession: Succession) -> Self {
        self.succession = Some(succession);
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
        let backend = self.data_dir()?;
        let volume = backend.volume();
        let dir = latched(backend, &latch);
        let existing = identity::read(&dir)?;
        if existing.is_none() && !self.create {
            return Err(missing(&self.path));
        }
        let there = existing.as_ref().map(|identity| identity.store);
        let store = self.succession.as_ref().map(|succession| succession.store(there)).transpose()?;
        let found = self.root_key.load(&*self.entropy, existing.is_none() && store.is_none())?;
        let lock = door::lock(&dir)?;
        let predecessor = self.succession.as_ref().map_or(Ok(None), |succession| succession.open(&latch))?;
        let identity = match existing {
            Some(identity) => identity::renew(&dir, identity)?,
            None => identity::make(&dir, store, &*self.entropy)?,
        };
        let reserve = Reserve::take(dir.clone(), self.settings.reserve_bytes)?;
        let open_home = |place: &Where| home::open(place, identity.store, volume, &latch);
        let anchors: Vec<home::Opened> = self.anchors.iter().map(open_home).collect::<Result<_>>()?;
        let mirrors: Vec<home::Opened> = self.mirrors.iter().map(open_home).collect::<Result<_>>()?;
        let homes = KeyHomes {
            anchors: anchors.iter().map(|opened| opened.home.clone()).collect(),
            mirrors: mirrors.iter().map(|opened| opened.home.clone()).collect(),
        };
        let anchor_dirs = anchors.iter().map(|opened| (opened.dir.clone(), opened.home.grade())).collect();
        let mirror_dirs = mirrors.iter().map(|opened| opened.dir.clone()).collect();
        let locks: Vec<_> = anchors.into_iter().chain(mirrors).map(|opened| opened.lock).chain([lock]).collect();
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
            lock: Mutex::new(Some(Box::new(locks))),
            homes,
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
                anchors: anchor_dirs,
                mirrors: mirror_dirs,
                store: identity.store,
                roots: Arc::new(Roots::new(found.key, None)),
                notice: found.notice,
                predecessor,
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
    /// Where anchors lie outside the data directory, and how far destruction reaches there.
    anchors: Vec<(Dir, Grade)>,
    mirrors: Vec<Dir>,
    store: Uuid,
    roots: Arc<Roots>,
    notice: Option<String>,
    predecessor: Option<Predecessor>,
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
            anchors: Vec::new(),
            mirrors: Vec::new(),
            create: true,
            succession: None,
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
            if self.inner.home(&name, &dir.sub(&name)).has_keyring()? {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Where it keeps anchors and mirrors of keyrings outside the data directory.
    pub fn key_homes(&self) -> &KeyHomes {
        &self.inner.shared.homes
    }

    /// The random name of the database.
    pub(crate) fn store(&self) -> Uuid {
        self.inner.store
    }

    /// The directory that its environments lived in before.
    pub(crate) fn predecessor(&self) -> Option<&Predecessor> {
        self.inner.predecessor.as_ref()
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
        if home.has_keyring()? {
            return recover::open(name, dir, home, &self.shared);
        }
        takeover::check_home(&dir)?;
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
        let store =
            |(dir, grade): (&Dir, Grade)| -> Arc<dyn AnchorStore> { Arc::new(AnchorDir::new(dir.clone(), grade)) };
        let inside = self.dir.sub(ANCHORS).sub(name);
        let outside: Vec<(Dir, Grade)> = self.anchors.iter().map(|(dir, grade)| (dir.sub(name), *grade)).collect();
        let anchors = if outside.is_empty() {
            Anchors { stores: vec![store((&inside, Grade::SameVolume))], left: Vec::new(), dirs: vec![inside] }
        } else {
            Anchors {
                stores: outside.iter().map(|(dir, grade)| store((dir, *grade))).collect(),
                left: vec![store((&inside, Grade::SameVolume))],
                dirs: outside.into_iter().map(|(dir, _)| dir).collect(),
            }
        };
        let mirrors = self.mirrors.iter().map(|mirror| mirror.sub(name));
        Home {
            pages: std::iter::once(dir.sub(KEYRING)).chain(mirrors).map(|dir| Pages { dir }).collect(),
            anchors,
            roots: Arc::clone(&self.roots),
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
