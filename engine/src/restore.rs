//! RESTORE: the live keyring opened, the backup's list read → what must not be forgotten opened, and the backup read to its
//! last byte where the environment is to move for it → the environment taken over, if it lived elsewhere → every
//! segment written anew from the rows that still have a key → one manifest, which makes it what the environment holds →
//! opened as any other.
//!
//! Only what the manifest names rolls back. The keyring, and with it every erasure since, consent, budget and audit are
//! those of now; the log of now goes with the records that it was about. No number of a write, a segment or a log is
//! given twice: the keyring says how far each was counted.
//!
//! A crash before the manifest leaves the environment as it was, and one after it the restored one. Where the environment
//! moves, it was nothing before: without a manifest it does not open, until the same restore was run to its end.

use std::sync::Arc;

use privacy::Removal;
use privacy::audit::{Act, Source};
use serde::Serialize;
use storage::backend::Dir;
use storage::backup::Contents;
use storage::id::Sequence;
use storage::journal::Mark;
use storage::manifest::{CollectionEntry, Manifest, SegmentEntry, file_number};
use storage::recovery::{LOGS, SEGMENTS};

use crate::archive::Archive;
use crate::backup::Progress;
use crate::budget_book::BudgetBook;
use crate::catalog::Catalog;
use crate::consents::Consents;
use crate::database::{ANCHORS, Database};
use crate::draft::Input;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::hold_book::HoldBook;
use crate::identity::ENVIRONMENTS;
use crate::job::JOBS;
use crate::keys::{Home, Keys};
use crate::legacy::Legacy;
use crate::name;
use crate::opened::{DrillReport, Under, file_of, open_segment, segments_of, space_of, verify};
use crate::permit::Permit;
use crate::recover::{self, Books};
use crate::replay::Damaged;
use crate::rewrite::{build, open, place};
use crate::snapshot::{SegmentView, View};
use crate::state::{CollectionState, EnvironmentState};
use crate::takeover::Old;

/// What a restore brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// The backup's number.
    pub number: u64,
    /// When the backup was made, in milliseconds since the Unix epoch.
    pub made_ms: u64,
    /// Every write up to this one was in it.
    pub backup_sequence: u64,
    /// Later writes have numbers above this one, which none before the restore had.
    pub sequence: u64,
    /// Its rows, and how many of them dropped out because their owners were erased since.
    pub rows: DrillReport,
    /// The audit log was lost with the volume that it lay on, and another one begins, whose checkpoints are signed under
    /// another name. What the anchor stores kept of the lost one is set aside there.
    pub audit_lost: bool,
}

/// A restore being put together.
#[must_use = "call run()"]
pub struct Restore<'a> {
    db: &'a Database,
    name: String,
    archive: &'a Archive,
    number: Option<u64>,
    permit: Permit,
    progress: Box<dyn FnMut(Progress) + 'a>,
}

impl Database {
    /// Gives the environment `name` back what a backup holds of it. What it holds now is gone then. If this database is a
    /// [successor](crate::Succession) and the environment lived in the old directory, it is taken over from there and
    /// opens there no more.
    pub fn restore<'a>(&'a self, name: &str, archive: &'a Archive) -> Restore<'a> {
        let progress = Box::new(|_| {});
        Restore { db: self, name: name.to_owned(), archive, number: None, permit: Permit::trusted_host(), progress }
    }
}

impl<'a> Restore<'a> {
    /// Takes the backup with this number instead of the newest.
    pub fn number(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    /// The audit log says that it was asked for in this way.
    pub fn by_way_of(mut self, source: Source) -> Self {
        self.permit = self.permit.by_way_of(source);
        self
    }

    /// Tells `progress` how far it is.
    pub fn on_progress(mut self, progress: impl FnMut(Progress) + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Restores, and opens the environment.
    ///
    /// # Errors
    /// `Busy` while the environment is open in this process; `KeyUnavailable` without its live keyring, above all for one
    /// that a later epoch has made unreadable; `Corrupt`, naming the file, where the backup is damaged or has a row whose
    /// key is neither live nor known to be destroyed; `NotFound` without such a backup; `Conflict` if archive or databases
    /// are not of one store; `Corrupt`, too, where the live journals or audit log do not open. The environment is as it was
    /// then.
    pub fn run(mut self) -> Result<(Environment, RestoreReport)> {
        let (db, name) = (self.db, self.name.clone());
        name::check(&name, "environment")?;
        self.check_closed()?;
        let mut report = None;
        let env = db.enter(&name, || {
            let (dir, home, shared) = db.place(&name);
            report = Some(self.write()?);
            recover::open(&name, dir, home, shared)
        })?;
        let report = report.ok_or_else(|| Error::new(ErrorKind::Busy, "the environment was opened meanwhile"))?;
        Ok((env, report))
    }

    fn check_closed(&self) -> Result<()> {
        if self.db.entered().iter().any(|env| env.name == self.name) {
            return Err(Error::new(ErrorKind::Busy, "the environment is open; close the database before a restore"));
        }
        self.archive.check_holds(self.db.store().into_bytes())
    }

    /// Keeps a pruning away from the backup. An archive that takes no lock, as on a medium that is only read, takes no
    /// pruning either.
    fn keep_still(&self) -> Result<Option<Box<dyn Send + Sync>>> {
        if self.archive.numbers(&self.name)?.is_empty() {
            return Ok(None);
        }
        match self.archive.lock(&self.name) {
            Err(error) if error.kind() == ErrorKind::Io => Ok(None),
            locked => locked.map(Some),
        }
    }

    /// Takes the environment over, if it lived elsewhere, and writes what the backup holds.
    fn write(&mut self) -> Result<RestoreReport> {
        let (dir, home, _) = self.db.place(&self.name);
        let old = self.db.predecessor().map(|old| Old {
            dir: old.dir.sub(ENVIRONMENTS).sub(&self.name),
            anchors: old.dir.sub(ANCHORS).sub(&self.name),
        });
        old.as_ref().map_or(Ok(()), |old| old.check_only(&home))?;
        let home = old.iter().fold(home, |home, old| old.join(home));
        if !home.has_keyring()? {
            return Err(Error::new(
                ErrorKind::KeyUnavailable,
                "a restore needs the live keyring of the environment: name the data directory that it lived in, or a mirror",
            ));
        }
        let keys = Keys::open(home)?;
        let (table_key, scope) = (keys.read().table_key(), keys.read().scope());
        let _one = self.keep_still()?;
        let contents = self.archive.contents(&self.name, self.number, (&table_key, scope))?;
        self.check(&keys, &contents, (&dir, old.as_ref()))?;
        match &old {
            Some(old) => self.tell_rest(old.dir.clone(), old.join(self.db.place(&self.name).1))?,
            None => self.tell_rest(dir.clone(), self.db.place(&self.name).1)?,
        }
        for sub in [SEGMENTS, LOGS, JOBS] {
            dir.sub(sub).make().map_err(|e| Error::io("the environment cannot be made", e))?;
        }
        match &old {
            Some(old) => old.hand_over(&dir, &keys)?,
            // What an earlier process logged is folded into pages before more is.
            None => {
                let keep = Removal::nothing(&keys.read());
                keys.settle(&keep)?;
            }
        }
        drop(keys);
        let keys = Keys::open(self.db.place(&self.name).1)?;
        let legacy = Legacy::find(&dir, old.as_ref().map(|old| &old.dir), &keys)?;
        self.fill(keys, &legacy, &contents)
    }

    /// Finds out whether the restore can succeed, before anything is given up for it: what must not be forgotten opens, and
    /// where the environment is to leave its home, the backup is whole.
    fn check(&self, keys: &Keys, contents: &Contents, (dir, old): (&Dir, Option<&Old>)) -> Result<()> {
        let live = match old {
            Some(old) if !old.is_left()? => &old.dir,
            _ => dir,
        };
        Legacy::find(live, old.map(|old| &old.dir), keys)
            .and_then(|legacy| legacy.check(live, keys))
            .map_err(|error| error.within("nothing was restored, so that nothing is forgotten"))?;
        if old.is_some() {
            let under = Under { keys, scope: keys.read().scope(), pool: &self.db.place(&self.name).2.pool };
            verify(&under, &self.archive.place(&self.name), contents, &mut |_| {}).map_err(|error| {
                error.within(&format!("nothing was moved, because backup {} is not whole", contents.number))
            })?;
        }
        Ok(())
    }

    /// Tells of the writes that nobody told of yet, while there is the log of writes that says so, and of another root key,
    /// before the keyring is sealed with it. Where that log does not open, there is nothing to tell.
    fn tell_rest(&self, dir: Dir, home: Home) -> Result<()> {
        let (_, _, shared) = self.db.place(&self.name);
        match recover::read(&self.name, dir, home, shared, Damaged::Salvaged) {
            Ok(found) => {
                found.env.tell_batches()?;
                let tell = |root_key| found.env.tell(&Permit::engine(), Act::RootKeyRotated { root_key }).map(drop);
                found.env.keys.next_root_key().map_or(Ok(()), tell)
            }
            Err(_) => Ok(()),
        }
    }

    /// Writes the segments of the backup anew, and the manifest that names them alone.
    fn fill(&mut self, keys: Keys, legacy: &Legacy, contents: &Contents) -> Result<RestoreReport> {
        let (dir, _, shared) = self.db.place(&self.name);
        let floor = keys.read().floor();
        let last = floor.sequence.max(contents.sequence);
        let names = dir.list().map_err(|e| Error::io("the environment cannot be listed", e))?;
        let base = Manifest {
            number: names.iter().filter_map(|name| file_number(name)).max().unwrap_or(1),
            next_segment: floor.index.saturating_add(1),
            next_wal: floor.log.saturating_add(1),
            next_job: floor.job.saturating_add(1),
            last_sequence: last,
            // Where nobody can say, the clock is doubted unless the backup is of today.
            trusted_ms: legacy.trusted_ms.or(Some(contents.made_ms)),
            ..legacy.marked(Manifest::first())
        };
        let trail = legacy.trail(&dir, &keys)?;
        let books = Books {
            consents: Consents::open(&dir, &keys, &base)?,
            holds: HoldBook::open(&dir, &keys, &base)?,
            budgets: BudgetBook::open(&dir, &keys, &base, trail.ledger()),
        };
        let env = recover::assemble(&self.name, dir, (keys, trail, books), shared, base, Catalog::default(), last + 1);
        let total = contents.bytes();
        let (mut done, mut rows, mut collections) = (0, DrillReport::default(), Vec::new());
        let files = segments_of(&self.archive.place(&self.name), contents);
        for collection in &contents.collections {
            let space = space_of(&env.keys, collection.id.0, (collection.metric, collection.dimension))?;
            let rules = legacy.rules(collection.id, &collection.schema)?;
            let schema = rules.encode();
            let state = Arc::new(CollectionState::new(
                collection.id,
                collection.name.clone(),
                Arc::clone(&space),
                rules,
                View::default(),
            ));
            let under = Under { keys: &env.keys, scope: env.scope, pool: &env.shared.pool };
            let mut segments = Vec::new();
            for segment in &collection.segments {
                let (source, dead) = open_segment(&under, &files, collection, segment, &space)?;
                let (entry, counted) =
                    write_anew(&env, &state, SegmentView { segment: Arc::new(source), dead: Arc::new(dead) })
                        .map_err(|error| error.within(&file_of(contents, segment)))?;
                segments.extend(entry);
                rows = rows.and(counted);
                done += segment.bytes;
                (self.progress)(Progress { done, total });
            }
            collections.push(CollectionEntry {
                id: collection.id,
                name: collection.name.clone(),
                dimension: collection.dimension,
                metric: collection.metric,
                created_sequence: 0,
                flushed: last,
                schema,
                segments,
                aliases: collection.aliases.clone(),
            });
        }
        let Contents { number, made_ms, sequence, .. } = *contents;
        let marks = legacy.settle(&env, contents)?;
        let act = Act::BackupRestored { last: sequence, dropped: rows.erased };
        env.told(&self.permit, act, || commit(&env, collections, marks, last))?;
        let audit_lost = legacy.is_lost;
        Ok(RestoreReport { number, made_ms, backup_sequence: sequence, sequence: last, rows, audit_lost })
    }
}

/// Writes a new segment of the rows of `view` that live; none if there is no such row.
fn write_anew(
    env: &EnvironmentState,
    state: &CollectionState,
    view: SegmentView,
) -> Result<(Option<SegmentEntry>, DrillReport)> {
    let (rows, superseded) = (u64::from(view.segment.len), view.dead.len());
    let segments = [view];
    open(env, &segments)?;
    let input = Input::of(&segments);
    let entry = place(env, state, build(env, state, &input)?)?;
    let opened = entry.as_ref().map_or(0, |entry| entry.rows);
    let counted = DrillReport { rows, opened, erased: rows.saturating_sub(superseded + opened), superseded };
    Ok((entry, counted))
}

fn commit(
    env: &EnvironmentState,
    collections: Vec<CollectionEntry>,
    [consent, holds, budget]: [Option<Mark>; 3],
    last: Sequence,
) -> Result<()> {
    let next = collections.iter().flat_map(|entry| &entry.segments).map(|segment| segment.id.0 + 1).max();
    let _order = env.apply.lock();
    env.commit(|manifest| {
        manifest.collections = collections;
        manifest.last_sequence = last;
        (manifest.consent, manifest.holds, manifest.budget) = (consent, holds, budget);
        manifest.next_segment = manifest.next_segment.max(next.unwrap_or_default());
    })
}
