//! DRILL: a copy or backup of an environment opened read-only with the live keyring, as a restore would.
//!
//! Rows of entities erased since the copy was made have no key any more and drop out, counted; a row whose
//! key is neither live nor known to be destroyed is damage, never silence.

use std::path::Path;
use std::sync::Arc;

use privacy::access::Permission;
use privacy::audit::Act;
use storage::backend::{Dir, Disk};
use storage::manifest::read_newest;
use storage::recovery::SEGMENTS;
use storage::segment::read_tombstones;

use crate::archive::Archive;
use crate::error::{Error, ErrorKind, Result};
use crate::opened::{DrillReport, Under, open_segment, segments_of, space_of};
use crate::permit::Permit;
use crate::query::With;
use crate::read::from_segment;
use crate::record::Record;
use crate::segment::Segment;
use crate::state::EnvironmentState;

/// The records of a copy, opened one by one.
pub struct Drill {
    env: Arc<EnvironmentState>,
    /// Collection name, segment, and the rows to skip.
    segments: Vec<(String, Segment, roaring::RoaringBitmap)>,
    at: (usize, u32),
    report: DrillReport,
}

/// Opens environment `env` inside the data directory `copy`.
pub(crate) fn drill(env: &Arc<EnvironmentState>, permit: &Permit, copy: &Path) -> Result<Drill> {
    env.admit(permit, Permission::SnapshotRestore)?;
    let disk =
        Disk::open_existing(copy).map_err(|e| Error::with(ErrorKind::NotFound, "the copy cannot be opened", e))?;
    let dir = Dir::root(Arc::new(disk)).sub(&format!("env/{}", env.name));
    let table_key = env.keys.read().table_key();
    let manifest = read_newest(&dir, &table_key, env.scope)?
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "the copy has no such environment"))?;
    env.tell(permit, Act::BackupDrilled {})?;
    let mut segments = Vec::new();
    for (collection, entry) in manifest.segments() {
        let space = space_of(&env.keys, collection.id.0, (collection.metric, collection.dimension))?;
        let files = dir.sub(SEGMENTS);
        let dead = match entry.tombstones {
            Some(version) => read_tombstones(&files, entry.id, version, entry.rows, &table_key, env.scope)?,
            None => roaring::RoaringBitmap::new(),
        };
        let len = u32::try_from(entry.rows).map_err(|_| Error::corrupt("the copy's manifest gives too many rows"))?;
        let segment = Segment::new((&files, &env.shared.pool), (entry.id, len), collection.id, &space, env.scope);
        segments.push((collection.name.clone(), segment, dead));
    }
    Ok(Drill { env: Arc::clone(env), segments, at: (0, 0), report: DrillReport::default() })
}

/// Opens backup `number` of an archive, or the newest.
pub(crate) fn drill_backup(
    env: &Arc<EnvironmentState>,
    permit: &Permit,
    archive: &Archive,
    number: Option<u64>,
) -> Result<Drill> {
    env.admit(permit, Permission::SnapshotRestore)?;
    archive.check_holds(env.scope.database)?;
    let table_key = env.keys.read().table_key();
    let contents = archive.contents(&env.name, number, (&table_key, env.scope))?;
    env.tell(permit, Act::BackupDrilled {})?;
    let under = Under { keys: &env.keys, scope: env.scope, pool: &env.shared.pool };
    let files = segments_of(&archive.place(&env.name), &contents);
    let mut segments = Vec::new();
    for collection in &contents.collections {
        let space = space_of(&env.keys, collection.id.0, (collection.metric, collection.dimension))?;
        for segment in &collection.segments {
            let (segment, dead) = open_segment(&under, &files, collection, segment, &space)?;
            segments.push((collection.name.clone(), segment, dead));
        }
    }
    Ok(Drill { env: Arc::clone(env), segments, at: (0, 0), report: DrillReport::default() })
}

impl Drill {
    /// What was seen so far; complete once the records are used up.
    pub fn report(&self) -> DrillReport {
        self.report
    }

    /// The records that still open, each with its collection's name.
    pub fn records(&mut self) -> impl Iterator<Item = Result<(String, Record)>> {
        std::iter::from_fn(move || self.advance().transpose())
    }

    fn advance(&mut self) -> Result<Option<(String, Record)>> {
        while let Some((name, segment, dead)) = self.segments.get(self.at.0) {
            let position = self.at.1;
            if position >= segment.len {
                self.at = (self.at.0 + 1, 0);
                continue;
            }
            self.at.1 += 1;
            self.report.rows += 1;
            if dead.contains(position) {
                self.report.superseded += 1;
                continue;
            }
            match from_segment(&self.env, segment, position, With::ALL)? {
                Some(record) => {
                    self.report.opened += 1;
                    return Ok(Some((name.clone(), record)));
                }
                None => self.report.erased += 1,
            }
        }
        Ok(None)
    }
}
