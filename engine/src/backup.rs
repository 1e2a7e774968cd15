//! BACKUP: flush, and with it one commit point → its files held open → copied, unless the archive has them → read again
//! and authenticated → the list, which makes it a backup.
//!
//! Writers go on all the time. So do upkeep and erasures: a file that one of them removes stays readable here, because
//! it is held open, and an erasure never waits for a backup, however slow its medium. What the backup then holds of the
//! person opens for nobody, as in every backup made before, since the keys are gone; it is counted as erased. Only the
//! room of a removed file stays taken until the backup has read it.

use std::collections::BTreeSet;

use privacy::access::Permission;
use privacy::audit::Act;
use serde::Serialize;
use storage::backend::Region;
use storage::backup::{BackedCollection, BackedSegment, Contents, Digest, Objects, digest_of, write_contents};
use storage::segment::layout::rows_name;

use crate::archive::Archive;
use crate::drill::{self, Drill};
use crate::entropy::generator;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::flush::cut;
use crate::home::KeyHome;
use crate::opened::{DrillReport, Under, verify};
use crate::prune::{self, Pruned};
use crate::state::EnvironmentState;

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BackupInfo {
    /// Its number in its environment and archive.
    pub number: u64,
    /// When it was made, in milliseconds since the Unix epoch.
    pub made_ms: u64,
    /// Every write up to this one is in it, and no later one.
    pub sequence: u64,
    /// Collections that were there.
    pub collections: u64,
    /// Records that were there.
    pub records: u64,
    /// Bytes of its files of rows, which it may share with other backups.
    pub bytes: u64,
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// What it holds.
    #[serde(flatten)]
    pub backup: BackupInfo,
    /// Bytes that had to be copied; the archive had the others.
    pub copied_bytes: u64,
    /// What was found when it was read again.
    pub rows: DrillReport,
    /// What a restore needs beside the archive, one thing each.
    pub needs: Vec<String>,
}

/// A backup that an archive has, or what is wrong with its list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its number.
    pub number: u64,
    /// What it holds.
    pub backup: Option<BackupInfo>,
    /// Why nobody can say what it holds.
    pub problem: Option<String>,
}

/// How far a long piece of work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes done.
    pub done: u64,
    /// Bytes to do, as far as known.
    pub total: u64,
}

/// A backup being put together.
#[must_use = "call run()"]
pub struct Backup<'a> {
    env: Environment,
    archive: &'a Archive,
    unrecoverable: bool,
    progress: Box<dyn FnMut(Progress) + 'a>,
}

impl Environment {
    /// Copies what the environment holds now into an archive.
    pub fn backup<'a>(&self, archive: &'a Archive) -> Backup<'a> {
        Backup { env: self.clone(), archive, unrecoverable: false, progress: Box::new(|_| {}) }
    }

    /// The backups of this environment in an archive, oldest first.
    ///
    /// # Errors
    /// `NotFound` if the archive holds none of any environment, `Conflict` if it is another database's.
    pub fn backups(&self, archive: &Archive) -> Result<Vec<Listed>> {
        self.state.admit(&self.permit, Permission::SnapshotCreate)?;
        let env = &self.state;
        env.looked(&self.permit, Permission::SnapshotCreate, None, 1)?;
        archive.check_holds(env.scope.database)?;
        let table_key = env.keys.read().table_key();
        let list = |number| {
            let contents = archive.contents(&env.name, Some(number), (&table_key, env.scope));
            let problem = contents.as_ref().err().map(ToString::to_string);
            Listed { number, backup: contents.ok().map(|contents| info(&contents)), problem }
        };
        Ok(archive.numbers(&env.name)?.into_iter().map(list).collect())
    }

    /// Reads and authenticates every byte of backup `number`, or of the newest.
    ///
    /// # Errors
    /// `Corrupt`, naming the file, where it is not what was backed up; as [`Environment::backups`].
    pub fn verify_backup(&self, archive: &Archive, number: Option<u64>) -> Result<(BackupInfo, DrillReport)> {
        self.state.admit(&self.permit, Permission::SnapshotCreate)?;
        let env = &self.state;
        archive.check_holds(env.scope.database)?;
        let table_key = env.keys.read().table_key();
        let contents = archive.contents(&env.name, number, (&table_key, env.scope))?;
        let read = || verify(&under(env), &archive.place(&env.name), &contents, &mut |_| {});
        let rows = env.told(&self.permit, Act::BackupVerified { last: contents.sequence }, read);
        match rows {
            // It is no damage that its files went with it meanwhile.
            Err(_) if !archive.numbers(&env.name)?.contains(&contents.number) => Err(Error::new(
                ErrorKind::NotFound,
                format!("backup {} was removed from the archive meanwhile", contents.number),
            )),
            rows => Ok((info(&contents), rows?)),
        }
    }

    /// Removes all but the newest `keep` backups of this environment from an archive.
    ///
    /// # Errors
    /// `Invalid` if none is to be kept; `Corrupt`, and nothing is removed, where a list does not open or a backup that is to
    /// be kept lacks a file; `Busy` while another change is made there; as [`Environment::backups`].
    pub fn prune_backups(&self, archive: &Archive, keep: usize) -> Result<Pruned> {
        prune::prune(&self.state, &self.permit, archive, keep)
    }

    /// Opens backup `number`, or the newest, read-only with the live keyring, as a restore would.
    ///
    /// # Errors
    /// As [`Environment::verify_backup`].
    pub fn drill_backup(&self, archive: &Archive, number: Option<u64>) -> Result<Drill> {
        drill::drill_backup(&self.state, &self.permit, archive, number)
    }
}

impl<'a> Backup<'a> {
    /// Makes it although the loss of the data's volume would take what opens it along: every anchor store or every copy
    /// of the keyring is there.
    pub fn unrecoverable(mut self, unrecoverable: bool) -> Self {
        self.unrecoverable = unrecoverable;
        self
    }

    /// Tells `progress` how far it is.
    pub fn on_progress(mut self, progress: impl FnMut(Progress) + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Makes the backup.
    ///
    /// # Errors
    /// `Invalid` where a loss of the data's volume would make it worthless and nobody said
    /// [`unrecoverable`](Self::unrecoverable); `Corrupt` while a segment is damaged; `Conflict` if the archive is
    /// another database's; `Busy` while another backup is made there; `Full`. The archive holds no new backup then, and
    /// the earlier ones.
    pub fn run(mut self) -> Result<BackupReport> {
        self.env.state.admit(&self.env.permit, Permission::SnapshotCreate)?;
        let env = &self.env.state;
        env.check_open()?;
        if !self.unrecoverable {
            check_recoverable(env)?;
        }
        let archive = self.archive;
        archive.claim(env.scope.database)?;
        let _one = archive.lock(&env.name)?;
        let place = archive.place(&env.name);
        let objects = Objects::of(&place);
        let doing = "the backup cannot be written";
        objects.make().map_err(|e| Error::io(doing, e))?;
        let pinned = pin(env, archive)?;

        let (trusted, all_open) = named_elsewhere(env, archive)?;
        let total = pinned.contents.bytes().saturating_mul(2);
        let mut done = 0;
        let mut copied_bytes = 0;
        let progress = &mut self.progress;
        for (digest, region) in &pinned.files {
            let has = trusted.contains(digest) && objects.map(digest).is_ok_and(|found| digest_of(&found) == *digest);
            if !has {
                let mut copied = |bytes| progress(Progress { done: done + bytes, total });
                let mut sum = 0;
                let mut tell = |bytes| {
                    sum += bytes;
                    copied(sum);
                };
                objects.put(digest, region, &mut tell).map_err(|e| Error::io(doing, e))?;
                copied_bytes += region.len() as u64;
            }
            done += region.len() as u64;
            progress(Progress { done, total });
        }
        drop(pinned.files);
        let contents = pinned.contents;
        let mut checked = |bytes| {
            done += bytes;
            progress(Progress { done, total });
        };
        let rows = verify(&under(env), &place, &contents, &mut checked)?;
        let table_key = env.keys.read().table_key();
        let mut rng = generator(&*env.shared.entropy)?;
        env.told(&self.env.permit, Act::BackupCreated { last: contents.sequence }, || {
            write_contents(&place, &contents, (&table_key, env.scope), &mut rng).map_err(|e| Error::io(doing, e))
        })?;
        if all_open {
            // Only room is at stake, and the backup is there: what stays goes with the next one.
            let named = trusted.into_iter().chain(contents.segments().map(|(_, segment)| segment.digest)).collect();
            let _ = objects.keep_only(&named);
        }
        Ok(BackupReport { backup: info(&contents), copied_bytes, rows, needs: needs(env) })
    }
}

/// A commit point whose files are held open.
struct Pinned {
    contents: Contents,
    files: Vec<(Digest, Region)>,
}

/// Flushes, and opens every file of the commit point while none can be removed.
fn pin(env: &EnvironmentState, archive: &Archive) -> Result<Pinned> {
    let number = archive.numbers(&env.name)?.last().map_or(1, |last| last + 1);
    let (cut, regions) = {
        let _one = env.maintenance.lock();
        let cut = cut(env)?;
        let dir = env.segments_dir();
        let mut regions = Vec::new();
        for view in cut.segments.iter().flat_map(|(_, segments)| segments) {
            if view.segment.is_quarantined() {
                return Err(view.segment.damaged());
            }
            let region = dir.map(&rows_name(view.segment.id)).map_err(|e| Error::io("a segment cannot be read", e))?;
            regions.push(region);
        }
        (cut, regions)
    };
    let made_ms = env.shared.clock.now_ms();
    let latch = env.consents.latch.read().encode();
    // Reasons are somebody's own words about a person. A backup outlives holds and erasures, and its list opens under a
    // key that no erasure destroys.
    let unknown = format!("not known: the hold comes from backup {number}, and backups keep no reasons");
    let holds = env.holds.holds.read().with_reason(&unknown).encode().to_vec();
    let budget = env.budgets.backed_up(&env.keys);
    let mut contents =
        Contents { number, made_ms, sequence: cut.sequence, collections: Vec::new(), latch, holds, budget };
    let mut files = Vec::new();
    let mut regions = regions.into_iter();
    for (state, views) in &cut.segments {
        let mut segments = Vec::with_capacity(views.len());
        for (view, region) in views.iter().zip(regions.by_ref()) {
            let digest = digest_of(&region);
            let file = (region.len() as u64, digest);
            let segment = BackedSegment::new(view.segment.id, view.segment.len, file, &view.dead)
                .map_err(|e| Error::io("the backup cannot be described", e))?;
            segments.push(segment);
            files.push((digest, region));
        }
        let Some(entry) = cut.manifest.collection(state.id) else { continue };
        contents.collections.push(BackedCollection {
            id: entry.id,
            name: entry.name.clone(),
            dimension: entry.dimension,
            metric: entry.metric,
            schema: entry.schema.clone(),
            aliases: entry.aliases.clone(),
            segments,
        });
    }
    Ok(Pinned { contents, files })
}

/// The files that whole backups name, and whether all of their lists open. What no list names may be of a backup that
/// failed, so it is never taken for what its name says: a failed sync leaves what reads show and the medium lacks.
fn named_elsewhere(env: &EnvironmentState, archive: &Archive) -> Result<(BTreeSet<Digest>, bool)> {
    let table_key = env.keys.read().table_key();
    let (mut named, mut all_open) = (BTreeSet::new(), true);
    for number in archive.numbers(&env.name)? {
        match archive.contents(&env.name, Some(number), (&table_key, env.scope)) {
            Ok(contents) => named.extend(contents.segments().map(|(_, segment)| segment.digest)),
            Err(_) => all_open = false,
        }
    }
    Ok((named, all_open))
}

/// What opens the rows of an environment's backups while it goes on answering.
fn under(env: &EnvironmentState) -> Under<'_> {
    Under { keys: &env.keys, scope: env.scope, pool: &env.shared.patient_pool }
}

fn info(contents: &Contents) -> BackupInfo {
    let live = |segment: &BackedSegment| {
        u64::from(segment.rows) - segment.dead().map_or(0, |dead| dead.len()).min(u64::from(segment.rows))
    };
    BackupInfo {
        number: contents.number,
        made_ms: contents.made_ms,
        sequence: contents.sequence,
        collections: contents.collections.len() as u64,
        records: contents.segments().map(|(_, segment)| live(segment)).sum(),
        bytes: contents.bytes(),
    }
}

/// Fails where the loss of the data's volume would take along what opens its backups.
fn check_recoverable(env: &EnvironmentState) -> Result<()> {
    let homes = &env.shared.homes;
    let lacking = match (homes.has_anchors_off_volume(), homes.has_mirror_off_volume()) {
        (true, true) => return Ok(()),
        (false, true) => "its anchor is",
        (true, false) => "its keyring is",
        (false, false) => "its anchor and its keyring are",
    };
    Err(Error::invalid(format!(
        "a backup opens with the live keyring and its anchor, and {lacking} on the volume of the data alone: name an anchor directory and a keyring mirror on other volumes (`--anchor-dir`, `--keyring-mirror`), or say that the backup may be unrecoverable (`--unrecoverable`)"
    )))
}

/// What a restore needs beside the archive.
fn needs(env: &EnvironmentState) -> Vec<String> {
    let homes = &env.shared.homes;
    let one_of = |inside: &str, others: &[KeyHome]| {
        let paths: Vec<String> = others.iter().map(|home| home.path.display().to_string()).collect();
        if paths.is_empty() { inside.to_owned() } else { paths.join(" or ") }
    };
    let keyrings = one_of("", &homes.mirrors);
    let or_mirror = if keyrings.is_empty() { String::new() } else { format!(", or its mirror in {keyrings}") };
    vec![
        format!("the root key with the fingerprint {}", env.keys.sealed_with()),
        format!("the newest anchor, from {}; no older one will do", one_of("the data directory", &homes.anchors)),
        format!("the live keyring, from the data directory{or_mirror}"),
    ]
}
