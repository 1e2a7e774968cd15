//! Backups as JSON and as text: one that was made, one that an archive has, and what reading one found.

use std::fmt;

use engine::{BackupInfo, BackupReport, DrillReport, Listed, Pruned, RestoreReport};
use serde::Serialize;
use utoipa::ToSchema;

use super::plural::count;
use super::time::rfc3339;

/// What a backup holds.
#[derive(Serialize, ToSchema)]
pub struct BackupAnswer {
    /// Its number in the archive.
    number: u64,
    /// RFC 3339, UTC, like all times.
    made_at: String,
    /// Every write up to this one is in it, and no later one.
    sequence: u64,
    collections: u64,
    /// Records that were there.
    records: u64,
    /// Bytes of its files, which it may share with other backups.
    bytes: u64,
}

/// What reading every row of a backup found.
#[derive(Serialize, ToSchema)]
pub struct RowsAnswer {
    /// All of them.
    rows: u64,
    /// Those that open for a live owner.
    opened: u64,
    /// Those whose key was destroyed since, by an erasure or with their collection.
    erased: u64,
    /// Those that were deleted or superseded when it was made.
    superseded: u64,
}

/// A backup that was made.
#[derive(Serialize, ToSchema)]
pub struct BackupMadeAnswer {
    #[serde(flatten)]
    backup: BackupAnswer,
    /// Bytes that had to be copied; the archive had the others.
    copied_bytes: u64,
    /// What was found when it was read again.
    rows: RowsAnswer,
    /// What a restore needs beside the archive.
    needs: Vec<String>,
}

/// A backup that was read.
#[derive(Serialize, ToSchema)]
pub struct BackupVerifiedAnswer {
    #[serde(flatten)]
    backup: BackupAnswer,
    rows: RowsAnswer,
}

/// A backup that an archive has, or what is wrong with it.
#[derive(Serialize, ToSchema)]
pub struct ListedAnswer {
    number: u64,
    /// Null where nobody can say what it holds.
    backup: Option<BackupAnswer>,
    /// What is wrong with its list.
    problem: Option<String>,
}

/// The backups of an environment.
#[derive(Serialize, ToSchema)]
pub struct BackupsAnswer {
    /// Oldest first.
    backups: Vec<ListedAnswer>,
}

/// What a pruning left.
#[derive(Serialize, ToSchema)]
pub struct PrunedAnswer {
    /// The numbers of the backups that are kept, oldest first.
    kept: Vec<u64>,
    /// The numbers of those that were removed.
    removed: Vec<u64>,
    /// Bytes of the files that only those named.
    freed_bytes: u64,
}

/// What a restore brought back.
#[derive(Serialize)]
pub struct RestoreAnswer {
    number: u64,
    made_at: String,
    backup_sequence: u64,
    /// Later writes have numbers above this one.
    sequence: u64,
    rows: RowsAnswer,
    /// The audit log was lost with its volume, and another one begins.
    audit_lost: bool,
}

impl From<BackupInfo> for BackupAnswer {
    fn from(info: BackupInfo) -> Self {
        let BackupInfo { number, made_ms, sequence, collections, records, bytes } = info;
        Self { number, made_at: rfc3339(made_ms), sequence, collections, records, bytes }
    }
}

impl From<DrillReport> for RowsAnswer {
    fn from(DrillReport { rows, opened, erased, superseded }: DrillReport) -> Self {
        Self { rows, opened, erased, superseded }
    }
}

impl From<BackupReport> for BackupMadeAnswer {
    fn from(BackupReport { backup, copied_bytes, rows, needs }: BackupReport) -> Self {
        Self { backup: backup.into(), copied_bytes, rows: rows.into(), needs }
    }
}

impl From<(BackupInfo, DrillReport)> for BackupVerifiedAnswer {
    fn from((backup, rows): (BackupInfo, DrillReport)) -> Self {
        Self { backup: backup.into(), rows: rows.into() }
    }
}

impl From<Vec<Listed>> for BackupsAnswer {
    fn from(listed: Vec<Listed>) -> Self {
        let answer = |Listed { number, backup, problem }: Listed| {
            let backup = backup.map(BackupAnswer::from);
            ListedAnswer { number, backup, problem }
        };
        Self { backups: listed.into_iter().map(answer).collect() }
    }
}

impl From<Pruned> for PrunedAnswer {
    fn from(Pruned { kept, removed, freed_bytes }: Pruned) -> Self {
        Self { kept, removed, freed_bytes }
    }
}

impl From<RestoreReport> for RestoreAnswer {
    fn from(report: RestoreReport) -> Self {
        let RestoreReport { number, made_ms, backup_sequence, sequence, rows, audit_lost } = report;
        Self { number, made_at: rfc3339(made_ms), backup_sequence, sequence, rows: rows.into(), audit_lost }
    }
}

impl BackupsAnswer {
    /// One row for each, for people.
    pub fn rows(&self) -> Vec<[String; 5]> {
        let row = |listed: &ListedAnswer| match (&listed.backup, &listed.problem) {
            (Some(backup), _) => [
                backup.number.to_string(),
                backup.made_at.clone(),
                backup.records.to_string(),
                backup.bytes.to_string(),
                String::new(),
            ],
            (None, problem) => {
                let unknown = String::new;
                [listed.number.to_string(), unknown(), unknown(), unknown(), problem.clone().unwrap_or_default()]
            }
        };
        self.backups.iter().map(row).collect()
    }
}

impl fmt::Display for BackupAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, made_at, sequence, collections, records, bytes } = self;
        writeln!(f, "backup {number} of {made_at}, up to write {sequence}")?;
        write!(f, "holds        {} in {}, {bytes} bytes", count(*records, "record"), count(*collections, "collection"))
    }
}

impl fmt::Display for RowsAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, opened, erased, superseded } = self;
        write!(f, "{rows} rows: {opened} open, {erased} erased since, {superseded} deleted or superseded before")
    }
}

impl fmt::Display for BackupMadeAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.backup)?;
        writeln!(f, "copied       {} bytes; the archive had the others", self.copied_bytes)?;
        writeln!(f, "read again   {}", self.rows)?;
        write!(f, "A restore needs this directory and")?;
        self.needs.iter().try_for_each(|need| write!(f, "\n  - {need}"))
    }
}

impl fmt::Display for BackupVerifiedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nall as written: {}", self.backup, self.rows)
    }
}

impl fmt::Display for PrunedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, removed, freed_bytes } = self;
        write!(f, "removed {} backups and {freed_bytes} bytes, kept {}", removed.len(), kept.len())
    }
}

impl fmt::Display for RestoreAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "restored     backup {} of {}, up to write {}", self.number, self.made_at, self.backup_sequence)?;
        writeln!(f, "from now on  writes are numbered above {}", self.sequence)?;
        if self.audit_lost {
            writeln!(f, "audit log    lost with its volume; another one begins, and so do receipts")?;
        }
        write!(f, "{}", self.rows)
    }
}
