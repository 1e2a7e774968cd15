//! What the walks of one environment share: directory, keys, log, manifest, views, and the locks that order them.
//!
//! Lock order, outermost first: a budget book's `releasing` (one private answer is made at a time), `building` (one piece of
//! upkeep is built aside at a time), `maintenance` (one flush, erasure, drop or commit at a time), `structure`, a journal's, `apply` (writes become visible in
//! sequence order), `queue` (sequences are given out), `manifest`, a collection's view. `telling`, `tally`, `denials` and the trail's
//! own lock are taken last.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use index::Scratch;
use privacy::access::Critical;
use privacy::{Removal, Scope, SectionKey, Wanted};
use rand::rngs::StdRng;
use rayon::ThreadPool;
use storage::backend::{Dir, Latch};
use storage::id::{CollectionId, Sequence};
use storage::journal::{Journal, Place, Subject};
use storage::manifest::Manifest;
use storage::recovery::{LOGS, SEGMENTS};
use storage::segment::layout::tombstones_name;
use storage::segment::write_tombstones;
use storage::sync::{Mutex, RwLock};
use storage::wal::{WalWriter, wal_name};

use crate::budget_book::BudgetBook;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::consents::Consents;
use crate::denials::Denials;
use crate::entropy::{Entropy, generator};
use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;
use crate::hold_book::HoldBook;
use crate::home::KeyHomes;
use crate::job::{self, Job};
use crate::judge::Judge;
use crate::keys::Keys;
use crate::pending::Write;
use crate::permit::Permit;
use crate::reserve::Reserve;
use crate::settings::Settings;
use crate::site::Site;
use crate::snapshot::{SegmentView, View};
use crate::trail::{Kind, SinkPlace, Tally, Trail};

/// The other half of what the walks share.
pub(crate) use crate::collection_state::CollectionState;

/// What every environment of a database has in common.
pub(crate) struct Shared {
    pub settings: Settings,
    pub pool: Arc<ThreadPool>,
    /// As many threads for what can wait, so that nobody stands in line behind a build that takes minutes.
    pub patient_pool: Arc<ThreadPool>,
    /// The database is being closed, or is.
    pub closing: AtomicBool,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// The lock on the data directory: it lives as long as any handle, or until the database is closed.
    pub lock: Mutex<Option<Box<dyn Send + Sync>>>,
    /// Where keys lie outside the data directory.
    pub homes: KeyHomes,
    /// Set once the outcome of a change is unknown: no file changes after that.
    pub latch: Latch,
    pub reserve: Reserve,
    /// Search buffers, taken by a query and put back after it.
    pub scratch: Mutex<Vec<Scratch>>,
    /// Whether others approved of something critical in an environment; set as the database is opened.
    pub approver: OnceLock<Approver>,
    /// Where audit logs are told a second time.
    pub audit_sink: Option<SinkPlace>,
}

impl Shared {
    /// Whether the database is open still.
    pub fn check_open(&self) -> Result<()> {
        match *self.lock.lock() {
            Some(_) => Ok(()),
            None => Err(Error::new(ErrorKind::Closed, "the database was closed")),
        }
    }
}

/// See [`EnvironmentState::approved`].
pub(crate) type Approver = Box<dyn Fn(&Permit, &str, Critical, &str) -> Result<()> + Send + Sync>;

/// How far ahead the keyring is told that writes will be counted, so that whoever restores an environment without its
/// logs knows where to count on.
const SEQUENCES_AHEAD: u64 = 1 << 20;
/// How many of these are left at least when a write begins; moving the log takes one for every few hundred records.
const SEQUENCES_SPARE: u64 = 1 << 19;

/// Writes that have a sequence but are not visible yet.
pub(crate) struct Queue {
    /// The log this process writes; `None` until its first write.
    pub log: Option<Arc<WalWriter>>,
    pub pending: VecDeque<Write>,
    /// The next sequence to give out while there is no log.
    pub next_sequence: Sequence,
}

impl Queue {
    /// Waits until every queued write is synced.
    pub fn sync(&self) -> Result<()> {
        match (&self.log, self.pending.back()) {
            (Some(log), Some(last)) => Ok(log.commit(last.sequence)?),
            _ => Ok(()),
        }
    }

    /// Takes the pending writes that are synced. One that a full disk refused lies below later ones that
    /// are; asking the log for its fate, which is decided by then, leaves it out.
    fn synced(&mut self) -> Vec<Write> {
        let Some(log) = &self.log else { return Vec::new() };
        let synced = log.synced();
        let count = self.pending.iter().take_while(|write| write.sequence <= synced).count();
        self.pending.drain(..count).filter(|write| log.commit(write.sequence).is_ok()).collect()
    }
}

/// One environment at run time.
pub(crate) struct EnvironmentState {
    pub name: String,
    pub scope: Scope,
    pub dir: Dir,
    pub keys: Keys,
    pub shared: Arc<Shared>,
    /// The audit log; acts are told by [`EnvironmentState::tell`].
    pub trail: Trail,
    /// Batches that were written, and looks that were taken, that are not told yet.
    pub tally: Mutex<Tally>,
    /// Held while what was counted is told, so that it is told in order and whoever needs it told waits until it is. Taken
    /// before `tally`, which nobody holds meanwhile: looks are counted without waiting for the disk.
    pub telling: Mutex<()>,
    pub denials: Mutex<Denials>,
    pub catalog: RwLock<Catalog>,
    pub building: Mutex<()>,
    /// What is being built while others go on.
    pub site: Site,
    pub maintenance: Mutex<()>,
    /// Erasures whose entity is hidden and whose keys are not destroyed yet, because something failed in between.
    pub hidden: Mutex<Vec<Job>>,
    /// Erasures whose caller waits for them to end: upkeep leaves them alone.
    pub answering: Mutex<Vec<u64>>,
    /// How often an entity was masked in every view.
    pub masked: AtomicU64,
    /// One collection is made, described anew, named or dropped at a time.
    pub structure: Mutex<()>,
    /// Whose data is never taken in again.
    pub consents: Consents,
    /// Whose data must not be erased yet.
    pub holds: HoldBook,
    /// What was spent of the privacy budgets.
    pub budgets: BudgetBook,
    /// Guards the last sequence whose write is visible.
    pub apply: Mutex<Sequence>,
    pub queue: Mutex<Queue>,
    /// A logged write could not be made visible: what readers see is behind the log, so no more is taken.
    pub behind: AtomicBool,
    pub manifest: Mutex<Manifest>,
    /// The number that the next segment is given; the manifest's, until this process has tried to make one.
    pub next_segment: AtomicU64,
    /// When the rebuild of graphs is tried again after the disk had no room for one.
    pub rebuild_at: AtomicU64,
    /// Whether the clock may be believed.
    pub judge: Judge,
}

impl EnvironmentState {
    /// Whether the database is being closed, and with it the lock on the directory given up.
    pub fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire)
    }

    /// Fails with `Closed` once the database is being closed.
    pub fn check_open(&self) -> Result<()> {
        if self.is_closing() { Err(Error::new(ErrorKind::Closed, "the database was closed")) } else { Ok(()) }
    }

    pub fn segments_dir(&self) -> Dir {
        self.dir.sub(SEGMENTS)
    }

    pub fn wal_dir(&self) -> Dir {
        self.dir.sub(LOGS)
    }

    /// Every collection, in name order.
    pub fn all(&self) -> Vec<Arc<CollectionState>> {
        self.catalog.read().collections().cloned().collect()
    }

    /// The log, made on the first write of this process: its key is durable before its first frame.
    pub fn open_log(&self, queue: &mut Queue) -> Result<Arc<WalWriter>> {
        self.check_open()?;
        if self.behind.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Poisoned, "a logged write could not be applied; restart to recover it"));
        }
        if queue.next_sequence >= self.keys.read().floor().sequence.saturating_sub(SEQUENCES_SPARE) {
            self.keys.extend(&[Wanted::Sequences(queue.next_sequence + SEQUENCES_AHEAD)])?;
        }
        if let Some(log) = &queue.log {
            return Ok(Arc::clone(log));
        }
        let log = self.new_log(queue.next_sequence)?;
        self.commit(|manifest| manifest.logs.push(log.number()))?;
        queue.log = Some(Arc::clone(&log));
        Ok(log)
    }

    /// A new log file under a number and a key that were never used. The caller names it in the manifest
    /// before anything in it is acknowledged, so that a log that goes missing is noticed.
    pub fn new_log(&self, next_sequence: Sequence) -> Result<Arc<WalWriter>> {
        let mut number = self.manifest.lock().next_wal;
        let dir = self.wal_dir();
        let doing = "the write-ahead log cannot be made";
        while self.keys.read().log_key(number).is_some()
            || dir.exists(&wal_name(number)).map_err(|e| Error::io(doing, e))?
        {
            number += 1;
        }
        self.keys.extend(&[Wanted::Log(number), Wanted::Sequences(next_sequence + SEQUENCES_AHEAD)])?;
        let key = self.keys.read().log_key(number).ok_or_else(|| Error::corrupt("a new log key is missing"))?;
        let synced = next_sequence.saturating_sub(1);
        let writer =
            WalWriter::create(&dir, number, key, self.scope, next_sequence, synced).map_err(|e| Error::io(doing, e))?;
        Ok(Arc::new(writer))
    }

    /// Makes every synced write visible, in sequence order; `applied` is the content of `apply`.
    pub fn apply_synced(&self, applied: &mut Sequence) -> Result<()> {
        let ready = self.queue.lock().synced();
        self.apply_ready(applied, ready)
    }

    /// Waits until every queued write is synced, then makes them visible. The caller holds `apply` and the
    /// queue, so that afterwards readers see exactly what the log holds.
    pub fn apply_all(&self, applied: &mut Sequence, queue: &mut Queue) -> Result<()> {
        queue.sync()?;
        let ready = queue.synced();
        self.apply_ready(applied, ready)
    }

    fn apply_ready(&self, applied: &mut Sequence, ready: Vec<Write>) -> Result<()> {
        let mut changed: BTreeMap<CollectionId, (Arc<CollectionState>, View)> = BTreeMap::new();
        let collections = self.all();
        let fell_behind = |_: &Error| self.behind.store(true, Ordering::Release);
        for write in ready {
            let (id, sequence) = (write.entry.collection(), write.sequence);
            // A collection dropped meanwhile takes its late writes with it.
            let Some(state) = collections.iter().find(|state| state.id == id) else { continue };
            let (_, view) = changed.entry(id).or_insert_with(|| (Arc::clone(state), (*state.view()).clone()));
            let ((kind, records), by) = (Kind::of(&write.entry), write.by.clone());
            write.apply(view, &self.keys).inspect_err(fell_behind)?;
            self.tally.lock().count(by, (id.0, kind), records, sequence, self.shared.clock.now_ms());
            *applied = (*applied).max(sequence);
        }
        for (state, mut view) in changed.into_values() {
            view.memtable.merge(&state.space).inspect_err(fell_behind)?;
            state.publish(view);
        }
        Ok(())
    }

    /// Commits a new manifest made by `edit` from the present one. Rows that died since the last manifest
    /// are written down first, so that no log is needed to know them dead.
    pub fn commit(&self, edit: impl FnOnce(&mut Manifest)) -> Result<()> {
        let mut rng = generator(&*self.shared.entropy)?;
        let table_key = self.keys.read().table_key();
        let mut current = self.manifest.lock();
        let doing = "the manifest cannot be written";
        let mut next = current
            .edit(|next| {
                edit(next);
                next.next_wal = next.logs.iter().fold(next.next_wal, |after, log| after.max(log + 1));
            })
            .map_err(|e| Error::with(ErrorKind::Conflict, doing, e))?;
        let mut replaced = Vec::new();
        for state in self.all() {
            let Some(entry) = next.collection_mut(state.id) else { continue };
            for view in &state.view().segments {
                let Some(segment) = entry.segments.iter_mut().find(|s| s.id == view.segment.id) else { continue };
                let before: Vec<u64> = segment.tombstone_versions().collect();
                view.segment.name_unread(segment);
                if segment.dead != view.dead.len() {
                    let version = before.iter().max().map_or(0, |version| version + 1);
                    self.write_down_dead(view, version, &table_key, &mut rng)?;
                    segment.tombstones = Some(version);
                    segment.dead = view.dead.len();
                }
                let goes = |version: &u64| segment.tombstone_versions().all(|kept| kept != *version);
                replaced.extend(before.into_iter().filter(goes).map(|version| tombstones_name(segment.id, version)));
            }
        }
        next.write(&self.dir, &table_key, self.scope, &mut rng).map_err(|e| Error::io(doing, e))?;
        *current = next;
        drop(current);
        // From here on it is committed, so nothing may fail any more: what stays behind goes when the store opens next.
        for name in replaced {
            let _ = remove(&self.segments_dir(), &name);
        }
        // Under its lock, because two commits at once would each find files that the other is removing.
        let manifest = self.manifest.lock();
        if let Err(error) = storage::manifest::remove_older(&self.dir, manifest.number) {
            tracing::warn!(%error, "an old manifest stays until the next opening");
        }
        Ok(())
    }

    /// Makes a change to what must not be forgotten durable; `whole` is the state after it. It counts once the manifest says
    /// that its frame is there, so whoever answers for it may say so when this returns, and a journal that lost it does not
    /// open. The caller holds the journal's lock and none that is inside it.
    pub fn write_down(&self, (journal, subject): (&mut Journal, Subject), change: &[u8], whole: &[u8]) -> Result<()> {
        let mut rng = generator(&*self.shared.entropy)?;
        let table_key = self.keys.read().table_key();
        let place = Place { dir: &self.dir, key: &table_key, scope: self.scope };
        self.shared.reserve.spend(|| {
            let mark = journal.append(place, change, whole, &mut rng);
            let mark = mark.map_err(|e| Error::io("the journal cannot be written; nothing was changed", e))?;
            let _order = self.apply.lock();
            self.commit(|manifest| *manifest.journal_mut(subject) = Some(mark))
        })?;
        if let Err(error) = journal.remove_others(&self.dir) {
            tracing::warn!(%error, "an old journal stays until the next opening");
        }
        Ok(())
    }

    fn write_down_dead(&self, view: &SegmentView, version: u64, key: &SectionKey, rng: &mut StdRng) -> Result<()> {
        let (dir, id) = (self.segments_dir(), view.segment.id);
        // A manifest that could not be written may have left this version behind.
        remove(&dir, &tombstones_name(id, version))?;
        write_tombstones(&dir, id, version, &view.dead, key, self.scope, rng)
            .map(drop)
            .map_err(|e| Error::io("deleted rows cannot be written down", e))
    }

    /// Which ephemeral keys an epoch keeps: those of live logs, live segments' indexes and jobs. The queue
    /// stays locked until the epoch is over, so that no log is made whose key the epoch would not know.
    pub fn keep(&self, queue: &Queue) -> Result<Removal> {
        let keep_jobs = job::numbers(&self.dir)?;
        let manifest = self.manifest.lock();
        let mut keep_logs = manifest.logs.clone();
        keep_logs.extend(queue.log.as_ref().map(|log| log.number()));
        let segments = manifest.collections.iter().flat_map(|entry| &entry.segments);
        let keep_indexes = segments.map(|segment| segment.id.0).collect();
        Ok(Removal { keep_logs, keep_indexes, keep_jobs, ..Removal::default() })
    }
}
