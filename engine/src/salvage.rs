//! SALVAGE: read what is left of damaged logs and segments → set a damaged audit log aside → settle the logs → rewrite the
//! segments from the rows that still open.
//!
//! Invariant: nothing is lost here that an undamaged open would have found, and everything that is lost is counted.
//! The damaged log is not kept aside: it holds people's data under a key that must be able to go. Nobody who was
//! erased comes back, since their keys are destroyed; a delete that was in a lost frame is lost with it.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use storage::id::{RecordId, Sequence};
use storage::recovery::LOGS;
use storage::wal::{Loss, wal_name};

use crate::database::Database;
use crate::draft::Input;
use crate::environment::Environment;
use crate::erase;
use crate::error::{Error, ErrorKind, Result};
use crate::inspect::Inspection;
use crate::name;
use crate::recover;
use crate::replay::Damaged;
use crate::rewrite::{rewrite, rewrite_sound};
use crate::segment::Segment;
use crate::snapshot::{SegmentView, View};
use crate::state::EnvironmentState;

/// What a salvage keeps and loses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Salvage {
    /// The damaged logs.
    pub logs: Vec<SalvagedLog>,
    /// The damaged segments.
    pub segments: Vec<SalvagedSegment>,
    /// Whether the audit log is damaged, or not the one that was signed. Its files are kept as they are, under names that
    /// begin with `lost-`, and so are its checkpoints in the anchor stores; another log begins.
    pub audit_lost: bool,
}

/// What is left of a damaged log. Each frame is one write: a batch of records, or a delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SalvagedLog {
    /// The file, relative to the environment's directory.
    pub file: String,
    /// Frames that were written and are lost; 0 of a file that is missing, which could tell of none.
    pub frames_lost: u64,
    /// Bytes that are lost.
    pub bytes_lost: u64,
    /// The lost writes have sequences from here on.
    pub first_lost: Option<u64>,
    /// And up to here, where a later write is left that tells.
    pub last_lost: Option<u64>,
}

/// What is left of a damaged segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SalvagedSegment {
    /// The path of its files without their endings, relative to the environment's directory.
    pub segment: String,
    /// Records that still open.
    pub rows_kept: u64,
    /// Records that do not.
    pub rows_lost: u64,
    /// Whether the list of its deleted rows is lost: records that were deleted are then among those kept.
    pub deletes_lost: bool,
}

impl Salvage {
    /// Whether nothing is damaged.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.segments.is_empty() && !self.audit_lost
    }
}

impl Database {
    /// The damaged segments of every environment that is open, as paths inside the data directory. They are left out
    /// of every answer. Looks only into memory.
    pub fn damaged(&self) -> Vec<String> {
        let of_env = |env: &Arc<EnvironmentState>| -> Vec<String> {
            let views: Vec<Arc<View>> = env.all().iter().map(|state| state.view()).collect();
            let segments = views.iter().flat_map(|view| view.quarantined());
            segments.map(|view| format!("env/{}/{}", env.name, view.segment.path())).collect()
        };
        self.entered().iter().flat_map(of_env).collect()
    }

    /// What [`Database::salvage`] would keep and lose of the environment `name`. Changes nothing.
    ///
    /// # Errors
    /// As [`Database::open_environment`], damaged logs and a damaged audit log excepted.
    pub fn survey(&self, name: &str) -> Result<Salvage> {
        name::check(name, "environment")?;
        if let Some(env) = self.entered().iter().find(|env| env.name == name) {
            return Ok(Salvage { segments: segments(env, Depth::Look)?, ..Salvage::default() });
        }
        let found = self.read_damaged(name)?;
        let (logs, audit_lost) = (logs(&found.losses), found.is_audit_lost);
        Ok(Salvage { logs, segments: segments(&found.env, Depth::Look)?, audit_lost })
    }

    /// Opens the environment `name` with what is left of its damaged logs, and rewrites its damaged segments from the
    /// rows that still open. What is not left is gone for good; restoring a backup first is better.
    ///
    /// # Errors
    /// As [`Database::open_environment`], damaged logs excepted.
    pub fn salvage(&self, name: &str) -> Result<(Environment, Salvage)> {
        let mut salvage = Salvage::default();
        let env = self.enter(name, || {
            let found = self.read_damaged(name)?;
            (salvage.logs, salvage.audit_lost) = (logs(&found.losses), found.is_audit_lost);
            found.settle()
        })?;
        salvage.segments = segments(&env.state, Depth::Rewrite)?;
        Ok((env, salvage))
    }

    fn read_damaged(&self, name: &str) -> Result<recover::Found> {
        let (dir, home, shared) = self.place(name);
        if !home.has_keyring()? {
            return Err(Error::new(ErrorKind::NotFound, "there is no environment of this name"));
        }
        recover::read(name, dir, home, shared, Damaged::Salvaged)
    }
}

fn logs(losses: &[(u64, Loss)]) -> Vec<SalvagedLog> {
    let salvaged = |(number, loss): &(u64, Loss)| SalvagedLog {
        file: format!("{LOGS}/{}", wal_name(*number)),
        frames_lost: loss.frames,
        bytes_lost: loss.bytes,
        first_lost: loss.sequences.map(|(first, _)| first),
        last_lost: loss.sequences.and_then(|(_, last)| last),
    };
    losses.iter().map(salvaged).collect()
}

/// How far a salvage of segments goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Look,
    Rewrite,
}

/// Reads every segment, and rewrites those that are damaged.
fn segments(env: &EnvironmentState, depth: Depth) -> Result<Vec<SalvagedSegment>> {
    let _one = env.maintenance.lock();
    env.check_open()?;
    if depth == Depth::Rewrite {
        // Rows of whoever is hidden must not come back in a segment that nobody masked.
        erase::finish_hidden(env)?;
    }
    let manifest = env.manifest.lock().clone();
    let mut salvaged = Vec::new();
    for state in env.all() {
        let entries = manifest.collection(state.id).map(|entry| entry.segments.as_slice()).unwrap_or_default();
        for view in &state.view().segments {
            if let Some(entry) = entries.iter().find(|entry| entry.id == view.segment.id) {
                Inspection::open(env, view, entry).authenticate(env, &|| false);
            }
        }
        for old in &state.view().segments {
            let view = state.view();
            let Some(now) = view.segments.iter().find(|view| view.segment.id == old.segment.id) else { continue };
            if now.segment.is_quarantined() {
                let (left, report) = survivors(env, &newest(env, &view)?, now);
                if depth == Depth::Rewrite {
                    rewrite(env, &state, &Input::of(&[left]))?;
                }
                salvaged.push(report);
            } else if now.segment.condition().is_stale() && depth == Depth::Rewrite {
                rewrite_sound(env, &state, &Input::of(std::slice::from_ref(now)))?;
            }
        }
    }
    Ok(salvaged)
}

/// A damaged segment with every row dead that does not open, or that a newer version replaced without anyone being able
/// to mark it.
fn survivors(env: &EnvironmentState, newest: &Newest, damaged: &SegmentView) -> (SegmentView, SalvagedSegment) {
    let segment = &damaged.segment;
    let mut dead = (*damaged.dead).clone();
    let (mut rows_kept, mut rows_lost) = (0, 0);
    for position in (0..segment.len).filter(|position| !damaged.dead.contains(*position)) {
        match row(env, newest, segment, position) {
            Row::Kept => rows_kept += 1,
            row => {
                rows_lost += u64::from(row == Row::Lost);
                dead.insert(position);
            }
        }
    }
    let (name, deletes_lost) = (segment.path(), segment.lacks_tombstones());
    let left = SegmentView { segment: segment.clone(), dead: dead.into() };
    (left, SalvagedSegment { segment: name, rows_kept, rows_lost, deletes_lost })
}

#[derive(PartialEq, Eq)]
enum Row {
    Kept,
    /// Its bytes are damaged.
    Lost,
    /// Replaced, deleted or erased.
    Gone,
}

fn row(env: &EnvironmentState, newest: &Newest, segment: &Segment, position: u32) -> Row {
    let opened = segment.sound_row(position, &env.keys).and_then(|_| segment.body(position, &env.keys));
    match opened {
        Ok(Some(body)) if newest.get(&body.id).is_none_or(|newest| *newest <= body.sequence) => Row::Kept,
        Ok(_) => Row::Gone,
        Err(_) => Row::Lost,
    }
}

/// The last write of each id that is known of, as far as it shows in segments whose rows open.
type Newest = HashMap<RecordId, Sequence>;

fn newest(env: &EnvironmentState, view: &View) -> Result<Newest> {
    let mut newest: Newest = view.memtable.iter().map(|(id, slot)| (id, slot.sequence())).collect();
    let mut note = |id: RecordId, sequence: Sequence| {
        let last = newest.entry(id).or_default();
        *last = (*last).max(sequence);
    };
    for SegmentView { segment, .. } in &view.segments {
        match segment.index_unless_lost(&env.keys)? {
            Some(index) => index.ids.iter_sorted(None).for_each(|(id, at)| {
                index.ids.sequence(at).into_iter().for_each(|sequence| note(id, sequence));
            }),
            None => (0..segment.len).for_each(|at| {
                let body = segment.body(at, &env.keys).ok().flatten();
                body.into_iter().for_each(|body| note(body.id, body.sequence));
            }),
        }
    }
    Ok(newest)
}
