//! VERIFY: every live file is read and every row opened, and what the index says is held against the rows.
//!
//! Reports facts about files; never an id, an entity or a vector.

use serde::Serialize;
use storage::recovery::{examine, list};
use storage::segment::layout::{index_name, rows_name};

use crate::error::{Error, Result};
use crate::permit::{Action, Permit};
use crate::segment::Segment;
use crate::state::EnvironmentState;

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
    /// What is wrong; empty if all is well.
    pub problems: Vec<Problem>,
}

/// Something wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, relative to the environment's directory.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// Checks every live file of the environment.
pub(crate) fn verify(env: &EnvironmentState, permit: &Permit) -> Result<VerifyReport> {
    permit.check(Action::Operate)?;
    // Upkeep would replace files while they are being read.
    let _one = env.maintenance.lock();
    let manifest = env.manifest.lock().clone();
    let found = list(&env.dir).map_err(|e| Error::io("the environment cannot be listed", e))?;
    let mut report = VerifyReport { logs: manifest.logs.len() as u64, ..VerifyReport::default() };
    for file in examine(&manifest, &found).missing {
        report.problems.push(Problem { file, what: "missing".into() });
    }
    for (collection, entry) in manifest.segments() {
        report.segments += 1;
        report.bytes += entry.rec_bytes + entry.idx_bytes;
        let Some(state) = env.all().into_iter().find(|state| state.id == collection.id) else { continue };
        // A segment of its own, so that files are read and not what is in memory already.
        let len = u32::try_from(entry.rows).unwrap_or(u32::MAX);
        let segment = Segment::new(&env.segments_dir(), entry.id, len, state.id, &state.space, env.scope);
        match check_rows(env, &segment) {
            Ok(rows) => report.rows += rows,
            Err(error) => report.problems.push(problem(rows_name(entry.id), &error)),
        }
        if let Err(error) = check_index(env, &segment) {
            report.problems.push(problem(index_name(entry.id), &error));
        }
    }
    Ok(report)
}

fn problem(name: String, error: &Error) -> Problem {
    Problem { file: format!("{}/{name}", storage::recovery::SEGMENTS), what: error.to_string() }
}

fn check_rows(env: &EnvironmentState, segment: &Segment) -> Result<u64> {
    let (mut opened, mut vector) = (zeroize::Zeroizing::new(Vec::new()), zeroize::Zeroizing::new(Vec::new()));
    segment.rows(&env.keys)?;
    for position in 0..segment.len {
        segment.vector(position, &env.keys, &mut opened, &mut vector)?;
        segment.body(position, &env.keys)?;
    }
    Ok(u64::from(segment.len))
}

fn check_index(env: &EnvironmentState, segment: &Segment) -> Result<()> {
    let index = segment.index(&env.keys)?;
    for position in 0..segment.len {
        // A damaged row is told of once, by `check_rows`.
        let Ok(Some(body)) = segment.body(position, &env.keys) else { continue };
        let agrees = index.ids.id(position) == Some(body.id)
            && index.ids.sequence(position) == Some(body.sequence)
            && index.entities.of(position) == body.entity.as_ref();
        if !agrees {
            return Err(Error::corrupt(format!("the index of segment {} does not agree with its rows", segment.id)));
        }
    }
    Ok(())
}
