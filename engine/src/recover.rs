//! OPEN: keyring → manifest → logs → then, once everything was read without fault, what a crash left is
//! settled: stray anchors and files go, replayed writes are persisted anew, erasures are finished.
//!
//! Invariant: whatever error opening ends with, if it comes from reading, nothing on disk was changed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use index::Space;
use privacy::audit::Act;
use rayon::ThreadPool;
use roaring::RoaringBitmap;
use storage::id::Sequence;
use storage::journal::Subject;
use storage::manifest::{CollectionEntry, Manifest, SegmentEntry, read_newest};
use storage::recovery::{Findings, LOGS, SEGMENTS, examine, list};
use storage::segment::{layout::rows_name, read_tombstones};
use storage::wal::Loss;

use crate::budget_book::BudgetBook;
use crate::catalog::Catalog;
use crate::consents::Consents;
use crate::draft::Input;
use crate::entropy::generator;
use crate::erase;
use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;
use crate::hold_book::HoldBook;
use crate::job::{self, JOBS};
use crate::judge::Judge;
use crate::keys::{Home, Keys};
use crate::metric_code::metric_of;
use crate::permit::Permit;
use crate::receipt::{self, RECEIPTS};
use crate::relog::{move_log, remove_old_logs};
use crate::replay::{self, Damaged};
use crate::rewrite::rewrite_sound;
use crate::rules::Rules;
use crate::segment::{Segment, is_damage};
use crate::site::Site;
use crate::snapshot::{SegmentView, View};
use crate::state::{CollectionState, EnvironmentState, Queue, Shared};
use crate::takeover;
use crate::trail::{AUDIT, Kind, Tally, Trail};
use storage::backend::Dir;
use storage::sync::{Mutex, RwLock};

/// Makes the environment in `dir`. The keyring's first root page is the moment it exists.
pub(crate) fn create(name: &str, dir: Dir, home: Home, shared: &Arc<Shared>) -> Result<EnvironmentState> {
    let doing = "the environment cannot be made";
    home.make()?;
    for sub in [SEGMENTS, LOGS, JOBS, AUDIT, RECEIPTS] {
        dir.sub(sub).make().map_err(|e| Error::io(doing, e))?;
    }
    for leftover in list(&dir).map_err(|e| Error::io(doing, e))? {
        if storage::manifest::file_number(&leftover).is_some() {
            remove(&dir, &leftover)?;
        }
    }
    let scope = home.scope;
    let mut rng = generator(&*shared.entropy)?;
    let keys = Keys::create(home, |table_key| {
        Manifest::first().write(&dir, table_key, scope, &mut rng).map_err(|e| Error::io(doing, e))
    })?;
    let trail = Trail::open(keys.trail_home(dir.sub(AUDIT)))?;
    let books = Books { consents: Consents::fresh(), holds: HoldBook::fresh(), budgets: BudgetBook::fresh() };
    Ok(assemble(name, dir, (keys, trail, books), shared, Manifest::first(), Catalog::default(), 1))
}

/// Opens the environment in `dir`.
pub(crate) fn open(name: &str, dir: Dir, home: Home, shared: &Arc<Shared>) -> Result<EnvironmentState> {
    read(name, dir, home, shared, Damaged::Refused)?.settle()
}

/// An environment as its files say, nothing on disk having been changed yet.
pub(crate) struct Found {
    pub env: EnvironmentState,
    /// The logs, by number, that were damaged.
    pub losses: Vec<(u64, Loss)>,
    /// Whether the audit log is damaged, and left as it is.
    pub is_audit_lost: bool,
    findings: Findings,
}

/// Reads the environment in `dir`.
pub(crate) fn read(name: &str, dir: Dir, home: Home, shared: &Arc<Shared>, damaged: Damaged) -> Result<Found> {
    let scope = home.scope;
    takeover::check_home(&dir)?;
    let keys = Keys::open(home)?;
    let table_key = keys.read().table_key();
    let manifest = read_newest(&dir, &table_key, scope)?
        .ok_or_else(|| Error::corrupt("the environment has no manifest; restore it from a backup"))?;
    let found = list(&dir).map_err(|e| Error::io("the environment cannot be listed", e))?;
    let findings = examine(&manifest, &found);
    let in_dir = |path: &str, dir: &str| path.split('/').next() == Some(dir);
    // Without the ledger of privacy budgets nothing but private queries is refused.
    let is_ledger = |path: &str| Subject::Budget.file_number(path).is_some();
    let is_salvaged = |path: &str| damaged == Damaged::Salvaged && in_dir(path, LOGS);
    let is_told = |path: &str| in_dir(path, SEGMENTS) || is_ledger(path) || is_salvaged(path);
    if let Some(missing) = findings.missing.iter().find(|path| !is_told(path)) {
        return Err(Error::corrupt(format!("the file {missing} is missing; restore it from a backup")));
    }
    let mut catalog = Catalog::default();
    for entry in &manifest.collections {
        let state = Arc::new(load((&dir, &shared.pool), &keys, entry, &findings)?);
        entry.aliases.iter().for_each(|alias| catalog.set_alias(alias.clone(), &state));
        catalog.insert(state);
    }
    let (consents, holds) = (Consents::open(&dir, &keys, &manifest)?, HoldBook::open(&dir, &keys, &manifest)?);
    let mut interrupted = job::interrupted(&dir, &keys)?;
    let (trail, is_audit_lost) = match Trail::open(keys.trail_home(dir.sub(AUDIT))) {
        Err(error) if damaged == Damaged::Salvaged && error.kind() == ErrorKind::Corrupt => {
            (Trail::unread(keys.trail_home(dir.sub(AUDIT))), true)
        }
        opened => (opened?, false),
    };
    let budgets = BudgetBook::open(&dir, &keys, &manifest, trail.ledger());
    let books = Books { consents, holds, budgets };
    let mut untold = Tally::default();
    let told = |collection: &[u8; 16]| manifest.last_sequence.max(trail.told(collection));
    let (last, losses) =
        replay::logs(&dir, &keys, &manifest, &catalog, (&mut interrupted, shared), damaged, |sequence, entry| {
            if sequence > told(&entry.collection().0) {
                let (kind, records) = Kind::of(entry);
                let (by, place) = (Permit::engine().by(), (entry.collection().0, kind));
                untold.count(by, place, records, sequence, shared.clock.now_ms());
            }
        })?;
    let env = assemble(name, dir, (keys, trail, books), shared, manifest, catalog, last + 1);
    *env.hidden.lock() = interrupted;
    *env.tally.lock() = untold;
    Ok(Found { env, losses, is_audit_lost, findings })
}

impl Found {
    /// Settles what a crash or a salvage left, after which the environment can be used.
    pub fn settle(self) -> Result<EnvironmentState> {
        if self.is_audit_lost {
            self.env.trail.set_aside()?;
        }
        self.env.shared.reserve.spend(|| settle(&self.env, &self.findings))?;
        if self.is_audit_lost {
            // That it begins in another's place, if that is not told yet.
            self.env.append(Vec::new())?;
        }
        Ok(self.env)
    }
}

/// What an environment must not forget, beside its keys and its audit log.
pub(crate) struct Books {
    pub consents: Consents,
    pub holds: HoldBook,
    pub budgets: BudgetBook,
}

/// An environment that holds what `manifest` and `catalog` say.
pub(crate) fn assemble(
    name: &str,
    dir: Dir,
    (keys, trail, Books { consents, holds, budgets }): (Keys, Trail, Books),
    shared: &Arc<Shared>,
    manifest: Manifest,
    catalog: Catalog,
    next_sequence: Sequence,
) -> EnvironmentState {
    let scope = keys.read().scope();
    let trail = trail.also_told(shared.audit_sink.as_ref().map(|place| place.of(name)));
    let keeps_for_a_time = catalog.collections().any(|state| state.rules().retention.is_some());
    EnvironmentState {
        name: name.to_owned(),
        scope,
        dir,
        keys,
        shared: Arc::clone(shared),
        trail,
        tally: Mutex::default(),
        telling: Mutex::new(()),
        denials: Mutex::default(),
        catalog: RwLock::new(catalog),
        building: Mutex::new(()),
        site: Site::default(),
        maintenance: Mutex::new(()),
        hidden: Mutex::default(),
        answering: Mutex::default(),
        masked: AtomicU64::new(0),
        structure: Mutex::new(()),
        consents,
        holds,
        budgets,
        apply: Mutex::new(next_sequence - 1),
        queue: Mutex::new(Queue { log: None, pending: VecDeque::new(), next_sequence }),
        behind: AtomicBool::new(false),
        next_segment: AtomicU64::new(manifest.next_segment),
        judge: Judge::resume(&manifest, keeps_for_a_time),
        manifest: Mutex::new(manifest),
        rebuild_at: AtomicU64::new(0),
    }
}

fn load(
    place: (&Dir, &Arc<ThreadPool>),
    keys: &Keys,
    entry: &CollectionEntry,
    findings: &Findings,
) -> Result<CollectionState> {
    let metric = metric_of(entry.metric).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "a collection has a metric that this version does not know")
    })?;
    let seed = keys.read().rotation_seed(entry.id.0);
    let space = Arc::new(Space::new(metric, entry.dimension as usize, seed.expose()));
    let load = |segment| load_segment(place, keys, entry, &space, segment, findings);
    let segments = entry.segments.iter().map(load).collect::<Result<_>>()?;
    let view = View { sequence: entry.flushed, segments, memtable: Default::default() };
    Ok(CollectionState::new(entry.id, entry.name.clone(), space, Rules::decode(&entry.schema)?, view))
}

/// A segment as the manifest names it; one with damaged or missing files is in quarantine.
fn load_segment(
    (dir, pool): (&Dir, &Arc<ThreadPool>),
    keys: &Keys,
    collection: &CollectionEntry,
    space: &Arc<Space>,
    entry: &SegmentEntry,
    findings: &Findings,
) -> Result<SegmentView> {
    let dir = dir.sub(SEGMENTS);
    let (scope, table_key) = {
        let keyring = keys.read();
        (keyring.scope(), keyring.table_key())
    };
    let len = u32::try_from(entry.rows)
        .map_err(|_| Error::corrupt(format!("the manifest gives segment {} too many rows", entry.id)))?;
    let mut segment = Segment::new((&dir, pool), (entry.id, len), collection.id, space, scope);
    let mut dead = RoaringBitmap::new();
    if findings.missing.contains(&format!("{SEGMENTS}/{}", rows_name(entry.id))) {
        segment.quarantine(&Error::corrupt("its rows are missing"));
    } else if !segment.has_index(keys) {
        match segment.derive(keys) {
            Ok(index) => {
                dead |= &index.erased;
                segment = segment.with_index(index);
            }
            Err(_) if segment.is_quarantined() => {}
            Err(error) => return Err(error),
        }
    }
    for version in entry.tombstone_versions() {
        match read_tombstones(&dir, entry.id, version, entry.rows, &table_key, scope) {
            Ok(marked) => dead |= marked,
            Err(error) => match Error::from(error) {
                error if is_damage(&error) => segment.lack_tombstones(version, &error),
                error => return Err(error),
            },
        }
    }
    Ok(SegmentView { segment: Arc::new(segment), dead: Arc::new(dead) })
}

fn settle(env: &EnvironmentState, findings: &Findings) -> Result<()> {
    let unclean = !findings.orphans.is_empty();
    if unclean {
        // The newest manifest may be seen and not be on the disk, after a failed sync or a process that died before it.
        // One that is goes before what it replaces, and before the keys of what only an older one names.
        let _order = env.apply.lock();
        env.commit(|_| {})?;
    }
    let keep = env.keep(&env.queue.lock())?;
    let settled = || env.keys.settle(&keep);
    match env.keys.next_root_key() {
        Some(root_key) => env.told(&Permit::engine(), Act::RootKeyRotated { root_key }, settled)?,
        None => settled()?,
    }
    if unclean {
        // Listed anew: that manifest may have taken the names of some that were orphans.
        let found = list(&env.dir).map_err(|e| Error::io("the environment cannot be listed", e))?;
        for orphan in examine(&env.manifest.lock(), &found).orphans {
            remove(&env.dir, &orphan)?;
        }
    }
    job::remove_unfinished(&env.dir, &env.keys)?;
    receipt::remove_unfinished(&env.dir)?;
    env.trail.settle()?;
    if !env.manifest.lock().logs.is_empty() {
        // What was replayed may never have reached the disk: an earlier process may have died of a failed
        // sync, and the page cache shows bytes that the disk lacks. It is written anew before it is served.
        {
            let _order = env.apply.lock();
            let mut queue = env.queue.lock();
            if env.all().iter().all(|state| state.view().memtable.is_empty()) {
                env.commit(|manifest| manifest.logs.clear())?;
            } else {
                move_log(env, &mut queue)?;
            }
        }
        remove_old_logs(env)?;
    }
    erase::resume(env)?;
    if rebuild(env)? {
        // A job may have waited for one of these graphs, and for nothing else.
        erase::resume(env)?;
    }
    Ok(())
}

/// Builds the indexes that are missing by design, from the rows; whether there were any.
fn rebuild(env: &EnvironmentState) -> Result<bool> {
    let _one = env.maintenance.lock();
    let mut any = false;
    for state in env.all() {
        for view in &state.view().segments {
            if !view.segment.has_index(&env.keys) {
                rewrite_sound(env, &state, &Input::of(std::slice::from_ref(view)))?;
                any = true;
            }
        }
    }
    Ok(any)
}
