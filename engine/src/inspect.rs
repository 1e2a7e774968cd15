//! INSPECT: every stored byte of one segment read from its files and authenticated, whatever memory holds.
//!
//! Damage in the rows quarantines the segment. Where the index or the tombstones are damaged on disk, memory has what
//! they say, and the segment is marked to be written anew. Reports facts about files; never an id, an entity or a
//! vector.

use serde::Serialize;
use storage::manifest::SegmentEntry;
use storage::recovery::SEGMENTS;
use storage::segment::layout::{index_name, rows_name, tombstones_name};
use storage::segment::{IndexFile, read_tombstones};

use crate::error::Result;
use crate::segment::Segment;
use crate::snapshot::SegmentView;
use crate::state::EnvironmentState;

/// Something wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, relative to the environment's directory.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// The files of one segment, opened.
pub(crate) struct Inspection {
    segment: Segment,
    index: Option<IndexFile>,
    /// What was found so far.
    pub problems: Vec<Problem>,
    /// Rows read so far.
    pub rows: u64,
}

impl Inspection {
    /// Opens the files of a live segment. The caller holds `maintenance`, so that they are there to be opened; it need
    /// not hold it any longer than that.
    pub fn open(env: &EnvironmentState, view: &SegmentView, entry: &SegmentEntry) -> Self {
        let segment = view.segment.unopened();
        let mut inspection = Self { segment, index: None, problems: Vec::new(), rows: 0 };
        if let Err(error) = inspection.segment.rows(&env.keys) {
            inspection.report(rows_name(entry.id), error.to_string());
        }
        match inspection.segment.index_file(&env.keys) {
            Ok(file) => inspection.index = Some(file),
            Err(error) => inspection.report_stale(index_name(entry.id), error.to_string()),
        }
        let table_key = env.keys.read().table_key();
        for version in entry.tombstone_versions() {
            if let Err(error) =
                read_tombstones(&env.segments_dir(), entry.id, version, entry.rows, &table_key, env.scope)
            {
                inspection.report_stale(tombstones_name(entry.id, version), error.to_string());
            }
        }
        inspection
    }

    /// Opens every blob of every row and every section of the index, unless told to `stop`; says whether it came to
    /// the end.
    pub fn authenticate(&mut self, env: &EnvironmentState, stop: &dyn Fn() -> bool) -> bool {
        let name = rows_name(self.segment.id);
        let opened = self.problems.iter().all(|problem| !problem.file.ends_with(&name));
        let mut damaged = None;
        for position in (0..self.segment.len).filter(|_| opened) {
            if position % 256 == 0 && stop() {
                return false;
            }
            if let Err(error) = self.segment.sound_row(position, &env.keys) {
                damaged = damaged.map(|(count, first)| (count + 1, first)).or(Some((1, (position, error))));
            }
            self.rows += 1;
        }
        if let Some((count, (position, error))) = damaged {
            self.report(name, format!("{count} rows do not open, the first at position {position}: {error}"));
        }
        let codes: Vec<u8> = self.index.iter().flat_map(IndexFile::codes).collect();
        for code in codes {
            if let Some(Err(error)) = self.index.as_ref().map(|file| file.section(code)) {
                self.report_stale(index_name(self.segment.id), format!("section {code}: {error}"));
            }
        }
        true
    }

    /// The segment and its index as its file says, once both were found sound.
    pub fn index(&self) -> Option<Result<(&Segment, crate::segment::Index)>> {
        let file = self.index.as_ref().filter(|_| self.problems.is_empty())?;
        Some(self.segment.decode_index(file).map(|index| (&self.segment, index)))
    }

    fn report(&mut self, name: String, what: String) {
        self.problems.push(Problem { file: format!("{SEGMENTS}/{name}"), what });
    }

    fn report_stale(&mut self, name: String, what: String) {
        self.segment.condition().mark_stale();
        self.report(name, what);
    }
}
