//! VERIFY: every stored byte of every live file is authenticated; deeply, what the indexes say is held against the
//! rows as well.
//!
//! Changes nothing on disk, but that the audit log tells of it. Reports facts about files; never an id, an entity or a vector.

use std::collections::HashSet;

use privacy::access::Permission;
use privacy::audit::Act;
use serde::Serialize;
use storage::id::{RecordId, RowId, Sequence};
use storage::manifest::read_newest;
use storage::recovery::{LOGS, SEGMENTS, examine, list};
use storage::segment::FieldMap;
use storage::segment::layout::index_name;
use storage::wal::{replay, wal_name};
use zeroize::Zeroizing;

use crate::consent;
use crate::debit;
use crate::declared::Declared;
use crate::error::{Error, Result};
use crate::fields::{self, Extent};
use crate::hold;
use crate::inspect::{Inspection, Problem};
use crate::keys::KEYRING;
use crate::permit::Permit;
use crate::segment::{Index, Segment};
use crate::snapshot::SegmentView;
use crate::state::{CollectionState, EnvironmentState};
use crate::trail::AUDIT;

/// How much a verification asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Is every byte what was written?
    Bytes,
    /// And do the indexes say what the rows say?
    Meaning,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Segments read.
    pub segments: u64,
    /// Rows opened, dead ones included.
    pub rows: u64,
    /// Bytes of segment files.
    pub bytes: u64,
    /// Logs that are live.
    pub logs: u64,
    /// Events of the audit log.
    pub events: u64,
    /// What is wrong; empty if all is well.
    pub problems: Vec<Problem>,
}

/// Checks every live file of the environment.
pub(crate) fn verify(env: &EnvironmentState, permit: &Permit, depth: Depth) -> Result<VerifyReport> {
    env.admit(permit, Permission::AuditVerify)?;
    // Upkeep would replace files while they are being read.
    let _one = env.maintenance.lock();
    let mut report = VerifyReport::default();
    tell(env, permit, depth);
    check_files(env, &mut report)?;
    report.events = check_trail(env, &mut report);
    check_logs(env, &mut report);
    for (file, checked) in
        [("consent", consent::check(env)), ("holds", hold::check_journal(env)), ("budget", debit::check_journal(env))]
    {
        if let Err(error) = checked {
            report.problem(file.into(), &error);
        }
    }
    let manifest = env.manifest.lock().clone();
    for state in env.all() {
        let Some(entry) = manifest.collection(state.id) else { continue };
        let mut seen: HashSet<RecordId> = state.view().memtable.iter().map(|(id, _)| id).collect();
        for entry in &entry.segments {
            report.segments += 1;
            report.bytes += entry.rec_bytes + entry.idx_bytes;
            let view = state.view();
            let Some(view) = view.segments.iter().find(|view| view.segment.id == entry.id) else { continue };
            let mut inspection = Inspection::open(env, view, entry);
            inspection.authenticate(env, &|| false);
            report.rows += inspection.rows;
            let meaning = inspection.index().filter(|_| depth == Depth::Meaning);
            let compared = meaning.map(|index| {
                let (segment, index) = index?;
                compare(env, &state, segment, &index)?;
                check_once(view, &index, &mut seen)
            });
            report.problems.append(&mut inspection.problems);
            if let Some(Err(error)) = compared {
                report.problem(format!("{SEGMENTS}/{}", index_name(entry.id)), &error);
            }
        }
    }
    Ok(report)
}

impl VerifyReport {
    fn problem(&mut self, file: String, what: &Error) {
        self.problems.push(Problem { file, what: what.to_string() });
    }
}

/// The manifest, the keyring, and whether every live file is there.
fn check_files(env: &EnvironmentState, report: &mut VerifyReport) -> Result<()> {
    let manifest = env.manifest.lock();
    let found = list(&env.dir).map_err(|e| Error::io("the environment cannot be listed", e))?;
    let is_of_segment = |file: &String| file.starts_with(SEGMENTS);
    for file in examine(&manifest, &found).missing.into_iter().filter(|file| !is_of_segment(file)) {
        report.problems.push(Problem { file, what: "missing".into() });
    }
    let table_key = env.keys.read().table_key();
    let name = storage::manifest::file_name(manifest.number);
    match read_newest(&env.dir, &table_key, env.scope) {
        Ok(newest) if newest.as_ref() == Some(&*manifest) => {}
        Ok(_) => report.problem(name, &Error::corrupt("it is not the manifest that this process wrote or read")),
        Err(error) => report.problem(name, &error.into()),
    }
    if let Err(error) = env.keys.check() {
        report.problem(KEYRING.into(), &error);
    }
    Ok(())
}

/// Tells that the environment is verified. One that cannot be told is verified all the same: it changes nothing, and a
/// disk that takes no event may be why it is asked for.
fn tell(env: &EnvironmentState, permit: &Permit, depth: Depth) {
    if let Err(error) = env.tell(permit, Act::Verified { is_deep: depth == Depth::Meaning }) {
        tracing::warn!(%error, "the audit log does not tell of a verification");
    }
}

/// Every event of the audit log, from the first; how many there are.
fn check_trail(env: &EnvironmentState, report: &mut VerifyReport) -> u64 {
    match env.trail.verify(true) {
        Ok(checked) => checked.through,
        Err(error) => {
            report.problem(AUDIT.into(), &error);
            0
        }
    }
}

fn check_logs(env: &EnvironmentState, report: &mut VerifyReport) {
    let logs = env.manifest.lock().logs.clone();
    for number in logs {
        report.logs += 1;
        let log = env.queue.lock().log.clone().filter(|log| log.number() == number);
        let synced = log.map(|log| log.synced());
        if let Err(error) = check_log(env, number, synced) {
            report.problem(format!("{LOGS}/{}", wal_name(number)), &error);
        }
    }
}

fn check_log(env: &EnvironmentState, number: u64, synced: Option<Sequence>) -> Result<()> {
    let key = env.keys.read().log_key(number).ok_or_else(|| Error::corrupt("the key of the log is missing"))?;
    let read = replay(&env.wal_dir(), number, &key, env.scope)?;
    let last = read.entries.last().map_or(read.base, |(sequence, _)| *sequence);
    // A frame that was damaged at the end of the log looks like one that was never finished.
    if synced.is_some_and(|synced| last < synced) {
        return Err(Error::corrupt("a write that was synced is not in the log"));
    }
    Ok(())
}

/// Whether the index says of every row what the row itself says, and its graph leads everywhere.
fn compare(env: &EnvironmentState, state: &CollectionState, segment: &Segment, index: &Index) -> Result<()> {
    let differs = |what: &str| Err(Error::corrupt(format!("the index of segment {} has {what}", segment.id)));
    let (mut opened, mut vector) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()));
    let mut code = Zeroizing::new(vec![0; state.space.stride()]);
    let mut stored = code.clone();
    let mut names: HashSet<RowId> = HashSet::new();
    let mut is_whole = true;
    for position in 0..segment.len {
        if !names.insert(segment.rows(&env.keys)?.row(position)?.row) {
            return differs("two rows of one name");
        }
        let Some(body) = segment.body(position, &env.keys)? else {
            is_whole = false;
            continue;
        };
        let agrees = index.ids.id(position) == Some(body.id)
            && index.ids.sequence(position) == Some(body.sequence)
            && index.entities.of(position) == body.entity.as_ref();
        if !agrees {
            return differs("another id, sequence or entity than a row");
        }
        if segment.vector(position, &env.keys, &mut opened, &mut vector)? {
            let scale = state.space.encode(&vector, &mut code);
            let found = index.ann.codes();
            found.read(position, &mut stored);
            if code != stored || scale != found.scale(position) {
                return differs("another code than a row");
            }
        }
    }
    // What erased rows had there nobody can say any more.
    if is_whole && fields_of(env, segment, index)?.encode() != index.fields.encode() {
        return differs("other fields of payloads than its rows");
    }
    if index.ann.graph().is_some_and(|graph| graph.reached() != graph.len()) {
        return differs("rows that its graph does not lead to");
    }
    Ok(())
}

/// The index of payloads that the rows make.
fn fields_of(env: &EnvironmentState, segment: &Segment, index: &Index) -> Result<FieldMap> {
    let payload = |position: u32| {
        let body = segment.body(position, &env.keys)?;
        Ok(body.and_then(|mut body| body.payload.take()).map(Zeroizing::new))
    };
    // Settings may have changed since it was built.
    let others = index.fields.fields().iter().filter(|field| field.kind == 0).count();
    let extent = Extent { others, room: index.fields.room() };
    env.shared.pool.install(|| fields::build(segment.len, &Declared::of(&index.fields), extent, &payload))
}

/// Whether no live id of this segment is live elsewhere.
fn check_once(view: &SegmentView, index: &Index, seen: &mut HashSet<RecordId>) -> Result<()> {
    let live = (0..view.segment.len).filter(|position| !view.dead.contains(*position));
    if live.filter_map(|position| index.ids.id(position)).all(|id| seen.insert(id)) {
        return Ok(());
    }
    Err(Error::corrupt(format!("segment {} has a live row whose id is live elsewhere", view.segment.id)))
}

#[cfg(test)]
mod tests;
