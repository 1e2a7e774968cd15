//! What an environment's directory holds that it should not, and lacks that it should, by its manifest.
//!
//! A crash leaves files that no manifest names yet, or names no longer. They are removed at the next open, before
//! their numbers are used again. A path that the manifest lists is never among them, and neither is one that lethedb
//! does not write: what it did not make is not its own to remove.

use std::collections::BTreeSet;
use std::io;

use crate::backend::Dir;
use crate::id::SegmentId;
use crate::journal::Subject;
use crate::manifest::{self, Manifest};
use crate::segment::layout::{index_name, is_segment_file, rows_name, tombstones_name};
use crate::wal::{wal_name, wal_number};

/// Directory of segments inside an environment.
pub const SEGMENTS: &str = "seg";
/// Directory of logs inside an environment.
pub const LOGS: &str = "wal";

/// How the files found differ from the manifest. Paths start at the environment's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Files to remove: interrupted writes, older manifests, and segments, tombstones,
    /// logs and journals that are not live.
    pub orphans: Vec<String>,
    /// Rows, tombstones, logs and journals that are live and not there. That is damage.
    pub missing: Vec<String>,
    /// Segments without an index file. It is built again from the rows.
    pub unindexed: Vec<SegmentId>,
}

/// The paths of all files that [`examine`] judges.
///
/// # Errors
/// Those of the backend.
pub fn list(environment: &Dir) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::from_iter(environment.list()?);
    for dir in [SEGMENTS, LOGS] {
        found.extend(environment.sub(dir).list()?.iter().map(|name| format!("{dir}/{name}")));
    }
    Ok(found)
}

/// Compares the paths found with the newest manifest.
pub fn examine(manifest: &Manifest, found: &BTreeSet<String>) -> Findings {
    let mut live = BTreeSet::from([manifest::file_name(manifest.number)]);
    live.extend(manifest.logs.iter().map(|&log| format!("{LOGS}/{}", wal_name(log))));
    let journals = Subject::ALL.into_iter().filter_map(|subject| Some((subject, manifest.journal(subject)?)));
    live.extend(journals.map(|(subject, mark)| subject.file_name(mark.number)));
    let mut indexes = BTreeSet::new();
    let mut unindexed = Vec::new();
    for (_, segment) in manifest.segments() {
        live.insert(format!("{SEGMENTS}/{}", rows_name(segment.id)));
        let tombstones = segment.tombstone_versions().map(|version| tombstones_name(segment.id, version));
        live.extend(tombstones.map(|name| format!("{SEGMENTS}/{name}")));
        let index = format!("{SEGMENTS}/{}", index_name(segment.id));
        if !found.contains(&index) {
            unindexed.push(segment.id);
        }
        indexes.insert(index);
    }
    let is_orphan =
        |path: &&String| is_ours(path, manifest.number) && !live.contains(*path) && !indexes.contains(*path);
    Findings {
        orphans: found.iter().filter(is_orphan).cloned().collect(),
        missing: live.difference(found).cloned().collect(),
        unindexed,
    }
}

/// Whether lethedb writes files of this name here, manifests from `newest` on excepted.
fn is_ours(path: &str, newest: u64) -> bool {
    path.ends_with(".tmp")
        || match path.split_once('/') {
            Some((SEGMENTS, name)) => is_segment_file(name),
            Some((LOGS, name)) => wal_number(name).is_some(),
            Some(_) => false,
            None => {
                manifest::file_number(path).is_some_and(|number| number < newest)
                    || Subject::ALL.into_iter().any(|subject| subject.file_number(path).is_some())
            }
        }
}

#[cfg(test)]
mod tests;
