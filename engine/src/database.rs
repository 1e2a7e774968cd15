//! One data directory: its lock, its identity, its environments and the thread that keeps them tidy.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use privacy::audit::Act;
use privacy::{AnchorStore, Grade, RootKeySource, Scope};
use storage::anchor_dir::AnchorDir;
use storage::backend::{Dir, Disk, Latch};
use storage::sync::Mutex;
use uuid::Uuid;

use crate::anchors::Anchors;
use crate::builder::Builder;
use crate::entrance::Entrance;
use crate::environment::Environment;
use crate::environments::Environments;
use crate::error::{Error, ErrorKind, Result};
use crate::health::Health;
use crate::home::{Homes, KeyHome, KeyHomes, Owner};
use crate::identity::{self, ENVIRONMENTS};
use crate::keys::{Home, KEYRING};
use crate::name;
use crate::pages::Pages;
use crate::permit::Permit;
use crate::pool;
use crate::recover;
use crate::reserve::Reserve;
use crate::root_key::{RootKey, Sought};
use crate::roots::Roots;
use crate::state::{Approver, EnvironmentState, Shared};
use crate::succession::Predecessor;
use crate::system::{SYSTEM, SYSTEM_DIR, System};
use crate::takeover;
use crate::trail::SinkPlace;
use crate::worker::{Bell, Open, Worker};

pub(crate) const ANCHORS: &str = "anchors";

impl Builder {
    /// Opens the database, or makes it.
    ///
    /// # Errors
    /// `Busy` if another process holds it, naming its pid; `KeyUnavailable` without the right root key;
    /// `Unsupported` for a newer format; `NotFound` if there is none and none may be made.
    pub fn open(self) -> Result<Database> {
        let latch = Latch::default();
        let Entrance { dir, volume, store, found, roots, predecessor, lock } = self.enter(&latch)?;
        let reserve = Reserve::take(dir.clone(), self.settings.reserve_bytes)?;
        let owner = Owner { store, volume, latch: &latch, entropy: &*self.entropy };
        let homes = Homes::open(&self.anchors, &self.mirrors, &owner)?;
        let (anchors, mirrors, told) = (homes.anchors, homes.mirrors, homes.told);
        let locks = (homes.locks, lock);
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
            homes: told,
            latch,
            reserve,
            scratch: Mutex::default(),
            approver: OnceLock::new(),
            audit_sink: self.audit_sink.map(SinkPlace::new),
        });
        let (open, bell) = (Open::default(), Bell::default());
        let worker = if background { Some(Worker::start(&open, &bell)?) } else { None };
        let database = Database {
            inner: Arc::new(Inner {
                worker: Mutex::new(worker),
                environments: Environments::new(&shared, &open),
                system: Mutex::default(),
                path: self.path,
                dir,
                anchors,
                mirrors,
                store,
                roots: Arc::new(roots),
                source: found.source,
                rotation: Mutex::new(()),
                gives_up_missing: self.gives_up_missing,
                notice: found.notice,
                predecessor,
                shared,
                bell,
            }),
        };
        database.approve_critical_operations();
        Ok(database)
    }
}

/// An open database. Clones share it; it closes when the last handle is gone, or by [`Database::close`].
#[derive(Clone)]
pub struct Database {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    // Dropped first, so that no step runs while the rest goes.
    worker: Mutex<Option<Worker>>,
    environments: Environments,
    /// API keys and roles, once somebody asked for them and they are there.
    system: Mutex<Option<Arc<System>>>,
    path: PathBuf,
    pub(crate) dir: Dir,
    /// Where anchors lie outside the data directory, and how far destruction reaches there.
    anchors: Vec<(Dir, KeyHome)>,
    mirrors: Vec<(Dir, KeyHome)>,
    pub(crate) store: Uuid,
    pub(crate) roots: Arc<Roots>,
    pub(crate) source: RootKeySource,
    /// One rotation of the root key, or change of its wrapping, at a time.
    pub(crate) rotation: Mutex<()>,
    gives_up_missing: bool,
    notice: Option<String>,
    predecessor: Option<Predecessor>,
    pub(crate) shared: Arc<Shared>,
    bell: Bell,
}

impl Database {
    /// Describes the database in the directory `path`.
    pub fn builder(path: impl Into<PathBuf>) -> Builder {
        Builder::new(path.into())
    }

    /// Whether there is a database in the directory `path`. Takes no lock, needs no key, and changes nothing.
    ///
    /// # Errors
    /// `Corrupt` or `Unsupported` as its identity is found to be.
    pub fn exists(path: &Path) -> Result<bool> {
        let Ok(disk) = Disk::open_existing(path) else { return Ok(false) };
        Ok(identity::read(&Dir::root(Arc::new(disk)))?.is_some())
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

    /// Whether the environment `name` is open in this process, as it is from its first use on until the database closes:
    /// [`Database::open_environment`] waits for nothing then.
    pub fn is_open(&self, name: &str) -> bool {
        self.inner.environments.get(name).is_ok_and(|found| found.is_some())
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

    /// The environments in use whose audit log is not what was told, as far as the background thread has found.
    pub fn audit_faults(&self) -> Vec<String> {
        let faulty = |env: &Arc<EnvironmentState>| env.trail.watch().fault.map(|_| env.name.clone());
        self.entered().iter().filter_map(faulty).collect()
    }

    /// Stops background work and takes no more writes; every write that was answered is on disk already.
    /// Handles that are left answer `Closed` to writes.
    pub fn close(self) -> Result<()> {
        self.inner.shared.closing.store(true, Ordering::Release);
        *self.inner.worker.lock() = None;
        let _last = self.inner.environments.opening.lock();
        let mut environments = self.inner.environments.by_name.lock();
        if let Some(system) = &*self.inner.system.lock() {
            environments.insert(SYSTEM.to_owned(), Arc::clone(&system.env));
        }
        // What runs ends first: what is built aside holds `building`, a rewrite `maintenance`, a collection being made
        // `structure`, a write that is being logged the queue.
        let _builds: Vec<_> = environments.values().map(|env| env.building.lock()).collect();
        let _rewrites: Vec<_> = environments.values().map(|env| env.maintenance.lock()).collect();
        let _changes: Vec<_> = environments.values().map(|env| env.structure.lock()).collect();
        let queues: Vec<_> = environments.values().map(|env| env.queue.lock()).collect();
        let synced = queues.iter().try_for_each(|queue| queue.sync());
        for env in environments.values() {
            // What is not told is in the log of writes, and is told at the next opening.
            if let Err(error) = env.tell_counts().and(env.trail.close()) {
                tracing::warn!(%error, "the audit log is not signed for at its end");
            }
        }
        *self.inner.shared.lock.lock() = None;
        synced
    }

    /// Has environments ask here whether others approved. A handle that outlives its database is not answered.
    fn approve_critical_operations(&self) {
        let inner = Arc::downgrade(&self.inner);
        let approver: Approver = Box::new(move |permit, environment, critical, does| {
            let closed = || Error::new(ErrorKind::Closed, "the database was closed: nobody can say who has to approve");
            let inner = inner.upgrade().ok_or_else(closed)?;
            Database { inner }.approve(permit, environment, critical, does)
        });
        // It is set once, here.
        _ = self.inner.shared.approver.set(approver);
    }

    fn find(&self, name: &str, create: bool) -> Result<Environment> {
        self.enter(name, || self.inner.open_state(name, create))
    }

    /// The environments that are open in this process; waits for nobody who is opening one.
    pub(crate) fn entered(&self) -> Vec<Arc<EnvironmentState>> {
        self.inner.environments.all()
    }

    /// The room of API keys and roles, made if there is none and it is `wanted`.
    pub(crate) fn system(&self, wanted: bool) -> Result<Option<Arc<System>>> {
        let inner = &self.inner;
        let mut system = inner.system.lock();
        inner.shared.check_open()?;
        if system.is_none() {
            let dir = inner.dir.sub(SYSTEM_DIR);
            let home = inner.home(SYSTEM, &dir);
            let is_there = home.has_keyring()?;
            if !is_there && !wanted {
                return Ok(None);
            }
            let opened = Arc::new(System::open(dir, home, &inner.shared, is_there)?);
            inner.environments.add(&opened.env);
            *system = Some(opened);
        }
        Ok(system.clone())
    }

    /// A root key, from where `source` says.
    pub(crate) fn load(&self, source: &RootKey) -> Result<privacy::RootKey> {
        let inner = &self.inner;
        let sought = Sought {
            entropy: &*inner.shared.entropy,
            dir: &inner.dir,
            store: inner.store,
            is_new: false,
            is_empty: false,
            cost: inner.shared.settings.passphrase_cost()?,
        };
        source.load(&sought).map(|found| found.key)
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
        let state = inner.environments.enter(name, open)?;
        Ok(Environment { state, permit: Permit::trusted_host(), bell: inner.bell.clone() })
    }
}

impl Inner {
    fn open_state(&self, name: &str, create: bool) -> Result<EnvironmentState> {
        let dir = self.dir.sub(ENVIRONMENTS).sub(name);
        let home = self.home(name, &dir);
        if home.has_keyring()? {
            let env = recover::open(name, dir, home, &self.shared)?;
            if self.source == RootKeySource::Shares {
                self.shared.reserve.spend(|| env.tell(&Permit::engine(), Act::Unsealed {}))?;
            }
            return Ok(env);
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
            return Err(name::no_environment());
        }
        recover::create(name, dir, home, &self.shared)
    }

    fn home(&self, name: &str, dir: &Dir) -> Home {
        let store =
            |(dir, grade): (&Dir, Grade)| -> Arc<dyn AnchorStore> { Arc::new(AnchorDir::new(dir.clone(), grade)) };
        let inside = self.dir.sub(ANCHORS).sub(name);
        let outside: Vec<_> = self.anchors.iter().map(|(dir, home)| (dir.sub(name), home.grade())).collect();
        let mut names: Vec<[u8; 16]> = self.anchors.iter().map(|(_, home)| home.name.into_bytes()).collect();
        names.sort_unstable();
        let gives_up_missing = self.gives_up_missing;
        let anchors = if outside.is_empty() {
            let stores = vec![store((&inside, Grade::SameVolume))];
            Anchors { stores, left: Vec::new(), dirs: vec![inside], names, gives_up_missing }
        } else {
            Anchors {
                stores: outside.iter().map(|(dir, grade)| store((dir, *grade))).collect(),
                left: vec![store((&inside, Grade::SameVolume))],
                dirs: outside.into_iter().map(|(dir, _)| dir).collect(),
                names,
                gives_up_missing,
            }
        };
        let mirrors = self.mirrors.iter().map(|(mirror, _)| mirror.sub(name));
        Home {
            pages: std::iter::once(dir.sub(KEYRING)).chain(mirrors).map(|dir| Pages { dir }).collect(),
            anchors,
            roots: Arc::clone(&self.roots),
            scope: Scope::new(self.store.into_bytes(), name),
            entropy: Arc::clone(&self.shared.entropy),
            clock: Arc::clone(&self.shared.clock),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The worker first: it may hold environments.
        *self.worker.lock() = None;
    }
}
